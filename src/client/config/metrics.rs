//! The figures' part of `client.yaml`: where they are written for Prometheus.
//!
//! Pure, as the whole configuration is.

use super::{Watch, absolute_path};
use crate::config::Section;
use std::path::PathBuf;

/// What a collector of text files takes for one of its own.
const EXTENSION: &str = "prom";

/// Reads the section `metrics`: the file, or nothing.
pub(super) fn textfile(section: &Section<'_>, watches: &[Watch]) -> Option<Option<PathBuf>> {
    let textfile = section.optional("textfile", path)?;
    let around = watches
        .iter()
        .find(|watch| textfile.as_ref().is_some_and(|path| path.starts_with(&watch.local_path)));
    if let Some(Watch { local_path, .. }) = around {
        let message = format!(
            "lies in the watched folder {local_path:?}: each time it is written it would be uploaded"
        );
        section.problem("textfile", message);
        return None;
    }
    Some(textfile)
}

fn path(text: &str) -> Result<PathBuf, &'static str> {
    let path = absolute_path(text)?;
    if path.extension().is_none_or(|extension| extension != EXTENSION) {
        return Err(
            "does not end in .prom, as the name of each file does that node_exporter reads",
        );
    }
    Ok(path)
}
