//! The specification of `server.yaml`.

use super::*;
use crate::digest::Digest;
use crate::secret::Secret;
use crate::server::store::s3::{Deadlines, Identity, Keys};
use std::path::Path;
use std::time::Duration;

const DOCUMENT: &str = r#"
server:
  host: "0.0.0.0"
  port: 8080
  tls:
    enabled: true
    cert_file: "/path/to/cert.pem"
    key_file: "/path/to/key.pem"

s3:
  endpoint: ""  # Leave empty for AWS, set for MinIO/etc
  region: "us-east-1"
  bucket: "mycompany-backups"
  path_prefix: "backups/"  # Global prefix, client name appended automatically
  access_key_id: "${S3_ACCESS_KEY_ID}"
  secret_access_key: "${S3_SECRET_ACCESS_KEY}"

clients:
  - name: "webapp-prod"
    api_key: "sk_live_abc123..."
    max_file_size_mb: 100

  - name: "webapp-staging"
    api_key: "sk_test_xyz789..."
    max_file_size_mb: 50
"#;

fn environment(name: &str) -> Option<String> {
    name.starts_with("S3_").then(|| format!("value-of-{name}"))
}

fn read(text: &str) -> Result<Config, String> {
    let file = |path: &Path| Ok(format!("content-of-{}\n", path.display()).into_bytes());
    let outside = Outside { variable: &environment, file: &file };
    parse("server.yaml", text, outside).map_err(|error| error.to_string())
}

fn check(text: &str, expected: &str) {
    assert_eq!(read(text).map(|_| ()).unwrap_err(), expected, "\n{text}");
}

#[test]
fn the_design_documents_own_file_is_read() {
    let config = read(DOCUMENT).unwrap();
    let tls = Tls { cert_file: "/path/to/cert.pem".into(), key_file: "/path/to/key.pem".into() };
    let expected = Server {
        host: "0.0.0.0".into(),
        port: 8080,
        tls: Some(tls),
        workers: 128,
        trusted_proxies: vec![],
    };
    assert_eq!(config.server, expected);
    assert_eq!(config.limits, Limits::default());
    let StoreConfig::S3(s3) = &config.store else { panic!("{config:?}") };
    assert_eq!((s3.endpoint.as_deref(), s3.region.as_str()), (None, "us-east-1"));
    assert_eq!((s3.force_path_style, &s3.ca_file), (None, &None));
    let Identity::Keys(keys) = &s3.identity else { panic!("{config:?}") };
    assert_eq!(keys.access_key_id, "value-of-S3_ACCESS_KEY_ID");
    assert_eq!(keys.secret_access_key.expose(), "value-of-S3_SECRET_ACCESS_KEY");
    assert_eq!(keys.session_token, None);
    assert_eq!(config.path_prefix.to_string(), "backups/");
    let [prod, staging] = &config.clients[..] else { panic!("{config:?}") };
    assert_eq!((prod.name.as_str(), prod.max_file_size), ("webapp-prod", 100 * MB));
    assert_eq!((staging.name.as_str(), staging.max_file_size), ("webapp-staging", 50 * MB));
    assert_eq!(prod.keys, [Digest::of(b"sk_live_abc123...")]);
    assert!(prod.allow_download && staging.allow_download, "unless told otherwise");
    assert!(prod.weak_key, "17 characters are fewer than 32");
    let debug = format!("{config:?}");
    assert!(!debug.contains("sk_live") && !debug.contains("value-of-S3_SECRET"), "{debug}");
}

#[test]
fn a_client_may_have_several_keys_in_either_form() {
    let sha256 = Digest::of(b"another-long-enough-key");
    let text = format!(
        "server: {{}}\ndirectory: {{path: /srv}}\nclients:\n  - name: a\n    api_key: \
         [0123456789abcdef, 0123456789abcdeg]\n    api_key_sha256: {sha256}\n"
    );
    let config = read(&text).unwrap();
    let keys = [b"0123456789abcdef", b"0123456789abcdeg"].map(|key| Digest::of(key));
    assert_eq!(config.clients[0].keys, [keys[0], keys[1], sha256]);
    assert!(matches!(config.store, StoreConfig::Directory(path) if path == *"/srv"));
    assert_eq!(config.server.host, "127.0.0.1");
}

/// A whole file: `rest` beside the least that is needed.
fn with(rest: &str) -> String {
    format!("directory: {{path: /x}}\nclients: [{{name: a, api_key: 0123456789abcdef}}]\n{rest}")
}

#[test]
fn every_limit_can_be_set_and_keeps_its_default_otherwise() {
    let set = "limits: {connections: 8, connections_per_peer: 2, head_seconds: 3, idle_seconds: 4, \
               stall_seconds: 5, min_bytes_per_second: 0, buffer_memory_mb: 64}\n";
    let expected = Limits {
        connections: 8,
        connections_per_peer: 2,
        head: Duration::from_secs(3),
        idle: Duration::from_secs(4),
        stall: Duration::from_secs(5),
        min_rate: 0,
        buffer_memory: 64 * 1024 * 1024,
    };
    assert_eq!(read(&with(&format!("server: {{}}\n{set}"))).unwrap().limits, expected);
    let one = read(&with("server: {}\nlimits: {stall_seconds: 5}\n")).unwrap().limits;
    assert_eq!(one, Limits { stall: expected.stall, ..Limits::default() });
    check(
        &with(
            "server:\n  workers: 3\nlimits:\n  connections: 7\n  connections_per_peer: 0\n  \
             head_seconds: 301\n  idle_seconds: 0\n  stall_seconds: 1.5\n  min_bytes_per_second: \
             1048577\n  heads: 1\n  buffer_memory_mb: 63\n",
        ),
        "server.yaml:4: server.workers: \"3\": is not a whole number from 4 to 1024\n\
         server.yaml:6: limits.connections: \"7\": is not a whole number from 8 to 100000\n\
         server.yaml:7: limits.connections_per_peer: \"0\": is not a whole number from 1 to 100000\n\
         server.yaml:8: limits.head_seconds: \"301\": is not a whole number from 1 to 300\n\
         server.yaml:9: limits.idle_seconds: \"0\": is not a whole number from 1 to 3600\n\
         server.yaml:10: limits.stall_seconds: \"1.5\": is not a whole number from 1 to 3600\n\
         server.yaml:11: limits.min_bytes_per_second: \"1048577\": is not a whole number from 0 to \
         1048576\n\
         server.yaml:13: limits.buffer_memory_mb: \"63\": is not a whole number from 64 to 1048576\n\
         server.yaml:12: limits.heads: unknown key; known here: buffer_memory_mb, connections, \
         connections_per_peer, head_seconds, idle_seconds, min_bytes_per_second, stall_seconds",
    );
}

#[test]
fn the_memory_has_to_suffice_for_the_largest_file() {
    let client =
        |size: u64| format!("[{{name: a, api_key: 0123456789abcdef, max_file_size_mb: {size}}}]");
    let text = |size, limits: &str| {
        format!("directory: {{path: /x}}\nserver: {{}}\nclients: {}\n{limits}", client(size))
    };
    // The largest object there can be, in parts of half a gigabyte.
    let all = 5 * 1024 * 1024;
    check(
        &text(all, ""),
        "server.yaml: limits: buffer_memory_mb is 512; for a max_file_size_mb of 5242880 it has to \
         be at least 1399",
    );
    check(
        &text(all, "limits: {buffer_memory_mb: 1398}\n"),
        "server.yaml:4: limits: buffer_memory_mb is 1398; for a max_file_size_mb of 5242880 it has \
         to be at least 1399",
    );
    read(&text(all, "limits: {buffer_memory_mb: 1399}\n")).unwrap();
    read(&text(80_000, "limits: {buffer_memory_mb: 64}\n")).unwrap();
}

#[test]
fn the_waits_for_s3_can_be_set_and_keep_their_defaults_otherwise() {
    let with = |set: &str| {
        format!(
            "server: {{}}\nclients: [{{name: a, api_key: 0123456789abcdef}}]\ns3:\n  region: x\n  \
             bucket: b\n  access_key_id: i\n  secret_access_key: k\n{set}"
        )
    };
    for (set, expected) in [
        ("", [10, 30, 60, 10]),
        (
            "  connect_seconds: 60\n  stall_seconds: 300\n  answer_seconds: 1\n  retry_seconds: 0\n",
            [60, 300, 1, 0],
        ),
        ("  stall_seconds: 5\n", [10, 5, 60, 10]),
    ] {
        let StoreConfig::S3(s3) = read(&with(set)).unwrap().store else { panic!("{set}") };
        let Deadlines { connect, stall, answer, retry } = s3.deadlines;
        let waits = [connect, stall, answer, retry];
        assert_eq!(waits, expected.map(Duration::from_secs), "{set}");
    }
    check(
        &with(
            "  connect_seconds: 61\n  stall_seconds: 301\n  answer_seconds: 0\n  retry_seconds: 121\n",
        ),
        "server.yaml:8: s3.connect_seconds: \"61\": is not a whole number from 1 to 60\n\
         server.yaml:9: s3.stall_seconds: \"301\": is not a whole number from 1 to 300\n\
         server.yaml:10: s3.answer_seconds: \"0\": is not a whole number from 1 to 300\n\
         server.yaml:11: s3.retry_seconds: \"121\": is not a whole number from 0 to 120",
    );
}

#[test]
fn proxies_are_trusted_one_or_several_and_none_by_default() {
    for (proxies, trusted, others) in [
        ("", "", "127.0.0.1 ::1 10.0.0.1"),
        ("trusted_proxies: 127.0.0.1", "127.0.0.1 ::ffff:127.0.0.1", "10.0.0.1 ::1"),
        ("trusted_proxies: ['::1', 10.0.0.0/8]", "::1 10.9.9.9", "127.0.0.1 11.0.0.1"),
    ] {
        let server = read(&with(&format!("server: {{{proxies}}}\n"))).unwrap().server;
        for (peers, expected) in [(trusted, true), (others, false)] {
            for peer in peers.split_whitespace() {
                assert_eq!(server.trusts(peer.parse().unwrap()), expected, "{peer} {proxies}");
            }
        }
    }
    check(
        &with("server:\n  trusted_proxies:\n    - ::1\n    - proxy.example.com\n"),
        "server.yaml:6: server.trusted_proxies[1]: \"proxy.example.com\": is neither an IP address nor \
         a block of them; such as 127.0.0.1 or 10.0.0.0/8 is expected",
    );
}

#[test]
fn a_client_can_be_kept_from_reading_its_files_back() {
    let text = with("server: {}\n").replace("name: a,", "name: a, allow_download: false,");
    assert!(!read(&text).unwrap().clients[0].allow_download);
}

/// A whole file whose store is a bucket, with `rest` beside the least that is needed.
fn bucket(rest: &str) -> String {
    let s3 = format!("s3: {{region: r, bucket: b{rest}}}");
    with("server: {}\n").replace("directory: {path: /x}", &s3)
}

#[track_caller]
fn s3(rest: &str) -> S3 {
    let StoreConfig::S3(s3) = read(&bucket(rest)).unwrap().store else { panic!("{rest}") };
    *s3
}

#[test]
fn the_way_to_a_bucket_can_be_said_and_has_defaults() {
    for (text, style) in [
        ("", None),
        (", force_path_style: true", Some(true)),
        (", force_path_style: false", Some(false)),
    ] {
        assert_eq!(s3(text).force_path_style, style, "{text}");
    }
    let file = s3(", endpoint: 'https://h', ca_file: /etc/s3up/ca.pem").ca_file;
    assert_eq!(file, Some("/etc/s3up/ca.pem".into()));
    for (rest, problem) in [
        (", ca_file: ca.pem", "ca_file: \"ca.pem\": is not an absolute path"),
        (
            ", endpoint: 'http://h', ca_file: /ca.pem",
            "ca_file: has no use without TLS, and s3.endpoint begins with http://",
        ),
        (", force_path_style: 1", "force_path_style: \"1\": is neither true nor false"),
    ] {
        check(&bucket(rest), &format!("server.yaml:1: s3.{problem}"));
    }
}

#[test]
fn who_we_are_is_said_by_keys_or_by_a_profile_or_found_and_never_by_half_a_key() {
    let keys = |session_token: Option<&str>| {
        Identity::Keys(Keys {
            access_key_id: "a".into(),
            secret_access_key: Secret::new("s"),
            session_token: session_token.map(Secret::new),
        })
    };
    let [id, secret, token] =
        [", access_key_id: a", ", secret_access_key: s", ", session_token: t"];
    assert_eq!(s3("").identity, Identity::Found);
    assert_eq!(s3(", profile: backups").identity, Identity::Profile("backups".into()));
    assert_eq!(s3(&format!("{id}{secret}")).identity, keys(None));
    assert_eq!(s3(&format!("{id}{secret}{token}")).identity, keys(Some("t")));
    for (rest, problems) in [
        (
            id.to_owned(),
            vec!["secret_access_key: is missing: access_key_id is of no use without it"],
        ),
        (
            secret.to_owned(),
            vec!["access_key_id: is missing: secret_access_key is of no use without it"],
        ),
        (
            token.to_owned(),
            vec![
                "access_key_id: is missing: session_token is of no use without it",
                "secret_access_key: is missing: session_token is of no use without it",
            ],
        ),
        (
            format!("{id}{secret}, profile: p"),
            vec!["profile: stands beside access_key_id; only one of the two can say who we are"],
        ),
        (", session_token: [t, u]".into(), vec!["session_token: must be one text, not a list"]),
        (", profile: ''".into(), vec!["profile: \"\": is empty"]),
    ] {
        let text = bucket(&rest);
        let shown = read(&text).map(|_| ()).unwrap_err();
        for problem in problems {
            assert!(shown.contains(&format!("server.yaml:1: s3.{problem}")), "{shown}\n{text}");
        }
    }
    let shown =
        format!("{:?}", s3(&format!("{id}, secret_access_key: hidden-1, session_token: hidden-2")));
    assert!(!shown.contains("hidden"), "{shown}");
}

#[test]
fn keys_may_stand_in_files_and_half_a_key_is_none_there_either() {
    let keys = |id: &str, secret: &str| {
        Identity::Keys(Keys {
            access_key_id: id.into(),
            secret_access_key: Secret::new(secret),
            session_token: None,
        })
    };
    let (of_id, of_secret) = (", access_key_id_file: /i", ", secret_access_key_file: /s");
    let (id, secret) = ("content-of-/i", "content-of-/s");
    let both = s3(&format!("{of_id}{of_secret}"));
    assert_eq!(both.identity, keys(id, secret));
    assert!(!format!("{both:?}").contains(secret), "{both:?}");
    assert_eq!(s3(&format!(", access_key_id: a{of_secret}")).identity, keys("a", secret));
    assert_eq!(s3(&format!("{of_id}, secret_access_key: s")).identity, keys(id, "s"));
    for (rest, problem) in [
        (
            of_id.to_owned(),
            "secret_access_key: is missing: access_key_id_file is of no use without it",
        ),
        (
            of_secret.to_owned(),
            "access_key_id: is missing: secret_access_key_file is of no use without it",
        ),
        (
            format!("{of_id}{of_secret}, profile: p"),
            "profile: stands beside access_key_id_file; only one of the two can say who we are",
        ),
        (
            format!("{of_id}{of_secret}, secret_access_key: s"),
            "secret_access_key_file: stands beside secret_access_key: take one of the two out",
        ),
    ] {
        check(&bucket(&rest), &format!("server.yaml:1: s3.{problem}"));
    }
}

#[test]
fn every_mistake_is_named_with_its_line_and_no_key_is_shown() {
    check(
        "server:\n  host: ''\n  port: 99999\n  tls: {enabled: true}\ns3:\n  endpoint: minio:9000\n  \
         region: ''\n  path_prefix: /x\n  access_key_id: a\n  secret_access_key: ${UNSET}\nclients:\n  \
         - {name: Web, api_key: tooshort, max_file_size_mb: 0}\n  - {name: b}\n",
        "server.yaml:2: server.host: \"\": is empty; 0.0.0.0 means every address\n\
         server.yaml:3: server.port: \"99999\": is not a whole number from 0 to 65535\n\
         server.yaml:4: server.tls.cert_file: is missing: tls.enabled needs it\n\
         server.yaml:4: server.tls.key_file: is missing: tls.enabled needs it\n\
         server.yaml:6: s3.endpoint: \"minio:9000\": is not an address; such as \
         https://minio.example.com:9000 is expected, or nothing for Amazon S3\n\
         server.yaml:7: s3.region: \"\": is empty\n\
         server.yaml:5: s3.bucket: is missing\n\
         server.yaml:8: s3.path_prefix: \"/x\": it starts with a slash; paths are relative\n\
         server.yaml:10: s3.secret_access_key: the environment variable UNSET is not set; set it \
         or write the value here\n\
         server.yaml:12: clients[0].name: \"Web\": is not a client name: a-z, 0-9, '.', '_' and \
         '-' are allowed, the first one a letter or digit, at most 64\n\
         server.yaml:12: clients[0].api_key: is not an API key: 16 to 512 visible ASCII \
         characters without blanks are expected; `s3up-server keygen` makes one\n\
         server.yaml:12: clients[0].max_file_size_mb: \"0\": is not a whole number from 1 to \
         5242880\n\
         server.yaml:13: clients[1].api_key: is missing; `s3up-server keygen` makes one",
    );
}

#[test]
fn exactly_one_store_and_no_shared_name_or_key() {
    let clients = "clients: [{name: a, api_key: 0123456789abcdef}]\n";
    check(
        &format!("server: {{}}\n{clients}"),
        "server.yaml: s3: is missing: `s3:` or `directory:` must say where files go",
    );
    check(
        &format!("server: {{}}\ns3: {{region: x}}\ndirectory: {{path: /x}}\n{clients}"),
        "server.yaml:3: directory: stands beside s3: only one of the two can be the store",
    );
    check(
        "server: {}\ndirectory: {path: /x}\nclients: [{name: a, api_key: 0123456789abcdef}, \
         {name: a, api_key: 0123456789abcdef}]\n",
        "server.yaml:3: clients: two clients are named a\n\
         server.yaml:3: clients: a and a have the same key",
    );
}

#[test]
fn what_is_remembered_can_be_said_and_has_defaults() {
    let default = read(&with("server: {}\n")).unwrap();
    assert_eq!((default.database, default.reports), (None, Reports::default()));
    assert!(default.administrators.is_empty());
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let set = read(&with(
        "server: {}\ndatabase: {path: /var/lib/s3up-server/activity.db}\nreports: \
         {late_after_hours: 3, silent_after_hours: 4, retention_days: 31}\n",
    ))
    .unwrap();
    assert_eq!(set.database, Some("/var/lib/s3up-server/activity.db".into()));
    let expected = Reports { late_after: hours(3), silent_after: hours(4), retention_days: 31 };
    assert_eq!(set.reports, expected);
    check(
        &with(
            "server: {}\ndatabase:\n  path: activity.db\nreports:\n  late_after_hours: 0\n  \
             silent_after_hours: 8785\n  retention_days: 30\n  keep: 1\n",
        ),
        "server.yaml:5: database.path: \"activity.db\": is not the absolute path of a file\n\
         server.yaml:7: reports.late_after_hours: \"0\": is not a whole number from 1 to 8784\n\
         server.yaml:8: reports.silent_after_hours: \"8785\": is not a whole number from 1 to 8784\n\
         server.yaml:9: reports.retention_days: \"30\": is not a whole number from 31 to 3660\n\
         server.yaml:10: reports.keep: unknown key; known here: late_after_hours, on_silent, retention_days, \
         silent_after_hours",
    );
    for path in ["/", "/var/lib/", "''"] {
        let text = read(&with(&format!("server: {{}}\ndatabase: {{path: {path}}}\n"))).unwrap_err();
        assert!(text.ends_with("is not the absolute path of a file"), "{text}");
    }
    check(
        &with("server: {}\nreports:\n  silent_after_hours: 30\n"),
        "server.yaml:5: reports.silent_after_hours: is 30; it must be more than late_after_hours, \
         which is 30",
    );
}

#[test]
fn an_administrator_has_keys_as_a_client_has_them_and_none_of_a_clients() {
    let digest = Digest::of(b"0123456789admin1");
    let administrators = read(&with(&format!(
        "server: {{}}\nadmin_keys:\n  - api_key: [0123456789admin2, 0123456789admin3]\n  - \
         api_key_sha256: {digest}\n"
    )))
    .unwrap()
    .administrators;
    let keys = [b"0123456789admin2", b"0123456789admin3"].map(|key| Digest::of(key));
    assert_eq!(administrators[0], Administrator { keys: keys.to_vec(), weak_key: true });
    assert_eq!(administrators[1], Administrator { keys: vec![digest], weak_key: false });
    check(
        &with(
            "server: {}\nadmin_keys:\n  - api_key: [0123456789admin9, 0123456789abcdef]\n  - api_key: [0123456789admin1, \
             0123456789admin2]\n  - api_key: 0123456789admin2\n",
        ),
        "server.yaml:4: admin_keys: entry 1 has the same key as the client a; hint: `s3up-server \
         keygen` makes another\n\
         server.yaml:4: admin_keys: entries 2 and 3 have the same key",
    );
    check(
        &with("server: {}\nadmin_keys:\n  - {}\n  - name: x\n    api_key: short\n"),
        "server.yaml:5: admin_keys[0].api_key: is missing; `s3up-server keygen` makes one\n\
         server.yaml:7: admin_keys[1].api_key: is not an API key: 16 to 512 visible ASCII characters \
         without blanks are expected; `s3up-server keygen` makes one\n\
         server.yaml:6: admin_keys[1].name: unknown key; known here: api_key, api_key_sha256",
    );
    check(
        &with("server: {}\nadmin_keys: []\n"),
        "server.yaml:4: admin_keys: must be a list with at least one entry, each begun with `- `",
    );
}
