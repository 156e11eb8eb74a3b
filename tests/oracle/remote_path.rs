//! Judges `remote_path`, `server::route` and `server::key`: what a stranger may name.
//!
//! The input is taken three times: as a path, as a query, and, cut at its first line end, as a
//! prefix and what is put below it.

use super::form_rules::decode;
use super::shown;
use s3up::remote_path::{PathError, RemotePath, RemotePrefix};
use s3up::server::key::{ClientName, ObjectKey};
use s3up::server::route::{Access, Route, access, route};
use s3up::wire::Day;
use std::path::{Component, Path};

pub(super) fn judge(bytes: &[u8]) {
    path(bytes);
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n').map(std::str::from_utf8);
    if let (Some(Ok(prefix)), Some(Ok(relative))) = (lines.next(), lines.next()) {
        below(prefix, relative);
    }
    query(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        target(text);
    }
}

/// Whether these bytes are a path, by the brief words of the documents.
fn is_path(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let names = text.split('/');
    let good = |name: &str| (1..=255).contains(&name.len()) && name != "." && name != "..";
    let harmless = |c: char| !matches!(c, '\\' | '\0'..='\x1f' | '\x7f'..='\u{9f}');
    bytes.len() <= 1024 && names.into_iter().all(good) && text.chars().all(harmless)
}

fn path(bytes: &[u8]) {
    let parsed = RemotePath::parse_bytes(bytes);
    assert_eq!(parsed.is_ok(), is_path(bytes), "{parsed:?} from {}", shown(bytes));
    let Ok(path) = parsed else { return };
    assert_eq!(path.as_str().as_bytes(), bytes, "a path is taken as it stands");
    assert_eq!(path.to_string(), path.as_str());
    assert_eq!(RemotePath::parse(path.as_str()), Ok(path.clone()));
    assert!(path.as_str().ends_with(path.file_name()) && !path.file_name().contains('/'));
    stays_below("", &path);
    stays_below("backups/all", &path);
}

/// The object's key lies below its prefix and client, for S3 and for a file system.
fn stays_below(prefix: &str, path: &RemotePath) {
    let client = ClientName::parse("web").unwrap();
    let folder = if prefix.is_empty() { "web".to_owned() } else { format!("{prefix}/web") };
    let key = ObjectKey::new(&RemotePrefix::parse(prefix).unwrap(), &client, path);
    let expected = format!("{folder}/{path}");
    match key {
        Ok(key) => {
            assert_eq!(key.as_str(), expected);
            assert!(key.as_str().len() <= 1024);
            let on_disk = Path::new(key.as_str());
            let below = on_disk.strip_prefix(&folder).expect("below its folder");
            let names: Vec<_> = below.components().collect();
            assert!(names.iter().all(|name| matches!(name, Component::Normal(_))), "{names:?}");
            assert_eq!(names.len(), path.as_str().split('/').count(), "{names:?}");
        }
        Err(error) => assert!(error == PathError::TooLong && expected.len() > 1024, "{error:?}"),
    }
}

/// A prefix and what is put below it.
fn below(prefix: &str, relative: &str) {
    let plain = prefix.strip_suffix('/').unwrap_or(prefix);
    let good = prefix.is_empty() || is_path(plain.as_bytes());
    let parsed = RemotePrefix::parse(prefix);
    assert_eq!(parsed.is_ok(), good, "{parsed:?} from {prefix:?}");
    let Ok(parsed) = parsed else { return };
    assert_eq!(RemotePrefix::parse(&parsed.to_string()).as_ref(), Ok(&parsed));
    let whole = format!("{parsed}{relative}");
    let joined = parsed.join(relative);
    let fits = is_path(relative.as_bytes()) && is_path(whole.as_bytes());
    assert_eq!(joined.is_ok(), fits, "{joined:?} from {prefix:?} and {relative:?}");
    if let Ok(joined) = joined {
        assert_eq!(joined.as_str(), whole);
        stays_below("", &joined);
    }
}

/// The bytes as the path of a query, all of them escaped: what was meant is what arrives.
fn query(bytes: &[u8]) {
    let escaped: String = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
    let found = route("GET", &format!("/exists?a=b&path={escaped}&paths=c"));
    match found {
        Ok(Route::Exists(path)) => assert_eq!(path.as_str().as_bytes(), bytes),
        found => assert!(found.is_err() && !is_path(bytes), "{found:?} for {}", shown(bytes)),
    }
}

/// The text as a target, and as what follows a route's question mark.
fn target(text: &str) {
    for target in [text, &format!("/download?{text}"), &format!("/exists?path={text}")] {
        for method in ["GET", "HEAD", "POST"] {
            let found = route(method, target);
            let access = access(target);
            let meant = meant(method, target);
            assert_eq!(found.as_ref().ok(), meant.as_ref(), "{method} {target:?}");
            // Nobody without a key gets to a file.
            let needs_key =
                meant.is_some_and(|route| !matches!(route, Route::Health | Route::Ready));
            assert!(access != Access::Public || !needs_key, "{method} {target:?} is for everybody");
            if let Err(error) = found {
                assert!(!error.message.contains(char::is_control), "{:?}", error.message);
            }
        }
    }
}

/// What a request means, the simple way.
fn meant(method: &str, target: &str) -> Option<Route> {
    let mut pieces = target.splitn(2, '?');
    let (path, query) = (pieces.next()?, pieces.next().unwrap_or_default());
    let reads = method == "GET" || method == "HEAD";
    match path {
        "/upload" if method == "POST" => Some(Route::Upload),
        "/health" if reads => Some(Route::Health),
        "/ready" if reads => Some(Route::Ready),
        "/exists" if reads => named(query).map(Route::Exists),
        "/download" if reads => named(query).map(Route::Download),
        "/report" if method == "POST" => Some(Route::Report),
        "/clients" if reads => Some(Route::Clients),
        "/metrics" if reads => Some(Route::Metrics),
        "/reports" if reads => dated(query).map(Route::Reports),
        _ => None,
    }
}

/// The one day that a query names, if it names any.
fn dated(query: &str) -> Option<Option<Day>> {
    let is_dated = |pair: &&str| *pair == "date" || pair.starts_with("date=");
    match query.split('&').filter(is_dated).collect::<Vec<_>>()[..] {
        [] => Some(None),
        [pair] => pair.strip_prefix("date=")?.parse().ok().map(Some),
        _ => None,
    }
}

/// The one path that a query names.
fn named(query: &str) -> Option<RemotePath> {
    let is_named = |pair: &&str| *pair == "path" || pair.starts_with("path=");
    let [pair] = query.split('&').filter(is_named).collect::<Vec<_>>()[..] else { return None };
    let value = pair.strip_prefix("path=").unwrap_or_default().replace('+', "%20");
    let bytes = decode(&value);
    is_path(&bytes).then(|| RemotePath::parse_bytes(&bytes).expect("a path"))
}
