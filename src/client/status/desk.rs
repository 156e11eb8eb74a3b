//! What a running client answers by its socket.
//!
//! Runs on the `status` thread. It tells how the client stands, and hands on what others have to do:
//! scans to the scanner, reports to the reporter, who answers them itself.

use super::live::Inside;
use super::socket::Peer;
use super::{REPORT, SCAN, SCAN_ACCEPTED, STATUS};
use crate::client::daily::reporter::Errand;
use crate::client::scanner::ScanRequest;
use crossbeam_channel::Sender;

/// Answers, or hands on to whoever will.
pub struct Desk {
    /// What there is to tell.
    pub inside: Inside,
    /// Where scans are asked for.
    pub scans: Sender<ScanRequest>,
    /// Where reports are asked for.
    pub errands: Sender<Errand>,
}

impl Desk {
    /// Answers a question with JSON, or hands it on to whoever will.
    pub fn answer(&self, question: &str, peer: Peer) {
        match question {
            STATUS => peer.answer(&serde_json::to_vec(&self.inside.live()).unwrap_or_default()),
            SCAN => match self.scans.try_send(ScanRequest::Everything { cause: "asked for" }) {
                Ok(()) => peer.answer(SCAN_ACCEPTED),
                Err(_) => peer.answer(br#"{"error":"too many scans wait already"}"#),
            },
            REPORT => {
                if let Err(error) = self.errands.try_send(Errand::Now(peer))
                    && let Errand::Now(peer) = error.into_inner()
                {
                    peer.answer(br#"{"error":"too many reports are asked for already"}"#);
                }
            }
            _ => peer
                .answer(br#"{"error":"unknown question; is the client older than this command?"}"#),
        }
    }
}
