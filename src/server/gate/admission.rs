//! May this request come in? From its head alone, before a byte of its body is read.
//!
//! Pure. The order: the key, then the route, then the body. A peer without a key learns nothing but
//! that; a browser without one learns that there is a form for it.

use super::head::Head;
use crate::limits::FORM_OVERHEAD_BYTES_MAX;
use crate::limits::page::LOGIN_BYTES_MAX;
use crate::limits::report::BODY_BYTES_MAX;
use crate::server::admitted::{Admitted, Caller, Identity};
use crate::server::auth::{AuthError, KeyHolder, Keyring};
use crate::server::config::Client;
use crate::server::multipart::{Boundary, BoundaryError};
use crate::server::page::session::Session;
use crate::server::reply::ApiError;
use crate::server::route::{Access, Route, access, route};
use crate::wire::ErrorCode;
use std::net::IpAddr;

/// Why a request stays outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What its sender is told.
    pub error: ApiError,
    /// Who it is, if the key was good.
    pub caller: Caller,
}

/// Lets a request in, or not. `peer` is where it comes from; `session` says that its cookie is that of a
/// session, which counts for the page alone.
pub fn admit(
    head: &Head,
    keyring: &Keyring,
    session: Option<Session>,
    peer: IpAddr,
) -> Result<Admitted, Refused> {
    let needed = access(&head.target);
    let authenticate = || {
        let authorization = head.authorization.as_ref().map(|value| value.expose());
        let unauthorized = |error: AuthError| stranger(ErrorCode::Unauthorized, error.to_string());
        keyring.authenticate(authorization).map(Some).map_err(unauthorized)
    };
    let holder = match needed {
        Access::Public => None,
        Access::Client | Access::Administrator => authenticate()?,
        Access::Browser if !keyring.has_administrators() => {
            let message = "there is no page here, since nobody may see it (admin_keys)";
            return Err(stranger(ErrorCode::NotFound, message));
        }
        Access::Browser if head.authorization.is_some() => authenticate()?,
        Access::Browser => session.map(|_| KeyHolder::Administrator),
    };
    let caller = match &holder {
        None => Caller::Nobody,
        Some(KeyHolder::Client(client)) => Caller::Client(Identity::from(&**client)),
        Some(KeyHolder::Administrator) => Caller::Administrator,
    };
    let refused = |error| Refused { error, caller: caller.clone() };
    let client = match (needed, &holder) {
        (Access::Client, Some(KeyHolder::Administrator)) => {
            let message = "an administrator's key opens no client's folder; use a client's key";
            return Err(refused(ApiError::new(ErrorCode::Forbidden, message)));
        }
        (Access::Administrator | Access::Browser, Some(KeyHolder::Client(_))) => {
            let message = "this is for administrators (admin_keys), and the key is a client's";
            return Err(refused(ApiError::new(ErrorCode::Forbidden, message)));
        }
        (_, Some(KeyHolder::Client(client))) => Some(client),
        (_, Some(KeyHolder::Administrator) | None) => None,
    };
    let route = route(&head.method, &head.target).map_err(refused)?;
    if matches!(route, Route::Login | Route::Logout) {
        check_origin(head).map_err(refused)?;
    }
    let (length, boundary) = match (&route, client) {
        (Route::Upload, Some(client)) => {
            let (length, boundary) = form(head, client).map_err(refused)?;
            (Some(length), Some(boundary))
        }
        (Route::Login, _) => (Some(login_length(head).map_err(refused)?), None),
        (Route::Report, Some(_)) => (Some(report_length(head).map_err(refused)?), None),
        (Route::Upload | Route::Report, None) => return Err(refused(no_key())),
        (Route::Download(_), Some(client)) if !client.allow_download => {
            let message = "this client may not download (allow_download: false)";
            return Err(refused(ApiError::new(ErrorCode::Forbidden, message)));
        }
        _ if head.content_length.is_some_and(|length| length > 0) => {
            let message = "this route takes no body";
            return Err(refused(ApiError::new(ErrorCode::BadRequest, message)));
        }
        // A declared length of 0 says what none says.
        _ => (None, None),
    };
    Ok(Admitted {
        length,
        head_only: head.method == "HEAD",
        caller,
        peer,
        boundary,
        range: head.range.clone().filter(|_| matches!(route, Route::Download(_))),
        route,
    })
}

fn declared_length(head: &Head) -> Result<u64, ApiError> {
    head.content_length.ok_or_else(|| {
        ApiError::new(ErrorCode::LengthRequired, "the request needs a Content-Length")
    })
}

fn report_length(head: &Head) -> Result<u64, ApiError> {
    let length = declared_length(head)?;
    if length > BODY_BYTES_MAX as u64 {
        let message = format!("a report may have at most {BODY_BYTES_MAX} bytes");
        return Err(ApiError::new(ErrorCode::FileTooLarge, message));
    }
    Ok(length)
}

/// What a login's head says of its body, which is read of somebody without a key.
fn login_length(head: &Head) -> Result<u64, ApiError> {
    let content_type = head.content_type.as_deref().unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let message = "a login is a form of the type application/x-www-form-urlencoded";
        return Err(ApiError::new(ErrorCode::UnsupportedMediaType, message));
    }
    let length = declared_length(head)?;
    if length > LOGIN_BYTES_MAX {
        let message = format!("a login may have at most {LOGIN_BYTES_MAX} bytes");
        return Err(ApiError::new(ErrorCode::FileTooLarge, message));
    }
    Ok(length)
}

/// No other site may have somebody's browser log in or out. What is no browser, and what does not speak
/// TLS, does not say where it comes from, and is not let in either.
fn check_origin(head: &Head) -> Result<(), ApiError> {
    if head.is_same_origin() {
        return Ok(());
    }
    let message = "only this server's own page may ask this, over TLS (Sec-Fetch-Site: same-origin); \
                   programs send 'Authorization: Bearer <key>' with what they ask";
    Err(ApiError::new(ErrorCode::Forbidden, message))
}

/// A refusal of somebody of whom nothing is known.
fn stranger(code: ErrorCode, message: impl Into<String>) -> Refused {
    Refused { error: ApiError::new(code, message), caller: Caller::Nobody }
}

/// What an upload's head says of its body.
fn form(head: &Head, client: &Client) -> Result<(u64, Boundary), ApiError> {
    let length = declared_length(head)?;
    if length > client.max_file_size.saturating_add(FORM_OVERHEAD_BYTES_MAX) {
        return Err(ApiError::file_too_large(client.max_file_size));
    }
    let content_type = head.content_type.as_deref().unwrap_or_default();
    let boundary = Boundary::from_content_type(content_type).map_err(|error| {
        let code = match error {
            BoundaryError::NotFormData => ErrorCode::UnsupportedMediaType,
            _ => ErrorCode::BadRequest,
        };
        ApiError::new(code, error.to_string())
    })?;
    Ok((length, boundary))
}

fn no_key() -> ApiError {
    // `access` and `route` disagree about a path: nothing is given away.
    ApiError::new(ErrorCode::Unauthorized, "no API key")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::server::config::Administrator;
    use crate::server::gate::head::{Parsed, parse};
    use crate::server::key::ClientName;
    use std::net::Ipv4Addr;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const FORM: &str = "Content-Type: multipart/form-data; boundary=x";

    fn client(name: &str, allow_download: bool) -> Client {
        Client {
            name: ClientName::parse(name).unwrap(),
            keys: vec![Digest::of(format!("key-of-{name}").as_bytes())],
            weak_key: false,
            max_file_size: 1_000_000,
            allow_download,
        }
    }

    fn admitted(request: &str, lines: &[&str]) -> Result<Admitted, Refused> {
        admitted_with(None, request, lines)
    }

    fn admitted_with(
        session: Option<Session>,
        request: &str,
        lines: &[&str],
    ) -> Result<Admitted, Refused> {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let head = format!("{request} HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
        let Parsed::Head { head, .. } = parse(head.as_bytes()) else { panic!("{head}") };
        let administrator =
            Administrator { keys: vec![Digest::of(b"key-of-admin")], weak_key: false };
        let clients = vec![client("web", true), client("once", false)];
        let keyring = Keyring::new(clients, vec![administrator]);
        admit(&head, &keyring, session, PEER)
    }

    fn check(request: &str, lines: &[&str], expected: Result<(), (ErrorCode, Option<&str>)>) {
        let seen = admitted(request, lines).map(|_| ());
        let seen =
            seen.map_err(|refused| (refused.error.code, refused.caller.name().map(str::to_owned)));
        let expected = expected.map_err(|(code, client)| (code, client.map(str::to_owned)));
        assert_eq!(seen, expected, "{request} {lines:?}");
    }

    #[test]
    fn a_request_without_a_good_key_learns_nothing_but_that() {
        let refused = Err((ErrorCode::Unauthorized, None));
        for request in ["POST /upload", "GET /exists?path=..", "DELETE /download", "PUT /upload"] {
            check(request, &[], refused);
            check(request, &["Authorization: Bearer key-of-nobody"], refused);
            check(request, &["Authorization: Bearer key-of-nobody", "Content-Length: 9"], refused);
        }
    }

    #[test]
    fn an_upload_says_how_long_its_form_is_and_that_is_compared_before_it_is_read() {
        let key = "Authorization: Bearer key-of-web";
        let length = |length: u64| format!("Content-Length: {length}");
        let most = 1_000_000 + FORM_OVERHEAD_BYTES_MAX;
        check("POST /upload", &[key, FORM, &length(most)], Ok(()));
        check("POST /upload", &[key, FORM, &length(0)], Ok(()));
        let web = Some("web");
        for too_much in [most + 1, 100_000_000_000, 1 << 46, u64::MAX] {
            let expected = Err((ErrorCode::FileTooLarge, web));
            check("POST /upload", &[key, FORM, &length(too_much)], expected);
        }
        check("POST /upload", &[key, FORM], Err((ErrorCode::LengthRequired, web)));
        let other = "Content-Type: application/json";
        let expected = Err((ErrorCode::UnsupportedMediaType, web));
        check("POST /upload", &[key, other, &length(1)], expected);
        check("POST /upload", &[key, &length(1)], expected);
        let bare = "Content-Type: multipart/form-data";
        check("POST /upload", &[key, bare, &length(1)], Err((ErrorCode::BadRequest, web)));
    }

    #[test]
    fn a_client_that_may_not_download_may_still_ask_and_store() {
        let key = "Authorization: Bearer key-of-once";
        let once = Some("once");
        for request in ["GET /download?path=a", "HEAD /download?path=a"] {
            check(request, &[key], Err((ErrorCode::Forbidden, once)));
            check(request, &[key, "Range: bytes=0-0"], Err((ErrorCode::Forbidden, once)));
            check(request, &["Authorization: Bearer key-of-web"], Ok(()));
        }
        check("GET /exists?path=a", &[key], Ok(()));
        check("POST /upload", &[key, FORM, "Content-Length: 9"], Ok(()));
    }

    #[test]
    fn a_clients_key_and_an_administrators_open_different_doors() {
        let (web, admin) =
            ("Authorization: Bearer key-of-web", "Authorization: Bearer key-of-admin");
        for request in ["GET /clients", "GET /reports", "HEAD /reports?date=2026-11-28"] {
            check(request, &[admin], Ok(()));
            check(request, &[web], Err((ErrorCode::Forbidden, Some("web"))));
            check(request, &[], Err((ErrorCode::Unauthorized, None)));
        }
        for request in [
            "POST /upload",
            "POST /report",
            "GET /exists?path=a",
            "GET /download?path=..",
            "PUT /upload",
        ] {
            let refused = Err((ErrorCode::Forbidden, Some("(admin)")));
            check(request, &[admin, FORM, "Content-Length: 1"], refused);
        }
        check(
            "GET /clients",
            &[admin, "Content-Length: 1"],
            Err((ErrorCode::BadRequest, Some("(admin)"))),
        );
        check("GET /reports?date=x", &[admin], Err((ErrorCode::BadRequest, Some("(admin)"))));
        check("POST /clients", &[admin], Err((ErrorCode::MethodNotAllowed, Some("(admin)"))));
        assert_eq!(admitted("GET /clients", &[admin]).unwrap().caller, Caller::Administrator);
    }

    #[test]
    fn a_report_says_how_long_it_is_and_that_is_compared_before_it_is_read() {
        let (key, web) = ("Authorization: Bearer key-of-web", Some("web"));
        let length = |length: usize| format!("Content-Length: {length}");
        check("POST /report", &[key, &length(BODY_BYTES_MAX)], Ok(()));
        let too_much = length(BODY_BYTES_MAX + 1);
        check("POST /report", &[key, &too_much], Err((ErrorCode::FileTooLarge, web)));
        check("POST /report", &[key], Err((ErrorCode::LengthRequired, web)));
        check("POST /report", &[&length(1)], Err((ErrorCode::Unauthorized, None)));
        let request = admitted("POST /report", &[key, FORM, &length(7)]).unwrap();
        assert_eq!((request.length, request.boundary), (Some(7), None));
    }

    #[test]
    fn the_page_is_for_administrators_and_others_get_as_far_as_its_form() {
        let (web, admin) =
            ("Authorization: Bearer key-of-web", "Authorization: Bearer key-of-admin");
        let caller = |session, lines: &[&str]| {
            admitted_with(session, "GET /", lines).map(|admitted| admitted.caller)
        };
        let session = Some(Session::for_a_test());
        assert_eq!(caller(None, &[]), Ok(Caller::Nobody));
        assert_eq!(caller(None, &[admin]), Ok(Caller::Administrator));
        assert_eq!(caller(session, &[]), Ok(Caller::Administrator));
        // Who shows a key is judged by that.
        check("GET /", &[web], Err((ErrorCode::Forbidden, Some("web"))));
        check("GET /", &["Authorization: Bearer x"], Err((ErrorCode::Unauthorized, None)));
        let refused = admitted_with(session, "GET /", &["Authorization: Bearer x"]).unwrap_err();
        assert_eq!(refused.error.code, ErrorCode::Unauthorized);
        // A session opens the page and nothing else.
        for request in ["GET /clients", "GET /reports", "POST /upload", "GET /exists?path=a"] {
            let refused = admitted_with(session, request, &[]).unwrap_err();
            assert_eq!(refused.error.code, ErrorCode::Unauthorized, "{request}");
        }
        check("POST /", &[], Err((ErrorCode::MethodNotAllowed, None)));
    }

    #[test]
    fn where_there_are_no_administrators_there_is_no_page() {
        let Parsed::Head { head, .. } = parse(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n") else {
            panic!()
        };
        let keyring = Keyring::new(vec![client("web", true)], vec![]);
        let refused = admit(&head, &keyring, Some(Session::for_a_test()), PEER).unwrap_err();
        assert_eq!((refused.error.code, refused.caller), (ErrorCode::NotFound, Caller::Nobody));
    }

    #[test]
    fn a_login_is_a_small_form_of_the_servers_own_page() {
        let (own, form) =
            ("Sec-Fetch-Site: same-origin", "Content-Type: application/x-www-form-urlencoded");
        let length = |length: u64| format!("Content-Length: {length}");
        let most = length(LOGIN_BYTES_MAX);
        check("POST /login", &[own, form, &most], Ok(()));
        check("POST /login", &[own, &format!("{form}; charset=utf-8"), &length(0)], Ok(()));
        let request = admitted("POST /login", &[own, form, &length(7)]).unwrap();
        assert_eq!((request.length, request.caller), (Some(7), Caller::Nobody));
        for much in [LOGIN_BYTES_MAX + 1, 1 << 46] {
            let refused = Err((ErrorCode::FileTooLarge, None));
            check("POST /login", &[own, form, &length(much)], refused);
        }
        check("POST /login", &[own, form], Err((ErrorCode::LengthRequired, None)));
        let unsupported = Err((ErrorCode::UnsupportedMediaType, None));
        check("POST /login", &[own, &most], unsupported);
        check("POST /login", &[own, FORM, &most], unsupported);
        for origin in [
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Site: same-site",
            "Sec-Fetch-Site: none",
            "X: y",
        ] {
            let refused = Err((ErrorCode::Forbidden, None));
            check("POST /login", &[origin, form, &most], refused);
            check("POST /logout", &[origin], refused);
        }
        check("POST /logout", &[own], Ok(()));
        check("POST /logout", &[own, "Content-Length: 0"], Ok(()));
        check("POST /logout", &[own, "Content-Length: 1"], Err((ErrorCode::BadRequest, None)));
        check("GET /logout", &[own], Err((ErrorCode::MethodNotAllowed, None)));
    }

    #[test]
    fn only_uploads_reports_and_logins_have_a_body() {
        let web = "Authorization: Bearer key-of-web";
        for (request, client) in
            [("GET /exists?path=a", Some("web")), ("GET /download?path=a", Some("web"))]
        {
            let refused = Err((ErrorCode::BadRequest, client));
            check(request, &[web, "Content-Length: 1"], refused);
            check(request, &[web, "Content-Length: 0"], Ok(()));
        }
        check("GET /ready", &["Content-Length: 1"], Err((ErrorCode::BadRequest, None)));
        check("GET /health", &["Content-Length: 0"], Ok(()));
    }

    #[test]
    fn a_route_that_is_none_is_told_so_and_a_wrong_path_names_the_client_to_the_log() {
        let web = "Authorization: Bearer key-of-web";
        check("GET //", &[], Err((ErrorCode::NotFound, None)));
        check("POST /health", &[], Err((ErrorCode::MethodNotAllowed, None)));
        check("GET /upload", &[web], Err((ErrorCode::MethodNotAllowed, Some("web"))));
        check("GET /exists?path=../x", &[web], Err((ErrorCode::InvalidPath, Some("web"))));
    }

    #[test]
    fn what_is_admitted_holds_only_what_its_route_needs() {
        let key = "Authorization: Bearer key-of-web";
        let request = admitted(
            "HEAD /exists?x=1&path=a%20b",
            &[key, FORM, "Content-Length: 0", "Range: bytes=0-1", "X-Gate-Client: other"],
        );
        let identity =
            Identity { name: ClientName::parse("web").unwrap(), max_file_size: 1_000_000 };
        let expected = Admitted {
            route: Route::Exists(crate::remote_path::RemotePath::parse("a b").unwrap()),
            head_only: true,
            caller: Caller::Client(identity),
            peer: PEER,
            length: None,
            boundary: None,
            range: None,
        };
        assert_eq!(request, Ok(expected));
        let request = admitted("POST /upload", &[key, FORM, "Content-Length: 7"]).unwrap();
        assert_eq!(request.length, Some(7));
        assert_eq!(request.boundary.unwrap().as_str(), "x");
    }
}
