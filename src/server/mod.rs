//! The server.
pub mod key;
pub mod store;
