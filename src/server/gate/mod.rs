//! The gate: what will stand between the network and the worker pool.
//!
//! It will accept connections, speak TLS, read heads and bodies with deadlines, admit a request on
//! its head alone, and hand it to a worker under a head that the gate wrote itself.
//!
//! **Nothing of that is there yet, and nothing uses this module.** Only the gate's pure part exists:
//! [`head`] reads the head of a request. The server still listens on loopback, and its heads are
//! read by `tiny_http`.

pub mod census;
pub mod head;
pub mod pace;
pub mod peer;
pub mod throttle;
