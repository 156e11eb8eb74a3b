//! Who has logged in: sessions, each known by what its browser keeps in a cookie.
//!
//! Pure: the moment is an argument. Shared by all connections under one mutex that is the gate's. A
//! session is worth no more than the key it was begun with: it ends when that is no administrator's
//! any more. A token is 256 random bits, and only its SHA-256 is kept; so it is looked up plainly, and
//! the time that takes tells nothing. Sessions end with the process.

use crate::digest::Digest;
use crate::limits::page::{COOKIES_BYTES_MAX, SESSION_AGE, SESSIONS_MAX};
use crate::secret::Secret;
use crate::server::auth::Keyring;
use std::collections::VecDeque;
use std::time::Instant;

/// The cookie's name. With this prefix browsers take it over TLS alone, for this host alone and for all
/// of it, so that no other host of the same domain can put one in its place.
const COOKIE: &str = "__Host-s3up";

/// What goes with it: not for scripts, and with no request that another site causes.
const ATTRIBUTES: &str = "; Path=/; Secure; HttpOnly; SameSite=Strict";

/// The sessions there are, the oldest first; at most [`SESSIONS_MAX`].
#[derive(Debug, Default)]
pub struct Sessions {
    open: VecDeque<Open>,
}

#[derive(Debug)]
struct Open {
    token: Digest,
    key: Digest,
    ends_at: Instant,
}

/// Says that a session's cookie was shown. Only [`Sessions::find`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session(());

impl Session {
    #[cfg(test)]
    pub(in crate::server) fn for_a_test() -> Self {
        Self(())
    }
}

/// What a browser shows to be known.
#[derive(Debug)]
pub struct Token(Secret);

impl Token {
    /// A new one, of 256 random bits.
    pub fn new() -> Result<Self, getrandom::Error> {
        let mut random = [0; 32];
        getrandom::fill(&mut random)?;
        Ok(Self(Secret::new(hex::encode(random))))
    }

    /// The value of `Set-Cookie` that has a browser keep it until it is closed.
    pub fn cookie(&self) -> String {
        format!("{COOKIE}={}{ATTRIBUTES}", self.0.expose())
    }

    fn digest(&self) -> Digest {
        Digest::of(self.0.expose().as_bytes())
    }
}

/// The value of `Set-Cookie` that has a browser forget its token.
pub fn no_cookie() -> String {
    format!("{COOKIE}={ATTRIBUTES}; Max-Age=0")
}

impl Sessions {
    /// Begins a session for who has shown an administrator's key, of which `key` is the SHA-256.
    pub fn begin(&mut self, token: &Token, key: Digest, now: Instant) {
        self.open.retain(|open| now < open.ends_at);
        while self.open.len() >= SESSIONS_MAX {
            self.open.pop_front();
        }
        self.open.push_back(Open { token: token.digest(), key, ends_at: now + SESSION_AGE });
    }

    /// The session whose token is in `cookies`, the value of `Cookie`, if it is still good.
    pub fn find(&self, cookies: &str, keyring: &Keyring, now: Instant) -> Option<Session> {
        let token = token_of(cookies)?;
        let open = self.open.iter().find(|open| open.token == token)?;
        (now < open.ends_at && keyring.is_an_administrators(&open.key)).then_some(Session(()))
    }

    /// Ends the session whose token is in `cookies`, if there is one.
    pub fn end(&mut self, cookies: Option<&str>) {
        if let Some(token) = cookies.and_then(token_of) {
            self.open.retain(|open| open.token != token);
        }
    }
}

/// The SHA-256 of the token in a `Cookie`. Two of that name are none: one of them is not ours.
fn token_of(cookies: &str) -> Option<Digest> {
    if cookies.len() > COOKIES_BYTES_MAX {
        return None;
    }
    let pairs = cookies.split(';').filter_map(|pair| pair.trim_matches(' ').split_once('='));
    let mut tokens = pairs.filter(|(name, _)| *name == COOKIE).map(|(_, value)| value);
    let token = tokens.next()?;
    tokens.next().is_none().then(|| Digest::of(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::server::config::Administrator;
    use std::time::Duration;

    fn digest(key: &str) -> Digest {
        Digest::of(key.as_bytes())
    }

    fn keyring(keys: &[&str]) -> Keyring {
        let keys = keys.iter().map(|key| digest(key)).collect();
        Keyring::new(vec![], vec![Administrator { keys, weak_key: false }])
    }

    struct Scene {
        sessions: Sessions,
        start: Instant,
    }

    impl Scene {
        fn new() -> Self {
            Self { sessions: Sessions::default(), start: clock::monotonic() }
        }

        fn at(&self, seconds: u64) -> Instant {
            self.start + Duration::from_secs(seconds)
        }

        /// Begins a session and returns what a browser then sends.
        fn begin(&mut self, key: &str, seconds: u64) -> String {
            let (token, now) = (Token::new().unwrap(), self.at(seconds));
            self.sessions.begin(&token, digest(key), now);
            token.cookie().split_once(';').unwrap().0.to_owned()
        }

        #[track_caller]
        fn check(&self, cookies: &str, seconds: u64, expected: bool) {
            let found = self.sessions.find(cookies, &keyring(&["key"]), self.at(seconds));
            assert_eq!(found.is_some(), expected, "{cookies}");
        }
    }

    const AGE: u64 = SESSION_AGE.as_secs();

    #[test]
    fn a_session_is_found_by_its_cookie_among_others_until_its_time_is_over() {
        let mut scene = Scene::new();
        let cookie = scene.begin("key", 0);
        scene.check(&cookie, 0, true);
        scene.check(&format!("a=b; {cookie};c=d"), AGE - 1, true);
        scene.check(&cookie, AGE, false);
    }

    #[test]
    fn nothing_else_is_a_session() {
        let mut scene = Scene::new();
        let cookie = scene.begin("key", 0);
        let token = cookie.split_once('=').unwrap().1;
        for cookies in [
            String::new(),
            token.to_owned(),
            format!("s3up={token}"),
            format!("__Host-s3up={}", &token[1..]),
            format!("__Host-s3up={}", digest(token)),
            format!("__Host-s3up={}", token.to_uppercase()),
            "__Host-s3up=".to_owned(),
            format!("{cookie}; __Host-s3up=other"),
            format!("__Host-s3up=other; {cookie}"),
            format!("{}; {cookie}", "x".repeat(COOKIES_BYTES_MAX)),
        ] {
            scene.check(&cookies, 0, false);
        }
        assert_ne!(scene.begin("key", 0), cookie);
    }

    #[test]
    fn a_session_is_worth_no_more_than_its_key() {
        let mut scene = Scene::new();
        let cookie = scene.begin("key", 0);
        let find = |keys: &[&str]| scene.sessions.find(&cookie, &keyring(keys), scene.at(1));
        assert!(find(&["key"]).is_some() && find(&["new", "key"]).is_some());
        assert_eq!(find(&["new"]), None);
        assert_eq!(find(&[]), None);
    }

    #[test]
    fn a_session_that_was_ended_is_over_and_the_others_go_on() {
        let mut scene = Scene::new();
        let (one, other) = (scene.begin("key", 0), scene.begin("key", 0));
        scene.sessions.end(Some(&one));
        scene.sessions.end(None);
        scene.sessions.end(Some("__Host-s3up=nonsense"));
        scene.check(&one, 0, false);
        scene.check(&other, 0, true);
    }

    #[test]
    fn there_are_only_so_many_and_the_oldest_makes_room() {
        let mut scene = Scene::new();
        let first = scene.begin("key", 0);
        let second = scene.begin("key", 0);
        for _ in 1..SESSIONS_MAX {
            scene.begin("key", 1);
        }
        assert_eq!(scene.sessions.open.len(), SESSIONS_MAX);
        scene.check(&first, 1, false);
        scene.check(&second, 1, true);
        scene.begin("key", AGE);
        assert_eq!(scene.sessions.open.len(), SESSIONS_MAX, "the second one has ended by itself");
        scene.check(&second, AGE, false);
    }

    #[test]
    fn a_cookie_is_for_this_host_for_no_script_and_for_no_other_site() {
        let cookie = Token::new().unwrap().cookie();
        let (value, attributes) = cookie.split_once(';').unwrap();
        assert_eq!(value.len(), "__Host-s3up=".len() + 64);
        assert_eq!(attributes, " Path=/; Secure; HttpOnly; SameSite=Strict");
        assert_eq!(
            no_cookie(),
            "__Host-s3up=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0"
        );
        assert_eq!(format!("{:?}", Token::new().unwrap()), "Token(***)");
    }
}
