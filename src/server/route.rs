//! From method and target to what is asked for.
//!
//! Pure.

use crate::remote_path::RemotePath;
use crate::server::reply::ApiError;
use crate::wire::{Day, ErrorCode, field, route as routes};
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
    /// Keep what a client says of its day.
    Report,
    /// How are the clients?
    Clients,
    /// What did the clients say of this day, or of yesterday?
    Reports(Option<Day>),
    /// The page that shows an administrator how the clients are.
    Page,
    /// Here is a key; begin a session.
    Login,
    /// End a session.
    Logout,
    /// How does the server stand, in figures?
    Metrics,
}

/// The words of [`word`].
pub const WORDS: [&str; 9] =
    ["upload", "exists", "download", "report", "clients", "reports", "metrics", "page", "other"];

impl Route {
    /// The method this route is asked by; `HEAD` instead of `GET` if only the head is wanted.
    pub fn method(&self, head_only: bool) -> &'static str {
        match self {
            Self::Upload | Self::Report | Self::Login | Self::Logout => "POST",
            _ if head_only => "HEAD",
            _ => "GET",
        }
    }

    /// What is asked for, in the word that [`word`] has for its targets.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Exists(_) => "exists",
            Self::Download(_) => "download",
            Self::Report => "report",
            Self::Clients => "clients",
            Self::Reports(_) => "reports",
            Self::Page | Self::Login | Self::Logout => "page",
            Self::Metrics => "metrics",
            Self::Health | Self::Ready => "other",
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
            Self::Report => routes::REPORT.into(),
            Self::Clients => routes::CLIENTS.into(),
            Self::Metrics => routes::METRICS.into(),
            Self::Reports(None) => routes::REPORTS.into(),
            Self::Page => routes::PAGE.into(),
            Self::Login => routes::LOGIN.into(),
            Self::Logout => routes::LOGOUT.into(),
            Self::Reports(Some(day)) => format!("{}?{}={day}", routes::REPORTS, field::DATE),
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
    /// An administrator's key is needed.
    Administrator,
    /// Anybody may ask, and who has not shown an administrator's key gets a form for it.
    Browser,
}

/// Who may ask for `target`. An unknown route is public: its answer is 404 for everybody.
pub fn access(target: &str) -> Access {
    match path_of(target) {
        routes::UPLOAD | routes::EXISTS | routes::DOWNLOAD | routes::REPORT => Access::Client,
        routes::CLIENTS | routes::REPORTS | routes::METRICS => Access::Administrator,
        routes::PAGE | routes::LOGIN | routes::LOGOUT => Access::Browser,
        _ => Access::Public,
    }
}

/// What `target` asks for in one word, for counting. Anything can be asked for; the words are few.
pub fn word(target: &str) -> &'static str {
    match path_of(target) {
        routes::UPLOAD => "upload",
        routes::EXISTS => "exists",
        routes::DOWNLOAD => "download",
        routes::REPORT => "report",
        routes::CLIENTS => "clients",
        routes::REPORTS => "reports",
        routes::PAGE | routes::LOGIN | routes::LOGOUT => "page",
        routes::METRICS => "metrics",
        _ => "other",
    }
}

/// Reads method and target. `HEAD` is allowed wherever `GET` is.
pub fn route(method: &str, target: &str) -> Result<Route, ApiError> {
    let path = path_of(target);
    let expected = match path {
        routes::UPLOAD | routes::REPORT | routes::LOGIN | routes::LOGOUT => "POST",
        routes::EXISTS
        | routes::DOWNLOAD
        | routes::HEALTH
        | routes::READY
        | routes::CLIENTS
        | routes::REPORTS
        | routes::METRICS
        | routes::PAGE => "GET",
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
        routes::REPORT => Route::Report,
        routes::CLIENTS => Route::Clients,
        routes::REPORTS => Route::Reports(date_parameter(target)?),
        routes::PAGE => Route::Page,
        routes::LOGIN => Route::Login,
        routes::LOGOUT => Route::Logout,
        routes::METRICS => Route::Metrics,
        _ => Route::Ready,
    })
}

/// What a route that exists may be asked by, as `Allow` says it.
pub fn allowed_methods(target: &str) -> &'static str {
    match path_of(target) {
        routes::UPLOAD | routes::REPORT | routes::LOGIN | routes::LOGOUT => "POST",
        _ => "GET, HEAD",
    }
}

fn path_of(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

/// The value of the query's `name`, as it stands there; it may be there once.
fn parameter<'t>(target: &'t str, name: &str) -> Result<Option<&'t str>, ApiError> {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let mut values = query.split('&').filter_map(|pair| {
        let (known, value) = pair.split_once('=').unwrap_or((pair, ""));
        (known == name).then_some(value)
    });
    let value = values.next();
    if values.next().is_some() {
        let message = format!("more than one query parameter '{name}'");
        return Err(ApiError::new(ErrorCode::BadRequest, message));
    }
    Ok(value)
}

/// The query's `date`, which has nothing to decode.
fn date_parameter(target: &str) -> Result<Option<Day>, ApiError> {
    let day = parameter(target, field::DATE)?.map(str::parse).transpose();
    day.map_err(|error| {
        ApiError::new(ErrorCode::BadRequest, format!("the query parameter 'date' is {error}"))
    })
}

/// The query's `path`, decoded once, as HTML forms encode it: `+` is a blank, `%2B` a plus.
fn path_parameter(target: &str) -> Result<RemotePath, ApiError> {
    let value = parameter(target, field::PATH)?
        .ok_or_else(|| ApiError::new(ErrorCode::MissingField, "no query parameter 'path'"))?;
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
            Route::Reports(Some(day)) => format!("reports {day}"),
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
        check("POST", "/report", Ok("report"));
        check("GET", "/clients", Ok("clients"));
        check("GET", "/metrics?x", Ok("metrics"));
        check("HEAD", "/reports", Ok("reports(none)"));
        check("GET", "/reports?x&date=2026-11-28", Ok("reports 2026-11-28"));
        check("GET", "/", Ok("page"));
        check("HEAD", "/?x", Ok("page"));
        check("POST", "/login", Ok("login"));
        check("POST", "/logout", Ok("logout"));
    }

    #[test]
    fn a_wrong_method_or_route_is_told_so() {
        check("GET", "//", Err((ErrorCode::NotFound, "there is no \"//\" here")));
        let posted = "/login is asked by POST, not by GET";
        check("GET", "/login", Err((ErrorCode::MethodNotAllowed, posted)));
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
    fn a_day_is_one_of_the_calendar_or_left_out() {
        let wrong = "the query parameter 'date' is not a day: one of the calendar is expected, from \
                     1970 on, written as 2026-11-28";
        for query in ["date=", "date", "date=2026-11-31", "date=2026%2D11-28", "date=today"] {
            check("GET", &format!("/reports?{query}"), Err((ErrorCode::BadRequest, wrong)));
        }
        let double = "more than one query parameter 'date'";
        let twice = "/reports?date=2026-11-28&date=2026-11-28";
        check("GET", twice, Err((ErrorCode::BadRequest, double)));
    }

    #[test]
    fn every_target_is_counted_under_one_of_a_few_words() {
        for (target, expected) in [
            ("/upload", "upload"),
            ("/exists?path=a", "exists"),
            ("/download", "download"),
            ("/report?x", "report"),
            ("/reports?date=x", "reports"),
            ("/clients", "clients"),
            ("/", "page"),
            ("/login", "page"),
            ("/logout", "page"),
            ("/metrics", "metrics"),
            ("/health", "other"),
            ("/reporting", "other"),
        ] {
            assert_eq!(word(target), expected, "{target}");
            assert!(WORDS.contains(&expected), "{target}");
            for method in ["GET", "POST"] {
                if let Ok(route) = route(method, target) {
                    assert_eq!(route.word(), expected, "{target}");
                }
            }
        }
    }

    #[test]
    fn only_health_and_ready_need_no_key() {
        for target in ["/upload", "/exists", "/download?path=..", "/exists?path=a", "/report"] {
            assert_eq!(access(target), Access::Client, "{target}");
        }
        let reports = ["/reports", "/reports?date=2026-11-28"];
        for target in ["/clients", "/clients?x", "/metrics", "/metrics?x"].iter().chain(&reports) {
            assert_eq!(access(target), Access::Administrator, "{target}");
        }
        for target in ["/", "/?x", "/login", "/logout"] {
            assert_eq!(access(target), Access::Browser, "{target}");
        }
        for target in ["/health", "/ready", "/uploads", "//", "/log"] {
            assert_eq!(access(target), Access::Public, "{target}");
        }
    }
}
