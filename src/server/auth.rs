//! Who is asking? From an `Authorization` header to a client, or to an administrator.
//!
//! Pure, but for [`generate_key`]. Keys are compared by their SHA-256 and in constant time, every
//! key each time, so that the time taken tells nothing about any of them. A random 256-bit key needs
//! no slow hash.

use crate::digest::Digest;
use crate::limits::API_KEY_BYTES_MAX;
use crate::secret::Secret;
use crate::server::config::{Administrator, Client};
use std::sync::Arc;
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

/// All clients and administrators with their keys.
#[derive(Clone, Debug)]
pub struct Keyring {
    clients: Vec<Arc<Client>>,
    administrators: Vec<Administrator>,
}

/// Whose key it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyHolder {
    /// This client's.
    Client(Arc<Client>),
    /// An administrator's.
    Administrator,
}

/// Why nobody was recognised. The message is for the one who asks and says no more than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No header, or not of the form `Bearer <key>`.
    #[error("no API key; send the header 'Authorization: Bearer <key>'")]
    Missing,
    /// A key that nobody has.
    #[error("this API key is not known")]
    Unknown,
}

impl Keyring {
    /// A ring of the keys of all these.
    pub fn new(clients: Vec<Client>, administrators: Vec<Administrator>) -> Self {
        Self { clients: clients.into_iter().map(Arc::new).collect(), administrators }
    }

    /// All clients, without their order meaning anything.
    pub fn clients(&self) -> impl Iterator<Item = &Client> {
        self.clients.iter().map(Arc::as_ref)
    }

    /// Whether there is anybody whom the page is for.
    pub fn has_administrators(&self) -> bool {
        !self.administrators.is_empty()
    }

    /// Whether `key` is the SHA-256 of an administrator's key.
    pub fn is_an_administrators(&self, key: &Digest) -> bool {
        let mut known = Choice::from(0);
        for own in self.administrators.iter().flat_map(|one| &one.keys) {
            known |= own.as_bytes().ct_eq(key.as_bytes());
        }
        known.into()
    }

    /// Finds out whose key stands in the header.
    pub fn authenticate(&self, authorization: Option<&str>) -> Result<KeyHolder, AuthError> {
        let key = authorization.and_then(bearer).ok_or(AuthError::Missing)?;
        let digest = Digest::of(key.as_bytes());
        let of_clients = self.clients.iter().map(|client| &client.keys);
        let all = of_clients.chain(self.administrators.iter().map(|one| &one.keys));
        // The index behind the last of them stands for nobody.
        let count = self.clients.len() + self.administrators.len();
        let mut found = count as u64;
        for (index, keys) in all.enumerate() {
            let mut known = Choice::from(0);
            for own in keys {
                known |= own.as_bytes().ct_eq(digest.as_bytes());
            }
            found.conditional_assign(&(index as u64), known);
        }
        match self.clients.get(found as usize) {
            Some(client) => Ok(KeyHolder::Client(Arc::clone(client))),
            None if found < count as u64 => Ok(KeyHolder::Administrator),
            None => Err(AuthError::Unknown),
        }
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, key) = header.trim().split_once(' ')?;
    let key = key.trim_start();
    let fits = scheme.eq_ignore_ascii_case("bearer") && key.len() <= API_KEY_BYTES_MAX;
    (fits && !key.is_empty()).then_some(key)
}

/// Makes a new key of 256 random bits, and the digest the server may know it by.
pub fn generate_key() -> Result<(Secret, Digest), getrandom::Error> {
    let mut random = [0; 32];
    getrandom::fill(&mut random)?;
    let key = format!("sk_live_{}", hex::encode(random));
    let digest = Digest::of(key.as_bytes());
    Ok((Secret::new(key), digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::key::ClientName;

    fn keyring() -> Keyring {
        let client = |name: &str, keys: &[&str]| Client {
            name: ClientName::parse(name).unwrap(),
            keys: keys.iter().map(|key| Digest::of(key.as_bytes())).collect(),
            weak_key: false,
            max_file_size: 1,
            allow_download: true,
        };
        let administrator = |key: &str| Administrator {
            keys: vec![Digest::of(b"other"), Digest::of(key.as_bytes())],
            weak_key: false,
        };
        Keyring::new(
            vec![client("a", &["key-a"]), client("b", &["old-b", "new-b"])],
            vec![administrator("admin-1"), administrator("admin-2")],
        )
    }

    fn check(header: Option<&str>, expected: Result<&str, AuthError>) {
        let keyring = keyring();
        let name = keyring.authenticate(header).map(|holder| match holder {
            KeyHolder::Client(client) => client.name.to_string(),
            KeyHolder::Administrator => "(administrator)".to_owned(),
        });
        assert_eq!(name, expected.map(str::to_owned), "{header:?}");
    }

    #[test]
    fn each_key_leads_to_whom_it_belongs() {
        check(Some("Bearer key-a"), Ok("a"));
        check(Some("Bearer old-b"), Ok("b"));
        check(Some("Bearer new-b"), Ok("b"));
        check(Some("bearer   key-a "), Ok("a"));
        check(Some("Bearer admin-1"), Ok("(administrator)"));
        check(Some("Bearer admin-2"), Ok("(administrator)"));
    }

    #[test]
    fn only_an_administrators_key_opens_the_page() {
        for (key, expected) in
            [("admin-1", true), ("admin-2", true), ("other", true), ("key-a", false), ("", false)]
        {
            let known = keyring().is_an_administrators(&Digest::of(key.as_bytes()));
            assert_eq!(known, expected, "{key}");
        }
        assert!(keyring().has_administrators());
        assert!(!Keyring::new(vec![], vec![]).has_administrators());
    }

    #[test]
    fn anything_else_leads_nowhere() {
        for header in [None, Some(""), Some("Bearer"), Some("Bearer "), Some("Basic key-a")] {
            check(header, Err(AuthError::Missing));
        }
        for header in
            ["Bearer key-", "Bearer key-aa", "Bearer KEY-A", "Bearer key-a key-a", "Bearer a"]
        {
            check(Some(header), Err(AuthError::Unknown));
        }
        check(Some(&format!("Bearer {}", "x".repeat(10_000))), Err(AuthError::Missing));
    }

    #[test]
    fn a_generated_key_is_long_unique_and_known_by_its_digest() {
        let (key, digest) = generate_key().unwrap();
        assert!(key.expose().starts_with("sk_live_") && key.expose().len() == 72);
        assert_eq!(digest, Digest::of(key.expose().as_bytes()));
        assert!(Secret::api_key(key.expose()).is_ok());
        assert_ne!(generate_key().unwrap().1, digest);
    }
}
