//! The page at `GET /`: for an administrator, how all clients are; for everybody else, a form for the
//! key.
//!
//! Pure: facts and the moment in, HTML out. One template (`page.html`) and one stylesheet, without a
//! script and without anything from elsewhere; a browser is told so by [`protection`], and could run
//! nothing even if a text from a client came through unescaped. The template escapes whatever it is
//! given.

pub mod chart;
#[cfg(test)]
pub(in crate::server) mod scene;
pub mod session;
#[cfg(test)]
mod tests;
pub mod view;

use crate::server::reply::Reply;
use askama::Template;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};
use std::io::Cursor;
use view::View;

/// The stylesheet, as it stands in the page: its digest is in the policy.
const STYLE: &str = include_str!("style.css");

/// The picture on a browser's tab.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E\
    %3Crect width='32' height='32' rx='7' fill='%2327598c'/%3E%3Cpath d='M16 24V9m-6 6 6-6 6 6' \
    fill='none' stroke='%23fff' stroke-width='3.4' stroke-linecap='round' stroke-linejoin='round'/%3E\
    %3C/svg%3E";

/// A page of the server.
#[derive(Template)]
#[template(path = "page.html", config = ".askama.toml")]
pub struct Page {
    title: String,
    body: Body,
}

/// What is on a page.
#[expect(clippy::large_enum_variant, reason = "one lives, for as long as it is written out")]
enum Body {
    /// How all clients are.
    Overview(View),
    /// Who asks has to show a key.
    Login(Login),
    /// Something has to be said instead.
    Notice(Notice),
}

/// A form for the key.
struct Login {
    /// What was wrong with the last one.
    problem: Option<String>,
}

/// Something that is said instead of what was wanted.
struct Notice {
    title: &'static str,
    text: &'static str,
    hint: &'static str,
    /// Whether who sees it has come in.
    inside: bool,
}

impl Page {
    /// How all clients are.
    pub fn overview(view: View) -> Self {
        Self { title: view.title.clone(), body: Body::Overview(view) }
    }

    /// A form for the key; `problem` says what was wrong with the last one.
    pub fn login(problem: Option<String>) -> Self {
        Self { title: "Log in · s3up".into(), body: Body::Login(Login { problem }) }
    }

    /// Instead of a form, where a key could be read on its way.
    pub fn needs_tls() -> Self {
        Self::notice(Notice {
            title: "This page needs TLS",
            text: "Over this connection a key could be read on its way, so there is no login here.",
            hint: "Switch server.tls on in server.yaml, or come by a proxy that speaks TLS, or from \
                   the server’s own machine.",
            inside: false,
        })
    }

    /// Instead of an overview, if the server has no database.
    pub fn no_database() -> Self {
        Self::notice(Notice {
            title: "Nothing is remembered yet",
            text: "This server has no database. Uploads work, but what the clients do is not written \
                   down, and their daily reports are not kept.",
            hint: "Name a file by the key database.path in server.yaml, and restart the server.",
            inside: true,
        })
    }

    /// Instead of an overview, if the database cannot be read.
    pub fn unreadable() -> Self {
        Self::notice(Notice {
            title: "The database cannot be read",
            text: "Uploads go on. How the clients are cannot be told at the moment.",
            hint: "The server’s log says more.",
            inside: true,
        })
    }

    fn notice(notice: Notice) -> Self {
        Self { title: format!("{} · s3up", notice.title), body: Body::Notice(notice) }
    }

    /// The page as HTML.
    pub fn html(&self) -> String {
        // Writing to memory: it cannot fail.
        self.render().unwrap_or_default()
    }

    /// The page as an answer.
    pub fn reply(&self, status: u16) -> Reply {
        let html = self.html().into_bytes();
        let mut headers = vec![("Content-Type", "text/html; charset=utf-8".to_owned())];
        headers.extend(protection());
        let (length, body) = (html.len() as u64, Box::new(Cursor::new(html)));
        Reply { status, headers, length, body }
    }
}

/// What a browser is told of every page: that it may load nothing but its stylesheet and its icon,
/// run nothing, be framed by nobody, send its forms nowhere else, and keep nothing.
pub fn protection() -> [(&'static str, String); 6] {
    let style = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    [
        (
            "Content-Security-Policy",
            format!(
                "default-src 'none'; style-src 'sha256-{style}'; img-src data:; form-action 'self'; \
                 frame-ancestors 'none'; base-uri 'none'"
            ),
        ),
        ("X-Content-Type-Options", "nosniff".into()),
        ("Referrer-Policy", "no-referrer".into()),
        ("Cache-Control", "no-store".into()),
        ("Cross-Origin-Opener-Policy", "same-origin".into()),
        ("Cross-Origin-Resource-Policy", "same-origin".into()),
    ]
}
