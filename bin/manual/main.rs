//! `s3up-manual DIR`: writes the pages for `man` and the completions of both programs. For who makes
//! packages; it is not installed. A page's day is that of `SOURCE_DATE_EPOCH`, or of the commit if this
//! program knows it.

use s3up::program::{self, Failure};
use s3up::wire::Day;
use s3up::{manual, version};
use std::fs;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let written = match (arguments.next(), arguments.next()) {
        (Some(folder), None) => write(Path::new(&folder)),
        _ => Err(Failure::usage("one folder is expected, for man/ and completions/")),
    };
    program::report(written)
}

fn write(folder: &Path) -> Result<(), Failure> {
    let epoch = std::env::var("SOURCE_DATE_EPOCH").ok().map(|text| {
        let seconds = text.parse().map(|seconds| Day::of(seconds).to_string());
        seconds.map_err(|error| Failure::usage(format!("SOURCE_DATE_EPOCH is {text:?}: {error}")))
    });
    let day = epoch.transpose()?.or(version::commit_day().map(str::to_owned));
    for file in manual::files(day.as_deref()).map_err(Failure::run)? {
        let place = folder.join(&file.place);
        let made = place.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| fs::write(&place, file.text)).map_err(|error| {
            Failure::usage(format!("cannot write {}: {error}", place.display()))
        })?;
    }
    Ok(())
}
