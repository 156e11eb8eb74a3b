//! May this request come in? From its head alone, before a byte of its body is read.
//!
//! Pure. The order: the key, then the route, then the body. A peer without a key learns nothing but
//! that.

use super::head::Head;
use crate::limits::FORM_OVERHEAD_BYTES_MAX;
use crate::limits::report::BODY_BYTES_MAX;
use crate::server::admitted::{Admitted, Caller, Identity};
use crate::server::auth::{KeyHolder, Keyring};
use crate::server::config::Client;
use crate::server::multipart::{Boundary, BoundaryError};
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

/// Lets a request in, or not. `peer` is where it comes from.
pub fn admit(head: &Head, keyring: &Keyring, peer: IpAddr) -> Result<Admitted, Refused> {
    let needed = access(&head.target);
    let holder = match needed {
        Access::Public => None,
        Access::Client | Access::Administrator => {
            let authorization = head.authorization.as_ref().map(|value| value.expose());
            let holder = keyring.authenticate(authorization).map_err(|error| Refused {
                error: ApiError::new(ErrorCode::Unauthorized, error.to_string()),
                caller: Caller::Nobody,
            })?;
            Some(holder)
        }
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
        (Access::Administrator, Some(KeyHolder::Client(_))) => {
            let message = "this is for administrators (admin_keys), and the key is a client's";
            return Err(refused(ApiError::new(ErrorCode::Forbidden, message)));
        }
        (_, Some(KeyHolder::Client(client))) => Some(client),
        (_, Some(KeyHolder::Administrator) | None) => None,
    };
    let route = route(&head.method, &head.target).map_err(refused)?;
    let (length, boundary) = match (&route, client) {
        (Route::Upload, Some(client)) => {
            let (length, boundary) = form(head, client).map_err(refused)?;
            (Some(length), Some(boundary))
        }
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
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let head = format!("{request} HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
        let Parsed::Head { head, .. } = parse(head.as_bytes()) else { panic!("{head}") };
        let administrator =
            Administrator { keys: vec![Digest::of(b"key-of-admin")], weak_key: false };
        let clients = vec![client("web", true), client("once", false)];
        let keyring = Keyring::new(clients, vec![administrator]);
        admit(&head, &keyring, PEER)
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
    fn only_uploads_and_reports_have_a_body() {
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
        check("GET /", &[], Err((ErrorCode::NotFound, None)));
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
