//! What a dry run prints: a line for each file that something would be done with or that is left
//! out, and the sums.
//!
//! Pure but for the writer it is given. As JSON each line is a document, the last one with the sums,
//! so that a million files need no memory here or there.

use super::verdict::Verdict;
use crate::shown::{bytes, count, counted, visible};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Width of the first column: the longest action and two blanks.
const NAME_WIDTH: usize = 8;

/// The lines and their sums.
pub(super) struct Output<'o> {
    out: &'o mut dyn Write,
    json: bool,
    /// By action and cause.
    sums: BTreeMap<(&'static str, &'static str), Sum>,
}

#[derive(Clone, Copy, Default)]
struct Sum {
    files: u64,
    /// Of the files.
    bytes: u64,
    /// Those that are left out whole.
    folders: u64,
}

/// One file, or one folder that is left out whole, whose path ends in `/`.
pub(super) struct Item<'i> {
    pub(super) path: &'i Path,
    pub(super) size: Option<u64>,
    pub(super) remote_path: Option<&'i str>,
}

impl<'o> Output<'o> {
    pub(super) fn new(out: &'o mut dyn Write, json: bool) -> Self {
        Self { out, json, sums: BTreeMap::new() }
    }

    /// Tells of one file. What is backed up is counted and not listed.
    pub(super) fn tell(&mut self, item: &Item<'_>, verdict: &Verdict) -> io::Result<()> {
        let sum = self.sums.entry((verdict.action(), verdict.cause())).or_default();
        if item.path.as_os_str().as_bytes().ends_with(b"/") {
            sum.folders += 1;
        } else {
            sum.files += 1;
        }
        sum.bytes += item.size.unwrap_or_default();
        match verdict {
            Verdict::Current => Ok(()),
            _ if self.json => self.document(item, verdict),
            _ => self.line(item, verdict),
        }
    }

    fn line(&mut self, item: &Item<'_>, verdict: &Verdict) -> io::Result<()> {
        let path = item.path;
        let to = match (verdict, item.remote_path) {
            (Verdict::Upload(_), Some(remote_path)) => format!(" to {remote_path:?}"),
            _ => String::new(),
        };
        let size = item.size.map_or_else(String::new, |size| format!(", {}", bytes(size)));
        let why = visible(&verdict.to_string());
        writeln!(self.out, "{:NAME_WIDTH$}{path:?}{to}{size}: {why}", verdict.action())
    }

    fn document(&mut self, item: &Item<'_>, verdict: &Verdict) -> io::Result<()> {
        let mut document = serde_json::json!({
            "action": verdict.action(),
            "cause": verdict.cause(),
            "why": verdict.to_string(),
            "path": item.path.to_string_lossy(),
            "size": item.size,
            "remote_path": item.remote_path,
        });
        if item.path.to_str().is_none() {
            document["path_hex"] = hex::encode(item.path.as_os_str().as_bytes()).into();
        }
        writeln!(self.out, "{document}")
    }

    /// Ends the list with its sums.
    pub(super) fn finish(self) -> io::Result<()> {
        if self.json {
            let sums = self.sums.iter().map(|((action, cause), sum)| {
                let Sum { files, bytes, folders } = sum;
                serde_json::json!({
                    "action": action, "cause": cause, "files": files, "bytes": bytes,
                    "folders": folders
                })
            });
            let document = serde_json::json!({ "sums": sums.collect::<Vec<_>>() });
            writeln!(self.out, "{document}")?;
            return self.out.flush();
        }
        for (title, action) in
            [("backed up", "none"), ("to upload", "upload"), ("left out", "leave")]
        {
            let line = self.sum_line(action);
            writeln!(self.out, "{title:11}{line}")?;
        }
        self.out.flush()
    }

    fn sum_line(&self, action: &str) -> String {
        let mut all = Sum::default();
        let mut causes = Vec::new();
        for ((_, cause), sum) in self.sums.iter().filter(|((found, _), _)| *found == action) {
            all.files += sum.files;
            all.bytes += sum.bytes;
            all.folders += sum.folders;
            causes.push(format!("{} {cause}", count(sum.files + sum.folders)));
        }
        let mut line = format!("{}, {}", counted(all.files, "file"), bytes(all.bytes));
        if all.folders > 0 {
            line += &format!("; {}", counted(all.folders, "folder"));
        }
        // There is one cause only why a file is backed up.
        if action != "none" && !causes.is_empty() {
            line += &format!(": {}", causes.join(", "));
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::super::verdict::{Why, WhyNot};
    use super::*;
    use std::ffi::OsStr;

    fn printed(json: bool) -> String {
        let mut out = Vec::new();
        let mut output = Output::new(&mut out, json);
        let odd = Path::new(OsStr::from_bytes(b"/d/\xff"));
        for (path, size, remote_path, verdict) in [
            (Path::new("/d/ä b"), Some(1200), Some("up/ä b"), Verdict::Upload(Why::New)),
            (Path::new("/d/b"), Some(7), Some("up/b"), Verdict::Upload(Why::Again("a\nb".into()))),
            (odd, Some(3), None, Verdict::Leave(WhyNot::Excluded)),
            (Path::new("/d/ch/"), None, None, Verdict::Leave(WhyNot::Excluded)),
            (Path::new("/d/c"), Some(5), Some("up/c"), Verdict::Current),
        ] {
            output.tell(&Item { path, size, remote_path }, &verdict).unwrap();
        }
        output.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_file_is_a_line_and_the_sums_follow() {
        assert_eq!(
            printed(false),
            "\
upload  \"/d/ä b\" to \"up/ä b\", 1.2 kB: new
upload  \"/d/b\" to \"up/b\", 7 B: again; before: a\\nb
leave   \"/d/\\xFF\", 3 B: left out by patterns
leave   \"/d/ch/\": left out by patterns
backed up  1 file, 5 B
to upload  2 files, 1.2 kB: 1 again, 1 new
left out   1 file, 3 B; 1 folder: 2 excluded
"
        );
    }

    #[test]
    fn as_json_each_line_is_a_document_with_promised_names() {
        let lines: Vec<serde_json::Value> =
            printed(true).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let expected = serde_json::json!([
            {"action": "upload", "cause": "new", "why": "new", "path": "/d/ä b", "size": 1200,
             "remote_path": "up/ä b"},
            {"action": "upload", "cause": "again", "why": "again; before: a\nb", "path": "/d/b",
             "size": 7, "remote_path": "up/b"},
            {"action": "leave", "cause": "excluded", "why": "left out by patterns",
             "path": "/d/\u{fffd}", "path_hex": "2f642fff", "size": 3, "remote_path": null},
            {"action": "leave", "cause": "excluded", "why": "left out by patterns",
             "path": "/d/ch/", "size": null, "remote_path": null},
            {"sums": [
                {"action": "leave", "cause": "excluded", "files": 1, "bytes": 3, "folders": 1},
                {"action": "none", "cause": "backed_up", "files": 1, "bytes": 5, "folders": 0},
                {"action": "upload", "cause": "again", "files": 1, "bytes": 7, "folders": 0},
                {"action": "upload", "cause": "new", "files": 1, "bytes": 1200, "folders": 0}
            ]}
        ]);
        assert_eq!(serde_json::Value::from(lines), expected);
    }
}
