//! The buffer that a file, or one part of it, is collected in.
//!
//! Owned by one thread at a time. Large ones are pages of their own, which go back to the system at
//! once when the buffer is dropped: an allocator keeps such pieces for later, and a server that had
//! a busy hour would hold that hour's memory until its end. That there are none to be had is an
//! error of one upload.
//!
//! S3 wants a checksum in front of each part. Eight megabytes fit no processor's cache, so that
//! reading them once more for it costs as much as the checksum itself; a buffer for parts sums up
//! what comes in while it is at hand.

use memmap2::MmapMut;
use std::io;

/// From this size on a buffer has pages of its own, in bytes: for smaller ones the system calls cost
/// more than the memory is worth.
const OWN_PAGES_BYTES: usize = 128 * 1024;

/// Bytes up to a fixed number.
pub struct PartBuffer {
    memory: Memory,
    room: usize,
    /// Of all that was put in, if it is wanted.
    crc32: Option<crc32fast::Hasher>,
}

enum Memory {
    Heap(Vec<u8>),
    Pages { pages: MmapMut, filled: usize },
}

impl PartBuffer {
    /// An empty buffer with room for `room` bytes. An error means that there is no memory.
    pub fn with_room_for(room: usize) -> io::Result<Self> {
        let memory = if room < OWN_PAGES_BYTES {
            Memory::Heap(Vec::with_capacity(room))
        } else {
            Memory::Pages { pages: MmapMut::map_anon(room)?, filled: 0 }
        };
        Ok(Self { memory, room, crc32: None })
    }

    /// As [`PartBuffer::with_room_for`], for one part of several: with a checksum that is at hand
    /// when the buffer is full.
    pub fn for_part(room: usize) -> io::Result<Self> {
        let crc32 = Some(crc32fast::Hasher::new());
        Ok(Self { crc32, ..Self::with_room_for(room)? })
    }

    /// How many bytes there is room for in all.
    pub fn room(&self) -> usize {
        self.room
    }

    /// What was put in.
    pub fn bytes(&self) -> &[u8] {
        match &self.memory {
            Memory::Heap(bytes) => bytes,
            Memory::Pages { pages, filled } => &pages[..*filled],
        }
    }

    /// The CRC-32 of what was put in.
    pub fn crc32(&self) -> u32 {
        match &self.crc32 {
            Some(summed) => summed.clone().finalize(),
            None => crc32fast::hash(self.bytes()),
        }
    }

    /// Whether there is no room left.
    pub fn is_full(&self) -> bool {
        self.bytes().len() == self.room
    }

    /// Adds the beginning of `bytes`, as much of it as there is room for; says how much.
    pub fn fill(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.room - self.bytes().len());
        if let Some(crc32) = &mut self.crc32 {
            crc32.update(&bytes[..count]);
        }
        match &mut self.memory {
            Memory::Heap(filled) => filled.extend_from_slice(&bytes[..count]),
            Memory::Pages { pages, filled } => {
                pages[*filled..*filled + count].copy_from_slice(&bytes[..count]);
                *filled += count;
            }
        }
        count
    }

    /// Empties it.
    pub fn clear(&mut self) {
        if let Some(crc32) = &mut self.crc32 {
            crc32.reset();
        }
        match &mut self.memory {
            Memory::Heap(bytes) => bytes.clear(),
            Memory::Pages { filled, .. } => *filled = 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills a buffer in pieces of `piece` bytes, twice.
    #[track_caller]
    fn check(mut buffer: PartBuffer, room: usize, piece: usize) {
        let content: Vec<u8> = (0..room + piece).map(|number| (number % 251) as u8).collect();
        assert_eq!((buffer.room(), buffer.bytes().len()), (room, 0));
        for _ in 0..2 {
            let mut taken = 0;
            while !buffer.is_full() {
                taken += buffer.fill(&content[taken..taken + piece]);
                assert!(buffer.bytes() == &content[..taken], "{taken} of {room}");
                assert_eq!(buffer.crc32(), crc32fast::hash(&content[..taken]), "{taken} of {room}");
            }
            assert_eq!((taken, buffer.fill(b"more")), (room, 0));
            buffer.clear();
            assert_eq!(buffer.bytes(), b"");
        }
    }

    #[test]
    fn a_buffer_takes_what_it_has_room_for_and_can_be_used_again() {
        for room in [0, 1, 1000, OWN_PAGES_BYTES - 1, OWN_PAGES_BYTES, OWN_PAGES_BYTES + 1] {
            for piece in [333, 100_000] {
                check(PartBuffer::with_room_for(room).unwrap(), room, piece);
                check(PartBuffer::for_part(room).unwrap(), room, piece);
            }
        }
    }

    #[test]
    fn memory_that_is_not_to_be_had_is_an_error() {
        assert!(PartBuffer::with_room_for(usize::MAX / 2).is_err());
    }
}
