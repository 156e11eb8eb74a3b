//! A store that keeps nothing and costs nothing.

use s3up::digest::Digest;
use s3up::server::key::{ClientFolder, ObjectKey};
use s3up::server::part_buffer::PartBuffer;
use s3up::server::store::{
    ByteRange, CannotSweep, LargeObject, Metadata, ObjectInfo, ObjectStore, OpenObject, StoreError,
    Swept,
};
use s3up::threads::Stop;
use std::time::Duration;

pub(crate) struct Nowhere;

impl ObjectStore for Nowhere {
    fn describe(&self) -> String {
        "nowhere".into()
    }

    fn put(&self, _: &ObjectKey, content: &[u8], _: &Metadata) -> Result<(), StoreError> {
        std::hint::black_box(content);
        Ok(())
    }

    fn begin<'s>(
        &'s self,
        _: &ObjectKey,
        _: &Metadata,
    ) -> Result<Box<dyn LargeObject + 's>, StoreError> {
        Ok(Box::new(Self))
    }

    fn head(&self, _: &ObjectKey) -> Result<Option<ObjectInfo>, StoreError> {
        Ok(None)
    }

    fn open(&self, _: &ObjectKey, _: Option<ByteRange>) -> Result<Option<OpenObject>, StoreError> {
        Ok(None)
    }

    fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn sweep(&self, _: &[ClientFolder], _: Duration, _: &Stop) -> Result<Swept, CannotSweep> {
        Ok(Swept::default())
    }
}

impl LargeObject for Nowhere {
    fn append(&mut self, mut part: PartBuffer) -> Result<PartBuffer, StoreError> {
        std::hint::black_box(&mut part).clear();
        Ok(part)
    }

    fn complete(self: Box<Self>, _: Digest) -> Result<(), StoreError> {
        Ok(())
    }
}
