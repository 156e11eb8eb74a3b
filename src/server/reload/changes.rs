//! What differs between two configurations: what can be put in force at once, and what cannot.
//!
//! Pure.

use crate::server::config::{Client, Config, Limits, Reports, S3, Server, StoreConfig};
use crate::server::key::ClientName;
use crate::server::store::s3::{Deadlines, Identity, Keys};
use std::fmt;

/// How one list of clients becomes another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ClientChanges {
    added: Vec<ClientName>,
    removed: Vec<ClientName>,
    changed: Vec<ClientName>,
}

impl ClientChanges {
    /// Whether the lists are the same, in whatever order.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether this client was added or changed.
    pub(super) fn concern(&self, name: &ClientName) -> bool {
        self.added.contains(name) || self.changed.contains(name)
    }
}

/// Names only: keys are secret, and what else changed stands in the file.
impl fmt::Display for ClientChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds =
            [("added", &self.added), ("removed", &self.removed), ("changed", &self.changed)];
        let mut separator = "";
        for (kind, names) in kinds.into_iter().filter(|(_, names)| !names.is_empty()) {
            let names: Vec<&str> = names.iter().map(ClientName::as_str).collect();
            write!(f, "{separator}{kind}: {}", names.join(", "))?;
            separator = "; ";
        }
        Ok(())
    }
}

/// Compares two lists of clients; within each, names are unique.
pub(super) fn of_clients(old: &[Client], new: &[Client]) -> ClientChanges {
    let in_old = |client: &&Client| old.iter().find(|other| other.name == client.name);
    let names = |clients: Vec<&Client>| clients.iter().map(|client| client.name.clone()).collect();
    ClientChanges {
        added: names(new.iter().filter(|client| in_old(client).is_none()).collect()),
        removed: names(
            old.iter().filter(|client| new.iter().all(|other| other.name != client.name)).collect(),
        ),
        changed: names(
            new.iter().filter(|client| in_old(client).is_some_and(|old| old != *client)).collect(),
        ),
    }
}

/// The keys whose values differ and are used at the start only, as they stand in the file.
pub(super) fn that_need_a_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    // Taken apart by name, so that no key can be added to the file and forgotten here.
    let Config {
        server,
        store,
        path_prefix,
        clients: _,
        administrators: _,
        database,
        reports,
        on_silent,
        limits,
    } = old;
    let mut differing = Differing::default();
    of_server(&mut differing, server, &new.server);
    of_store(&mut differing, store, &new.store);
    let prefix = match new.store {
        StoreConfig::S3(_) => "s3.path_prefix",
        StoreConfig::Directory(_) => "directory.path_prefix",
    };
    differing.note(prefix, path_prefix != &new.path_prefix);
    of_limits(&mut differing, limits, &new.limits);
    differing.note("database.path", database != &new.database);
    of_reports(&mut differing, reports, &new.reports);
    differing.note("reports.on_silent", on_silent != &new.on_silent);
    differing.keys
}

#[derive(Default)]
struct Differing {
    keys: Vec<&'static str>,
}

impl Differing {
    fn note(&mut self, key: &'static str, differs: bool) {
        if differs {
            self.keys.push(key);
        }
    }
}

fn of_server(differing: &mut Differing, old: &Server, new: &Server) {
    let Server { host, port, tls, workers, trusted_proxies } = old;
    differing.note("server.host", host != &new.host);
    differing.note("server.port", port != &new.port);
    differing.note("server.tls", tls != &new.tls);
    differing.note("server.workers", workers != &new.workers);
    differing.note("server.trusted_proxies", trusted_proxies != &new.trusted_proxies);
}

fn of_store(differing: &mut Differing, old: &StoreConfig, new: &StoreConfig) {
    match (old, new) {
        (StoreConfig::S3(old), StoreConfig::S3(new)) => of_s3(differing, old, new),
        (StoreConfig::Directory(old), StoreConfig::Directory(new)) => {
            differing.note("directory.path", old != new);
        }
        (StoreConfig::S3(_), StoreConfig::Directory(_))
        | (StoreConfig::Directory(_), StoreConfig::S3(_)) => {
            differing.note("s3 or directory", true);
        }
    }
}

fn of_s3(differing: &mut Differing, old: &S3, new: &S3) {
    let S3 { endpoint, region, bucket, force_path_style, ca_file, identity, deadlines } = old;
    let Deadlines { connect, stall, answer, retry } = deadlines;
    differing.note("s3.connect_seconds", connect != &new.deadlines.connect);
    differing.note("s3.stall_seconds", stall != &new.deadlines.stall);
    differing.note("s3.answer_seconds", answer != &new.deadlines.answer);
    differing.note("s3.retry_seconds", retry != &new.deadlines.retry);
    differing.note("s3.endpoint", endpoint != &new.endpoint);
    differing.note("s3.region", region != &new.region);
    differing.note("s3.bucket", bucket != &new.bucket);
    differing.note("s3.force_path_style", force_path_style != &new.force_path_style);
    differing.note("s3.ca_file", ca_file != &new.ca_file);
    match (identity, &new.identity) {
        (Identity::Keys(old), Identity::Keys(new)) => {
            let Keys { access_key_id, secret_access_key, session_token } = old;
            differing.note("s3.access_key_id", access_key_id != &new.access_key_id);
            differing.note("s3.secret_access_key", secret_access_key != &new.secret_access_key);
            differing.note("s3.session_token", session_token != &new.session_token);
        }
        (Identity::Keys(_), _) | (_, Identity::Keys(_)) => differing.note("s3.access_key_id", true),
        (old, new) => differing.note("s3.profile", old != new),
    }
}

fn of_reports(differing: &mut Differing, old: &Reports, new: &Reports) {
    let Reports { late_after, silent_after, retention_days } = old;
    differing.note("reports.late_after_hours", late_after != &new.late_after);
    differing.note("reports.silent_after_hours", silent_after != &new.silent_after);
    differing.note("reports.retention_days", retention_days != &new.retention_days);
}

fn of_limits(differing: &mut Differing, old: &Limits, new: &Limits) {
    let Limits { connections, connections_per_peer, head, idle, stall, min_rate, buffer_memory } =
        old;
    differing.note("limits.connections", connections != &new.connections);
    let per_peer = connections_per_peer != &new.connections_per_peer;
    differing.note("limits.connections_per_peer", per_peer);
    differing.note("limits.head_seconds", head != &new.head);
    differing.note("limits.idle_seconds", idle != &new.idle);
    differing.note("limits.stall_seconds", stall != &new.stall);
    differing.note("limits.min_bytes_per_second", min_rate != &new.min_rate);
    differing.note("limits.buffer_memory_mb", buffer_memory != &new.buffer_memory);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Outside;
    use crate::server::config;

    /// Clients from words such as `a:1`, which is the client `a` with the key number 1, `a:1+2` with
    /// two keys, `a:1-` with a smaller limit, and `a:1!` without the right to download.
    fn clients(words: &str) -> Vec<Client> {
        let client = |word: &str| {
            let (name, rest) = word.split_once(':').unwrap();
            let keys: Vec<String> = rest
                .trim_end_matches(['-', '!'])
                .split('+')
                .map(|number| format!("0123456789abcdef-{number}"))
                .collect();
            let size = if rest.contains('-') { 1 } else { 100 };
            let keys = keys.join(", ");
            let download = !rest.contains('!');
            format!(
                "  - {{name: {name}, api_key: [{keys}], max_file_size_mb: {size}, allow_download: \
                 {download}}}\n"
            )
        };
        let clients: String = words.split(' ').map(client).collect();
        read(&format!("server: {{}}\ndirectory: {{path: /x}}\nclients:\n{clients}")).clients
    }

    fn read(text: &str) -> Config {
        config::parse("server.yaml", text, Outside::NOTHING).unwrap()
    }

    #[test]
    fn clients_are_compared_by_name_and_the_log_shows_nothing_else_of_them() {
        for (old, new, expected) in [
            ("a:1", "a:1", ""),
            ("a:1 b:2", "b:2 a:1", ""),
            ("a:1", "a:1 b:2", "added: b"),
            ("a:1 b:2", "b:2", "removed: a"),
            ("a:1", "a:2", "changed: a"),
            ("a:1", "a:1+2", "changed: a"),
            ("a:1", "a:1-", "changed: a"),
            ("a:1", "a:1!", "changed: a"),
            // Under another name it is another client: it has another folder.
            ("a:1", "b:1", "added: b; removed: a"),
            ("a:1 b:2 old:3", "d:3 b:2- a:4 e:1", "added: d, e; removed: old; changed: b, a"),
        ] {
            let changes = of_clients(&clients(old), &clients(new));
            assert_eq!(changes.to_string(), expected, "{old} -> {new}");
            assert_eq!(changes.is_empty(), expected.is_empty(), "{old} -> {new}");
        }
    }

    #[test]
    fn those_that_were_added_or_changed_are_concerned() {
        let changes = of_clients(&clients("a:1 b:2 c:3"), &clients("a:1 b:4 d:5"));
        for (name, concerned) in [("a", false), ("b", true), ("c", false), ("d", true)] {
            assert_eq!(changes.concern(&ClientName::parse(name).unwrap()), concerned, "{name}");
        }
    }

    const S3: &str = "server: {port: 1}\ns3: {region: a, bucket: a, access_key_id: a, \
                      secret_access_key: a}\nclients: [{name: a, api_key: 0123456789abcdef}]\n";

    /// What needs a restart when `old` becomes `new` in a file that begins as `text`.
    fn check(text: &str, old: &str, new: &str, expected: &[&str]) {
        assert!(text.contains(old), "{old}");
        let (before, after) = (read(text), read(&text.replacen(old, new, 1)));
        assert_eq!(that_need_a_restart(&before, &after), expected, "{new}");
        assert_eq!(that_need_a_restart(&after, &before), expected, "{new}");
    }

    #[test]
    fn every_key_but_those_of_people_needs_a_restart() {
        let tls = "port: 1, tls: {enabled: true, cert_file: /c, key_file: /k}";
        check(S3, "port: 1", "port: 1", &[]);
        check(S3, "name: a", "name: b", &[]);
        let admin = "admin_keys: [{api_key: 0123456789admin0}]\nclients:";
        check(S3, "clients:", admin, &[]);
        check(S3, "clients:", "database: {path: /d}\nclients:", &["database.path"]);
        for key in ["late_after_hours: 31", "silent_after_hours: 55", "retention_days: 91"] {
            let name = format!("reports.{}", key.split(':').next().unwrap());
            check(S3, "clients:", &format!("reports: {{{key}}}\nclients:"), &[&name]);
        }
        let database = S3.replace("clients:", "database: {path: /d}\nclients:");
        let on_silent = "reports: {on_silent: {command: /a}}\nclients:";
        check(&database, "clients:", on_silent, &["reports.on_silent"]);
        let told = database.replace("clients:", on_silent);
        check(&told, "command: /a", "webhook: 'https://a/a'", &["reports.on_silent"]);
        check(S3, "port: 1", "port: 2", &["server.port"]);
        check(S3, "port: 1", "port: 1, host: '::1'", &["server.host"]);
        check(S3, "port: 1", "port: 1, workers: 4", &["server.workers"]);
        check(S3, "port: 1", "port: 1, trusted_proxies: '::1'", &["server.trusted_proxies"]);
        check(S3, "port: 1", tls, &["server.tls"]);
        check(&S3.replace("port: 1", tls), "/c", "/d", &["server.tls"]);
        check(&S3.replace("port: 1", tls), "/k", "/d", &["server.tls"]);
        check(S3, "region: a", "region: b", &["s3.region"]);
        check(S3, "region: a", "region: a, endpoint: 'https://a'", &["s3.endpoint"]);
        check(S3, "region: a", "region: a, path_prefix: b", &["s3.path_prefix"]);
        check(S3, "bucket: a", "bucket: b", &["s3.bucket"]);
        check(S3, "bucket: a", "bucket: a, force_path_style: true", &["s3.force_path_style"]);
        check(S3, "bucket: a", "bucket: a, ca_file: /ca", &["s3.ca_file"]);
        check(S3, "key_id: a", "key_id: b", &["s3.access_key_id"]);
        check(S3, "access_key: a", "access_key: a, session_token: b", &["s3.session_token"]);
        let keys = "access_key_id: a, secret_access_key: a";
        check(S3, keys, "profile: a", &["s3.access_key_id"]);
        check(S3, &format!(", {keys}"), "", &["s3.access_key_id"]);
        check(&S3.replace(keys, "profile: a"), "profile: a", "profile: b", &["s3.profile"]);
        check(&S3.replace(keys, "profile: a"), ", profile: a", "", &["s3.profile"]);
        check(S3, "access_key: a", "access_key: b", &["s3.secret_access_key"]);
        for word in ["connect", "stall", "answer", "retry"] {
            let key = &*format!("s3.{word}_seconds");
            let region = format!("region: a, {}: 8", key.trim_start_matches("s3."));
            check(S3, "region: a", &region, &[key]);
        }
        let limits = "connections connections_per_peer head_seconds idle_seconds stall_seconds \
                      min_bytes_per_second";
        for key in limits.split(' ') {
            let limits = format!("limits: {{{key}: 8}}\nclients:");
            check(S3, "clients:", &limits, &[&format!("limits.{key}")]);
        }
        let directory = "server: {}\ndirectory: {path: /a}\nclients: [{name: a, api_key: \
                         0123456789abcdef}]\n";
        check(directory, "/a", "/b", &["directory.path"]);
        check(directory, "/a", "/a, path_prefix: b", &["directory.path_prefix"]);
        let (s3, _) = S3.split_once("clients").unwrap();
        let (_, s3) = s3.split_once("\n").unwrap();
        check(directory, "directory: {path: /a}\n", s3, &["s3 or directory"]);
        check(S3, "port: 1", "port: 2, workers: 4", &["server.port", "server.workers"]);
    }
}
