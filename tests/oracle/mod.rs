//! What has to be true of any bytes: one judge for each fuzz target of `tests/fuzz`.
//!
//! A judge takes bytes as a stranger may send them, and panics where a rule is broken. It knows the
//! rules by itself: most of them are written here a second time, slow and simple, and the outcomes
//! are compared. `fuzz_corpora` calls the same judges, so that what was found once is looked at
//! with every run of the tests.

mod config;
mod delivery;
mod form;
mod form_rules;
mod head;
mod head_rules;
mod multipart;
mod parameters;
mod remote_path;
mod texts;

/// Panics if the bytes make a rule broken.
type Judge = fn(&[u8]);

/// Every judge, by the name of its fuzz target.
pub(crate) const JUDGES: [(&str, Judge); 6] = [
    ("config", config::judge),
    ("form", form::judge),
    ("head", head::judge),
    ("multipart", multipart::judge),
    ("remote_path", remote_path::judge),
    ("texts", texts::judge),
];

/// Has `bytes` judged by the judge of this target.
pub(crate) fn judge(target: &str, bytes: &[u8]) {
    let (_, judge) = JUDGES.iter().find(|(name, _)| *name == target).expect("a judge of this name");
    judge(bytes);
}

/// Bytes as they are shown when a judge is not content.
fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
