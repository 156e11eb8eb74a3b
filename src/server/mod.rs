//! The server.
pub mod key;
pub mod multipart;
pub mod store;
