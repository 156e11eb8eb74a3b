//! The address of a server, remembered for a while.
//!
//! Runs on the threads that send requests, in both programs. `ureq` asks for the address before every request, also when a kept
//! connection is at hand, and starts a thread for each question so that it can time out. Without
//! this memory every small object would cost a thread and a question to the DNS.

use crate::clock;
use crate::limits::http::NAME_AGE;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// A resolver for one host, which is all that one agent speaks to.
#[derive(Debug, Default)]
pub struct Names {
    system: DefaultResolver,
    known: Mutex<Option<Known>>,
}

#[derive(Clone, Debug)]
struct Known {
    host: String,
    addresses: Vec<SocketAddr>,
    learned: Instant,
}

/// Whether a request failed because the name of the server could not be looked up.
pub fn is_unknown(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::HostNotFound => true,
        // The standard library says so by words only.
        ureq::Error::Io(error) => error.to_string().starts_with("failed to lookup address"),
        _ => false,
    }
}

impl Names {
    fn recall(&self, host: &str, now: Instant) -> Option<Vec<SocketAddr>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.as_ref().filter(|known| known.host == host)?;
        let fresh = now.saturating_duration_since(known.learned) < NAME_AGE;
        fresh.then(|| known.addresses.clone())
    }
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.authority().map_or("", |authority| authority.as_str());
        let now = clock::monotonic();
        if let Some(addresses) = self.recall(host, now) {
            let mut result = self.empty();
            for address in addresses {
                result.push(address);
            }
            return Ok(result);
        }
        // Not under the lock: a slow answer holds up those who ask, not those who know.
        let result = self.system.resolve(uri, config, timeout)?;
        let known = Known { host: host.to_owned(), addresses: result.to_vec(), learned: now };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use ureq::unversioned::transport::time::Duration as Wait;

    #[test]
    fn an_address_is_remembered_for_its_time_and_its_host() {
        let names = Names::default();
        let uri: Uri = "http://127.0.0.1:9000/bucket".parse().unwrap();
        let timeout = NextTimeout { after: Wait::from_secs(10), ..NextTimeout::default() };
        let first = names.resolve(&uri, &Config::default(), timeout).unwrap();
        assert_eq!(first.to_vec(), ["127.0.0.1:9000".parse().unwrap()]);
        let second = names.resolve(&uri, &Config::default(), timeout).unwrap();
        assert_eq!(first.to_vec(), second.to_vec());

        let learned = names.known.lock().unwrap().clone().unwrap().learned;
        let just = learned + NAME_AGE - Duration::from_nanos(1);
        assert!(names.recall("127.0.0.1:9000", just).is_some());
        assert!(names.recall("127.0.0.1:9000", learned + NAME_AGE).is_none());
        assert!(names.recall("127.0.0.1:9001", just).is_none());
    }
}
