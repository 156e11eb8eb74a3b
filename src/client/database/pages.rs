//! The rows of `files` in the order of their paths, a page at a time, for whoever merges them with
//! a walk over the disk.
//!
//! Runs on the scanner's thread, over a connection of its own that cannot write: a page never waits
//! for a commit, nor a commit for a page. Between two pages no transaction is open, so that
//! checkpoints go on and the write-ahead log stays small however long a scan takes.

use super::Database;
use crate::client::ahead::pages;
use crate::client::fingerprint::Fingerprint;
use crate::client::plan::Known;
use crate::sqlite::DatabaseError;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, params};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

/// Answered by `idx_files_local_path` alone; a test looks at SQLite's plan for it.
const PAGE: &str = "SELECT local_path, remote_path, file_size, mtime_ns, ctime_ns, inode FROM files \
     WHERE local_path > ?1 AND local_path < ?2 ORDER BY local_path LIMIT ?3";

impl Database {
    /// What is known of the files below the folder `below` whose paths come after `after`: the next
    /// `room` of them, in the order of the bytes of their whole paths (SQLite compares text so), and
    /// fewer only if there are no more. An empty `after` begins; later it is the last path of the
    /// page before. Files that are recorded meanwhile may or may not be there.
    ///
    /// In that order `/d/a-b` comes before `/d/a/x`, since `-` comes before `/`: a walk that is to
    /// go side by side with it compares a folder's name with a `/` behind it.
    pub fn page(
        &self,
        below: &Path,
        after: &Path,
        room: usize,
    ) -> Result<Vec<(PathBuf, Known)>, DatabaseError> {
        let reader = self.reader.as_ref().unwrap_or(&self.writer);
        let reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
        read(&reader, below, after, room).map_err(|error| self.failed("read", &error))
    }

    /// At most `room` parked paths below the folder `below` that stand behind `after`, in the order of
    /// their bytes, with the reasons. An empty `after` begins.
    pub fn parked_page(
        &self,
        below: &Path,
        after: &Path,
        room: usize,
    ) -> Result<Vec<(PathBuf, String)>, DatabaseError> {
        self.run("read", |connection| read_parked(connection, below, after, room))
    }

    /// All that is known of the files below the folder `below`, by pages of `room`.
    pub fn rows_below(
        &self,
        below: &Path,
        room: usize,
    ) -> impl Iterator<Item = Result<(PathBuf, Known), DatabaseError>> {
        pages(move |last: Option<&(PathBuf, Known)>| self.page(below, place_of(last), room))
    }

    /// All parked paths below the folder `below`, with the reasons, by pages of `room`.
    pub fn parked_below(
        &self,
        below: &Path,
        room: usize,
    ) -> impl Iterator<Item = Result<(PathBuf, String), DatabaseError>> {
        pages(move |last: Option<&(PathBuf, String)>| self.parked_page(below, place_of(last), room))
    }
}

fn place_of<T>(last: Option<&(PathBuf, T)>) -> &Path {
    last.map_or(Path::new(""), |(path, _)| path)
}

fn read(
    connection: &Connection,
    below: &Path,
    after: &Path,
    room: usize,
) -> rusqlite::Result<Vec<(PathBuf, Known)>> {
    let (first, end) = range_below(below);
    let after = after.as_os_str().as_bytes().max(&first);
    let mut statement = connection.prepare_cached(PAGE)?;
    let room = i64::try_from(room).unwrap_or(i64::MAX);
    statement.query_map(params![Text(after), Text(&end), room], known_of)?.collect()
}

fn read_parked(
    connection: &Connection,
    below: &Path,
    after: &Path,
    room: usize,
) -> rusqlite::Result<Vec<(PathBuf, String)>> {
    let (first, end) = range_below(below);
    let after = after.as_os_str().as_bytes().max(&first);
    let room = i64::try_from(room).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "SELECT local_path, reason FROM parked WHERE local_path > ?1 AND local_path < ?2 \
             ORDER BY local_path LIMIT ?3",
        )?
        .query_map(params![after, end, room], |row| {
            Ok((PathBuf::from(OsString::from_vec(row.get(0)?)), row.get(1)?))
        })?
        .collect()
}

/// The bytes between which the paths below a folder lie, both ends excluded: `/data/` and `/data0`,
/// `0` being what follows `/`. `/data-old/x` and `/data` lie outside.
fn range_below(folder: &Path) -> (Vec<u8>, Vec<u8>) {
    let mut first = folder.as_os_str().as_bytes().to_vec();
    while first.last() == Some(&b'/') {
        first.pop();
    }
    let end = [&first[..], b"0"].concat();
    first.push(b'/');
    (first, end)
}

/// Bytes that SQLite shall compare as text with text. They need not be UTF-8: what a scan has come
/// to may have any name.
struct Text<'a>(&'a [u8]);

impl ToSql for Text<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

fn known_of(row: &Row<'_>) -> rusqlite::Result<(PathBuf, Known)> {
    let known = Known { remote_path: row.get(1)?, fingerprint: fingerprint_of(row, 2)? };
    Ok((PathBuf::from(row.get::<_, String>(0)?), known))
}

/// A fingerprint from four columns beginning with `column`: size, mtime, ctime, inode.
pub(super) fn fingerprint_of(row: &Row<'_>, column: usize) -> rusqlite::Result<Fingerprint> {
    Ok(Fingerprint {
        size: row.get::<_, i64>(column)?.cast_unsigned(),
        mtime_ns: row.get(column + 1)?,
        ctime_ns: row.get(column + 2)?,
        inode: row.get::<_, i64>(column + 3)?.cast_unsigned(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{database, record};
    use super::*;
    use proptest::prelude::*;
    use std::ffi::OsStr;

    fn check(below: &str, after: &str, room: usize, expected: &[&str]) {
        let (_folder, database) = database();
        for path in ["/d-", "/d", "/d/b", "/d/a-b", "/d/a/x", "/d/a0", "/d/ä", "/d0", "/e"] {
            database.uploaded(Path::new(path), &record(7), 1).unwrap();
        }
        let page = database.page(Path::new(below), Path::new(after), room).unwrap();
        let paths: Vec<&str> = page.iter().map(|(path, _)| path.to_str().unwrap()).collect();
        assert_eq!(paths, expected, "{room} below {below:?} after {after:?}");
        let known =
            Known { remote_path: record(7).remote_path.into(), fingerprint: record(7).fingerprint };
        assert!(page.iter().all(|(_, found)| *found == known));
    }

    #[test]
    fn a_page_holds_what_lies_below_a_folder_and_after_a_path_in_the_order_of_bytes() {
        let all = ["/d/a-b", "/d/a/x", "/d/a0", "/d/b", "/d/ä"];
        check("/d", "", 100, &all);
        check("/d/", "", 100, &all);
        check("/d", "/d/a-b", 100, &all[1..]);
        check("/d", "/d/aa", 2, &all[3..]);
        check("/d", "/d/a/x", 2, &all[2..4]);
        check("/d", "/d/ä", 2, &[]);
        check("/d/a", "", 9, &["/d/a/x"]);
        check("/", "", 3, &["/d", "/d-", "/d/a-b"]);
        check("/nothing", "", 3, &[]);
    }

    #[test]
    fn a_page_may_begin_after_a_path_that_is_not_utf_8() {
        let (_folder, database) = database();
        for path in ["/d/a", "/d/é"] {
            database.uploaded(Path::new(path), &record(7), 1).unwrap();
        }
        let page = |after: &'static [u8]| {
            let after = Path::new(OsStr::from_bytes(after));
            let page = database.page(Path::new("/d"), after, 9).unwrap();
            page.into_iter().map(|(path, _)| path).collect::<Vec<_>>()
        };
        assert_eq!(page(b"/d/a\xff"), [Path::new("/d/é")]);
        assert!(page(b"/d/\xff").is_empty());
    }

    #[test]
    fn a_page_is_read_from_one_index_without_a_jump_into_the_table() {
        let (_folder, database) = database();
        let plan: String = database
            .writer()
            .query_row(&format!("EXPLAIN QUERY PLAN {PAGE}"), ["", "", ""], |row| row.get(3))
            .unwrap();
        assert_eq!(
            plan,
            "SEARCH files USING COVERING INDEX idx_files_local_path (local_path>? AND local_path<?)"
        );
    }

    #[test]
    fn a_page_is_read_while_a_commit_is_under_way_and_shows_what_was_before_it() {
        let (_folder, database) = database();
        database.uploaded(Path::new("/d/a"), &record(1), 1).unwrap();
        let writer = database.writer();
        writer.execute_batch("BEGIN IMMEDIATE; DELETE FROM files").unwrap();
        assert_eq!(database.page(Path::new("/d"), Path::new(""), 9).unwrap().len(), 1);
        writer.execute_batch("COMMIT").unwrap();
        assert_eq!(database.page(Path::new("/d"), Path::new(""), 9).unwrap().len(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn pages_of_any_size_show_every_path_once_in_the_order_of_bytes(
            names in prop::collection::btree_set("[-/0a\u{7f}é𝄞]{1,6}", 0..40),
            room in 1_usize..7,
        ) {
            let (_folder, database) = database();
            let below = Path::new("/d");
            let expected: std::collections::BTreeSet<String> =
                names.iter().map(|name| format!("/d/{name}")).collect();
            for path in &expected {
                database.uploaded(Path::new(path), &record(1), 1).unwrap();
            }
            let mut seen: Vec<PathBuf> = Vec::new();
            loop {
                let after = seen.last().cloned().unwrap_or_default();
                let page = database.page(below, &after, room).unwrap();
                let full = page.len() == room;
                seen.extend(page.into_iter().map(|(path, _)| path));
                if !full {
                    break;
                }
            }
            let seen: Vec<String> =
                seen.into_iter().map(|path| path.into_os_string().into_string().unwrap()).collect();
            prop_assert_eq!(seen, expected.into_iter().collect::<Vec<_>>());
        }
    }
}
