//! Which files of a watched folder belong to the backup: patterns that leave files out, or choose them.
//!
//! Pure. A pattern is matched against the path below the watch's folder, in bytes and by case: names
//! are not always UTF-8. What a pattern matches, it matches with all that is in it, so that a walk
//! need not enter a folder that is left out.

use crate::limits::{PATTERN_BYTES_MAX, PATTERNS_MAX};
use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};
use std::fmt;
use std::path::Path;

/// What is left out where the configuration says nothing: each is a thing that some program makes
/// for a while beside the file that is meant, and takes away again. A name that somebody could give
/// to a file worth keeping has no place here, not even if a program uses it: `4913`, by which vim
/// tries whether it may write, is a user's number; `.name.XXXXXX`, by which rsync writes, is
/// `.env.sample`. What is gone before it rests is not sent anyway.
pub const DEFAULT_EXCLUDES: &[&str] = &[
    "*.tmp",
    "*~",
    ".#*",
    ".*.sw[nop]",
    ".~lock.*#",
    "~$*",
    "*.part",
    "*.filepart",
    "*.crdownload",
    ".rsync-partial/",
    ".git/",
];

/// One pattern, as it was written, known to be sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Characters in brackets are matched byte by byte, which makes of `[ä]` something else.
    #[error("has a character that is not ASCII in brackets; write {{ä,ö}} instead of [äö]")]
    BracketsNotAscii,
    /// A segment `.`, `..` or an empty one, which no path has.
    #[error("has a segment that is empty, '.' or '..', and no path has one")]
    DeadSegment,
    /// Nothing but slashes.
    #[error("is empty")]
    Empty,
    /// What the glob syntax does not allow.
    #[error("is not a pattern: {0}")]
    Glob(String),
    /// A `!`, by which other programs take a pattern back.
    #[error("begins with '!'; no pattern takes another one back here; write \\! for the character")]
    Negation,
    /// More than [`PATTERN_BYTES_MAX`].
    #[error("has more than {PATTERN_BYTES_MAX} bytes")]
    TooLong,
    /// More than [`PATTERNS_MAX`] in one list.
    #[error("has more than {PATTERNS_MAX} patterns")]
    TooMany,
}

impl Pattern {
    /// Reads a pattern; the rules stand in [`PatternError`], one variant each.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(PatternError::TooLong);
        }
        if text.starts_with('!') {
            return Err(PatternError::Negation);
        }
        let body = Reading::of(text).body;
        if body.is_empty() {
            return Err(PatternError::Empty);
        }
        if body.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(PatternError::DeadSegment);
        }
        if !brackets_are_ascii(body) {
            return Err(PatternError::BracketsNotAscii);
        }
        compile(body)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which files of one watch are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// What is left out, whatever `include` says.
    pub exclude: Patterns,
    /// What alone is taken; without a pattern everything is.
    pub include: Patterns,
}

impl Filter {
    /// Whether the file at this path below the watch's folder is taken.
    pub fn takes(&self, relative: &Path) -> bool {
        let file = Candidate::new(relative);
        !self.exclude.files.is_match_candidate(&file)
            && (self.include.texts.is_empty() || self.include.files.is_match_candidate(&file))
    }

    /// Whether a file in the folder at this path below the watch's folder could be taken.
    pub fn enters(&self, relative: &Path) -> bool {
        !self.exclude.folders.is_match(relative)
    }
}

/// A list of patterns, made ready to be asked. Two are equal if they were made of the same texts.
#[derive(Clone)]
pub struct Patterns {
    texts: Vec<Pattern>,
    /// Matches the files that one of the patterns names, or that lie in a folder it names.
    files: GlobSet,
    /// The same for folders, which a pattern that ends in a slash names as well.
    folders: GlobSet,
}

impl Patterns {
    /// A list of patterns, at most [`PATTERNS_MAX`].
    pub fn new(texts: Vec<Pattern>) -> Result<Self, PatternError> {
        if texts.len() > PATTERNS_MAX {
            return Err(PatternError::TooMany);
        }
        let (mut files, mut folders) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for Pattern(text) in &texts {
            let Reading { body, anchored, folders_only } = Reading::of(text);
            let itself = if anchored { body.to_owned() } else { format!("**/{body}") };
            let within = compile(&format!("{itself}/**"))?;
            let itself = compile(&itself)?;
            files.add(within.clone());
            folders.add(within);
            if !folders_only {
                files.add(itself.clone());
            }
            folders.add(itself);
        }
        let build = |set: GlobSetBuilder| set.build().map_err(|error| described(&error));
        Ok(Self { texts, files: build(files)?, folders: build(folders)? })
    }

    /// Reads and makes ready the patterns that are built in ([`DEFAULT_EXCLUDES`]).
    pub fn built_in() -> Result<Self, PatternError> {
        let texts: Result<_, _> =
            DEFAULT_EXCLUDES.iter().map(|text| Pattern::parse(text)).collect();
        Self::new(texts?)
    }

    /// The patterns as they were written.
    pub fn texts(&self) -> &[Pattern] {
        &self.texts
    }
}

impl PartialEq for Patterns {
    fn eq(&self, other: &Self) -> bool {
        self.texts == other.texts
    }
}

impl Eq for Patterns {}

impl fmt::Debug for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.texts.iter().map(|Pattern(text)| text)).finish()
    }
}

/// A pattern taken apart.
struct Reading<'t> {
    /// Without the slash in front, and without the one at the end.
    body: &'t str,
    /// Matched from the watch's folder on, and not in any folder.
    anchored: bool,
    /// Does not match a file.
    folders_only: bool,
}

impl<'t> Reading<'t> {
    fn of(text: &'t str) -> Self {
        let (folders_only, body) = match text.strip_suffix('/') {
            Some(body) => (true, body),
            None => (false, text),
        };
        let (in_front, body) = match body.strip_prefix('/') {
            Some(body) => (true, body),
            None => (false, body),
        };
        Self { body, anchored: in_front || body.contains('/'), folders_only }
    }
}

fn compile(glob: &str) -> Result<globset::Glob, PatternError> {
    // Said, though they are what it does on this system by itself: `*` stays within a segment, and a
    // backslash takes the meaning from the character behind it.
    let mut builder = GlobBuilder::new(glob);
    builder.literal_separator(true).backslash_escape(true).case_insensitive(false);
    builder.build().map_err(|error| described(&error))
}

fn described(error: &globset::Error) -> PatternError {
    PatternError::Glob(error.kind().to_string())
}

fn brackets_are_ascii(body: &str) -> bool {
    let mut characters = body.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            '[' => {
                let _ = characters.next_if(|next| matches!(next, '!' | '^'));
                // A bracket that comes first stands for itself.
                let _ = characters.next_if_eq(&']');
                let mut inside = characters.by_ref().take_while(|next| *next != ']');
                if !inside.all(|next| next.is_ascii()) {
                    return false;
                }
            }
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    fn patterns(texts: &[&str]) -> Patterns {
        let texts = texts.iter().map(|text| Pattern::parse(text).expect(text)).collect();
        Patterns::new(texts).unwrap()
    }

    fn excluding(texts: &[&str]) -> Filter {
        Filter { exclude: patterns(texts), include: patterns(&[]) }
    }

    /// Which of the names a pattern leaves out; one that ends in a slash is a folder's.
    fn check(pattern: &str, left_out: &[&str], kept: &[&str]) {
        let filter = excluding(&[pattern]);
        let takes = |name: &str| match name.strip_suffix('/') {
            Some(folder) => filter.enters(Path::new(folder)),
            None => filter.takes(Path::new(name)),
        };
        for name in left_out {
            assert!(!takes(name), "{pattern:?} leaves out {name:?}");
        }
        for name in kept {
            assert!(takes(name), "{pattern:?} keeps {name:?}");
        }
    }

    #[test]
    fn a_pattern_without_a_slash_is_a_name_at_any_depth_with_all_that_is_in_it() {
        check(
            "*.tmp",
            &["a.tmp", "x/y/a.tmp", ".tmp", "x.tmp/a", "b/x.tmp/y/a", "x.tmp/", "b/x.tmp/y/"],
            &["a.tmp2", "atmp", "a.TMP", "tmp", "x/", "x.tmps/a"],
        );
        check("cache", &["cache", "cache/", "a/cache/b", "a/cache/"], &["caches", "a/my-cache"]);
    }

    #[test]
    fn a_pattern_with_a_slash_is_a_path_from_the_watchs_folder_on() {
        check("a/b", &["a/b", "a/b/", "a/b/c/d"], &["b", "x/a/b", "a/bc", "a/", "a/c"]);
        check("/a", &["a", "a/", "a/b"], &["b/a", "ab"]);
        check("logs/*.log", &["logs/x.log"], &["x.log", "logs/old/x.log", "logs/"]);
        check("**/logs/*.log", &["logs/x.log", "a/b/logs/x.log"], &["logs/old/x.log"]);
        check("logs/**/*.log", &["logs/x.log", "logs/a/b/x.log"], &["x.log", "logs/x"]);
        check("logs/**", &["logs/x", "logs/a/b", "logs/a/"], &["logs", "a/logs/x", "logs/"]);
    }

    #[test]
    fn a_pattern_with_a_slash_at_its_end_is_a_folder_with_all_that_is_in_it() {
        check(
            ".git/",
            &[".git/", ".git/config", "a/.git/", "a/.git/b/c"],
            &[".git", "a/.git", ".gitignore", ".github/x"],
        );
        check("a/cache/", &["a/cache/", "a/cache/b"], &["cache/b", "x/a/cache/b", "a/cache"]);
        check("/cache/", &["cache/", "cache/b"], &["a/cache/b", "cache"]);
    }

    #[test]
    fn stars_question_marks_brackets_and_braces_stay_within_a_name() {
        check("a*z", &["az", "a.b.z", "ä/abz"], &["a/z", "azb"]);
        check("a?z", &["abz", "a.z"], &["az", "a/z", "abbz", "aäz"]);
        check("a??z", &["aäz"], &["aöäz"]);
        check("[a-c]", &["a", "c"], &["d", "A", "ab"]);
        check("x[!a]z", &["xbz"], &["xaz", "x/z"]);
        check("*.{jpg,p[nb]g}", &["a.jpg", "a.png", "a.pbg"], &["a.jpeg", "a.", "jpg"]);
        check("\\*", &["*"], &["a", "**"]);
        check("\\!x", &["!x"], &["x"]);
        check("*", &["a", ".a", "a/b", "a/"], &[]);
        check("**", &["a", "a/b", "a/"], &[]);
    }

    #[test]
    fn a_name_that_is_not_utf_8_is_matched_in_its_bytes() {
        let filter = excluding(&["*.tmp", "x?z"]);
        let takes = |name: &[u8]| filter.takes(Path::new(OsStr::from_bytes(name)));
        assert!(!takes(b"\xff\xfe.tmp") && !takes(b"\xff/a.tmp") && !takes(b"x\xffz"));
        assert!(takes(b"\xff.tm") && takes(b"x\xff\xffz"));
    }

    #[test]
    fn with_patterns_to_include_nothing_else_is_taken_and_exclude_wins() {
        let filter = Filter {
            exclude: patterns(&["draft*", "old/"]),
            include: patterns(&["*.jpg", "docs/", "/top/only"]),
        };
        for (name, expected) in [
            ("a.jpg", true),
            ("x/y/a.jpg", true),
            ("x/docs/any", true),
            ("docs", false),
            ("top/only", true),
            ("x/top/only", false),
            ("a.png", false),
            ("draft.jpg", false),
            ("docs/old/a", false),
            ("drafts/a.jpg", false),
        ] {
            assert_eq!(filter.takes(Path::new(name)), expected, "{name}");
        }
        let enters = |name: &str| filter.enters(Path::new(name));
        assert!(enters("x") && enters("x/y"), "there may be something to include in it");
        assert!(!enters("old") && !enters("x/old") && !enters("x/old/y"));
    }

    #[test]
    fn the_built_in_patterns_leave_out_what_is_temporary_and_nothing_that_looks_like_it() {
        let filter = Filter { exclude: Patterns::built_in().unwrap(), include: patterns(&[]) };
        for name in [
            "upload.tmp",
            "letter.odt~",
            ".#letter.odt",
            ".notes.txt.swp",
            "a/.notes.txt.swo",
            ".~lock.offer.docx#",
            "~$offer.docx",
            "film.mkv.part",
            "film.mkv.filepart",
            "film.mkv.crdownload",
            "a/.rsync-partial/film.mkv",
            "site/.git/HEAD",
        ] {
            assert!(!filter.takes(Path::new(name)), "{name}");
        }
        for name in [
            "4913",
            "users/4913/avatar.png",
            ".env.sample",
            ".htaccess",
            "macro.swp",
            ".film.swf",
            "part",
            "x.part1.rar",
            "tmp/x",
            "~x",
            "#x#",
            ".gitignore",
            "x.lock",
            "x.bak",
            "x.old",
            "partial",
        ] {
            assert!(filter.takes(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_its_reason() {
        let glob = |said: &str| PatternError::Glob(said.to_owned());
        for (text, expected) in [
            ("", PatternError::Empty),
            ("/", PatternError::Empty),
            ("//", PatternError::Empty),
            ("a//b", PatternError::DeadSegment),
            ("./a", PatternError::DeadSegment),
            ("a/../b", PatternError::DeadSegment),
            ("!a", PatternError::Negation),
            ("[ä]", PatternError::BracketsNotAscii),
            ("a[!]ü]", PatternError::BracketsNotAscii),
            ("[a", glob("unclosed character class; missing ']'")),
            ("[z-a]", glob("invalid range; 'z' > 'a'")),
            ("{a", glob("unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)")),
            ("a}", glob("unopened alternate group; missing '{' (maybe escape '}' with '[}]'?)")),
            ("a\\", glob("dangling '\\'")),
        ] {
            assert_eq!(Pattern::parse(text), Err(expected), "{text:?}");
        }
        assert!(Pattern::parse(&"a".repeat(PATTERN_BYTES_MAX)).is_ok());
        assert_eq!(Pattern::parse(&"a".repeat(PATTERN_BYTES_MAX + 1)), Err(PatternError::TooLong));
        let many = |count| Patterns::new(vec![Pattern::parse("*a").unwrap(); count]).map(drop);
        assert_eq!(many(PATTERNS_MAX), Ok(()));
        assert_eq!(many(PATTERNS_MAX + 1), Err(PatternError::TooMany));
        for sound in ["ä", "*ä*", "{ä,ö}", "\\[ä", "[]a]", "[\\]", "a b", "#", "...", "[^a]"] {
            assert!(Pattern::parse(sound).is_ok(), "{sound:?}");
        }
    }

    proptest! {
        #[test]
        fn what_lies_in_a_folder_that_is_not_entered_is_not_taken(
            texts in prop::collection::vec("[ab*?/]{1,6}", 1..4),
            path in "[ab]{1,2}(/[ab]{1,2}){1,4}",
        ) {
            let sound: Vec<_> = texts.iter().filter_map(|text| Pattern::parse(text).ok()).collect();
            let filter = Filter { exclude: Patterns::new(sound).unwrap(), include: patterns(&[]) };
            let path = Path::new(&path);
            let folders: Vec<&Path> =
                path.ancestors().skip(1).filter(|folder| *folder != Path::new("")).collect();
            if folders.iter().any(|folder| !filter.enters(folder)) {
                prop_assert!(!filter.takes(path), "{:?} {:?}", filter, path);
                prop_assert!(!filter.enters(path));
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[a\\[\\]{}!^,*?/\\\\.ä-]{0,12}") {
            if let Ok(pattern) = Pattern::parse(&text) {
                let made = Patterns::new(vec![pattern]);
                prop_assert!(made.is_ok(), "{:?} {:?}", text, made);
            }
        }
    }
}
