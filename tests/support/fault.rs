//! What can happen to a request on its way to S3 and back, and to which one it does.

use super::s3_message::Stage;
use super::scripted_server;

/// Stands in every answer that a fault makes up: no client may ever see it.
pub(crate) const WORDS_OF_S3: &str = "what S3 says of it";

/// What happens to one request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The connection is reset, and until [`super::fault_proxy::FaultProxy::come_back`] nobody
    /// listens any more.
    Gone,
    /// The connection is reset when so many bytes of the body, at most all but one, are through.
    Reset(usize),
    /// When so many bytes are through, nothing more is taken or said, until the other side gives up.
    Stall(usize),
    /// The whole request is taken and answered so; S3 knows nothing of it.
    Answer(String),
    /// It is answered so before its body is taken, and the connection closed.
    Early(String),
    /// S3 does what it was asked, and then this happens to its answer.
    Done(End),
    /// Everything gets through, in 64 pieces each way, one a tick.
    Slow,
}

/// What happens to the answer to a request that S3 has served.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// The connection is reset before the first byte of it.
    Lost,
    /// The connection is reset when the head and so many bytes of the body, at most all but one, are
    /// through.
    Reset(usize),
    /// Not a byte of it comes.
    Silent,
    /// The head and so many bytes of the body come, and then nothing.
    Stall(usize),
    /// Half the body comes, or half the head if there is no body, and the connection is closed.
    Truncated,
    /// Another answer comes.
    Instead(String),
}

/// Which requests a fault happens to.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// The object's whole key.
    pub(crate) key: String,
    pub(crate) stage: Stage,
    /// How many such requests get through before.
    pub(crate) spared: usize,
    /// How many it happens to then.
    pub(crate) times: usize,
    pub(crate) fault: Fault,
}

impl Rule {
    /// Whether it happens to the next request of this kind, which is counted.
    pub(super) fn hits(&mut self, key: &str, stage: Stage) -> bool {
        if self.key != key || self.stage != stage || self.times == 0 {
            return false;
        }
        if self.spared > 0 {
            self.spared -= 1;
            return false;
        }
        self.times -= 1;
        true
    }
}

impl Fault {
    /// Whether S3 has done what it was asked.
    pub(crate) fn reaches_s3(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Slow)
    }
}

/// An error as S3 words it.
pub(crate) fn error(status: u16, code: &str) -> String {
    scripted_server::error(status, code)
}

/// An answer without a word.
pub(crate) fn bare(status: u16) -> String {
    scripted_server::answer(status, &[], "")
}
