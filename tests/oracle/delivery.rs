//! How a form comes in, and how its parts are read.

use s3up::limits::BOUNDARY_BLANKS_MAX;
use s3up::server::multipart::{Boundary, Form, FormError};
use std::io::{self, BufRead, Read};

/// Boundaries that are likely to be mistaken, the longest among them.
const BOUNDARIES: [&str; 7] = [
    "X",
    "-",
    "--",
    "a b",
    "-X--X-",
    "----------------------------------------------------------------------",
    "------------------------e92a46dbd611ae7a",
];

/// Name, file name and content of a part.
pub(super) type Field = (String, Option<String>, Vec<u8>);

/// How a form comes in, and how its parts are read.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) boundary: &'static str,
    /// Sizes of the pieces the body comes in, over and over.
    pub(super) pieces: Vec<usize>,
    /// Size of the form's buffer.
    pub(super) buffer: usize,
    /// How much of a part is read at once.
    pub(super) step: usize,
}

/// Bytes that [`Delivery::take`] takes from the front of an input.
pub(super) const DELIVERY_BYTES: usize = 6;

impl Delivery {
    /// Takes a delivery from the front of an input; what is not there counts as zero.
    pub(super) fn take(bytes: &[u8]) -> (Self, &[u8]) {
        let (front, rest) = bytes.split_at(bytes.len().min(DELIVERY_BYTES));
        let number = |index: usize| usize::from(front.get(index).copied().unwrap_or_default());
        // Small sizes are likely, large ones possible.
        let size = |index: usize| match number(index) {
            large @ 224.. => (large - 223) * 1009,
            small => small + 1,
        };
        let delivery = Self {
            boundary: BOUNDARIES[number(0) % BOUNDARIES.len()],
            pieces: vec![size(1), size(2), size(3)],
            buffer: size(4),
            step: size(5),
        };
        (delivery, rest)
    }

    /// The same form, all of it at once, through a buffer that holds every head.
    pub(super) fn at_once(&self) -> Self {
        Self { pieces: vec![usize::MAX], buffer: 128 * 1024, step: 64 * 1024, ..self.clone() }
    }

    /// The same form, byte by byte, through a buffer that holds every head.
    pub(super) fn byte_by_byte(&self) -> Self {
        Self { pieces: vec![1], buffer: 16 * 1024, ..self.clone() }
    }

    /// The same for a body of so many bytes, which is to come and be read in about a thousand pieces
    /// at most: more of them take long, and show nothing that fewer do not.
    pub(super) fn paced(mut self, body_bytes: usize) -> Self {
        let more = body_bytes / 1000;
        self.pieces.iter_mut().for_each(|piece| *piece = piece.saturating_add(more));
        self.step += more;
        self
    }

    /// A form whose body is `bytes`, and then the end or this error.
    pub(super) fn form<'b>(
        &self,
        bytes: &'b [u8],
        failure: Option<io::ErrorKind>,
    ) -> Form<Body<'b>> {
        // A closing line with all its blanks has to fit into the smallest buffer.
        let longest_line = b"\r\n----\r\n".len() + self.boundary.len() + BOUNDARY_BLANKS_MAX;
        let room = self.buffer.max(longest_line);
        let pieces = self.pieces.clone();
        let body = Body { bytes, pieces, turn: 0, room, failure, ended: false };
        let announced = format!("multipart/form-data; boundary=\"{}\"", self.boundary);
        let boundary = Boundary::from_content_type(&announced).unwrap();
        assert_eq!(boundary.as_str(), self.boundary);
        Form::with_buffer(body, &boundary, self.buffer)
    }

    /// Reads all parts, up to the error if there is one.
    pub(super) fn read(&self, bytes: &[u8], failure: Option<io::ErrorKind>) -> Outcome {
        let mut outcome = Outcome::default();
        let mut form = self.form(bytes, failure);
        outcome.error = read_into(&mut form, self.step, &mut outcome).err();
        match form.next_part() {
            Ok(None) => assert!(outcome.error.is_none(), "an error is forgotten"),
            Ok(Some(_)) => panic!("a part after the end or after an error"),
            Err(again) => {
                let first = outcome.error.as_ref().map(ToString::to_string);
                assert_eq!(first, Some(again.to_string()), "another error the second time");
            }
        }
        outcome
    }
}

/// What was read of a form.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// The parts, the last one perhaps not to its end.
    pub(super) seen: Vec<Field>,
    /// Of how many parts the end was told.
    pub(super) ended: usize,
    /// Why there is no more, if that is not the form's end.
    pub(super) error: Option<FormError>,
}

fn read_into(
    form: &mut Form<Body<'_>>,
    step: usize,
    outcome: &mut Outcome,
) -> Result<(), FormError> {
    while let Some(mut part) = form.next_part()? {
        outcome.seen.push((part.name().into(), part.file_name().map(String::from), Vec::new()));
        loop {
            let bytes = part.fill_buf()?;
            if bytes.is_empty() {
                assert_eq!(part.read(&mut [0])?, 0, "the end of a part stays its end");
                outcome.ended += 1;
                break;
            }
            let count = bytes.len().min(step);
            outcome.seen.last_mut().unwrap().2.extend_from_slice(&bytes[..count]);
            part.consume(count);
        }
    }
    Ok(())
}

/// A body that comes in pieces, and then ends or fails.
pub(super) struct Body<'b> {
    bytes: &'b [u8],
    pieces: Vec<usize>,
    turn: usize,
    /// How much the form may ask for at once: it must not hold more.
    room: usize,
    failure: Option<io::ErrorKind>,
    ended: bool,
}

impl Read for Body<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        assert!(!target.is_empty(), "an empty read looks like the end of the body");
        assert!(target.len() <= self.room, "a buffer of {} bytes", target.len());
        assert!(!self.ended, "a body that has ended is read again");
        if let (true, Some(kind)) = (self.bytes.is_empty(), self.failure) {
            return Err(io::Error::new(kind, "injected"));
        }
        self.ended = self.bytes.is_empty();
        self.turn = (self.turn + 1) % self.pieces.len();
        let count = self.bytes.len().min(self.pieces[self.turn]).min(target.len());
        target[..count].copy_from_slice(&self.bytes[..count]);
        self.bytes = &self.bytes[count..];
        Ok(count)
    }
}
