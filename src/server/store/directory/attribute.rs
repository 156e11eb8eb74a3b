//! What the extended attribute `user.s3up` of a stored file says.
//!
//! Pure. The form is binary and 58 bytes long so that ext4 finds room for it inside the inode: a
//! longer one would cost every stored file one more block. `getfattr -e hex` shows the digest.

use crate::digest::Digest;
use crate::wire::Mtime;

/// Name of the attribute.
pub(super) const NAME: &str = "user.s3up";

/// Length of the attribute, in bytes.
pub(super) const LEN: usize = 58;

/// First byte: the form below. A form that is not known is no attribute.
const VERSION: u8 = 1;

/// Metadata of one file, and what that file looked like when it was written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) sha256: Digest,
    pub(super) mtime: Option<Mtime>,
    pub(super) look: Look,
}

/// What a file looks like from outside. An edit by hand changes it and so disowns the attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) size: u64,
    pub(super) mtime_nanos: i64,
}

impl Attribute {
    pub(super) fn to_bytes(self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[0] = VERSION;
        bytes[1] = u8::from(self.mtime.is_some());
        bytes[2..34].copy_from_slice(self.sha256.as_bytes());
        bytes[34..42].copy_from_slice(&self.look.size.to_be_bytes());
        bytes[42..50].copy_from_slice(&self.look.mtime_nanos.to_be_bytes());
        bytes[50..58].copy_from_slice(&self.mtime.map_or(0, Mtime::nanos).to_be_bytes());
        bytes
    }

    /// `None` for anything that this program did not write.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LEN] = bytes.try_into().ok()?;
        let number = |at: usize| -> Option<[u8; 8]> { bytes.get(at..at + 8)?.try_into().ok() };
        let mtime = Mtime::from_nanos(i64::from_be_bytes(number(50)?));
        if bytes[0] != VERSION {
            return None;
        }
        Some(Self {
            sha256: Digest::from_bytes(&bytes[2..34])?,
            mtime: (bytes[1] == 1).then_some(mtime),
            look: Look {
                size: u64::from_be_bytes(number(34)?),
                mtime_nanos: i64::from_be_bytes(number(42)?),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_attribute_survives_its_bytes(
            content: Vec<u8>, size: u64, stamp: i64, mtime: Option<i64>,
        ) {
            let attribute = Attribute {
                sha256: Digest::of(&content),
                mtime: mtime.map(Mtime::from_nanos),
                look: Look { size, mtime_nanos: stamp },
            };
            prop_assert_eq!(Attribute::from_bytes(&attribute.to_bytes()), Some(attribute));
        }
    }

    #[test]
    fn what_this_program_did_not_write_is_no_attribute() {
        let look = Look { size: 1, mtime_nanos: 2 };
        let mut bytes = Attribute { sha256: Digest::of(b""), mtime: None, look }.to_bytes();
        assert!(Attribute::from_bytes(&bytes[1..]).is_none());
        assert!(Attribute::from_bytes(b"").is_none());
        bytes[0] = VERSION + 1;
        assert!(Attribute::from_bytes(&bytes).is_none());
    }
}
