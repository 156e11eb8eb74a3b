//! Zsh: one function over its own `_arguments`.

use super::{Shell, Value, head, levels, value, words};
use crate::completions::short;
use argh::{CommandInfoWithArgs, FlagInfo};

/// `PROGRAM`, `OPTIONS` and `COMMANDS` of the program and `LEVELS` of its commands are put in.
const SCRIPT: &str = r#"_PROGRAM() {
    local curcontext=$curcontext state line
    local -A opt_args
    local -a commands=(
COMMANDS    )
    _arguments -C \
OPTIONS        '1: :->command' \
        '*:: :->arguments' && return
    case $state in
        command)
            _describe -t commands 'PROGRAM command' commands
            ;;
        arguments)
            curcontext=${curcontext%:*:*}:PROGRAM-$words[1]:
            case $words[1] in
LEVELS            esac
            ;;
    esac
}

if [[ $funcstack[1] == _PROGRAM ]]; then
    _PROGRAM "$@"
else
    compdef _PROGRAM PROGRAM
fi
"#;

pub(super) fn script(program: &str, description: &CommandInfoWithArgs) -> String {
    let commands = description.commands.iter().map(|command| {
        let text = quoted(&command.command.description.replace(':', r"\:"));
        format!("        '{}:{text}'\n", command.name)
    });
    let options = |level: &CommandInfoWithArgs, indent: &str| -> String {
        level.flags.iter().map(|flag| format!("{indent}{} \\\n", option(flag))).collect()
    };
    let cases = levels(description).skip(1).map(|(name, level)| {
        let indent = " ".repeat(24);
        let last = match words(level).join(" ") {
            words if words.is_empty() => "'*: :'".to_owned(),
            words => format!("'1:what:({words})'"),
        };
        let options = options(level, &indent);
        let begin = " ".repeat(16);
        format!(
            "{begin}{name})\n{begin}    _arguments \\\n{options}{indent}{last}\n{begin}    ;;\n"
        )
    });
    let script = SCRIPT
        .replace("PROGRAM", program)
        .replace("COMMANDS", &commands.collect::<String>())
        .replace("OPTIONS", &options(description, "        "))
        .replace("LEVELS", &cases.collect::<String>());
    format!("#compdef {program}\n{}{script}", head(Shell::Zsh, program))
}

/// One argument of `_arguments`: a flag that is offered once, in either form.
fn option(flag: &FlagInfo) -> String {
    let text =
        quoted(&flag.description.replace('[', r"\[").replace(']', r"\]").replace(':', r"\:"));
    let value = match value(flag) {
        None => String::new(),
        Some((name, Value::Files)) => format!(":{name}:_files"),
        Some((name, _)) => format!(":{name}: "),
    };
    match short(flag) {
        Some(short) => {
            let long = flag.long;
            format!("'({short} {long})'{{{short},{long}}}'[{text}]{value}'")
        }
        None => format!("'{}[{text}]{value}'", flag.long),
    }
}

/// For between single quotes.
fn quoted(text: &str) -> String {
    text.replace('\'', r"'\''")
}
