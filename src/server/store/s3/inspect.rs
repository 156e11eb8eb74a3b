//! What `check` asks of the bucket: the probe's way through it, and how the bucket is set up.
//!
//! Runs on the main thread of that command. It owns nothing. It must not remove anything but the
//! probe. What it does not find out is no failure: many stores do not know these questions, and
//! the best rights deny some of them.

use super::answer::HINT_RIGHTS;
use super::call::{Call, Retry};
use super::listing::{ENCODED, decode};
use super::{S3Store, uploads};
use crate::remote_path::RemotePrefix;
use crate::server::key::ProbeKey;
use crate::server::store::StoreError;
use crate::server::store::inspect::{Finding, Inspect};
use http::Method;
use s3::serde_types::InitiateMultipartUploadResponse;
use serde::Deserialize;

impl Inspect for S3Store {
    fn lists(&self, probe: &ProbeKey) -> Result<bool, StoreError> {
        let key = probe.as_object().as_str();
        // A whole key as the prefix, without a slash at its end: only the probe's is so unlikely.
        let query = [ENCODED, ("list-type", "2"), ("max-keys", "1"), ("prefix", key)];
        let call = Call { query: &query, ..ask("list", Method::GET, None) };
        let list: ObjectList = self.document(&call)?;
        let is_it = |name: &str| {
            name == key || decode(name, list.encoding_type.as_deref()).as_deref() == Some(key)
        };
        Ok(list.contents.iter().any(|object| is_it(&object.key)))
    }

    fn remove(&self, probe: &ProbeKey) -> Result<(), StoreError> {
        let key = probe.as_object().as_str();
        let call = Call { expects: &[200, 204], ..ask("remove", Method::DELETE, Some(key)) };
        self.requests.send(&call).map(drop).map_err(|error| {
            let hint = Some("allow s3:DeleteObject on the probes' keys, as printed below");
            StoreError { hint: error.hint.and(hint), ..error }
        })
    }

    fn begin_and_abort(&self, probe: &ProbeKey) -> Result<(), StoreError> {
        let key = probe.as_object().as_str();
        let query = [("uploads", "")];
        let call = Call { query: &query, ..ask("begin", Method::POST, Some(key)) };
        let answer: InitiateMultipartUploadResponse = self.document(&call)?;
        uploads::abort(&self.requests, key, &answer.upload_id).map(drop)
    }

    fn findings(&self, prefix: &RemotePrefix) -> Vec<Finding> {
        vec![
            Finding { subject: "unfinished", answer: self.unfinished(prefix) },
            Finding { subject: "versioning", answer: self.versioning().map_err(unhinted) },
            Finding { subject: "lifecycle", answer: self.lifecycle(prefix).map_err(unhinted) },
        ]
    }
}

/// A question that somebody waits for who wants to know how it is now.
fn ask<'a>(operation: &'static str, method: Method, key: Option<&'a str>) -> Call<'a> {
    Call { retry: Retry::Never, ..Call::ask(operation, method, key) }
}

impl S3Store {
    /// The document that answers a call.
    fn document<T: serde::de::DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, StoreError> {
        let response = self.requests.send(call)?;
        let text = self.requests.text(call, response).map_err(|failure| failure.error)?;
        quick_xml::de::from_str(&text)
            .map_err(|error| self.requests.garbled(call, &error.to_string()).error)
    }

    /// Whether the sweep can work.
    fn unfinished(&self, prefix: &RemotePrefix) -> Result<String, StoreError> {
        match uploads::list(&self.requests, &prefix.to_string(), None) {
            Ok(_) => Ok("can be listed: the server removes abandoned uploads every day".to_owned()),
            Err(uploads::NoPage::Unknown(cannot)) => Err(cannot.0),
            Err(uploads::NoPage::Failed(error)) => Err(error),
        }
    }

    fn versioning(&self) -> Result<String, StoreError> {
        let query = [("versioning", "")];
        let call = Call { query: &query, ..ask("ask for versioning of", Method::GET, None) };
        let versioning: Versioning = self.document(&call)?;
        Ok(match versioning.status.as_str() {
            "Enabled" => "on: a file that is overwritten can be had back".to_owned(),
            "Suspended" => "off (suspended): a file that is overwritten is gone".to_owned(),
            _ => "off: a file that is overwritten is gone".to_owned(),
        })
    }

    fn lifecycle(&self, prefix: &RemotePrefix) -> Result<String, StoreError> {
        const NONE: &str = "no rule aborts unfinished uploads";
        let query = [("lifecycle", "")];
        let call = Call { query: &query, ..ask("ask for lifecycle of", Method::GET, None) };
        let lifecycle: Lifecycle = match self.document(&call) {
            Ok(lifecycle) => lifecycle,
            // With this code alone 404 means that there is none: it is also "no such bucket".
            Err(error) if error.cause.starts_with("status 404, NoSuchLifecycleConfiguration") => {
                return Ok(NONE.to_owned());
            }
            Err(error) => return Err(error),
        };
        let days = lifecycle.days_until_aborted(&prefix.to_string());
        Ok(days.map_or_else(
            || NONE.to_owned(),
            |days| format!("unfinished uploads are aborted after {days} days"),
        ))
    }
}

/// Without the hint at the rights that backups need: to know this takes others, and nobody has to.
fn unhinted(error: StoreError) -> StoreError {
    StoreError { hint: error.hint.filter(|hint| *hint != HINT_RIGHTS), ..error }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ObjectList {
    encoding_type: Option<String>,
    contents: Vec<Object>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Object {
    key: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Versioning {
    status: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Lifecycle {
    rule: Vec<Rule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Rule {
    status: String,
    /// Where rules had it before there were filters.
    prefix: Option<String>,
    filter: Filter,
    abort_incomplete_multipart_upload: Option<AbortRule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Filter {
    prefix: Option<String>,
    and: Option<And>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct And {
    prefix: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AbortRule {
    days_after_initiation: u32,
}

impl Lifecycle {
    /// After how many days the first of the rules in force for all of `prefix` aborts an upload.
    fn days_until_aborted(&self, prefix: &str) -> Option<u32> {
        let rules = self.rule.iter().filter(|rule| rule.status == "Enabled");
        let rules = rules.filter(|rule| prefix.starts_with(rule.begins_with()));
        rules
            .filter_map(|rule| rule.abort_incomplete_multipart_upload.as_ref())
            .map(|abort| abort.days_after_initiation)
            .min()
    }
}

impl Rule {
    /// What the keys begin with that the rule is for.
    fn begins_with(&self) -> &str {
        let and = self.filter.and.as_ref().and_then(|and| and.prefix.as_deref());
        self.filter.prefix.as_deref().or(and).or(self.prefix.as_deref()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(prefix: &str, rules: &str, days: Option<u32>) {
        let text = format!(
            "<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{rules}\
             </LifecycleConfiguration>"
        );
        let lifecycle: Lifecycle = quick_xml::de::from_str(&text).unwrap();
        assert_eq!(lifecycle.days_until_aborted(prefix), days, "{prefix:?} {rules}");
    }

    fn rule(status: &str, filter: &str, days: u32) -> String {
        format!(
            "<Rule><ID>x</ID>{filter}<Status>{status}</Status><AbortIncompleteMultipartUpload>\
             <DaysAfterInitiation>{days}</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>"
        )
    }

    #[test]
    fn a_rule_counts_if_it_is_on_and_for_all_of_the_prefix() {
        let expiry = "<Rule><Status>Enabled</Status><Expiration><Days>9</Days></Expiration></Rule>";
        check("backups/", "", None);
        check("backups/", expiry, None);
        for (filter, covers_backups, covers_all) in [
            ("", true, true),
            ("<Filter/>", true, true),
            ("<Prefix></Prefix>", true, true),
            ("<Prefix>backups/</Prefix>", true, false),
            ("<Filter><Prefix>back</Prefix></Filter>", true, false),
            ("<Filter><And><Prefix>backups/</Prefix></And></Filter>", true, false),
            ("<Filter><Prefix>backups/web/</Prefix></Filter>", false, false),
            ("<Filter><Prefix>logs/</Prefix></Filter>", false, false),
        ] {
            let on = rule("Enabled", filter, 7);
            check("backups/", &on, covers_backups.then_some(7));
            check("", &on, covers_all.then_some(7));
            check("backups/", &rule("Disabled", filter, 7), None);
            let sooner = if covers_backups { 7 } else { 8 };
            let both = on + expiry + &rule("Enabled", "", 8);
            check("backups/", &both, Some(sooner));
        }
    }

    #[test]
    fn a_bucket_that_never_had_versions_has_no_status() {
        for (text, status) in [
            ("<VersioningConfiguration xmlns=\"x\"/>", ""),
            (
                "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
                "Enabled",
            ),
        ] {
            let read: Versioning = quick_xml::de::from_str(text).unwrap();
            assert_eq!(read.status, status);
        }
    }
}
