//! Fish: one line for each thing that can be said, and a function that says where the cursor stands.

use super::{Shell, Value, head, levels, options_with_value, short, value, words};
use argh::{CommandInfoWithArgs, FlagInfo};

/// `PROGRAM`, `VALUED` (options with a value) and `COMMANDS` are put in.
const SCRIPT: &str = r"
# Whether the command before the cursor is this one; without a name, whether there is none yet.
function __fish_PROGRAM_at
    set -l words (commandline -opc)
    set -l skip 1
    set -l found
    for word in $words
        if test $skip -eq 1
            set skip 0
            continue
        end
        switch $word
            case VALUED
                set skip 1
            case COMMANDS
                set found $word
                break
        end
    end
    test (count $found) -eq (count $argv); and test $found = $argv
end

complete -c PROGRAM -f
";

pub(super) fn script(program: &str, description: &CommandInfoWithArgs) -> String {
    let valued: Vec<String> = options_with_value(description).into_iter().collect();
    let commands: Vec<&str> = description.commands.iter().map(|command| command.name).collect();
    let frame = SCRIPT
        .replace("PROGRAM", program)
        .replace("VALUED", &valued.join(" "))
        .replace("COMMANDS", &commands.join(" "));
    let lines = levels(description).flat_map(|(name, level)| {
        let at = format!("__fish_{program}_at {name}");
        let begin = format!("complete -c {program} -n '{}'", at.trim_end());
        let commands =
            level.commands.iter().map(|command| (command.name, command.command.description));
        let words = words(level).into_iter().map(|word| (word, ""));
        let words =
            commands.chain(words).map(|(word, text)| format!(" -a {word}{}", described(text)));
        let flags = level.flags.iter().map(flag);
        words.chain(flags).map(|rest| format!("{begin}{rest}\n")).collect::<Vec<_>>()
    });
    head(Shell::Fish, program) + &frame + &lines.collect::<String>()
}

fn flag(flag: &FlagInfo) -> String {
    let long = flag.long.trim_start_matches('-');
    let short = short(flag).map_or_else(String::new, |short| format!(" -s {}", &short[1..]));
    let value = match value(flag) {
        None => "",
        Some((_, Value::Files)) => " -r -F",
        Some(_) => " -x",
    };
    format!("{short} -l {long}{value}{}", described(flag.description))
}

fn described(text: &str) -> String {
    match text {
        "" => String::new(),
        text => format!(" -d '{}'", text.replace('\\', r"\\").replace('\'', r"\'")),
    }
}
