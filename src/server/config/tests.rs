//! The specification of `server.yaml`.

use super::*;

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
    parse("server.yaml", text, &environment).map_err(|error| error.to_string())
}

fn check(text: &str, expected: &str) {
    assert_eq!(read(text).map(|_| ()).unwrap_err(), expected, "\n{text}");
}

#[test]
fn the_design_documents_own_file_is_read() {
    let config = read(DOCUMENT).unwrap();
    let tls = Tls { cert_file: "/path/to/cert.pem".into(), key_file: "/path/to/key.pem".into() };
    assert_eq!(
        config.server,
        Server { host: "0.0.0.0".into(), port: 8080, tls: Some(tls), workers: 16 }
    );
    let StoreConfig::S3(s3) = &config.store else { panic!("{config:?}") };
    assert_eq!((s3.endpoint.as_deref(), s3.region.as_str()), (None, "us-east-1"));
    assert_eq!(s3.access_key_id, "value-of-S3_ACCESS_KEY_ID");
    assert_eq!(s3.secret_access_key.expose(), "value-of-S3_SECRET_ACCESS_KEY");
    assert_eq!(config.path_prefix.to_string(), "backups/");
    let [prod, staging] = &config.clients[..] else { panic!("{config:?}") };
    assert_eq!((prod.name.as_str(), prod.max_file_size), ("webapp-prod", 100 * MB));
    assert_eq!((staging.name.as_str(), staging.max_file_size), ("webapp-staging", 50 * MB));
    assert_eq!(prod.keys, [Digest::of(b"sk_live_abc123...")]);
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
