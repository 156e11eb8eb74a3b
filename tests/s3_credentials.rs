//! Where credentials are found when the configuration has none.
//!
//! The places are played: variables and files of the test's own, and servers that say what metadata
//! services say. What was found shows in the signature that S3 is asked with.

use crate::support::scene::{environment, keys, prepare, settings};
use crate::support::scripted_server::{Asked, ScriptedServer, Step, answer};
use s3up::server::store::s3::{Identity, S3Settings};
use s3up::server::store::{ObjectStore, StoreError, StoreErrorKind};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const TOKEN: &str = "x-aws-ec2-metadata-token";
const DISABLED: (&str, &str) = ("AWS_EC2_METADATA_DISABLED", "true");

/// Asks S3 once. Yields `ID` or `ID token`, as S3 saw them.
fn signed_by(identity: Identity, variables: &[(&str, &str)]) -> Result<String, StoreError> {
    let s3 = ScriptedServer::start(vec![Step::Answer(answer(200, &[], ""))]);
    let environment = environment(variables);
    let settings = S3Settings { identity, environment, ..settings(&s3.endpoint()) };
    let outcome = prepare(settings).unwrap().ready();
    let asked = s3.asked();
    outcome.map(|()| {
        let authorization = asked[0].header("authorization").unwrap();
        let (_, id) = authorization.split_once("Credential=").unwrap();
        let (id, _) = id.split_once('/').unwrap();
        match asked[0].header("x-amz-security-token") {
            Some(token) => format!("{id} {token}"),
            None => id.to_owned(),
        }
    })
}

#[track_caller]
fn check(identity: Identity, variables: &[(&str, &str)], expected: &str) {
    assert_eq!(signed_by(identity, variables).unwrap(), expected, "{variables:?}");
}

/// Nobody is found, or nobody that can be used; the line says why, and shows no secret.
#[track_caller]
fn refused(identity: Identity, variables: &[(&str, &str)], cause: &str) -> StoreError {
    let error = signed_by(identity, variables).unwrap_err();
    assert!(error.cause.contains(cause), "{error}\n{variables:?}");
    assert!(error.hint.is_some(), "{error}");
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("hidden") && error.to_string().lines().count() == 1, "{shown}");
    error
}

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

const ENVIRONMENT: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", "FROM-ENV"), ("AWS_SECRET_ACCESS_KEY", "hidden")];

const PROFILES: &str = "\
[default]
aws_access_key_id = FROM-DEFAULT
aws_secret_access_key = hidden/+=

# rotated by somebody
[backups]
aws_access_key_id=FROM-BACKUPS
aws_secret_access_key=hidden
aws_session_token=a/token+==

[half]
aws_access_key_id = FROM-HALF

[none]
role_arn = arn:aws:iam::1:role/hidden
";

#[test]
fn the_configuration_comes_before_all_else() {
    check(keys("FROM-FILE", "hidden", None), &ENVIRONMENT, "FROM-FILE");
    check(keys("FROM-FILE", "hidden", Some("a-token")), &ENVIRONMENT, "FROM-FILE a-token");
}

#[test]
fn the_environment_comes_first_of_what_is_found() {
    let files = Files::new();
    let file = files.write("credentials", PROFILES);
    let [id, secret] = ENVIRONMENT;
    let file = ("AWS_SHARED_CREDENTIALS_FILE", text(&file));
    check(Identity::Found, &[id, secret, file], "FROM-ENV");
    check(Identity::Found, &[id, secret, file, ("AWS_PROFILE", "backups")], "FROM-ENV");
    check(Identity::Found, &[id, secret, ("AWS_SESSION_TOKEN", "a-token")], "FROM-ENV a-token");
    let empty = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", ""), file];
    check(Identity::Found, &empty, "FROM-DEFAULT");
    // Half of the keys does not end with the rights of somebody else.
    let error = refused(Identity::Found, &[id, file], "AWS_SECRET_ACCESS_KEY is not set");
    assert_eq!(error.kind, StoreErrorKind::Refused);
    refused(Identity::Found, &[secret, file], "AWS_ACCESS_KEY_ID is not set");
}

#[test]
fn a_profile_is_read_from_the_credentials_file() {
    let files = Files::new();
    let elsewhere = files.write("credentials", PROFILES);
    let elsewhere = ("AWS_SHARED_CREDENTIALS_FILE", text(&elsewhere));
    files.write(".aws/credentials", &PROFILES.replace("FROM-DEFAULT", "FROM-HOME"));
    let home = ("HOME", text(files.0.path()));
    let profile = |name: &str| Identity::Profile(name.to_owned());
    check(Identity::Found, &[elsewhere], "FROM-DEFAULT");
    check(Identity::Found, &[home], "FROM-HOME");
    check(Identity::Found, &[home, elsewhere], "FROM-DEFAULT");
    check(Identity::Found, &[home, ("AWS_PROFILE", "backups")], "FROM-BACKUPS a/token+==");
    check(profile("default"), &[home, ("AWS_PROFILE", "backups")], "FROM-HOME");
    let [id, secret] = ENVIRONMENT;
    check(profile("backups"), &[id, secret, elsewhere], "FROM-BACKUPS a/token+==");
}

#[test]
fn a_profile_that_was_named_must_be_there() {
    let files = Files::new();
    let file = files.write("credentials", PROFILES);
    let at = |path| [("AWS_SHARED_CREDENTIALS_FILE", path), ENVIRONMENT[0], ENVIRONMENT[1]];
    let profile = |name: &str| Identity::Profile(name.to_owned());
    for (name, cause) in [
        ("other", "has no profile \"other\""),
        ("half", "the profile \"half\" in"),
        ("none", "has no aws_access_key_id"),
    ] {
        let error = refused(profile(name), &at(text(&file)), cause);
        assert_eq!(error.kind, StoreErrorKind::Refused);
        assert!(error.cause.contains(text(&file)), "{error}");
        // Named by the environment, it must be there, too.
        let named = [("AWS_PROFILE", name), ("AWS_SHARED_CREDENTIALS_FILE", text(&file))];
        refused(Identity::Found, &named, cause);
    }
    refused(profile("default"), &at("/no/such/file"), "cannot read /no/such/file");
    refused(profile("default"), &at(text(files.0.path())), "cannot read ");
    let torn = files.write("torn", "[default\naws_access_key_id = hidden\n");
    refused(profile("default"), &at(text(&torn)), "is no credentials file");
    let empty = files.write("empty", "[default]\naws_access_key_id=\naws_secret_access_key=\n");
    refused(profile("default"), &at(text(&empty)), "has an empty key");
    refused(profile("default"), &[], "no home folder");
}

/// The document of a metadata service, whose credentials end in this year.
fn document(id: &str, year: u32) -> String {
    format!(
        "{{\"Code\": \"Success\", \"Type\": \"AWS-HMAC\", \"AccessKeyId\": \"{id}\", \
         \"SecretAccessKey\": \"hidden\", \"Token\": \"a-token\", \"LastUpdated\": \
         \"2020-01-01T00:00:00Z\", \"Expiration\": \"{year}-01-01T00:00:00Z\"}}"
    )
}

fn ok(body: &str) -> Step {
    Step::Answer(answer(200, &[], body))
}

fn status(status: u16) -> Step {
    Step::Answer(answer(status, &[], "hidden"))
}

/// Has these variables, with `URL` for the service's address, and that service, which was asked so.
fn asked(
    script: Vec<Step>,
    variables: &[(&str, &str)],
    judge: impl FnOnce(&[(&str, &str)]),
) -> Vec<Asked> {
    let service = ScriptedServer::start(script);
    let endpoint = service.endpoint();
    let values: Vec<(&str, String)> =
        variables.iter().map(|(name, value)| (*name, value.replace("URL", &endpoint))).collect();
    let values: Vec<(&str, &str)> =
        values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    judge(&values);
    service.asked()
}

#[test]
fn a_container_is_asked_with_its_token_and_without_a_proxy() {
    let files = Files::new();
    let token = files.write("token", "the-containers-token\n");
    let uri = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "URL/v1/credentials?x=1");
    let variables = [
        uri,
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", text(&token)),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hidden, the file counts"),
    ];
    let asked_for = asked(vec![ok(&document("FROM-POD", 2099))], &variables, |variables| {
        check(Identity::Found, variables, "FROM-POD a-token");
    });
    assert_eq!(asked_for[0].line, "GET /v1/credentials?x=1");
    assert_eq!(asked_for[0].header("authorization"), Some("the-containers-token"));

    let variables = [uri, ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "the-other-token")];
    let asked_for = asked(vec![ok(&document("FROM-POD", 2099))], &variables, |variables| {
        check(Identity::Found, variables, "FROM-POD a-token");
    });
    assert_eq!(asked_for[0].header("authorization"), Some("the-other-token"));

    let asked_for = asked(vec![ok(&document("FROM-POD", 2099))], &[uri], |variables| {
        check(Identity::Found, variables, "FROM-POD a-token");
    });
    assert_eq!(asked_for[0].header("authorization"), None);
}

#[test]
fn a_container_that_gives_none_is_an_error_and_not_passed_over() {
    let moved = Step::Answer(answer(302, &["location: http://127.0.0.1:1/"], ""));
    let without_end = document("A", 2099).replace("2099-01-01T", "hidden ");
    for (step, cause) in [
        (status(403), "status 403"),
        (status(500), "status 500"),
        (moved, "status 302"),
        (ok("<html>hidden</html>"), "not the document"),
        (ok("{\"AccessKeyId\": \"hidden\"}"), "not the document"),
        (ok(&without_end), "not a time"),
        (ok(&document("A", 2020)), "ended Wed, 01 Jan 2020"),
        (Step::Hang, "gives no credentials"),
        (ok(&(document("A", 2099) + &" ".repeat(100_000))), "gives no credentials"),
    ] {
        let uri = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "URL/hidden-path");
        let asked_for = asked(vec![step], &[uri], |variables| {
            let error = refused(Identity::Found, variables, cause);
            assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
        });
        assert_eq!(asked_for.len(), 1, "{cause}");
    }
}

#[test]
fn a_containers_token_leaves_this_machine_by_tls_only() {
    let full = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    let relative = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
    for (name, value) in [
        (full, "http://10.0.0.1/hidden"),
        (full, "http://example.com/hidden"),
        (full, "http://169.254.169.254/hidden"),
        (full, "http://hidden@127.0.0.1/"),
        (full, "ftp://127.0.0.1/hidden"),
        (full, "hidden"),
        (relative, "@example.com/hidden"),
        (relative, ".example.com/hidden"),
        (relative, "hidden"),
    ] {
        let token = ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hidden");
        let error = refused(Identity::Found, &[(name, value), token], name);
        assert_eq!(error.kind, StoreErrorKind::Refused, "{error}");
    }
    for token in ["two\nhidden", "\n"] {
        let uri = (full, "http://127.0.0.1:1/");
        let token = ("AWS_CONTAINER_AUTHORIZATION_TOKEN", token);
        refused(Identity::Found, &[uri, token], "token is not one");
    }
    let file = ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/no/such/file");
    refused(Identity::Found, &[(full, "http://127.0.0.1:1/"), file], "cannot read /no/such/file");
}

const INSTANCE: (&str, &str) = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "URL/");
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

#[test]
fn an_instances_role_is_asked_for_with_a_token() {
    let script = vec![ok("the-metadata-token"), ok("backup-role\n"), ok(&document("ROLE", 2099))];
    let asked_for = asked(script, &[INSTANCE], |variables| {
        check(Identity::Found, variables, "ROLE a-token");
    });
    let lines: Vec<&str> = asked_for.iter().map(|asked| asked.line.as_str()).collect();
    let role = format!("GET {ROLES}backup-role");
    assert_eq!(lines, ["PUT /latest/api/token", &format!("GET {ROLES}"), &role]);
    let seconds = asked_for[0].header("x-aws-ec2-metadata-token-ttl-seconds");
    assert!(seconds.unwrap().parse::<u32>().unwrap() >= 1, "{seconds:?}");
    assert_eq!(asked_for[0].header("content-length"), Some("0"), "not in chunks");
    for asked in &asked_for[1..] {
        assert_eq!(asked.header(TOKEN), Some("the-metadata-token"));
    }
}

#[test]
fn a_metadata_service_that_knows_no_tokens_is_asked_without() {
    for without in [403, 404, 405] {
        let script = vec![status(without), ok("backup-role"), ok(&document("ROLE", 2099))];
        let asked_for = asked(script, &[INSTANCE], |variables| {
            check(Identity::Found, variables, "ROLE a-token");
        });
        assert!(asked_for.iter().all(|asked| asked.header(TOKEN).is_none()), "{without}");
    }
}

#[test]
fn an_instance_that_gives_none_is_told_from_one_without_a_role() {
    let token = || ok("the-metadata-token");
    for (script, cause, kind) in [
        (vec![token(), status(404)], "there is no role", StoreErrorKind::Refused),
        (vec![status(500)], "status 500", StoreErrorKind::Unavailable),
        (vec![token(), status(503)], "status 503", StoreErrorKind::Unavailable),
        (vec![token(), ok("../../hidden")], "role has no name", StoreErrorKind::Unavailable),
        (vec![token(), ok("")], "role has no name", StoreErrorKind::Unavailable),
        (vec![token(), ok("r"), status(404)], "status 404", StoreErrorKind::Unavailable),
        (vec![token(), ok("r"), ok("hidden")], "not the document", StoreErrorKind::Unavailable),
        (vec![ok("a\nhidden")], "token is not one", StoreErrorKind::Unavailable),
    ] {
        let questions = script.len();
        let asked_for = asked(script, &[INSTANCE], |variables| {
            let error = refused(Identity::Found, variables, cause);
            assert_eq!(error.kind, kind, "{error}");
        });
        assert_eq!(asked_for.len(), questions, "{cause}");
    }
}

#[test]
fn where_nobody_says_anything_every_place_is_named() {
    let files = Files::new();
    let home = ("HOME", text(files.0.path()));
    let error = refused(Identity::Found, &[home, DISABLED], "there are no S3 credentials");
    assert_eq!(error.kind, StoreErrorKind::Refused);
    for place in [
        "AWS_ACCESS_KEY_ID is not set",
        &format!("cannot read {}/.aws/credentials", text(files.0.path())),
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_EC2_METADATA_DISABLED is true",
    ] {
        assert!(error.cause.contains(place), "{error}");
    }
    assert!(error.hint.unwrap().contains("s3.access_key_id"), "{error}");
    // A service that is not there: bound and closed again.
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let nobody = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", format!("http://{free}"));
    refused(Identity::Found, &[home, (nobody.0, &nobody.1)], "does not answer");
}

#[test]
fn credentials_are_fetched_once_for_many_requests() {
    let s3 = ScriptedServer::start((0..5).map(|_| ok("")).collect());
    let uri = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "URL/");
    let script = vec![ok(&document("FROM-POD", 2099)), status(500)];
    let asked_for = asked(script, &[uri], |variables| {
        let store = prepare(S3Settings {
            identity: Identity::Found,
            environment: environment(variables),
            ..settings(&s3.endpoint())
        });
        let store = store.unwrap();
        (0..5).for_each(|_| store.ready().unwrap());
    });
    assert_eq!(asked_for.len(), 1);
    assert_eq!(s3.asked().len(), 5);
}
