//! S3 by a proxy that the environment names.

use crate::support::certificates::Authority;
use crate::support::connect_proxy::ConnectProxy;
use crate::support::key_below;
use crate::support::s3_server::{BUCKET, REGION, S3Server};
use crate::support::scene::{environment, prepare, settings};
use crate::support::scripted_server::{ScriptedServer, Step, answer};
use crate::support::tls_front::TlsFront;
use s3up::server::store::s3::{Deadlines, S3Settings, S3Store};
use s3up::server::store::{Metadata, ObjectStore, StoreErrorKind};
use std::time::Duration;
use tempfile::TempDir;

/// A store at `endpoint`, with these variables.
fn store(endpoint: &str, variables: &[(&str, &str)]) -> S3Store {
    prepare(S3Settings { environment: environment(variables), ..settings(endpoint) }).unwrap()
}

#[track_caller]
fn assert_stores(store: &S3Store) {
    let key = key_below("backups", "a/file");
    store.ready().unwrap();
    store.put(&key, b"some bytes", &Metadata::default()).unwrap();
    assert_eq!(store.head(&key).unwrap().unwrap().size, 10);
}

#[test]
fn everything_goes_by_the_proxy_which_is_told_the_name_and_not_the_address() {
    let server = S3Server::start();
    let proxy = ConnectProxy::start(server.port());
    // There is no such name, so it can only be the proxy that knows the way.
    let store = store("http://s3.invalid:9000", &[("HTTP_PROXY", &proxy.url())]);
    assert!(store.describe().contains(&proxy.url()), "{}", store.describe());
    assert_stores(&store);
    assert_eq!(proxy.asked(), ["CONNECT s3.invalid:9000 HTTP/1.1"]);
    assert_eq!(server.objects(), ["backups/web/a/file"]);
}

#[test]
fn within_the_proxys_tunnel_tls_is_with_the_store_itself() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new(folder.path(), "our CA");
    let identity = authority.issue(folder.path(), &["s3.invalid"]);
    let server = S3Server::start();
    let front = TlsFront::start(server.port(), &identity);
    let port = front.url("h").rsplit(':').next().unwrap().parse().unwrap();
    let proxy = ConnectProxy::start(port);
    let with = |ca_file| {
        prepare(S3Settings {
            ca_file,
            environment: environment(&[("https_proxy", &proxy.url())]),
            ..settings("https://s3.invalid")
        })
    };
    assert_stores(&with(Some(authority.cert)).unwrap());
    assert_eq!(proxy.asked(), ["CONNECT s3.invalid:443 HTTP/1.1"]);
    let error = with(None).unwrap().ready().unwrap_err();
    assert!(error.hint.is_some_and(|hint| hint.contains("s3.ca_file")), "{error}");
}

#[test]
fn user_and_password_are_for_the_proxy_alone_and_never_shown() {
    let server = S3Server::start();
    // `web:pass%word` in base64.
    let authorization = "proxy-authorization: Basic d2ViOnBhc3Mld29yZA==";
    let proxy = ConnectProxy::for_those_with(authorization, server.port());
    let right = proxy.url_with("web:pass%25word");
    let knowing = store("http://s3.invalid", &[("HTTP_PROXY", &right)]);
    assert_stores(&knowing);
    assert!(!knowing.describe().contains("pass"), "{}", knowing.describe());

    let wrong = proxy.url_with("web:the-secret");
    let error = store("http://s3.invalid", &[("HTTP_PROXY", &wrong)]).ready().unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
    assert!(error.cause.contains("407"), "{error}");
    assert!(error.hint.unwrap().contains("HTTPS_PROXY"), "{error}");
    assert!(!format!("{error} {error:?}").contains("the-secret"), "{error}");
}

#[test]
fn a_host_that_no_proxy_names_is_reached_without() {
    let proxy = ConnectProxy::refusing();
    let short = Duration::from_millis(500);
    let deadlines =
        Deadlines { connect: short, stall: short, answer: short, retry: Duration::ZERO };
    let variables = [("HTTP_PROXY", proxy.url()), ("NO_PROXY", ".invalid".to_owned())];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let environment = environment(&variables);
    let settings = S3Settings { deadlines, environment, ..settings("http://s3.invalid:9000") };
    // It leads nowhere, but not to the proxy.
    prepare(settings).unwrap().ready().unwrap_err();
    assert_eq!(proxy.asked(), [""; 0]);
}

#[test]
fn this_machine_is_reached_without_a_proxy() {
    let server = S3Server::start();
    let proxy = ConnectProxy::refusing();
    assert_stores(&store(&server.endpoint(), &[("ALL_PROXY", &proxy.url())]));
    assert_eq!(proxy.asked(), [""; 0]);
}

#[test]
fn the_bucket_is_named_in_the_path_or_before_the_hosts_name() {
    let host = format!("{BUCKET}.s3.invalid");
    for (style, expected_host, expected_path) in [
        (None, "s3.invalid", format!("/{BUCKET}/backups/web/a/file")),
        (Some(true), "s3.invalid", format!("/{BUCKET}/backups/web/a/file")),
        (Some(false), host.as_str(), "/backups/web/a/file".to_owned()),
    ] {
        let s3 = ScriptedServer::start(vec![Step::Last(answer(200, &["etag: \"e\""], ""))]);
        let proxy = ConnectProxy::start(s3.port());
        let store = prepare(S3Settings {
            force_path_style: style,
            environment: environment(&[("HTTP_PROXY", &proxy.url())]),
            ..settings("http://s3.invalid")
        });
        let key = key_below("backups", "a/file");
        store.unwrap().put(&key, b"x", &Metadata::default()).unwrap();
        assert_eq!(proxy.asked(), [format!("CONNECT {expected_host}:80 HTTP/1.1")]);
        let asked = s3.asked();
        assert_eq!(asked[0].line, format!("PUT {expected_path}"));
        assert_eq!(asked[0].header("host"), Some(expected_host));
    }
}

#[test]
fn amazon_is_asked_by_the_buckets_name_unless_told_otherwise() {
    let amazon = format!("s3.{REGION}.amazonaws.com:443");
    for (style, host) in [
        (None, format!("{BUCKET}.{amazon}")),
        (Some(false), format!("{BUCKET}.{amazon}")),
        (Some(true), amazon.clone()),
    ] {
        // It is not let through to Amazon, only asked for the way.
        let proxy = ConnectProxy::refusing();
        let store = prepare(S3Settings {
            endpoint: None,
            force_path_style: style,
            environment: environment(&[("HTTPS_PROXY", &proxy.url())]),
            ..settings("")
        });
        store.unwrap().ready().unwrap_err();
        assert_eq!(proxy.asked(), [format!("CONNECT {host} HTTP/1.1")]);
    }
}

#[test]
fn a_variable_that_names_no_proxy_is_told_without_its_value() {
    for value in ["socks5://user:the-secret@proxy:1080", "http://user:the-secret@"] {
        let environment = environment(&[("HTTPS_PROXY", value)]);
        let refused = prepare(S3Settings { environment, ..settings("https://s3.invalid") });
        let error = refused.err().unwrap();
        assert_eq!(error.kind, StoreErrorKind::Refused, "{error}");
        assert_eq!(error.subject, "HTTPS_PROXY");
        assert!(error.hint.unwrap().contains("http://proxy.example.com:3128"), "{error}");
        assert!(!format!("{error} {error:?}").contains("the-secret"), "{error}");
    }
}

#[test]
fn a_proxy_that_is_not_there_is_not_taken_for_the_store() {
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let store = store("http://s3.invalid", &[("HTTP_PROXY", &format!("http://{free}"))]);
    let error = store.ready().unwrap_err();
    assert!(error.hint.is_some_and(|hint| hint.contains("HTTPS_PROXY")), "{error}");
}
