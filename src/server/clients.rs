//! The clients and administrators as they are now: a list that is replaced as a whole while the server runs.
//!
//! Shared by the threads that admit requests, which look, and the `reload` thread, which replaces. A
//! request keeps the client it was admitted with, whatever the list says later. It does no I/O and
//! knows nothing of the file that the list comes from.

use crate::limits::API_KEY_BYTES_ADVISED;
use crate::server::auth::Keyring;
use crate::server::config::{Administrator, Client};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::{Arc, PoisonError, RwLock};

/// Who is admitted now.
#[derive(Debug)]
pub struct Clients {
    current: RwLock<Arc<Keyring>>,
    changed: (Sender<()>, Receiver<()>),
}

impl Clients {
    /// Begins with these.
    pub fn new(clients: Vec<Client>, administrators: Vec<Administrator>) -> Self {
        let keyring = Keyring::new(clients, administrators);
        Self { current: RwLock::new(Arc::new(keyring)), changed: bounded(1) }
    }

    /// The list at this moment. Ask anew for every request: who keeps it does not see it replaced.
    pub fn current(&self) -> Arc<Keyring> {
        // Only whole lists are put in, so a panic elsewhere cannot have left half of one.
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Admits these from now on, and nobody else.
    pub fn replace(&self, clients: Vec<Client>, administrators: Vec<Administrator>) {
        let keyring = Arc::new(Keyring::new(clients, administrators));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = keyring;
        // A full channel holds the message already.
        let _ = self.changed.0.try_send(());
    }

    /// A message when the list was replaced, for the one who looks at all clients now and then.
    pub fn changed(&self) -> &Receiver<()> {
        &self.changed.1
    }
}

/// Tells the operator which of these have a key that is shorter than advised.
pub fn warn_of_weak_keys<'c>(clients: impl IntoIterator<Item = &'c Client>) {
    for client in clients.into_iter().filter(|client| client.weak_key) {
        log::warn!(
            "client {} has a key of fewer than {API_KEY_BYTES_ADVISED} characters; hint: \
             `s3up-server keygen`",
            client.name
        );
    }
}

/// Tells the operator which of these have a key that is shorter than advised.
pub fn warn_of_weak_admin_keys(administrators: &[Administrator]) {
    for (index, _) in administrators.iter().enumerate().filter(|(_, one)| one.weak_key) {
        log::warn!(
            "entry {} of admin_keys is a key of fewer than {API_KEY_BYTES_ADVISED} characters; \
             hint: `s3up-server keygen`",
            index + 1
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::server::auth::{AuthError, KeyHolder};
    use crate::server::key::ClientName;

    fn client(name: &str, key: &str, max_file_size: u64) -> Client {
        Client {
            name: ClientName::parse(name).unwrap(),
            keys: vec![Digest::of(key.as_bytes())],
            weak_key: false,
            max_file_size,
            allow_download: true,
        }
    }

    fn check(clients: &Clients, key: &str, expected: Result<(&str, u64), AuthError>) {
        let found = clients.current().authenticate(Some(&format!("Bearer {key}")));
        let found = found.map(|holder| match holder {
            KeyHolder::Client(client) => (client.name.to_string(), client.max_file_size),
            KeyHolder::Administrator => ("(administrator)".to_owned(), 0),
        });
        assert_eq!(found, expected.map(|(name, size)| (name.to_owned(), size)), "{key}");
    }

    #[test]
    fn the_list_is_replaced_as_a_whole_and_a_client_that_was_admitted_stays_what_it_was() {
        let administrator =
            |key: &str| Administrator { keys: vec![Digest::of(key.as_bytes())], weak_key: false };
        let clients = Clients::new(
            vec![client("a", "key-a", 1), client("b", "key-b", 1)],
            vec![administrator("admin")],
        );
        check(&clients, "admin", Ok(("(administrator)", 0)));
        let before = clients.current();
        let KeyHolder::Client(admitted) = before.authenticate(Some("Bearer key-a")).unwrap() else {
            panic!("a client");
        };
        clients.replace(
            vec![client("a", "new-a", 2), client("c", "key-c", 3)],
            vec![administrator("new-admin")],
        );
        check(&clients, "admin", Err(AuthError::Unknown));
        check(&clients, "new-admin", Ok(("(administrator)", 0)));
        check(&clients, "key-a", Err(AuthError::Unknown));
        check(&clients, "key-b", Err(AuthError::Unknown));
        check(&clients, "new-a", Ok(("a", 2)));
        check(&clients, "key-c", Ok(("c", 3)));
        assert_eq!((admitted.name.as_str(), admitted.max_file_size), ("a", 1));
        assert!(
            before.authenticate(Some("Bearer key-b")).is_ok(),
            "who asked before, has the list"
        );
    }
}
