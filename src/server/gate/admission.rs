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
