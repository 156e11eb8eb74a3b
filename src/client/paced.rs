//! A reader that goes no faster than the bandwidth limit allows.
//!
//! Used by the uploader's workers, who share one [`Bucket`]: what goes through any of them counts for
//! all. It waits for time to pass or for the program to end, whichever comes first.

use crate::client::bandwidth::Bucket;
use crate::clock;
use crate::threads::Stop;
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};

/// See the module's head. Without a bucket it hands everything through.
pub struct Paced<'b, R> {
    content: R,
    bucket: Option<&'b Mutex<Bucket>>,
    stop: &'b Stop,
}

impl<'b, R> Paced<'b, R> {
    /// A reader of `content` at the pace of `bucket`.
    pub fn new(content: R, bucket: Option<&'b Mutex<Bucket>>, stop: &'b Stop) -> Self {
        Self { content, bucket, stop }
    }
}

impl<R: Read> Read for Paced<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(bucket) = self.bucket else { return self.content.read(buffer) };
        let lock = || bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let room = buffer.len().min(lock().piece());
        let count = self.content.read(&mut buffer[..room])?;
        let wait = lock().book(count as u64, clock::monotonic());
        if !wait.is_zero() {
            // An upload in hand may end at full speed when the program does.
            self.stop.wait(wait);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::bandwidth::Rate;
    use crate::threads::StopSource;

    #[test]
    fn it_takes_small_pieces_and_hands_everything_through() {
        let mut source = StopSource::default();
        source.raise();
        let stop = source.stop();
        let content = vec![7; 10_000_000];
        for limited in [false, true] {
            let bucket = Mutex::new(Bucket::new(Rate::from_megabits(1.0), clock::monotonic()));
            let mut paced = Paced::new(&content[..], limited.then_some(&bucket), &stop);
            let mut first = vec![0; 1_000_000];
            let count = paced.read(&mut first).unwrap();
            assert_eq!(count < first.len(), limited, "{count}");
            let mut rest = Vec::new();
            paced.read_to_end(&mut rest).unwrap();
            assert_eq!(count + rest.len(), content.len());
        }
    }
}
