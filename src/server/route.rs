//! From method and target to what is asked for.
//!
//! Pure.

use crate::remote_path::RemotePath;
use crate::server::reply::ApiError;
use crate::wire::{ErrorCode, field, route as routes};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Store a file.
    Upload,
    /// Is this file stored?
    Exists(RemotePath),
    /// Send this file.
    Download(RemotePath),
    /// Does the process answer?
    Health,
    /// Does the store answer too?
    Ready,
}

impl Route {
    /// The method this route is asked by; `HEAD` instead of `GET` if only the head is wanted.
    pub fn method(&self, head_only: bool) -> &'static str {
        match self {
            Self::Upload => "POST",
            _ if head_only => "HEAD",
            _ => "GET",
        }
    }

    /// The target that leads here and nowhere else: [`route`] reads it back.
    pub fn target(&self) -> String {
        let asked = |route: &str, path: &RemotePath| {
            let path = utf8_percent_encode(path.as_str(), NON_ALPHANUMERIC);
            format!("{route}?{}={path}", field::PATH)
        };
        match self {
            Self::Upload => routes::UPLOAD.into(),
            Self::Exists(path) => asked(routes::EXISTS, path),
            Self::Download(path) => asked(routes::DOWNLOAD, path),
            Self::Health => routes::HEALTH.into(),
            Self::Ready => routes::READY.into(),
        }
    }
}

/// What has to be known before the query is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody may ask.
    Public,
    /// A client's key is needed.
    Client,
}

/// Who may ask for `target`. An unknown route is public: its answer is 404 for everybody.
pub fn access(target: &str) -> Access {
    match path_of(target) {
        routes::UPLOAD | routes::EXISTS | routes::DOWNLOAD => Access::Client,
        _ => Access::Public,
    }
}

/// Reads method and target. `HEAD` is allowed wherever `GET` is.
pub fn route(method: &str, target: &str) -> Result<Route, ApiError> {
    let path = path_of(target);
    let expected = match path {
        routes::UPLOAD => "POST",
        routes::EXISTS | routes::DOWNLOAD | routes::HEALTH | routes::READY => "GET",
        _ => return Err(ApiError::new(ErrorCode::NotFound, format!("there is no {path:?} here"))),
    };
    if method != expected && !(method == "HEAD" && expected == "GET") {
        let message = format!("{path} is asked by {expected}, not by {method}");
        return Err(ApiError::new(ErrorCode::MethodNotAllowed, message));
    }
    Ok(match path {
        routes::UPLOAD => Route::Upload,
        routes::EXISTS => Route::Exists(path_parameter(target)?),
        routes::DOWNLOAD => Route::Download(path_parameter(target)?),
        routes::HEALTH => Route::Health,
        _ => Route::Ready,
    })
}

/// What a route that exists may be asked by, as `Allow` says it.
pub fn allowed_methods(target: &str) -> &'static str {
    if path_of(target) == routes::UPLOAD { "POST" } else { "GET, HEAD" }
}

fn path_of(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

/// The query's `path`, decoded once, as HTML forms encode it: `+` is a blank, `%2B` a plus.
fn path_parameter(target: &str) -> Result<RemotePath, ApiError> {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let mut values = query.split('&').filter_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name == field::PATH).then_some(value)
    });
    let value = values
        .next()
        .ok_or_else(|| ApiError::new(ErrorCode::MissingField, "no query parameter 'path'"))?;
    if values.next().is_some() {
        return Err(ApiError::new(ErrorCode::BadRequest, "more than one query parameter 'path'"));
    }
    let spaced = value.replace('+', " ");
    let decoded: Vec<u8> = percent_decode_str(&spaced).collect();
    Ok(RemotePath::parse_bytes(&decoded)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, target: &str, expected: Result<&str, (ErrorCode, &str)>) {
        let shown = route(method, target).map(|route| match route {
            Route::Exists(path) => format!("exists {path}"),
            Route::Download(path) => format!("download {path}"),
            other => format!("{other:?}").to_lowercase(),
        });
        match (shown, expected) {
            (Ok(shown), Ok(expected)) => assert_eq!(shown, expected, "{method} {target}"),
            (Err(error), Err(expected)) => {
                assert_eq!((error.code, error.message.as_str()), expected, "{method} {target}");
            }
            (shown, _) => panic!("{method} {target}: {shown:?}"),
        }
    }

    #[test]
    fn every_route_is_found_by_its_method() {
        check("POST", "/upload", Ok("upload"));
        check("GET", "/exists?path=a", Ok("exists a"));
        check("GET", "/download?x=1&path=a/b", Ok("download a/b"));
        check("HEAD", "/download?path=a", Ok("download a"));
        check("GET", "/health", Ok("health"));
        check("GET", "/ready?", Ok("ready"));
    }

    #[test]
    fn a_wrong_method_or_route_is_told_so() {
        check("GET", "/", Err((ErrorCode::NotFound, "there is no \"/\" here")));
        check("GET", "/upload/", Err((ErrorCode::NotFound, "there is no \"/upload/\" here")));
        check("PUT", "/x\u{1b}", Err((ErrorCode::NotFound, "there is no \"/x\\u{1b}\" here")));
        check(
            "GET",
            "/upload",
            Err((ErrorCode::MethodNotAllowed, "/upload is asked by POST, not by GET")),
        );
        check(
            "DELETE",
            "/download?path=a",
            Err((ErrorCode::MethodNotAllowed, "/download is asked by GET, not by DELETE")),
        );
    }

    #[test]
    fn a_path_is_decoded_exactly_once() {
        check("GET", "/exists?path=a%20b+c%2Bd", Ok("exists a b c+d"));
        check("GET", "/exists?path=%C3%A4%2Fb", Ok("exists ä/b"));
        check("GET", "/exists?path=%252e%252e", Ok("exists %2e%2e"));
        check("GET", "/exists?path=a%26b%3Dc%23%3F", Ok("exists a&b=c#?"));
        check("GET", "/exists?path=100%", Ok("exists 100%"));
    }

    #[test]
    fn a_path_that_is_missing_doubled_or_bad_is_refused() {
        let missing = "no query parameter 'path'";
        check("GET", "/exists", Err((ErrorCode::MissingField, missing)));
        check("GET", "/exists?paths=a", Err((ErrorCode::MissingField, missing)));
        let double = "more than one query parameter 'path'";
        check("GET", "/exists?path=a&path=b", Err((ErrorCode::BadRequest, double)));
        for (query, reason) in [
            ("", "it is empty"),
            ("%2e%2e/a", "it has a segment '.' or '..'"),
            ("%2Fetc", "it starts with a slash; paths are relative"),
            ("%ff", "it is not UTF-8"),
            ("%c0%ae%c0%ae", "it is not UTF-8"),
            ("a%00", "it has a control character"),
        ] {
            let message = format!("the path cannot be used: {reason}");
            let target = format!("/download?path={query}");
            check("GET", &target, Err((ErrorCode::InvalidPath, &message)));
        }
    }

    #[test]
    fn only_health_and_ready_need_no_key() {
        for target in ["/upload", "/exists", "/download?path=..", "/exists?path=a"] {
            assert_eq!(access(target), Access::Client, "{target}");
        }
        for target in ["/health", "/ready", "/", "/uploads"] {
            assert_eq!(access(target), Access::Public, "{target}");
        }
    }
}
