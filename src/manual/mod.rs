//! The manual: pages for `man`, made of what help and README say already.
//!
//! Pure: descriptions of command lines and the README in, pages out. It is for `s3up-manual`, which packages
//! run (feature `manual`), and for its tests; the programs do not have it in them.

mod command;
mod configuration;
mod markdown;
mod sheet;
#[cfg(test)]
mod tests;

use crate::completions::{self, Shell};
use crate::{client, server};
use argh::ArgsInfo as _;

/// What the pages about configuration files are made of.
const README: &str = include_str!("../../README.md");

/// One file of the manual.
pub struct Written {
    /// Its place: `man/s3up.1`.
    pub place: String,
    /// What is in it.
    pub text: String,
}

/// A key table that is not in the README.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error(
    "README.md has no table of keys below a heading that names {0}; rows such as \
     \"| `server.port` | `8080` | port |\" are expected there"
)]
pub struct NoTable(&'static str);

/// Every page and every shell's completions. `day` stands at the foot of a page: the day of the commit,
/// since the same commit has to give the same bytes.
pub fn files(day: Option<&str>) -> Result<Vec<Written>, NoTable> {
    let mut files = vec![
        page("s3up.1", command::page::<client::arguments::Arguments>(&command::CLIENT, day)),
        page("s3up-server.1", command::page::<server::arguments::Arguments>(&command::SERVER, day)),
        page("s3up-client.yaml.5", configuration::page(&configuration::CLIENT, README, day)?),
        page("s3up-server.yaml.5", configuration::page(&configuration::SERVER, README, day)?),
    ];
    for (program, description) in [
        ("s3up", client::arguments::Arguments::get_args_info()),
        ("s3up-server", server::arguments::Arguments::get_args_info()),
    ] {
        files.extend(Shell::ALL.map(|shell| {
            // Each shell finds the file by this name.
            let file = match shell {
                Shell::Bash => program.to_owned(),
                Shell::Zsh => format!("_{program}"),
                Shell::Fish => format!("{program}.fish"),
            };
            let text = completions::script(shell, program, &description);
            Written { place: format!("completions/{}/{file}", shell.name()), text }
        }));
    }
    Ok(files)
}

fn page(name: &str, text: String) -> Written {
    Written { place: format!("man/{name}"), text }
}
