//! Judges `client::config` and `server::config`. The first byte of an input says which; the rest
//! is the file.

use s3up::client::config as client;
use s3up::config::Outside;
use s3up::limits::{
    CONFIG_PROBLEMS_MAX, DEBOUNCE_SECONDS_MAX, DEBOUNCE_SECONDS_MIN, OBJECT_BYTES_MAX,
};
use s3up::server::config as server;
use s3up::server::store::s3::Identity;
use serde_yaml::Value;
use std::path::{Component, Path};

/// What the variable `KEY` and every file with a secret hold, and no message may.
const HIDDEN: &str = "sk_live_from-the-environment-0123456789";

pub(super) fn judge(bytes: &[u8]) {
    let Some((kind, text)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let environment = |name: &str| (name == "KEY").then(|| HIDDEN.to_owned());
    let file = |_: &Path| Ok(HIDDEN.as_bytes().to_vec());
    let outside = Outside { variable: &environment, file: &file };
    let error = if kind.is_multiple_of(2) {
        let parsed = client::parse("c.yaml", text, outside);
        parsed.map(|config| client(&config)).err()
    } else {
        let parsed = server::parse("c.yaml", text, outside);
        parsed.map(|config| server(&config)).err()
    };
    if let Some(error) = error {
        message(&error.to_string(), text);
    }
}

/// Every problem is one line that begins with the file, shows on any terminal, and has no secret.
fn message(message: &str, text: &str) {
    assert!((1..=CONFIG_PROBLEMS_MAX + 1).contains(&message.lines().count()), "{message:?}");
    for line in message.lines() {
        assert!(line.starts_with("c.yaml:"), "{message:?} for {text:?}");
        assert!(!line.contains(char::is_control), "{message:?} for {text:?}");
    }
    assert!(!message.contains(HIDDEN), "{message:?} for {text:?}");
    for secret in secrets(text) {
        assert!(!message.contains(&secret), "{secret:?} stands in {message:?} for {text:?}");
    }
}

/// The keys in a file, if they look like some and stand nowhere else in it.
fn secrets(text: &str) -> Vec<String> {
    let root: Value = serde_yaml::from_str(text).unwrap_or_default();
    let clients = root.get("clients").and_then(Value::as_sequence).cloned().unwrap_or_default();
    let values = [
        root.get("server").and_then(|server| server.get("api_key")),
        root.get("s3").and_then(|s3| s3.get("secret_access_key")),
        root.get("s3").and_then(|s3| s3.get("session_token")),
        root.get("reports").and_then(|reports| reports.get("on_silent")?.get("webhook")),
    ];
    let administrators = root.get("admin_keys").and_then(Value::as_sequence).cloned();
    let administrators = administrators.unwrap_or_default();
    let of_clients = clients.iter().chain(&administrators).map(|keyed| keyed.get("api_key"));
    let texts = values.into_iter().chain(of_clients).flatten().filter_map(Value::as_str);
    let hidden = |key: &&str| key.starts_with("sk_live_") && text.matches(*key).count() == 1;
    texts.filter(hidden).map(str::to_owned).collect()
}

fn client(config: &client::Config) {
    let shown = format!("{config:?}");
    let key = config.server.api_key.expose();
    assert!(s3up::secret::Secret::api_key(key).is_ok());
    assert!(shown.contains("api_key: ***"), "{shown}");
    assert!(config.server.url.starts_with("http") && !config.server.url.ends_with('/'), "{shown}");
    for (index, watch) in config.watches.iter().enumerate() {
        let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
        assert!(watch.local_path.is_absolute(), "{shown}");
        assert!(watch.local_path.components().all(plain), "{shown}");
        for other in &config.watches[..index] {
            assert_ne!(watch.local_path, other.local_path);
            assert_ne!(watch.remote_prefix, other.remote_prefix);
        }
    }
    let debounce = config.stability.debounce.as_secs_f64();
    assert!((DEBOUNCE_SECONDS_MIN - 1e-6..=DEBOUNCE_SECONDS_MAX).contains(&debounce), "{shown}");
    assert!(!config.watches.is_empty() && config.upload.concurrency > 0, "{shown}");
}

fn server(config: &server::Config) {
    let shown = format!("{config:?}");
    if let server::StoreConfig::S3(s3) = &config.store {
        let hidden = shown.contains("secret_access_key: ***");
        assert!(hidden || !matches!(s3.identity, Identity::Keys(_)), "{shown}");
    }
    assert!(!config.clients.is_empty() && config.server.workers > 0, "{shown}");
    for (index, client) in config.clients.iter().enumerate() {
        assert!(!client.keys.is_empty(), "{shown}");
        assert!((1..=OBJECT_BYTES_MAX).contains(&client.max_file_size), "{shown}");
        for other in &config.clients[..index] {
            assert_ne!(client.name, other.name);
            assert!(client.keys.iter().all(|key| !other.keys.contains(key)), "{shown}");
        }
    }
    for administrator in &config.administrators {
        let is_clients = |key| config.clients.iter().any(|client| client.keys.contains(key));
        assert!(!administrator.keys.is_empty(), "{shown}");
        assert!(!administrator.keys.iter().any(is_clients), "{shown}");
    }
    assert!(config.database.as_ref().is_none_or(|path| path.is_absolute()), "{shown}");
    assert!(config.reports.late_after < config.reports.silent_after, "{shown}");
    assert!(config.on_silent.is_empty() || config.database.is_some(), "{shown}");
    if let Some(command) = &config.on_silent.command {
        assert!(command.program.is_absolute(), "{shown}");
    }
    if let Some(webhook) = &config.on_silent.webhook {
        assert!(webhook.url.expose().starts_with(&webhook.shown), "{shown}");
        assert!(shown.contains("url: ***"), "{shown}");
    }
}
