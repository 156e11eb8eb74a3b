//! Where a file lives in the bucket: `{path_prefix}/{client}/{path}`.
//!
//! Pure. An [`ObjectKey`] can only be made from its three checked parts, so no request can name an
//! object outside its client's folder.

use crate::limits::{CLIENT_NAME_BYTES_MAX, KEY_BYTES_MAX};
use crate::remote_path::{PathError, RemotePath, RemotePrefix};
use std::fmt;

/// A client's name: `[a-z0-9][a-z0-9._-]*`, so that it is one harmless path segment everywhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientName(String);

/// A text that cannot be a client's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not a client name: a-z, 0-9, '.', '_' and '-' are allowed, the first one a letter or digit, \
     at most {CLIENT_NAME_BYTES_MAX}"
)]
pub struct ClientNameError;

impl ClientName {
    /// Reads a name.
    pub fn parse(text: &str) -> Result<Self, ClientNameError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let valid = text.len() <= CLIENT_NAME_BYTES_MAX
            && text.bytes().next().is_some_and(plain)
            && text.bytes().all(|b| plain(b) || matches!(b, b'.' | b'_' | b'-'));
        if valid { Ok(Self(text.to_owned())) } else { Err(ClientNameError) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The folder of one client in the bucket, `{path_prefix}/{client}/`. Its text ends with a slash, so
/// that a listing of `web` does not show `web-eu`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientFolder(String);

impl ClientFolder {
    /// The folder of this client.
    pub fn new(prefix: &RemotePrefix, client: &ClientName) -> Self {
        Self(format!("{prefix}{client}/"))
    }

    /// The folder as text, a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `key` may be that of an object of this client. What [`ObjectKey`] would never be,
    /// belongs to somebody else, wherever it lies.
    pub fn holds(&self, key: &str) -> bool {
        let path = key.strip_prefix(&self.0);
        key.len() <= KEY_BYTES_MAX && path.is_some_and(|path| RemotePath::parse(path).is_ok())
    }
}

/// The key of an object that only tries out a store: `{path_prefix}/.s3up-check-{random}`. No client
/// can reach it, since no client's name begins with a dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeKey(ObjectKey);

impl ProbeKey {
    /// What the last segment begins with.
    pub const NAME: &str = ".s3up-check-";

    /// The key of the probe with this number. Fails only if the prefix is as long as a key may be.
    pub fn new(prefix: &RemotePrefix, number: u128) -> Result<Self, PathError> {
        let path = prefix.join(&format!("{}{number:032x}", Self::NAME))?;
        Ok(Self(ObjectKey(path.as_str().to_owned())))
    }

    /// As what a store can be asked to keep.
    pub fn as_object(&self) -> &ObjectKey {
        &self.0
    }
}

/// The full key of one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// Puts the parts together. Fails only if the whole is longer than S3 allows.
    pub fn new(
        prefix: &RemotePrefix,
        client: &ClientName,
        path: &RemotePath,
    ) -> Result<Self, PathError> {
        let key = format!("{prefix}{client}/{path}");
        if key.len() > KEY_BYTES_MAX {
            return Err(PathError::TooLong);
        }
        debug_assert!(key.starts_with(&format!("{prefix}{client}/")));
        Ok(Self(key))
    }

    /// The key as text: no leading slash, no empty and no dot segment.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_name_is_one_harmless_segment() {
        for good in ["a", "webapp-prod", "0", "a.b_c-d", &"a".repeat(64)] {
            assert!(ClientName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "-a", "_a", ".a", "A", "a/b", "a b", "ü", "a\n", &"a".repeat(65)]
        {
            assert_eq!(ClientName::parse(bad), Err(ClientNameError), "{bad:?}");
        }
    }

    #[test]
    fn the_key_is_prefix_client_path() {
        let client = ClientName::parse("webapp-prod").unwrap();
        let path = RemotePath::parse("uploads/users/123/avatar.png").unwrap();
        for (prefix, expected) in [
            ("backups/", "backups/webapp-prod/uploads/users/123/avatar.png"),
            ("backups", "backups/webapp-prod/uploads/users/123/avatar.png"),
            ("a/b/", "a/b/webapp-prod/uploads/users/123/avatar.png"),
            ("", "webapp-prod/uploads/users/123/avatar.png"),
        ] {
            let prefix = RemotePrefix::parse(prefix).unwrap();
            assert_eq!(ObjectKey::new(&prefix, &client, &path).unwrap().as_str(), expected);
        }
    }

    #[test]
    fn a_folder_holds_what_its_client_can_have_stored_and_nothing_else() {
        for (prefix, folder) in [("backups/", "backups/web/"), ("", "web/")] {
            let prefix = RemotePrefix::parse(prefix).unwrap();
            let web = ClientFolder::new(&prefix, &ClientName::parse("web").unwrap());
            assert_eq!(web.as_str(), folder);
            for (path, held) in [
                ("web/a", true),
                ("web/a/b.txt", true),
                ("web/", false),
                ("web", false),
                ("web//a", false),
                ("web/../other/a", false),
                ("web-eu/a", false),
                ("other/web/a", false),
                (".s3up-check-1", false),
                ("", false),
            ] {
                assert_eq!(web.holds(&format!("{prefix}{path}")), held, "{prefix}{path}");
            }
            assert!(!web.holds(&format!("x{prefix}web/a")));
            let room = KEY_BYTES_MAX - folder.len();
            let path = |length: usize| "a/".repeat(length / 2 - 1) + &"b".repeat(2 + length % 2);
            assert!(web.holds(&format!("{folder}{}", path(room))));
            assert!(!web.holds(&format!("{folder}{}", path(room + 1))));
        }
    }

    #[test]
    fn a_probe_lies_where_no_client_can() {
        for (prefix, key) in [
            ("backups/", "backups/.s3up-check-000000000000000000000000000000ff"),
            ("", ".s3up-check-000000000000000000000000000000ff"),
        ] {
            let prefix = RemotePrefix::parse(prefix).unwrap();
            let probe = ProbeKey::new(&prefix, 255).unwrap();
            assert_eq!(probe.as_object().as_str(), key);
        }
        assert!(ClientName::parse(ProbeKey::NAME).is_err());
        let long = RemotePrefix::parse(&"a/".repeat(500)).unwrap();
        assert_eq!(ProbeKey::new(&long, 1), Err(PathError::TooLong));
    }

    #[test]
    fn the_whole_key_is_measured_not_the_path_alone() {
        let prefix = RemotePrefix::parse("backups/").unwrap();
        let client = ClientName::parse("web").unwrap();
        let room = 1024 - "backups/web/".len();
        for (length, fits) in [(room, true), (room + 1, false)] {
            let text = "a/".repeat(length / 2 - 1) + &"b".repeat(2 + length % 2);
            let path = RemotePath::parse(&text).unwrap();
            assert_eq!(path.as_str().len(), length);
            assert_eq!(ObjectKey::new(&prefix, &client, &path).is_ok(), fits);
        }
    }
}
