//! The scripts, in the shells that they are for.

use super::*;
use argh::ArgsInfo as _;
use std::process::{Command, Output};

fn client() -> CommandInfoWithArgs {
    crate::client::arguments::Arguments::get_args_info()
}

fn server() -> CommandInfoWithArgs {
    crate::server::arguments::Arguments::get_args_info()
}

fn programs() -> [(&'static str, CommandInfoWithArgs); 2] {
    [("s3up", client()), ("s3up-server", server())]
}

/// Runs a shell, if there is one.
fn shell(shell: Shell, arguments: &[&str]) -> Option<Output> {
    match Command::new(shell.name()).args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) if shell != Shell::Bash && error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("SKIPPED: {} is not installed", shell.name());
            None
        }
        Err(error) => panic!("{shell:?}: {error}"),
    }
}

/// What bash offers for the last of these words, which may be an empty one.
#[track_caller]
fn bash(program: &str, description: &CommandInfoWithArgs, line: &str, expected: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let driver = "set -u; compopt() { COMPREPLY=(\"(compopt $*)\"); }\n\
                  COMP_WORDS=(\"$0\" \"$@\"); COMP_CWORD=$#\n\
                  function=$(complete -p \"$0\" | sed 's/.*-F //; s/ .*//')\n\
                  \"$function\"; echo \"${COMPREPLY[*]-}\"";
    let script = script(Shell::Bash, program, description) + driver;
    let arguments = [&["--norc", "-c", &script], &words[..]].concat();
    let output = shell(Shell::Bash, &arguments).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{line}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), expected, "{line}");
}

#[test]
fn bash_completes_commands_options_and_files() {
    let (client, server) = (client(), server());
    for (line, expected) in [
        ("s3up ", "check completions healthcheck report scan status"),
        ("s3up s", "scan status"),
        ("s3up -", "--help --config --version"),
        ("s3up check ", "--help --config --json"),
        ("s3up scan --d", "--dry-run"),
        ("s3up completions ", "bash zsh fish"),
        ("s3up completions f", "fish"),
        ("s3up status nonsense", ""),
        ("s3up -c ", "(compopt -o default)"),
        ("s3up status --config /etc/s3u", "(compopt -o default)"),
    ] {
        bash("s3up", &client, line, expected);
    }
    for (line, expected) in [
        ("s3up-server report --date ", ""),
        ("s3up-server report --date 2026-11-28 --c", "--config --client"),
        ("s3up-server clients --client ", ""),
        ("s3up-server -c ", "(compopt -o default)"),
    ] {
        bash("s3up-server", &server, line, expected);
    }
}

#[test]
fn the_value_of_an_option_is_no_command() {
    bash("s3up", &client(), "s3up -c check st", "status");
    bash("s3up", &client(), "s3up --config report scan --n", "");
    bash("s3up-server", &server(), "s3up-server -c a clients --client report --j", "--json");
    fish("s3up-server -c a clients --client report --d", &[]);
    fish("s3up -c check st", &["status"]);
}

#[track_caller]
fn fish(line: &str, expected: &[&str]) {
    let scripts = programs().map(|(name, description)| script(Shell::Fish, name, &description));
    let driver = format!("{}\ncomplete -C '{line}'", scripts.concat());
    let Some(output) = shell(Shell::Fish, &["--no-config", "-c", &driver]) else { return };
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{line}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut words: Vec<&str> = text.lines().filter_map(|line| line.split('\t').next()).collect();
    words.sort_unstable();
    assert_eq!(words, expected, "{line}");
}

#[test]
fn fish_completes_commands_options_and_files() {
    fish("s3up ", &["check", "completions", "healthcheck", "report", "scan", "status"]);
    fish("s3up scan --", &["--config", "--dry-run", "--help", "--json"]);
    fish("s3up completions ", &["bash", "fish", "zsh"]);
    fish("s3up-server report --client ", &[]);
    let top = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.");
    let files = ["lock", "toml"].map(|end| format!("{top}{end}"));
    fish(&format!("s3up-server check -c {top}"), &files.each_ref().map(String::as_str));
}

/// Zsh completes only at a terminal: it gets one, says what it offers between angle brackets, and in the end
/// that it has nothing more to say.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty terminal zsh -f -i
zpty -w terminal 'PROMPT=; autoload -U compinit; compinit -D -u; eval "$S3UP_SCRIPT"'
zpty -w terminal 'compadd() { [[ "$*" == *-[OD]\ * ]] || { local -a found; builtin compadd -A found "$@"; print -rn -- "<$found>"; }; builtin compadd "$@"; }'
zpty -w terminal 'over() { print OV""ER; }; zle -N over; bindkey "^G" over; bindkey "^I" complete-word; print REA""DY'
zpty -r terminal said '*READY*'
zpty -w -n terminal "$S3UP_LINE"$'\t\a'
zpty -r terminal said '*OVER*'
print -r -- "$said"
"#;

#[track_caller]
fn zsh(line: &str, expected: &[&str]) {
    let scripts = programs().map(|(name, description)| script(Shell::Zsh, name, &description));
    let mut zsh = Command::new("zsh");
    zsh.args(["-f", "-c", ZSH]).env("S3UP_SCRIPT", scripts.concat()).env("S3UP_LINE", line);
    let output = match zsh.output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return eprintln!("SKIPPED: zsh is not installed");
        }
        Err(error) => panic!("{error}"),
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let offers = said.split('<').skip(1).filter_map(|part| Some(part.split_once('>')?.0));
    let words: BTreeSet<&str> = offers.flat_map(str::split_whitespace).collect();
    assert_eq!(words, expected.iter().copied().collect(), "{line}: {said}");
}

#[test]
fn zsh_completes_commands_options_and_files() {
    zsh("s3up ", &["check", "completions", "healthcheck", "report", "scan", "status"]);
    zsh("s3up scan --", &["--config", "--dry-run", "--help", "--json"]);
    zsh("s3up completions ", &["bash", "fish", "zsh"]);
    zsh("s3up -c check st", &["status"]);
    zsh("s3up-server report --client ", &[]);
    let top = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.");
    zsh(&format!("s3up-server check -c {top}"), &["Cargo.lock", "Cargo.toml"]);
}

#[test]
fn each_shell_can_read_its_script() {
    for (name, description) in programs() {
        for kind in Shell::ALL {
            let script = script(kind, name, &description);
            let Some(output) = shell(kind, &["-n", "-c", &script]) else { continue };
            assert!(output.status.success() && output.stderr.is_empty(), "{kind:?}: {output:?}");
        }
    }
}

#[test]
fn every_command_and_flag_is_in_every_script() {
    for (name, description) in programs() {
        for kind in Shell::ALL {
            let script = script(kind, name, &description);
            let has = |word: &str| assert!(script.contains(word), "{word} for {kind:?}");
            for (command, level) in levels(&description) {
                has(command);
                for flag in level.flags {
                    has(flag.long.trim_start_matches('-'));
                }
            }
        }
    }
}

#[test]
fn an_option_has_a_value_everywhere_or_nowhere() {
    for (_, description) in programs() {
        let valued = options_with_value(&description);
        let flags = levels(&description).flat_map(|(_, level)| level.flags);
        for flag in flags.filter(|flag| value(flag).is_none()) {
            assert!(!valued.contains(flag.long), "{}", flag.long);
        }
    }
}
