//! The pages, as `man` reads them, and the tables that they are made of.

use super::markdown::{Key, inlines, keys};
use super::*;
use argh::CommandInfoWithArgs;
use std::io::Write as _;
use std::process::{Command, Stdio};

const DAY: &str = "2026-11-28";

/// A page, as it is written but with plain dashes.
#[track_caller]
fn page_called(name: &str) -> String {
    let place = format!("man/{name}");
    let file = files(Some(DAY)).unwrap().into_iter().find(|file| file.place == place);
    file.expect("a page").text.replace("\\-", "-")
}

/// What mandoc prints of a text; `None` where it is not installed.
fn mandoc(arguments: &[&str], text: &str) -> Option<String> {
    let mut mandoc = Command::new("mandoc");
    mandoc.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut mandoc = match mandoc.spawn() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("SKIPPED: mandoc is not installed; the pages were not read by any man");
            return None;
        }
        mandoc => mandoc.unwrap(),
    };
    // It reads everything before it says anything.
    mandoc.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = mandoc.wait_with_output().unwrap();
    Some(String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

fn pages() -> impl Iterator<Item = Written> {
    files(Some(DAY)).unwrap().into_iter().filter(|file| file.place.starts_with("man/"))
}

#[test]
fn mandoc_has_nothing_to_say_against_a_page() {
    for Written { place, text } in pages() {
        let Some(said) = mandoc(&["-T", "lint", "-W", "warning"], &text) else { return };
        assert_eq!(said, "", "{place}");
    }
}

#[test]
fn a_page_reads_as_one() {
    for Written { place, text } in pages() {
        let Some(read) = mandoc(&["-T", "ascii"], &text) else { return };
        // Bold and italic letters are struck twice.
        let mut plain = String::new();
        for letter in read.chars() {
            match letter {
                '\u{8}' => drop(plain.pop()),
                letter => plain.push(letter),
            }
        }
        let name = place.trim_start_matches("man/").rsplit_once('.').unwrap().0;
        let foot = plain.trim_end().lines().last().unwrap();
        assert!(plain.contains(&format!("{name} - ")), "{plain}");
        assert!(foot.contains(&format!("s3up {}", crate::version::NUMBER)), "{foot}");
        assert!(foot.contains(DAY), "{foot}");
        let (own, _) = plain.split_once("\nEXAMPLE").expect("an example");
        for mark in ["\\f", "](", "`", "**", "{command_name}", " .."] {
            assert!(!own.contains(mark), "{mark:?} in {own}");
        }
    }
}

#[test]
fn a_day_that_is_not_known_is_left_out() {
    let page = files(None).unwrap().swap_remove(0).text;
    assert!(page.contains("\n.TH S3UP 1 \"\" \"s3up "), "{page}");
}

/// All that a help says is in the page.
fn check(name: &str, program: &str, description: &CommandInfoWithArgs) {
    let page = page_called(name);
    let has = |part: &str| {
        let part = part.replace('\'', "\\*(Aq");
        assert!(page.contains(&part), "{part:?} in {page}");
    };
    let commands = description.commands.iter().map(|command| &command.command);
    for command in commands.clone() {
        has(&format!("\n.SS \"{program} {}\"\n", command.name));
        has(command.description);
        command.notes.iter().copied().for_each(has);
    }
    for level in commands.chain([description]) {
        level.examples.iter().copied().for_each(has);
        for flag in level.flags {
            has(&format!("\\fB{}\\fR", flag.long));
            has(&flag.description[1..]);
        }
        for code in level.error_codes {
            has(&format!("\n\\fB{}\\fR\n", code.code));
            has(&code.description[1..]);
        }
    }
}

#[test]
fn a_page_says_all_that_help_says() {
    check("s3up.1", "s3up", &client::arguments::Arguments::get_args_info());
    check("s3up-server.1", "s3up-server", &server::arguments::Arguments::get_args_info());
    assert!(page_called("s3up-server.1").contains("alert [-c \\fR\\fIfile\\fR\\fB] --test"));
}

#[test]
fn a_page_has_every_key_of_its_file_and_none_of_the_other() {
    for (name, own, other) in [
        ("s3up-server.yaml.5", "clients[].api_key_sha256", "watches[].local_path"),
        ("s3up-client.yaml.5", "watches[].local_path", "clients[].api_key_sha256"),
    ] {
        let page = page_called(name);
        assert!(page.contains(&format!("\\fB{own}\\fR\n")), "{page}");
        assert!(!page.contains(other), "{page}");
    }
    // As many as rows begin so in the README; what is between two cells may change.
    for (file, other, least) in
        [("server.yaml", "client.yaml", 35), ("client.yaml", "server.yaml", 20)]
    {
        assert!(keys(README, file, &[other]).len() >= least, "{file}");
    }
}

const ELSEWHERE: &str = "\
# All of it
| `not.a` | key | of any file |
|---|---|---|
| `a.b` | 1 | x |
## Configuration (server.yaml and client.yaml)
| key | default | meaning |
|---|---|---|
| `of.both` | 1 | whose is it? |
### The server: `server.yaml`
```text
| `in.code` | 1 | x |
### client.yaml
```
| key | default | meaning |
|---|---|---|
| `server.port` | `8080` | the port |
#### Deeper
Words.

| key | default | meaning |
|---|---|---|
| `tls.cert_file`, `.key_file` | | one \\| other |
| `clients[].name` | none | |

| what `server.yaml` says | so | so |
|---|---|---|
| plain words | 1 | x |

| status | |
|---|---|
| `live` | two cells |
### client.yaml
| key | default | meaning |
|---|---|---|
| `server.url` | | the server |
## Another subject
| key | default | meaning |
|---|---|---|
| `no.longer` | 1 | x |
";

#[test]
fn tables_of_keys_are_found_below_the_headings_that_name_their_file() {
    let row = |names: &[&str], default, meaning| Key {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        default,
        meaning,
    };
    assert_eq!(
        keys(ELSEWHERE, "server.yaml", &["client.yaml"]),
        [
            row(&["server.port"], "`8080`", "the port"),
            row(&["tls.cert_file", "tls.key_file"], "", "one \\| other"),
            row(&["clients[].name"], "none", ""),
        ]
    );
    assert_eq!(
        keys(ELSEWHERE, "client.yaml", &["server.yaml"]),
        [row(&["server.url"], "", "the server")]
    );
}

#[test]
fn a_readme_without_a_table_is_an_error_that_says_what_is_expected() {
    let text = ELSEWHERE.replace("### client.yaml", "### The client");
    let error = configuration::page(&configuration::CLIENT, &text, None).unwrap_err();
    assert!(error.to_string().contains("below a heading that names client.yaml; rows such as"));
}

#[test]
fn texts_lose_their_marks_and_keep_their_words() {
    for (text, shown) in [
        ("plain", "plain"),
        ("see [alerts](#alerts), and `x`", "see alerts, and <x>"),
        ("[`check`](#check) prints", "<check> prints"),
        ("`clients[].name` of [it](#a)", "<clients[].name> of it"),
        ("[RFC](https://example.com/a)", "RFC (https://example.com/a)"),
        ("**never** `a \\| b` [open", "never <a | b> [open"),
        ("", ""),
    ] {
        let marked = inlines(text).into_iter().map(|inline| match inline {
            sheet::Inline::Bold(text) => format!("<{text}>"),
            sheet::Inline::Roman(text) => text,
            other => panic!("{other:?}"),
        });
        assert_eq!(marked.collect::<String>(), shown, "{text}");
    }
}
