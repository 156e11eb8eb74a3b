//! May this request come in? From its head alone, before a byte of its body is read.
//!
//! Pure. The order: the key, then the route, then the body. A peer without a key learns nothing but
//! that.

use super::head::Head;
use crate::limits::FORM_OVERHEAD_BYTES_MAX;
use crate::server::admitted::{Admitted, Identity};
use crate::server::auth::Keyring;
use crate::server::config::Client;
use crate::server::multipart::{Boundary, BoundaryError};
use crate::server::reply::ApiError;
use crate::server::route::{Access, Route, access, route};
use crate::wire::ErrorCode;
use std::net::IpAddr;
use std::sync::Arc;

/// Why a request stays outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What its sender is told.
    pub error: ApiError,
    /// Who it is, if the key was good.
    pub client: Option<String>,
}

/// Lets a request in, or not. `peer` is where it comes from.
pub fn admit(head: &Head, keyring: &Keyring, peer: IpAddr) -> Result<Admitted, Refused> {
    let client = match access(&head.target) {
        Access::Public => None,
        Access::Client => {
            let authorization = head.authorization.as_ref().map(|value| value.expose());
            let client = keyring.authenticate(authorization).map_err(|error| Refused {
                error: ApiError::new(ErrorCode::Unauthorized, error.to_string()),
                client: None,
            })?;
            Some(client)
        }
    };
    let refused =
        |error| Refused { error, client: client.as_ref().map(|client| client.name.to_string()) };
    let route = route(&head.method, &head.target).map_err(refused)?;
    let boundary = match (&route, &client) {
        (Route::Upload, Some(client)) => Some(form(head, client).map_err(refused)?),
        (Route::Upload, None) => return Err(refused(no_key())),
        (Route::Download(_), Some(client)) if !client.allow_download => {
            let message = "this client may not download (allow_download: false)";
            return Err(refused(ApiError::new(ErrorCode::Forbidden, message)));
        }
        _ if head.content_length.is_some_and(|length| length > 0) => {
            let message = "this route takes no body";
            return Err(refused(ApiError::new(ErrorCode::BadRequest, message)));
        }
        _ => None,
    };
    Ok(Admitted {
        // Without a form, a declared length of 0 says what none says.
        length: head.content_length.filter(|_| boundary.is_some()),
        head_only: head.method == "HEAD",
        client: client.as_deref().map(Identity::from),
        peer,
        boundary,
        range: head.range.clone().filter(|_| matches!(route, Route::Download(_))),
        route,
    })
}

/// What an upload's head says of its body.
fn form(head: &Head, client: &Arc<Client>) -> Result<Boundary, ApiError> {
    let length = head.content_length.ok_or_else(|| {
        ApiError::new(ErrorCode::LengthRequired, "the request needs a Content-Length")
    })?;
    if length > client.max_file_size.saturating_add(FORM_OVERHEAD_BYTES_MAX) {
        return Err(ApiError::file_too_large(client.max_file_size));
    }
    let content_type = head.content_type.as_deref().unwrap_or_default();
    Boundary::from_content_type(content_type).map_err(|error| {
        let code = match error {
            BoundaryError::NotFormData => ErrorCode::UnsupportedMediaType,
            _ => ErrorCode::BadRequest,
        };
        ApiError::new(code, error.to_string())
    })
}

fn no_key() -> ApiError {
    // `access` and `route` disagree about a path: nothing is given away.
    ApiError::new(ErrorCode::Unauthorized, "no API key")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
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
        let keyring = Keyring::new(vec![client("web", true), client("once", false)]);
        admit(&head, &keyring, PEER)
    }

    fn check(request: &str, lines: &[&str], expected: Result<(), (ErrorCode, Option<&str>)>) {
        let seen = admitted(request, lines).map(|_| ());
        let seen = seen.map_err(|refused| (refused.error.code, refused.client));
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
    fn only_uploads_have_a_body() {
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
            client: Some(identity),
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
