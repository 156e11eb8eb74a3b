//! What a dry run prints: a line for each file that something would be done with or that is left
//! out, and the sums.
//!
//! Pure but for the writer it is given. As JSON each line is a document, the last one with the sums,
//! so that a million files need no memory here or there.

use super::verdict::Verdict;
use crate::shown::{bytes, counted, visible};
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
    /// By action and cause: files and their bytes.
    sums: BTreeMap<(&'static str, &'static str), (u64, u64)>,
}

/// One file, or one folder that is left out whole.
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
        sum.0 += 1;
        sum.1 += item.size.unwrap_or_default();
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
            let sums = self.sums.iter().map(|((action, cause), (files, bytes))| {
                serde_json::json!({
                    "action": action, "cause": cause, "files": files, "bytes": bytes
                })
            });
            let document = serde_json::json!({ "sums": sums.collect::<Vec<_>>() });
            writeln!(self.out, "{document}")?;
            return self.out.flush();
        }
        for (title, action) in
            [("backed up", "none"), ("to upload", "upload"), ("left out", "leave")]
        {
            let of_action = || self.sums.iter().filter(move |((found, _), _)| *found == action);
            let files = of_action().map(|(_, (files, _))| files).sum();
            let size = of_action().map(|(_, (_, bytes))| bytes).sum();
            let causes = of_action().map(|((_, cause), (files, _))| format!("{files} {cause}"));
            let causes = causes.collect::<Vec<_>>().join(", ");
            let causes = match action {
                "none" => String::new(),
                _ if files == 0 => String::new(),
                _ => format!(": {causes}"),
            };
            let files = counted(files, "file");
            writeln!(self.out, "{title:11}{files}, {}{causes}", bytes(size))?;
        }
        self.out.flush()
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
            (odd, None, None, Verdict::Leave(WhyNot::Excluded)),
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
leave   \"/d/\\xFF\": left out by patterns
backed up  1 file, 5 B
to upload  2 files, 1.2 kB: 1 again, 1 new
left out   1 file, 0 B: 1 excluded
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
             "path": "/d/\u{fffd}", "path_hex": "2f642fff", "size": null, "remote_path": null},
            {"sums": [
                {"action": "leave", "cause": "excluded", "files": 1, "bytes": 0},
                {"action": "none", "cause": "backed_up", "files": 1, "bytes": 5},
                {"action": "upload", "cause": "again", "files": 1, "bytes": 7},
                {"action": "upload", "cause": "new", "files": 1, "bytes": 1200}
            ]}
        ]);
        assert_eq!(serde_json::Value::from(lines), expected);
    }
}
