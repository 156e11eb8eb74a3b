//! How much memory an upload takes, and how large its parts are.
//!
//! Pure. The gate reserves by it before a body is read; `intake` keeps to it.

use crate::limits::gate::{CHUNK_BYTES, SMALL_BODY_BYTES};
use crate::limits::{COPY_BUFFER_BYTES, PART_BYTES, PARTS_MAX};

/// The size of one part of a file that comes in a body of `declared` bytes: such that the most parts
/// S3 allows hold it. A file up to this size is stored in one piece.
pub fn part_bytes(declared: u64) -> usize {
    usize::try_from(declared.div_ceil(PARTS_MAX)).unwrap_or(usize::MAX).max(PART_BYTES)
}

/// What one body of `declared` bytes takes while it is received and stored, in bytes.
pub fn upload_bytes(declared: u64) -> usize {
    let part = part_bytes(declared);
    let length = usize::try_from(declared).unwrap_or(usize::MAX);
    if declared <= SMALL_BODY_BYTES {
        // Whole at the gate, and the file once more on its way to the store.
        return 2 * length;
    }
    let on_the_way = CHUNK_BYTES + COPY_BUFFER_BYTES;
    // One part, or two: the second is received while the first is sent.
    let parts = if length <= part { length } else { part.saturating_mul(2) };
    parts.saturating_add(on_the_way)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::OBJECT_BYTES_MAX;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn parts_grow_only_when_ten_thousand_would_not_do() {
        assert_eq!(part_bytes(0), PART_BYTES);
        assert_eq!(part_bytes(10_000 * 8 * MIB), PART_BYTES);
        assert_eq!(part_bytes(10_000 * 8 * MIB + 1), PART_BYTES + 1);
        assert!(part_bytes(OBJECT_BYTES_MAX) as u64 * PARTS_MAX >= OBJECT_BYTES_MAX);
    }

    #[test]
    fn an_upload_takes_what_it_needs_and_two_parts_at_most() {
        let way = CHUNK_BYTES + COPY_BUFFER_BYTES;
        for (declared, bytes) in [
            (0, 0),
            (1000, 2000),
            (SMALL_BODY_BYTES, 512 * 1024),
            (SMALL_BODY_BYTES + 1, 256 * 1024 + 1 + way),
            (8 * MIB, PART_BYTES + way),
            (8 * MIB + 1, 2 * PART_BYTES + way),
            (80_000 * MIB, 2 * PART_BYTES + way),
            (80_000 * MIB + 1, 2 * PART_BYTES + 2 + way),
        ] {
            assert_eq!(upload_bytes(declared), bytes, "{declared}");
        }
        assert!(upload_bytes(u64::MAX) >= upload_bytes(OBJECT_BYTES_MAX));
    }
}
