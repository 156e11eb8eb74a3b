//! What the gate answers a browser by itself: the form for the key, and what comes of it.
//!
//! Runs on the connection's thread. Nothing of what somebody without a key sends goes to a worker: a
//! login's form is a small body that is read here, and tells at once whether there is a key in it. How
//! the clients are is a worker's answer, to who has shown an administrator's key or has a session.

use super::access_log::Line;
use super::body::{Body, BodyError};
use super::connection::{Asked, Connection};
use super::exchange::Next;
use super::response;
use super::stream::send;
use super::throttle::Verdict;
use crate::clock;
use crate::digest::Digest;
use crate::secret::Secret;
use crate::server::page::Page;
use crate::server::page::session::{Token, no_cookie};
use crate::server::reply::{ApiError, Reply};
use crate::server::route::Route;
use crate::wire::ErrorCode;
use crate::wire::route::PAGE;
use ipnet::IpNet;
use std::net::IpAddr;
use url::form_urlencoded;

impl Connection<'_> {
    /// Answers a browser that has shown no key.
    pub(super) fn answer_browser(&mut self, line: Line<'_>, asked: &Asked<'_>) -> Next {
        if !self.is_private() {
            // What may follow is not read: a key could be in it.
            return self.respond(line, Page::needs_tls().reply(403), false, "no TLS".into());
        }
        match asked.route {
            Route::Login => self.log_in(line, asked),
            Route::Logout => {
                self.gate.sessions().end(asked.head.cookies());
                let note = "logged out".to_owned();
                self.respond(line, see_page(no_cookie()), asked.keep_alive, note)
            }
            _ => {
                let reply = Page::login(None).reply(200);
                self.respond(line, reply, asked.keep_alive, "asked for the key".into())
            }
        }
    }

    /// Whether nobody on the way can read what is sent: over TLS, on this machine, or from a proxy that
    /// the operator trusts, and who is to speak TLS with the browser.
    fn is_private(&self) -> bool {
        self.gate.certificates.is_some()
            || is_near(self.visitor.address, &self.gate.trusted_proxies)
    }

    fn log_in(&mut self, line: Line<'_>, asked: &Asked<'_>) -> Next {
        let form = match self.read_form(asked) {
            Ok(form) => form,
            Err(BodyError::Broken(error)) => {
                line.write(None, &format!("the login broke off: {error}"));
                return Next::Cut;
            }
            Err(error) => {
                let error = ApiError::new(ErrorCode::IncompleteBody, error.to_string());
                return self.refuse(line, &error, false);
            }
        };
        let key = key_of(&form).map(|key| Digest::of(key.expose().as_bytes()));
        let keyring = self.gate.clients.current();
        let Some(key) = key.filter(|key| keyring.is_an_administrators(key)) else {
            return self.refuse_login(line, asked.keep_alive);
        };
        match Token::new() {
            Ok(token) => {
                self.gate.sessions().begin(&token, key, clock::monotonic());
                let note = "logged in".to_owned();
                self.respond(line, see_page(token.cookie()), asked.keep_alive, note)
            }
            Err(error) => {
                log::error!("no random numbers to be had: {error}");
                let message = "a defect in the server; its log says more";
                self.refuse(line, &ApiError::new(ErrorCode::Internal, message), asked.keep_alive)
            }
        }
    }

    fn read_form(&mut self, asked: &Asked<'_>) -> Result<Vec<u8>, BodyError> {
        let mut pace = self.gate.pace();
        // Who has sent some of it already does not wait.
        if asked.head.expects_continue && self.received.is_empty() {
            send(&mut self.stream, response::CONTINUE, &mut pace).map_err(BodyError::Broken)?;
        }
        Body::new(&mut self.stream, &mut self.received, asked.length, pace).read_plain()
    }

    /// Answers a key that is no administrator's as the gate answers all bad keys, with the form again.
    fn refuse_login(&mut self, line: Line<'_>, keep_alive: bool) -> Next {
        let verdict = self.fail(&line);
        let (code, problem) = match verdict {
            Verdict::Answer { .. } => {
                (ErrorCode::Unauthorized, "This is not the key of an administrator.".to_owned())
            }
            Verdict::TooMany { retry_after, .. } => {
                let seconds = retry_after.as_secs() + 1;
                let problem =
                    format!("Too many wrong keys came from here; try again in {seconds} s.");
                (ErrorCode::TooManyRequests, problem)
            }
        };
        let note = format!("{}: {problem}", code.as_str());
        let mut reply = Page::login(Some(problem)).reply(code.status());
        match verdict {
            Verdict::Answer { .. } => reply.headers.push(("WWW-Authenticate", "Bearer".into())),
            Verdict::TooMany { retry_after, .. } => {
                reply.headers.push(("Retry-After", (retry_after.as_secs() + 1).to_string()));
            }
        }
        let keep_alive = keep_alive && matches!(verdict, Verdict::Answer { .. });
        self.respond(line, reply, keep_alive, note)
    }
}

fn is_near(address: IpAddr, trusted_proxies: &[IpNet]) -> bool {
    let address = address.to_canonical();
    address.is_loopback() || trusted_proxies.iter().any(|block| block.contains(&address))
}

/// Sends a browser to the page, with something to do to its cookie.
fn see_page(cookie: String) -> Reply {
    let mut reply = Reply::json(303, &serde_json::json!({ "success": true }));
    reply.headers.push(("Location", PAGE.into()));
    reply.headers.push(("Set-Cookie", cookie));
    reply.headers.push(("Cache-Control", "no-store".into()));
    reply
}

/// The key in a form; none if there are several.
fn key_of(form: &[u8]) -> Option<Secret> {
    let mut keys = form_urlencoded::parse(form).filter(|(name, _)| name == "key");
    // A key that was pasted may have a line end or a blank.
    let key = keys.next().map(|(_, value)| Secret::new(value.trim()));
    key.filter(|_| keys.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tls_only_this_machine_and_trusted_proxies_are_near_enough_for_a_key() {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|block| block.parse().unwrap());
        for (address, expected) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("fd00::1", true),
            ("11.1.2.3", false),
            ("192.0.2.1", false),
            ("::ffff:192.0.2.1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_near(address.parse().unwrap(), &trusted), expected, "{address}");
        }
    }

    #[test]
    fn a_form_has_one_key() {
        for (form, expected) in [
            (&b"key=sk_live_1"[..], Some("sk_live_1")),
            (b"x=y&key=a%2Bb%20c+d&z", Some("a+b c d")),
            (b"key=+sk_live_1%0D%0A", Some("sk_live_1")),
            (b"key=", Some("")),
            (b"keys=a", None),
            (b"key=a&key=a", None),
            (b"", None),
            (b"\xff%ff=&key=\xff", Some("\u{fffd}")),
        ] {
            let key = key_of(form);
            assert_eq!(key.as_ref().map(Secret::expose), expected, "{}", form.escape_ascii());
        }
    }
}
