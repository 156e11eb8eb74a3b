//! What the documents show works: example configurations and the YAML of the README.

use crate::server_metrics;
use crate::support::prometheus;
use s3up::client;
use s3up::client::progress::{ScanDone, ServerState, Snapshot};
use s3up::config::{ConfigError, Outside};
use s3up::server;
use std::collections::BTreeSet;

const CLIENT: &str = include_str!("../packaging/client.example.yaml");
const SERVER: &str = include_str!("../packaging/server.example.yaml");
const README: &str = include_str!("../README.md");

/// Any variable is set, to something that can be a key, or be looked up as the start of a path; and in
/// any file there is a key.
const OUTSIDE: Outside<'static> = Outside {
    variable: &|name| Some(format!("/the-value-of-{name}-in-this-test")),
    file: &|path| Ok(format!("what-stands-in-{}\n", path.display()).into_bytes()),
};

fn client(text: &str) -> Result<client::config::Config, ConfigError> {
    client::config::parse("client.yaml", text, OUTSIDE)
}

fn server(text: &str) -> Result<server::config::Config, ConfigError> {
    server::config::parse("server.yaml", text, OUTSIDE)
}

fn yaml_blocks_below(heading: &str) -> Vec<&'static str> {
    let (_, section) = README.split_once(heading).expect(heading);
    let blocks = section.split("```yaml\n").skip(1);
    blocks.map(|block| block.split_once("```").expect("a block ends").0).collect()
}

#[test]
fn the_client_example_shows_the_defaults() {
    let (required, _) =
        CLIENT.split_once("\n    exclude_patterns:").expect("settings follow what is required");
    let (whole, short) = (client(CLIENT).unwrap(), client(required).unwrap());
    assert_eq!(format!("{whole:?}"), format!("{short:?}"));
}

#[test]
fn every_built_in_pattern_is_in_the_readme() {
    let (_, section) = README.split_once("\nBuilt in are").expect("a list of them");
    let (section, _) = section.split_once("\n\n").expect("a paragraph ends");
    let listed: BTreeSet<&str> = section.split('`').skip(1).step_by(2).collect();
    for pattern in client::filter::DEFAULT_EXCLUDES {
        assert!(listed.contains(pattern), "{pattern}");
    }
}

#[test]
fn the_server_example_shows_the_defaults() {
    let (comment, rest) = SERVER.split_once("\nserver:").expect("the server comes first");
    let (_, rest) = rest.split_once("\n# The store").expect("the store follows");
    let (rest, settings) = rest.split_once("    max_file_size_mb:").expect("a client has settings");
    assert!(!settings.contains("- name:"), "there is one client, whose settings come last");
    let short = format!("{comment}\nserver: {{}}\n# The store{rest}");
    let (whole, short) = (server(SERVER).unwrap(), server(&short).unwrap());
    assert_eq!(format!("{whole:?}"), format!("{short:?}"));
}

#[test]
fn the_yaml_of_the_readme_is_read() {
    let for_server = yaml_blocks_below("### server.yaml")[0];
    server(for_server).unwrap();
    client(yaml_blocks_below("### client.yaml")[0]).unwrap();
    let alerts =
        yaml_blocks_below("### Alerts")[0].replace("${ALERT_WEBHOOK}", "https://a.example.com");
    let database = "database: {path: /var/lib/s3up-server/activity.db}\n";
    let whole = format!("{for_server}{database}{alerts}");
    assert!(!server(&whole).unwrap().on_silent.is_empty());
}

/// The names in the first column of the table below a heading, without the groups they stand in.
fn documented_below(heading: &str) -> BTreeSet<String> {
    let (_, section) = README.split_once(heading).expect(heading);
    let table = section.split("\n\n").find(|part| part.starts_with("| key")).expect("a table");
    let cells = table.lines().skip(2).map(|row| row.split('|').nth(1).expect("a first cell"));
    let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    names.map(|name| name.rsplit('.').next().unwrap_or(name).to_owned()).collect()
}

/// The names that a parser says it knows when it meets one that it does not.
fn known(error: &ConfigError) -> BTreeSet<String> {
    let text = error.to_string();
    let lists = text.lines().filter_map(|line| line.split_once("known here: "));
    lists.flat_map(|(_, names)| names.split(", ")).map(str::to_owned).collect()
}

fn check_keys(known: BTreeSet<String>, groups: &[&str], heading: &str) {
    let keys = known.into_iter().filter(|name| !groups.contains(&name.as_str()));
    assert_eq!(keys.collect::<BTreeSet<_>>(), documented_below(heading), "{heading}");
}

#[test]
fn the_readme_lists_every_key_of_the_client_and_no_other() {
    let unknown = "x: 1\nserver: {x: 1}\nwatches: [{x: 1}]\ndatabase: {x: 1}\nscan: {x: 1}\n\
                   stability: {x: 1}\nupload: {x: 1}\nmetrics: {x: 1}\n";
    let groups = ["server", "watches", "database", "scan", "stability", "upload", "metrics"];
    check_keys(known(&client(unknown).unwrap_err()), &groups, "### client.yaml");
}

#[test]
fn the_readme_lists_every_key_of_the_server_and_no_other() {
    let mut all = BTreeSet::new();
    for store in ["s3: {x: 1}", "directory: {x: 1}"] {
        let unknown = format!(
            "x: 1\nserver: {{x: 1, tls: {{x: 1}}}}\nclients: [{{x: 1}}]\n{store}\nlimits: {{x: 1}}\n\
             admin_keys: [{{x: 1}}]\ndatabase: {{x: 1}}\nreports: {{x: 1, on_silent: {{x: 1}}}}\n"
        );
        all.extend(known(&server(&unknown).unwrap_err()));
    }
    let groups = [
        "server",
        "tls",
        "clients",
        "admin_keys",
        "database",
        "reports",
        "on_silent",
        "s3",
        "directory",
        "limits",
    ];
    check_keys(all, &groups, "### server.yaml");
}

const ALERTS: &str = include_str!("../packaging/prometheus/alerts.yaml");
const ALERT_TESTS: &str = include_str!("prometheus/alerts.test.yaml");

/// All figures of the client.
fn figures_of_the_client() -> BTreeSet<String> {
    let snapshot = Snapshot { server: ServerState::Answers { last: 1 }, ..Snapshot::default() };
    let known = Some(1);
    let whole = client::metrics::figures::Figures {
        parked: Some(1),
        last_upload: known,
        oldest: known,
        last_scan: Some(ScanDone::default()),
        snapshot,
        ..client::metrics::figures::Figures::default()
    };
    let text = client::metrics::figures::text(&whole);
    prometheus::parse(&text).types.into_keys().collect()
}

#[test]
fn every_figure_that_an_alert_names_is_told_by_client_or_server() {
    let mut told = figures_of_the_client();
    let of_the_server = server_metrics::all_names();
    assert!(told.is_disjoint(&of_the_server), "two programs tell a figure of one name");
    told.extend(of_the_server);
    for text in [ALERTS, ALERT_TESTS] {
        let mut words = text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
        let named: BTreeSet<&str> =
            words.by_ref().filter(|word| word.starts_with("s3up_")).collect();
        assert!(named.len() > 10, "{named:?}");
        for name in named {
            assert!(told.contains(name), "{name}");
        }
    }
}

#[test]
fn every_alert_has_a_test_in_which_it_fires_and_says_who_is_concerned() {
    let rules: serde_json::Value = serde_yaml::from_str(ALERTS).unwrap();
    let groups = rules["groups"].as_array().unwrap().iter();
    let rules: Vec<_> = groups.flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert!(rules.len() > 10);
    let (mut names, tests) = (BTreeSet::new(), ALERT_TESTS.lines());
    // Where it is expected, labels follow the name or the labels it must have are listed.
    let fires: Vec<&str> = tests.filter(|line| line.contains("labels:")).collect();
    let listed = ALERT_TESTS.split("alertname: ").skip(1);
    let listed: Vec<&str> = listed
        .filter(|test| test.lines().nth(2).is_some_and(|l| l.contains("exp_labels")))
        .collect();
    for rule in rules {
        let name = rule["alert"].as_str().unwrap();
        assert!(names.insert(name), "{name} is there twice");
        let quoted = format!("alertname=\"{name}\"");
        let expected = fires.iter().any(|line| line.contains(&quoted))
            || listed.iter().any(|test| test.starts_with(&format!("{name}\n")));
        assert!(expected, "no test lets {name} fire");
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning"].contains(&severity), "{name}: {severity}");
        for annotation in ["summary", "description"] {
            assert!(rule["annotations"][annotation].is_string(), "{name}: {annotation}");
        }
        assert!(rule["for"].is_string(), "{name} fires by a single look");
    }
}
