#![allow(missing_docs)]
use std::net::IpAddr;
use std::time::*;
pub struct Throttle;
pub enum Verdict {
    Answer { delay: Duration },
    TooMany { retry_after: Duration },
}
impl Throttle {
    pub fn new() -> Self {
        Self
    }
    pub fn failed(&mut self, _: IpAddr, _: Instant) -> Verdict {
        Verdict::Answer { delay: Duration::ZERO }
    }
}
