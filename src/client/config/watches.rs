//! The watched folders of `client.yaml`, and whether they get in each other's way.
//!
//! Pure, as the whole configuration is.

use super::absolute_path;
use crate::client::filter::{Filter, Pattern, Patterns};
use crate::config::Section;
use crate::limits::OBJECT_BYTES_MAX;
use crate::remote_path::RemotePrefix;
use std::path::{Path, PathBuf};

/// One "MB" of the configuration, in bytes, as on the server.
const MB: u64 = 1024 * 1024;

/// One watched folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The folder: absolute, without `.` or `..`.
    pub local_path: PathBuf,
    /// What its files are put below in this client's part of the bucket.
    pub remote_prefix: RemotePrefix,
    /// Whether its subfolders belong to it.
    pub recursive: bool,
    /// Which of its files are taken.
    pub filter: Filter,
    /// Size of the largest file that is sent, in bytes; `None` leaves that to the server.
    pub max_file_size: Option<u64>,
}

/// Reads the list `watches`.
pub(super) fn read(root: &Section<'_>) -> Option<Vec<Watch>> {
    root.list("watches", watch).filter(|watches| disjoint(root, watches))
}

fn watch(section: &Section<'_>) -> Option<Watch> {
    let local_path = section.required("local_path", absolute_path);
    let remote_prefix = section.optional("remote_prefix", RemotePrefix::parse);
    let recursive = section.flag("recursive", true);
    let filter = filter(section);
    let megabytes = 1..=OBJECT_BYTES_MAX / MB;
    let max_file_size = section.optional_integer("max_file_size_mb", megabytes);
    Some(Watch {
        local_path: local_path?,
        remote_prefix: remote_prefix?.unwrap_or_default(),
        recursive: recursive?,
        filter: filter?,
        max_file_size: max_file_size?.map(|megabytes| megabytes * MB),
    })
}

/// A list of patterns to leave out takes the place of the built-in one; an empty one leaves nothing
/// out.
fn filter(section: &Section<'_>) -> Option<Filter> {
    let exclude = match section.has("exclude_patterns") {
        true => patterns(section, "exclude_patterns"),
        false => section.noted("exclude_patterns", Patterns::built_in()),
    };
    let include = patterns(section, "include_patterns");
    if section.has("include_patterns") && include.as_ref()?.texts().is_empty() {
        section.problem(
            "include_patterns",
            "is an empty list, by which no file would be sent; take the key out to send all",
        );
        return None;
    }
    Some(Filter { exclude: exclude?, include: include? })
}

fn patterns(section: &Section<'_>, key: &str) -> Option<Patterns> {
    let texts = section.texts(key, Pattern::parse)?;
    section.noted(key, Patterns::new(texts))
}

/// Two watches on one file would upload it twice; two files on one remote path would overwrite each
/// other. Neither is ever what was meant.
fn disjoint(root: &Section<'_>, watches: &[Watch]) -> bool {
    let mut disjoint = true;
    for (index, one) in watches.iter().enumerate() {
        for other in &watches[..index] {
            if let Some(message) = clash(other, one) {
                root.problem("watches", message);
                disjoint = false;
            }
        }
    }
    disjoint
}

/// What is wrong with two watches beside each other.
fn clash(one: &Watch, other: &Watch) -> Option<String> {
    let (first, second) = (&one.local_path, &other.local_path);
    if covers(one, other) || covers(other, one) {
        return Some(format!("{first:?} and {second:?} overlap"));
    }
    if one.remote_prefix == other.remote_prefix {
        return Some(format!(
            "{first:?} and {second:?} have the same remote_prefix {:?}; files of one name would \
             overwrite each other",
            one.remote_prefix.to_string()
        ));
    }
    let (outer, inner, between) = nested(one, other).or_else(|| nested(other, one))?;
    let meeting = outer.local_path.join(between);
    Some(format!(
        "files in {meeting:?} and in {:?} would both go to {:?} and overwrite each other; hint: give \
         one of them another remote_prefix, or add \"/{between}/\" to the exclude_patterns of {:?}",
        inner.local_path,
        inner.remote_prefix.to_string(),
        outer.local_path
    ))
}

fn covers(outer: &Watch, inner: &Watch) -> bool {
    inner.local_path == outer.local_path
        || (outer.recursive && inner.local_path.starts_with(&outer.local_path))
}

/// Both watches and the path between them, if files of `outer` may be named as those of `inner` are.
fn nested<'w>(outer: &'w Watch, inner: &'w Watch) -> Option<(&'w Watch, &'w Watch, &'w str)> {
    let between = inner.remote_prefix.below(&outer.remote_prefix)?;
    (outer.recursive && outer.filter.enters(Path::new(between))).then_some((outer, inner, between))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::config::{Config, parse};
    use crate::config::Outside;

    fn read(watches: &str) -> Result<Config, String> {
        let start = "server: {url: 'https://a', api_key: 0123456789abcdef}\ndatabase: {path: /d}\n";
        let text = format!("{start}watches:\n{watches}");
        parse("client.yaml", &text, Outside::NOTHING).map_err(|error| error.to_string())
    }

    /// One watch, with a pair of keys for each entry of its text.
    fn one(keys: &str) -> Result<Watch, String> {
        read(&format!("  - {{local_path: /a, {keys}}}\n"))
            .map(|mut config| config.watches.remove(0))
    }

    /// Two watches beside each other, and what is said of them.
    fn check(a: &str, b: &str, expected: Option<&str>) {
        let said = read(&format!("  - {{{a}}}\n  - {{{b}}}\n")).map(drop);
        let expected =
            expected.map_or(Ok(()), |text| Err(format!("client.yaml:3: watches: {text}")));
        assert_eq!(said, expected, "{a} | {b}");
        assert_eq!(read(&format!("  - {{{b}}}\n  - {{{a}}}\n")).is_ok(), expected.is_ok());
    }

    #[test]
    fn watches_that_overlap_are_refused() {
        check(
            "local_path: /a, remote_prefix: x",
            "local_path: /a/b, remote_prefix: y",
            Some("\"/a\" and \"/a/b\" overlap"),
        );
        check("local_path: /a, remote_prefix: x", "local_path: /ab, remote_prefix: y", None);
        check(
            "local_path: /a, recursive: false, remote_prefix: x",
            "local_path: /a/b, remote_prefix: y",
            None,
        );
    }

    #[test]
    fn watches_with_the_same_remote_folder_are_refused() {
        check(
            "local_path: /a/, remote_prefix: x",
            "local_path: //b, remote_prefix: x/",
            Some(
                "\"/a\" and \"/b\" have the same remote_prefix \"x/\"; files of one name would \
                 overwrite each other",
            ),
        );
        check("local_path: /a, remote_prefix: x", "local_path: /b, remote_prefix: xy", None);
    }

    #[test]
    fn watches_of_which_one_could_name_its_files_as_the_other_does_are_refused() {
        let meet = |meeting: &str, prefix: &str, pattern: &str| {
            format!(
                "files in \"{meeting}\" and in \"/b\" would both go to \"{prefix}\" and overwrite \
                 each other; hint: give one of them another remote_prefix, or add \"{pattern}\" to the \
                 exclude_patterns of \"/a\""
            )
        };
        check(
            "local_path: /a, remote_prefix: x",
            "local_path: /b, remote_prefix: x/y/z",
            Some(&meet("/a/y/z", "x/y/z/", "/y/z/")),
        );
        check(
            "local_path: /a",
            "local_path: /b, remote_prefix: x, recursive: false",
            Some(&meet("/a/x", "x/", "/x/")),
        );
        // What cannot happen is no mistake.
        check("local_path: /a, recursive: false", "local_path: /b, remote_prefix: x", None);
        check(
            "local_path: /a, exclude_patterns: ['/x/']",
            "local_path: /b, remote_prefix: x",
            None,
        );
        check(
            "local_path: /a, exclude_patterns: ['/x/y/']",
            "local_path: /b, remote_prefix: x",
            Some(&meet("/a/x", "x/", "/x/")),
        );
    }

    #[test]
    fn patterns_are_read_and_take_the_place_of_the_built_in_ones() {
        let exclude = |keys: &str| {
            let filter = one(keys).unwrap().filter;
            filter.exclude.texts().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(exclude("recursive: true").contains(&"*.tmp".to_owned()));
        assert!(exclude("exclude_patterns: ").contains(&"*.tmp".to_owned()));
        assert_eq!(exclude("exclude_patterns: []"), [""; 0]);
        assert_eq!(exclude("exclude_patterns: ['*.log', 'cache/']"), ["*.log", "cache/"]);
        assert_eq!(exclude("exclude_patterns: '*.log'"), ["*.log"]);
        assert_eq!(exclude("include_patterns: '*.jpg', exclude_patterns: []"), [""; 0]);
    }

    #[test]
    fn a_mistake_in_a_pattern_is_named_with_its_place_in_the_list() {
        let said = |keys: &str| one(keys).map(drop).unwrap_err();
        let many = format!("include_patterns: [{}]", "a, ".repeat(257));
        for (keys, expected) in [
            (
                "exclude_patterns: [ok, '[a']",
                "exclude_patterns[1]: \"[a\": is not a pattern: unclosed character class; missing ']'",
            ),
            ("include_patterns: ['']", "include_patterns[0]: \"\": is empty"),
            (
                "include_patterns: []",
                "include_patterns: is an empty list, by which no file would be sent; take the key out \
                 to send all",
            ),
            (many.as_str(), "include_patterns: has more than 256 patterns"),
        ] {
            assert_eq!(said(keys), format!("client.yaml:4: watches[0].{expected}"), "{keys}");
        }
    }

    #[test]
    fn a_largest_size_is_in_mb_of_1048576_bytes() {
        let size = |keys: &str| one(keys).map(|watch| watch.max_file_size);
        assert_eq!(size("recursive: true"), Ok(None));
        assert_eq!(size("max_file_size_mb: 3"), Ok(Some(3_145_728)));
        assert_eq!(
            size("max_file_size_mb: 0"),
            Err("client.yaml:4: watches[0].max_file_size_mb: \"0\": is not a whole number from 1 to \
                 5242880"
                .into())
        );
    }
}
