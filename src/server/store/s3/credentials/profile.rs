//! One profile of a credentials file, as `aws configure` writes it.
//!
//! Runs on a worker thread. It must not repeat what stands in the file, whatever is wrong with it.

use super::{CredentialsError, Fetched, HINT_PROFILE, Keys, Miss};
use crate::limits::credentials::FILE_BYTES_MAX;
use crate::secret::Secret;
use s3::creds::Credentials;
use s3::creds::error::CredentialsError as ReadError;
use std::fs::File;
use std::io;
use std::path::Path;

/// The keys of `profile` in `file`.
pub(super) fn read(file: &Path, profile: &str) -> Result<Fetched, Miss> {
    let shown = file.display();
    let broken = |what: String| Miss::Broken(CredentialsError::refused(what, HINT_PROFILE));
    match size(file) {
        Ok(..=FILE_BYTES_MAX) => {}
        Ok(_) => return Err(broken(format!("{shown} is larger than {FILE_BYTES_MAX} bytes"))),
        // A service's home folder may be another's.
        Err(error) => return Err(Miss::Absent(format!("cannot read {shown}: {error}"))),
    }
    let found = Credentials::from_credentials_file(file, Some(profile));
    let found = found.map_err(|error| match error {
        ReadError::ConfigNotFound => Miss::Absent(format!("{shown} has no profile {profile:?}")),
        ReadError::ConfigMissingAccessKeyId => {
            Miss::Absent(format!("the profile {profile:?} in {shown} has no aws_access_key_id"))
        }
        ReadError::ConfigMissingSecretKey => {
            broken(format!("the profile {profile:?} in {shown} has no aws_secret_access_key"))
        }
        // Its text would repeat a part of the file.
        _ => broken(format!("{shown} is no credentials file")),
    })?;
    let text = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (Some(access_key_id), Some(secret)) = (text(found.access_key), text(found.secret_key))
    else {
        return Err(broken(format!("the profile {profile:?} in {shown} has an empty key")));
    };
    let token = text(found.session_token).or_else(|| text(found.security_token));
    Ok(Fetched {
        keys: Keys {
            access_key_id,
            secret_access_key: Secret::new(secret),
            session_token: token.map(Secret::new),
        },
        source: format!("the profile {profile:?} in {shown}"),
        ends: None,
        may_change: true,
    })
}

fn size(file: &Path) -> io::Result<u64> {
    let metadata = File::open(file)?.metadata()?;
    if metadata.is_file() { Ok(metadata.len()) } else { Err(io::ErrorKind::InvalidInput.into()) }
}
