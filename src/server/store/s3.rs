//! An S3 bucket as an object store.
