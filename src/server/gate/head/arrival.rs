//! When to look at a head that is still arriving.
//!
//! Pure. [`parse`] begins at the first byte each time. A peer that sends the longest head byte by
//! byte would have it read 16,384 times: up to 93 ms of a processor for one head that is refused in
//! the end (measured). By [`Arrival`] it costs 0.8 ms at most.

use super::{Parsed, parse};
use crate::limits::HEAD_BYTES_MAX;
use memchr::memchr;

/// A head that is arriving: gives the answers of [`parse`], and works only when there may be one.
///
/// It looks when a line has ended, when twice as much is there as when it looked last, and when
/// [`HEAD_BYTES_MAX`] are there. As a head has a largest number of lines, that is fewer than a
/// hundred times. The first piece is always looked at.
///
/// A whole head is told with its last byte. A refusal may be told later than [`parse`] would, with
/// the end of the line in which the offence stands, or when as many bytes more have come; it is the
/// same one.
#[derive(Clone, Debug, Default)]
pub struct Arrival {
    /// So many bytes have been searched for the end of a line.
    searched: usize,
    /// So many bytes were there at the last look.
    looked_at: usize,
}

impl Arrival {
    /// As [`parse`], for all bytes that have come since the request before: those of the last call,
    /// and more. After a head or a refusal it is ready for the next head.
    pub fn parse(&mut self, received: &[u8]) -> Parsed {
        let fresh = received.get(self.searched..).unwrap_or_default();
        let due = memchr(b'\n', fresh).is_some()
            || received.len() >= 2 * self.looked_at
            || received.len() >= HEAD_BYTES_MAX;
        self.searched = received.len();
        if !due {
            return Parsed::Incomplete;
        }
        self.looked_at = received.len();
        let parsed = parse(received);
        if parsed != Parsed::Incomplete {
            *self = Self::default();
        }
        parsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::HEAD_FIELDS_MAX;
    use crate::server::gate::head::Refusal;
    use proptest::prelude::*;

    const PLAIN: &str = "GET /health HTTP/1.1\r\nHost: h\r\n\r\n";

    /// The first answer to a head that comes byte by byte, after how many bytes it came, and how many
    /// bytes were looked at for it.
    fn drip(bytes: &[u8]) -> (Option<(usize, Parsed)>, usize) {
        let (mut arrival, mut work) = (Arrival::default(), 0);
        for end in 1..=bytes.len() {
            let parsed = arrival.parse(&bytes[..end]);
            let told = parsed != Parsed::Incomplete;
            work += if told || arrival.looked_at == end { end } else { 0 };
            if told {
                return (Some((end, parsed)), work);
            }
        }
        (None, work)
    }

    #[test]
    fn heads_come_one_after_the_other_each_told_with_its_last_byte() {
        let mut arrival = Arrival::default();
        for step in [1, 7, PLAIN.len(), PLAIN.len(), 1] {
            for end in (step..PLAIN.len()).step_by(step) {
                assert_eq!(arrival.parse(&PLAIN.as_bytes()[..end]), Parsed::Incomplete);
            }
            let Parsed::Head { length, .. } = arrival.parse(PLAIN.as_bytes()) else { panic!() };
            assert_eq!(length, PLAIN.len());
        }
    }

    #[test]
    fn what_is_no_head_is_refused_with_its_first_piece() {
        let hello = [b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".as_slice(), &[b'x'; 500]].concat();
        assert_eq!(Arrival::default().parse(&hello), Parsed::Refused(Refusal::RequestLine));
    }

    #[test]
    fn the_longest_head_is_looked_at_fewer_than_a_hundred_times_however_it_comes() {
        let long = |start: &str, piece: &str| {
            let mut head = start.to_owned();
            while head.len() < HEAD_BYTES_MAX {
                head += piece;
            }
            head.into_bytes()
        };
        let lines = "a:\r\n".repeat(HEAD_FIELDS_MAX);
        let late = HEAD_BYTES_MAX - lines.len() - "GET / HTTP/1.1\r\n".len();
        for (head, refusal) in [
            (long("", "G"), Refusal::TooLong),
            (long("GET /", "a"), Refusal::TooLong),
            (long("GET / HTTP/1.1\r\nHost: h\r\nX:", " "), Refusal::TooLong),
            (long("GET / HTTP/1.1\r\n", "a:\r\n"), Refusal::TooManyFields),
            (format!("GET /{} HTTP/1.1\r\n{lines}", "a".repeat(late)).into(), Refusal::TooLong),
        ] {
            let (answer, work) = drip(&head);
            assert_eq!(answer.map(|(_, parsed)| parsed), Some(Parsed::Refused(refusal)));
            assert!(work < 100 * HEAD_BYTES_MAX, "{refusal:?}: {work} bytes");
        }
    }

    proptest! {
        #[test]
        fn an_answer_is_the_one_of_all_bytes_at_once_and_is_late_by_little(
            place in 0..PLAIN.len(),
            put in "[\r\n\t :,#;\0\u{7f}ü/a]{0,3}",
            more in "[a\r\n]{0,60}",
        ) {
            let mut bytes = PLAIN.to_owned();
            bytes.insert_str(place, &put);
            let bytes = (bytes + &more).into_bytes();
            let certain = (1..=bytes.len()).find(|end| parse(&bytes[..*end]) != Parsed::Incomplete);
            let Some((certain, (told, parsed))) = certain.zip(drip(&bytes).0) else {
                // Not certain yet, or not for long enough.
                prop_assert!(certain.is_none_or(|certain| 2 * certain > bytes.len()));
                return Ok(());
            };
            prop_assert_eq!(&parsed, &parse(&bytes));
            let at_once = matches!(parsed, Parsed::Head { .. }) || bytes[certain - 1] == b'\n';
            prop_assert!(told == certain || !at_once && told <= 2 * certain);
            prop_assert!(!bytes[certain - 1..told - 1].contains(&b'\n'), "a line ended before");
        }
    }
}
