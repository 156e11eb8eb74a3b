//! The pages of the programs: what their help says, and what surrounds them.
//!
//! Pure.

use super::sheet::{Inline, Sheet, bold, italic, roman};
use argh::{ArgsInfo, CommandInfoWithArgs, ErrorCodeInfo, FlagInfo, FlagInfoKind, TopLevelCommand};

/// What a program's help does not say.
pub(super) struct Surroundings {
    program: &'static str,
    environment: &'static [(&'static str, &'static str)],
    files: &'static [(&'static str, &'static str)],
    see_also: &'static [(&'static str, &'static str)],
}

const LOG: (&str, &str) = (
    "RUST_LOG",
    "What is logged: error, warn, info, debug or trace; info if it is not set. s3up=debug says more of \
     s3up and nothing of its libraries.",
);
const ANY: (&str, &str) = ("NAME", "Any variable that the configuration names as ${NAME}.");

pub(super) const CLIENT: Surroundings = Surroundings {
    program: "s3up",
    environment: &[LOG, ANY],
    files: &[
        ("/etc/s3up/client.yaml", "The configuration, where packages look for it."),
        (
            "/var/lib/s3up/client.db",
            "What the client remembers, in its example configuration; beside it lies the socket by which \
             a running client is asked.",
        ),
    ],
    see_also: &[("s3up-client.yaml", "5"), ("s3up-server", "1")],
};

pub(super) const SERVER: Surroundings = Surroundings {
    program: "s3up-server",
    environment: &[
        LOG,
        ANY,
        (
            "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_PROFILE, \
             AWS_SHARED_CREDENTIALS_FILE, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, \
             AWS_CONTAINER_CREDENTIALS_FULL_URI, AWS_EC2_METADATA_DISABLED",
            "Where the credentials for S3 are, if the configuration does not say it.",
        ),
        (
            "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY",
            "The proxy on the way to S3 and to a webhook, and what is reached without it.",
        ),
        ("NO_COLOR", "If it is set, tables have no colours."),
    ],
    files: &[
        ("/etc/s3up/server.yaml", "The configuration, where packages look for it."),
        (
            "/var/lib/s3up-server/activity.db",
            "What the server remembers, in its example configuration.",
        ),
    ],
    see_also: &[("s3up-server.yaml", "5"), ("s3up", "1")],
};

pub(super) fn page<T: ArgsInfo + TopLevelCommand>(
    surroundings: &Surroundings,
    day: Option<&str>,
) -> String {
    let Surroundings { program, environment, files, see_also } = surroundings;
    let description = T::get_args_info();
    let mut sheet = Sheet::new(program, "1", day, &phrase(description.description));

    sheet.section("SYNOPSIS");
    for (at, usage) in usages::<T>(program, &description).iter().enumerate() {
        match at {
            0 => sheet.text(marked(usage)),
            _ => sheet.paragraph(marked(usage)),
        };
    }
    sheet.section("DESCRIPTION");
    for (at, paragraph) in description.description.split("\n\n").enumerate() {
        match at {
            0 => sheet.text([roman(paragraph)]),
            _ => sheet.paragraph([roman(paragraph)]),
        };
    }
    sheet.section("OPTIONS");
    flags(&mut sheet, description.flags);
    sheet.section("COMMANDS");
    for command in &description.commands {
        self::command(&mut sheet, program, &command.command);
    }
    sheet.section("EXIT STATUS");
    codes(&mut sheet, description.error_codes);
    sheet.text([roman("What else a command's code may say stands with that command.")]);
    sheet.section("ENVIRONMENT");
    for (name, text) in *environment {
        sheet.term([bold(*name)], [roman(*text)]);
    }
    sheet.section("FILES");
    for (name, text) in *files {
        sheet.term([italic(*name)], [roman(*text)]);
    }
    sheet.section("EXAMPLES").text([roman("In the order in which they are needed:")]);
    sheet.literal(description.examples.iter().copied());
    sheet.see_also(see_also).end()
}

/// One command, with its options, examples and exit codes.
fn command(sheet: &mut Sheet, program: &str, command: &CommandInfoWithArgs) {
    sheet.subsection(&format!("{program} {}", command.name));
    sheet.text([roman(command.description)]);
    for note in command.notes {
        sheet.text([roman(*note)]);
    }
    for positional in command.positionals {
        sheet.term([italic(positional.name)], [roman(sentence(positional.description))]);
    }
    // How to ask for help was said above.
    let own = command.flags.iter().filter(|flag| flag.long != "--help");
    flags(sheet, own);
    sheet.paragraph([roman("Such as:")]).literal(command.examples.iter().copied());
    if !command.error_codes.is_empty() {
        sheet.paragraph([roman("Exit codes:")]);
        codes(sheet, command.error_codes);
    }
}

fn flags<'a>(sheet: &mut Sheet, flags: impl IntoIterator<Item = &'a FlagInfo<'a>>) {
    for flag in flags {
        let mut term = vec![];
        if let Some(short) = flag.short {
            term.extend([bold(format!("-{short}")), roman(", ")]);
        }
        // It has further forms, of which the description knows nothing.
        if flag.long == "--help" {
            term.extend([bold("-h"), roman(", ")]);
        }
        term.push(bold(flag.long));
        if let FlagInfoKind::Option { arg_name } = flag.kind {
            term.extend([roman(" "), italic(arg_name)]);
        }
        sheet.term(term, [roman(sentence(flag.description))]);
    }
}

fn codes(sheet: &mut Sheet, codes: &[ErrorCodeInfo<'_>]) {
    for code in codes {
        sheet.term([bold(code.code.to_string())], [roman(sentence(code.description))]);
    }
}

/// The first line of each help, without `Usage: `: what the description does not say of options that are
/// needed, it does.
fn usages<T: TopLevelCommand>(program: &str, description: &CommandInfoWithArgs) -> Vec<String> {
    let commands = description.commands.iter().map(|command| vec![command.name, "--help"]);
    let helps = std::iter::once(vec!["--help"]).chain(commands);
    let usages = helps.filter_map(|arguments| {
        let help = T::from_args(&[program], &arguments).err()?.output;
        Some(help.lines().next()?.strip_prefix("Usage: ")?.to_owned())
    });
    usages.collect()
}

/// `-c <file>` with what is to be replaced in italics.
fn marked(usage: &str) -> Vec<Inline> {
    let mut marked = vec![];
    for (at, part) in usage.split(['<', '>']).enumerate() {
        match at % 2 {
            _ if part.is_empty() => {}
            1 => marked.push(italic(part)),
            _ => marked.push(bold(part)),
        }
    }
    marked
}

/// A help text as a sentence.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    let end = if text.ends_with('.') { "" } else { "." };
    first.chain(letters).collect::<String>() + end
}

/// The first sentence of a description, as what stands behind a name.
fn phrase(text: &str) -> String {
    let sentence = text.split(". ").next().unwrap_or(text);
    let sentence = sentence.split(".\n").next().unwrap_or(sentence);
    let mut letters = sentence.trim_end_matches('.').chars();
    letters.next().into_iter().flat_map(char::to_lowercase).chain(letters).collect()
}
