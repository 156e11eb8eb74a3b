//! The specification of the reader of configurations.

use super::*;
use crate::limits::SECRET_FILE_BYTES_MAX;
use std::io;

#[derive(Debug, PartialEq)]
struct Sample {
    host: String,
    port: u64,
    names: Vec<String>,
    wait: f64,
    aliases: Vec<String>,
}

fn host(text: &str) -> Result<String, String> {
    if text.contains(' ') { Err("is not a host".into()) } else { Ok(text.to_owned()) }
}

fn read(root: &Section<'_>) -> Option<Sample> {
    let server = root.section("server", |server| {
        let host = server.required("host", host);
        let port = server.integer("port", Some(8080), 1..=65535);
        let key = server.secret_or_file("key", |text| match text.len() {
            ..4 => Err("is too short"),
            _ => Ok(()),
        });
        key?;
        Some((host?, port?))
    });
    let names = root.list("names", |entry| entry.required("name", host));
    let wait = root.section_or_default("times", |t| t.number("wait", Some(3.0), 0.1..=10.0));
    let aliases = root.texts("aliases", host);
    let (host, port) = server?;
    Some(Sample { host, port, names: names?, wait: wait?, aliases: aliases? })
}

const OUTSIDE: Outside<'static> = Outside {
    variable: &|name| match name {
        "SET" => Some("from-env".to_owned()),
        "FOLDER" => Some("/hidden".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    },
    file: &file,
};

/// Files are named by what is in them.
fn file(path: &Path) -> io::Result<Vec<u8>> {
    let long = "s".repeat(SECRET_FILE_BYTES_MAX as usize);
    Ok(match path.to_str().unwrap() {
        "/hidden/key" | "/line" => b"secret\n".to_vec(),
        "/no-end" => b"secret".to_vec(),
        "/windows" => b"secret\r\n".to_vec(),
        "/longest" => long.into_bytes(),
        "/too-long" => format!("{long}\n").into_bytes(),
        "/short" => b"sec\n".to_vec(),
        "/two-lines" => b"secret\nsecret\n".to_vec(),
        "/two-ends" => b"secret\n\n".to_vec(),
        "/blank" => b"secret \n".to_vec(),
        "/control" => b"sec\x1b[ret\n".to_vec(),
        "/bytes" => b"secret\xff\n".to_vec(),
        "/empty" => vec![],
        "/end" => b"\n".to_vec(),
        _ => return Err(io::ErrorKind::PermissionDenied.into()),
    })
}

fn check(text: &str, expected: &str) {
    let shown = match parse("x.yaml", text, OUTSIDE, read) {
        Ok(sample) => format!("{sample:?}"),
        Err(error) => error.to_string(),
    };
    assert_eq!(shown, expected, "\n{text}");
}

#[test]
fn a_good_file_is_read_with_its_defaults_and_variables() {
    check(
        "server: {host: '${SET}.example', key: secret}\nnames: [{name: a}, {name: '$${SET}'}]\n",
        r#"Sample { host: "from-env.example", port: 8080, names: ["a", "${SET}"], wait: 3.0, aliases: [] }"#,
    );
}

#[test]
fn a_key_may_take_one_text_or_several() {
    for (aliases, read) in [("b", r#"["b"]"#), ("[b, '${SET}']", r#"["b", "from-env"]"#)] {
        check(
            &format!(
                "server: {{host: a, key: secret}}\nnames: [{{name: a}}]\naliases: {aliases}\n"
            ),
            &format!(
                r#"Sample {{ host: "a", port: 8080, names: ["a"], wait: 3.0, aliases: {read} }}"#
            ),
        );
    }
    check(
        "server:\n  host: a\n  key:\n    - secret\n    - abc\nnames: [{name: a}]\naliases:\n  - a b\n  \
         - b\n  - {c: d}\n  - e f\n",
        "x.yaml:5: server.key[1]: is too short\n\
         x.yaml:8: aliases[0]: \"a b\": is not a host\n\
         x.yaml:10: aliases[2]: must be a single value\n\
         x.yaml:11: aliases[3]: \"e f\": is not a host",
    );
}

#[test]
fn all_problems_come_at_once_each_with_its_line_key_and_value() {
    check(
        "server:\n  host: a b\n  port: 70000\n  key: abc\n  prot: 1\nnames:\n  - name: x\n  - \
         nam: y\ntimes:\n  wait: -1\n",
        "x.yaml:2: server.host: \"a b\": is not a host\n\
         x.yaml:3: server.port: \"70000\": is not a whole number from 1 to 65535\n\
         x.yaml:4: server.key: is too short\n\
         x.yaml:5: server.prot: unknown key; known here: host, key, key_file, port\n\
         x.yaml:8: names[1].name: is missing\n\
         x.yaml:8: names[1].nam: unknown key; known here: name\n\
         x.yaml:10: times.wait: \"-1\": is not a number from 0.1 to 10",
    );
}

#[test]
fn what_is_missing_is_named_and_what_has_the_wrong_shape_too() {
    check(
        "names: []\ntimes: 3\n",
        "x.yaml: server: is missing\n\
         x.yaml:1: names: must be a list with at least one entry, each begun with `- `\n\
         x.yaml:2: times: must be a group of keys, one `key: value` a line",
    );
    check(
        "server: {host: [a], key: [secret, other]}\nnames: [{name: a}]",
        "x.yaml:1: server.host: must be a single value\n\
         x.yaml:1: server.key: must be one text, not a list",
    );
    check(
        "",
        "x.yaml: server: is missing\nx.yaml: names: is missing: at least one entry is needed",
    );
}

#[test]
fn a_variable_may_have_a_default_as_in_a_shell() {
    for (text, value) in [
        ("${SET:-a}", "from-env"),
        ("${UNSET:-a-b:-c}.d", "a-b:-c.d"),
        ("${EMPTY:-a}", "a"),
        ("${EMPTY}", ""),
        ("${UNSET:-}", ""),
        ("${UNSET:-$SET}", "$SET"),
        ("$${UNSET:-a}", "${UNSET:-a}"),
    ] {
        check(
            &format!("server: {{host: '{text}', key: secret}}\nnames: [{{name: a}}]\n"),
            &format!(
                r#"Sample {{ host: "{value}", port: 8080, names: ["a"], wait: 3.0, aliases: [] }}"#
            ),
        );
    }
    check(
        "server:\n  host: '${:-a}'\n  key_file: '${UNSET:-/hidden}/no-such'\nnames: [{name: '${SET-a}'}]\n",
        "x.yaml:2: server.host: ${:-a} does not name an environment variable\n\
         x.yaml:3: server.key_file: \"${UNSET:-/hidden}/no-such\": cannot read it: permission denied\n\
         x.yaml:4: names[0].name: ${SET-a} does not name an environment variable",
    );
}

#[test]
fn variables_that_are_unset_or_misspelt_are_problems_and_values_from_them_stay_hidden() {
    check(
        "server:\n  host: ${UNSET}\n  port: ${SET}\n  key: ${SET\nnames: [{name: '${1}'}]",
        "x.yaml:2: server.host: the environment variable UNSET is not set; set it or write the \
         value here\n\
         x.yaml:3: server.port: \"${SET}\": is not a whole number from 1 to 65535\n\
         x.yaml:4: server.key: a '${' without its '}'; write '$${' for the characters \
         themselves\n\
         x.yaml:5: names[0].name: ${1} does not name an environment variable",
    );
}

#[test]
fn a_secret_may_stand_alone_in_a_file_of_its_own() {
    for file in ["/line", "/no-end", "/windows", "/longest", "${FOLDER}/key"] {
        check(
            &format!("server: {{host: a, key_file: '{file}'}}\nnames: [{{name: a}}]\n"),
            r#"Sample { host: "a", port: 8080, names: ["a"], wait: 3.0, aliases: [] }"#,
        );
    }
    let more = "nothing but the secret is expected in it";
    for (file, problem) in [
        ("/no-such", "cannot read it: permission denied".to_owned()),
        ("key", "is not an absolute path".to_owned()),
        ("/too-long", format!("is larger than 8192 bytes; {more}")),
        ("/two-lines", format!("holds more than one line; {more}")),
        ("/two-ends", format!("holds more than one line; {more}")),
        ("/blank", "holds a blank before or behind the secret".to_owned()),
        ("/control", "holds control characters; one line of text is expected in it".to_owned()),
        ("/bytes", "is no text".to_owned()),
        ("/empty", "is empty; one line with the secret is expected in it".to_owned()),
        ("/end", "is empty; one line with the secret is expected in it".to_owned()),
        ("/short", "what stands in it is too short".to_owned()),
        ("${FOLDER}/no-such", "cannot read it: permission denied".to_owned()),
    ] {
        check(
            &format!("server:\n  host: a\n  key_file: '{file}'\nnames: [{{name: a}}]\n"),
            &format!("x.yaml:3: server.key_file: \"{file}\": {problem}"),
        );
    }
}

#[test]
fn a_secret_stands_in_one_place() {
    check(
        "server:\n  key: secret\n  host: a\n  key_file: /short\nnames: [{name: a}]\n",
        "x.yaml:4: server.key_file: stands beside key: take one of the two out",
    );
    check(
        "server:\n  host: a\nnames: [{name: a}]\n",
        "x.yaml:1: server.key: is missing; key_file may name a file that holds it",
    );
    check(
        "server:\n  host: a\n  key_file: ${UNSET}/key\nnames: [{name: a}]\n",
        "x.yaml:3: server.key_file: the environment variable UNSET is not set; set it or write the \
         value here",
    );
    check(
        "server:\n  host: a\n  key_file: [/line]\nnames: [{name: a}]\n",
        "x.yaml:3: server.key_file: must be a single value",
    );
}

#[test]
fn every_problem_is_one_line_whatever_stands_in_the_file() {
    check(
        "server: {host: '${a\n\nb}', key: secret, \"\\e[2J\": 1}\nnames: [{name: a}]\n? [a, b]\n: 1",
        "x.yaml:1: server.host: ${a\\nb} does not name an environment variable\n\
         x.yaml:3: server.\\u{1b}[2J: unknown key; known here: host, key, key_file, port\n\
         x.yaml: - a\\n- b: unknown key; known here: aliases, names, server, times",
    );
}

#[test]
fn of_very_many_problems_the_first_are_shown() {
    let problems = |count: usize| {
        let unknown: String = (0..count).map(|number| format!("key{number}: 1\n")).collect();
        let text = format!("server: {{host: a, key: secret}}\nnames: [{{name: a}}]\n{unknown}");
        let Err(error) = parse("x.yaml", &text, OUTSIDE, read) else { panic!("must fail") };
        error.to_string().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let most = problems(CONFIG_PROBLEMS_MAX);
    assert_eq!(most.len(), CONFIG_PROBLEMS_MAX);
    let more = problems(20_000);
    assert_eq!(more[..CONFIG_PROBLEMS_MAX], most);
    assert_eq!(more[CONFIG_PROBLEMS_MAX..], ["x.yaml: has more problems than these 50"]);
}

#[test]
fn broken_yaml_is_one_problem_with_its_line() {
    let Err(error) = parse("x.yaml", "a: 1\nb: [1\n", OUTSIDE, read) else {
        panic!("must fail");
    };
    assert!(error.to_string().starts_with("x.yaml:3: not valid YAML: "), "{error}");
    let Err(error) = parse("x.yaml", "a: 1\na: 2\n", OUTSIDE, read) else {
        panic!("must fail");
    };
    assert!(error.to_string().contains("duplicate"), "{error}");
    for pattern in ["*.tmp", "*tmp"] {
        let text = format!("a:\n  - {pattern}\n");
        let Err(error) = parse("x.yaml", &text, OUTSIDE, read) else {
            panic!("must fail");
        };
        assert!(error.to_string().starts_with("x.yaml:2: not valid YAML: "), "{error}");
        let hint = "; hint: a value that begins with '*' needs quotes";
        assert!(error.to_string().ends_with(hint), "{error}");
    }
}
