//! Bash: one function, which finds the command among the words before the cursor.

use super::{Shell, Value, head, levels, options_with_value, short, value, words};
use argh::CommandInfoWithArgs;
use std::collections::BTreeSet;

/// `PROGRAM`, `VALUED` (options with a value), `FILES` (those of them whose value is a file), `COMMANDS` and
/// `LEVELS` are put in.
const SCRIPT: &str = r#"_PROGRAM() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command='' options='' words=''
    local -i i
    COMPREPLY=()
    case $previous in
        FILES)
            # Readline knows best how file names are completed and quoted.
            compopt -o default
            return
            ;;
    esac
    case $previous in
        VALUED) return ;;
    esac
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            VALUED) i+=1 ;;
            COMMANDS)
                command=${COMP_WORDS[i]}
                break
                ;;
        esac
    done
    case $command in
LEVELS    esac
    if [[ $current == -* || -z $words ]]; then
        words=$options
    fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _PROGRAM PROGRAM
"#;

pub(super) fn script(program: &str, description: &CommandInfoWithArgs) -> String {
    let valued = options_with_value(description);
    let flags = levels(description).flat_map(|(_, level)| level.flags);
    let files = flags.filter(|flag| value(flag).is_some_and(|(_, value)| value == Value::Files));
    let files: BTreeSet<String> =
        files.flat_map(|flag| short(flag).into_iter().chain([flag.long.to_owned()])).collect();
    let commands = description.commands.iter().map(|command| command.name.to_owned()).collect();
    let script = SCRIPT
        .replace("PROGRAM", program)
        .replace("VALUED", &alternatives(&valued))
        .replace("FILES", &alternatives(&files))
        .replace("COMMANDS", &alternatives(&commands))
        .replace("LEVELS", &cases(description));
    head(Shell::Bash, program) + &script
}

/// `-c | --config`: a pattern of `case`.
fn alternatives(words: &BTreeSet<String>) -> String {
    words.iter().map(String::as_str).collect::<Vec<_>>().join(" | ")
}

/// What can follow at each level.
fn cases(description: &CommandInfoWithArgs) -> String {
    let case = |(name, level): (&str, &CommandInfoWithArgs)| {
        let options = level.flags.iter().map(|flag| flag.long).collect::<Vec<_>>().join(" ");
        let commands = level.commands.iter().map(|command| command.name);
        let words = commands.chain(words(level)).collect::<Vec<_>>().join(" ");
        let name = if name.is_empty() { "''" } else { name };
        format!(
            "        {name})\n            options='{options}'\n            words='{words}'\n            ;;\n"
        )
    };
    levels(description).map(case).collect()
}
