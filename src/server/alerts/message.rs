//! What is said of a client that stands otherwise than before.
//!
//! Pure: facts in; a sentence, a JSON document and environment variables out. What comes from clients was
//! cut and made visible when it was read. Names are promised, new ones may come.

use super::plan::Change;
use crate::server::activity::reading::{ClientFacts, Facts, LastError};
use crate::server::activity::standing::Standing;
use crate::shown;
use crate::version;
use crate::wire::report::Parked;
use serde::Serialize;

/// A client whose last request is younger than this is running.
const THERE_SECONDS: i64 = 2 * 60 * 60;

/// A message, as a webhook and a command's standard input get it. Moments are UTC, as RFC 3339 writes
/// them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// All of it in one sentence, for people.
    pub text: String,
    /// The client; empty for a test.
    pub client: String,
    /// How it stands: `late`, `silent`, `never` or `healthy`; `test` for a test.
    pub state: &'static str,
    /// How it stood by the message before; `healthy` if there was none.
    pub previous_state: &'static str,
    /// When this was said.
    pub at: String,
    /// The last upload that was stored or report, whichever is later.
    pub last_success: Option<String>,
    /// The last upload that was stored.
    pub last_upload: Option<String>,
    /// The last report.
    pub last_report: Option<String>,
    /// The last request of any kind.
    pub last_seen: Option<String>,
    /// The last request that failed.
    pub last_error: Option<Failed>,
    /// What is parked there, as of its last report.
    pub parked: Option<Parked>,
    /// The server's version.
    pub server_version: &'static str,
}

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// When.
    pub at: String,
    /// What was asked for, in one word.
    pub asked: String,
    /// The error code.
    pub error: String,
}

impl Message {
    /// What is said of a change at the moment `now`, in seconds since 1970.
    pub fn of(change: &Change, facts: &Facts, now: i64) -> Self {
        let nothing = ClientFacts::default();
        let known = facts.clients.get(&change.client);
        let ClientFacts { last_upload_at, last_report_at, last_error, .. } =
            known.unwrap_or(&nothing);
        let parked = facts.last_reports.get(&change.client).map(|kept| &kept.report.parked);
        let success = (*last_upload_at).max(*last_report_at);
        let error = last_error.as_ref();
        let failed = |LastError { at, asked, error }: &LastError| Failed {
            at: shown::utc(*at),
            asked: asked.clone(),
            error: error.clone(),
        };
        Self {
            text: sentence(change, known, success, parked, now),
            client: change.client.clone(),
            state: word(change.to),
            previous_state: word(change.from),
            at: shown::utc(now),
            last_success: success.map(shown::utc),
            last_upload: last_upload_at.map(shown::utc),
            last_report: last_report_at.map(shown::utc),
            last_seen: known.map(|known| shown::utc(known.last_seen)),
            last_error: error.map(failed),
            parked: parked.cloned(),
            server_version: version::NUMBER,
        }
    }

    /// A message about nobody, to see whether messages arrive.
    pub fn test(now: i64) -> Self {
        Self {
            text: "This is a test of s3up-server's alerts; no client is concerned.".to_owned(),
            client: String::new(),
            state: "test",
            previous_state: "test",
            at: shown::utc(now),
            last_success: None,
            last_upload: None,
            last_report: None,
            last_seen: None,
            last_error: None,
            parked: None,
            server_version: version::NUMBER,
        }
    }

    /// The message as JSON.
    pub fn json(&self) -> String {
        // Texts and numbers: they always have a form in JSON.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The message as environment variables; what is not known is empty.
    pub fn variables(&self) -> [(&'static str, String); 11] {
        let known = |moment: &Option<String>| moment.clone().unwrap_or_default();
        let error = self.last_error.as_ref();
        let error = error.map(|Failed { at, asked, error }| format!("{asked} {error} {at}"));
        let parked = self.parked.as_ref().map(|parked| parked.count.to_string());
        [
            ("S3UP_TEXT", self.text.clone()),
            ("S3UP_CLIENT", self.client.clone()),
            ("S3UP_STATE", self.state.to_owned()),
            ("S3UP_PREVIOUS_STATE", self.previous_state.to_owned()),
            ("S3UP_AT", self.at.clone()),
            ("S3UP_LAST_SUCCESS", known(&self.last_success)),
            ("S3UP_LAST_UPLOAD", known(&self.last_upload)),
            ("S3UP_LAST_REPORT", known(&self.last_report)),
            ("S3UP_LAST_SEEN", known(&self.last_seen)),
            ("S3UP_LAST_ERROR", error.unwrap_or_default()),
            ("S3UP_PARKED", parked.unwrap_or_default()),
        ]
    }
}

/// A state as it stands in JSON and in the database.
pub fn word(state: Standing) -> &'static str {
    match state {
        Standing::Never => "never",
        Standing::Healthy => "healthy",
        Standing::Late => "late",
        Standing::Silent => "silent",
    }
}

/// The state that a word stands for.
pub fn state(word: &str) -> Option<Standing> {
    let all = [Standing::Never, Standing::Healthy, Standing::Late, Standing::Silent];
    all.into_iter().find(|state| self::word(*state) == word)
}

/// For a person at night: which client, since when nothing came, what is known, where to look.
fn sentence(
    change: &Change,
    known: Option<&ClientFacts>,
    success: Option<i64>,
    parked: Option<&Parked>,
    now: i64,
) -> String {
    let client = &change.client;
    let Some(known) = known.filter(|_| change.to != Standing::Never) else {
        return format!(
            "{client} has never come: no request with its key has reached this server since it was \
             configured; look on that host whether s3up runs (systemctl status s3up), and whether it has \
             this server's address and the right key (s3up check)."
        );
    };
    if change.to == Standing::Healthy {
        let sign = success.unwrap_or(known.last_seen);
        return match change.from {
            Standing::Never => {
                format!("{client} has come for the first time, at {}.", minute(sign))
            }
            _ => format!(
                "{client} is healthy again: an upload or a report arrived at {}.",
                minute(sign)
            ),
        };
    }
    let since = match success {
        Some(at) => format!(
            "no upload and no report has arrived since {}, {} ago",
            minute(at),
            ago(at, now)
        ),
        None => format!(
            "no upload and no report has arrived since its first request at {}, {} ago",
            minute(known.first_seen),
            ago(known.first_seen, now)
        ),
    };
    let error = known.last_error.as_ref().map(|LastError { at, asked, error }| {
        format!("; its last failed request was {asked}, with {error}, at {}", minute(*at))
    });
    let parked = parked.filter(|parked| parked.count > 0).map(|parked| {
        let most = parked.reasons.first().map(|most| format!(" (most: {})", &*most.reason));
        let files = shown::counted(parked.count, "file");
        format!(
            "; its last report has {files} that cannot be backed up{}",
            most.unwrap_or_default()
        )
    });
    // Whoever asks and does not deliver is there. What failed is tried again within this time.
    let is_there = now.saturating_sub(known.last_seen) < THERE_SECONDS;
    let look = match is_there {
        true => format!(
            "its last request came at {}, so look on that host why nothing goes through (s3up status)",
            minute(known.last_seen)
        ),
        false => {
            "look on that host whether s3up runs (systemctl status s3up) and reaches this server \
                  (s3up check)"
                .to_owned()
        }
    };
    let state = word(change.to);
    format!(
        "{client} is {state}: {since}{}{}; {look}.",
        error.unwrap_or_default(),
        parked.unwrap_or_default()
    )
}

/// A moment as people read it.
fn minute(seconds: i64) -> String {
    let text = shown::utc(seconds);
    format!("{} {} UTC", &text[..10], &text[11..16])
}

fn ago(moment: i64, now: i64) -> String {
    shown::span(u64::try_from(now.saturating_sub(moment)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::activity::Kept;
    use crate::wire::Day;
    use crate::wire::Few;
    use crate::wire::report::{CrossCheck, ParkedFor, Report, Verdict};

    /// 2026-11-28, 12:00.
    const NOON: i64 = 1_795_867_200;
    const HOUR: i64 = 3600;

    fn check(from: Standing, to: Standing, known: Option<ClientFacts>, parked: u64, text: &str) {
        let mut facts = Facts::default();
        if let Some(known) = known {
            facts.clients.insert("web".to_owned(), known);
        }
        let mut report = Report::of(Day::of(NOON), 0);
        report.parked.count = parked;
        report.parked.reasons =
            [ParkedFor { reason: "it is too large".into(), count: parked }].into_iter().collect();
        let check =
            CrossCheck { verdict: Verdict::Agrees, files: 0, bytes: 0, remarks: Few::default() };
        let kept = Kept { client: "web".to_owned(), received_at: NOON, report, check };
        facts.last_reports.insert("web".to_owned(), kept);
        let change = Change { client: "web".to_owned(), from, to };
        assert_eq!(Message::of(&change, &facts, NOON).text, text);
    }

    fn known(seen: i64, uploaded: Option<i64>, error: Option<i64>) -> ClientFacts {
        let ago = |hours: i64| NOON - hours * HOUR;
        ClientFacts {
            first_seen: ago(100),
            last_seen: ago(seen),
            last_upload_at: uploaded.map(ago),
            last_error: error.map(|hours| LastError {
                at: ago(hours),
                asked: "upload".to_owned(),
                error: "file_too_large".to_owned(),
            }),
            ..ClientFacts::default()
        }
    }

    #[test]
    fn a_sentence_says_who_since_when_what_is_known_and_where_to_look() {
        use Standing::{Healthy, Late, Never, Silent};
        check(
            Healthy,
            Late,
            Some(known(26, Some(26), None)),
            0,
            "web is late: no upload and no report has arrived since 2026-11-27 10:00 UTC, 1 d 2 h ago; \
             look on that host whether s3up runs (systemctl status s3up) and reaches this server \
             (s3up check).",
        );
        check(
            Late,
            Silent,
            Some(known(0, Some(50), Some(1))),
            3,
            "web is silent: no upload and no report has arrived since 2026-11-26 10:00 UTC, 2 d 2 h ago; \
             its last failed request was upload, with file_too_large, at 2026-11-28 11:00 UTC; its last \
             report has 3 files that cannot be backed up (most: it is too large); its last request came \
             at 2026-11-28 12:00 UTC, so look on that host why nothing goes through (s3up status).",
        );
        check(
            Healthy,
            Silent,
            Some(known(100, None, None)),
            0,
            "web is silent: no upload and no report has arrived since its first request at 2026-11-24 \
             08:00 UTC, 4 d 4 h ago; look on that host whether s3up runs (systemctl status s3up) and \
             reaches this server (s3up check).",
        );
        check(
            Healthy,
            Never,
            None,
            0,
            "web has never come: no request with its key has reached this server since it was configured; \
             look on that host whether s3up runs (systemctl status s3up), and whether it has this \
             server's address and the right key (s3up check).",
        );
        check(
            Silent,
            Healthy,
            Some(known(0, Some(0), None)),
            3,
            "web is healthy again: an upload or a report arrived at 2026-11-28 12:00 UTC.",
        );
        check(
            Never,
            Healthy,
            Some(known(1, None, None)),
            0,
            "web has come for the first time, at 2026-11-28 11:00 UTC.",
        );
    }

    #[test]
    fn a_message_has_this_shape_for_programs() {
        let change =
            Change { client: "web".to_owned(), from: Standing::Healthy, to: Standing::Late };
        let mut facts = Facts::default();
        facts.clients.insert("web".to_owned(), known(1, Some(26), Some(1)));
        let message = Message::of(&change, &facts, NOON);
        let json: serde_json::Value = serde_json::from_str(&message.json()).unwrap();
        let expected = serde_json::json!({
            "text": message.text,
            "client": "web",
            "state": "late",
            "previous_state": "healthy",
            "at": "2026-11-28T12:00:00Z",
            "last_success": "2026-11-27T10:00:00Z",
            "last_upload": "2026-11-27T10:00:00Z",
            "last_report": null,
            "last_seen": "2026-11-28T11:00:00Z",
            "last_error": {"at": "2026-11-28T11:00:00Z", "asked": "upload", "error": "file_too_large"},
            "parked": null,
            "server_version": version::NUMBER,
        });
        assert_eq!(json, expected);
        let variables: Vec<_> = message
            .variables()
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let expected = [
            "S3UP_CLIENT=web",
            "S3UP_STATE=late",
            "S3UP_PREVIOUS_STATE=healthy",
            "S3UP_AT=2026-11-28T12:00:00Z",
            "S3UP_LAST_SUCCESS=2026-11-27T10:00:00Z",
            "S3UP_LAST_UPLOAD=2026-11-27T10:00:00Z",
            "S3UP_LAST_REPORT=",
            "S3UP_LAST_SEEN=2026-11-28T11:00:00Z",
            "S3UP_LAST_ERROR=upload file_too_large 2026-11-28T11:00:00Z",
            "S3UP_PARKED=",
        ];
        assert_eq!(variables[1..], expected);
        for word in ["never", "healthy", "late", "silent"] {
            assert_eq!(super::word(super::state(word).unwrap()), word);
        }
        assert_eq!(super::state("tired"), None);
    }
}
