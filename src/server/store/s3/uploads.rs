//! Uploads in parts that were begun at the store: a page of them, and the end of one.
//!
//! Runs on the `sweeper` thread. It owns nothing. It must not decide which of them is abandoned, and
//! must not take an answer that it cannot read for "none": what is listed here may be aborted.

use super::answer::{self, HINT_RIGHTS};
use super::call::Call;
use super::listing::{ENCODED, decode};
use super::request::Requests;
use crate::limits::sweep::PAGE_UPLOADS;
use crate::server::store::{CannotSweep, StoreError};
use http::header::DATE;
use http::{HeaderMap, Method};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const LIST: &str = "list unfinished uploads in";

const HINT_LIFECYCLE: &str = "give the bucket a lifecycle rule with AbortIncompleteMultipartUpload, \
                              so that the store itself removes uploads that nobody finishes";
const HINT_LIST: &str = "allow s3:ListBucketMultipartUploads on the bucket (`s3up-server check` \
                         prints all rights), or give it a lifecycle rule with \
                         AbortIncompleteMultipartUpload";

/// One upload, as the store lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Begun {
    pub(super) key: String,
    pub(super) id: String,
    /// Unix seconds by the store's clock, cut.
    pub(super) initiated: i64,
}

/// Where the next page begins: after this upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    key: String,
    id: String,
}

/// One page of the list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) uploads: Vec<Begun>,
    /// `None` at the end of the list.
    pub(super) next: Option<Marker>,
    /// The store's time when it answered, in Unix seconds.
    pub(super) now: i64,
}

/// Why there is no page.
#[derive(Debug)]
pub(super) enum NoPage {
    /// The store does not know this request.
    Unknown(CannotSweep),
    /// It failed this time.
    Failed(StoreError),
}

/// The uploads whose keys begin with `prefix`, from `after` on.
pub(super) fn list(
    requests: &Requests,
    prefix: &str,
    after: Option<&Marker>,
) -> Result<Page, NoPage> {
    let page = PAGE_UPLOADS.to_string();
    let mut query = vec![ENCODED];
    if let Some(after) = after {
        query.push(("key-marker", &after.key));
    }
    query.extend([("max-uploads", page.as_str()), ("prefix", prefix)]);
    if let Some(after) = after.filter(|after| !after.id.is_empty()) {
        query.push(("upload-id-marker", &after.id));
    }
    query.push(("uploads", ""));
    // 405 and 501: what servers answer that do not have it.
    let expects: &[u16] = &[200, 405, 501];
    let call = Call { query: &query, expects, ..Call::ask(LIST, Method::GET, None) };
    let about = |error: StoreError| StoreError { subject: prefix.to_owned(), ..error };
    let failed = |error: StoreError| {
        let hint = if error.hint == Some(HINT_RIGHTS) { Some(HINT_LIST) } else { error.hint };
        NoPage::Failed(about(StoreError { hint, ..error }))
    };
    let response = requests.send(&call).map_err(failed)?;
    if response.status() != 200 {
        let error = about(requests.failure(&call, response).error);
        let error = StoreError { hint: Some(HINT_LIFECYCLE), ..error };
        return Err(NoPage::Unknown(CannotSweep(error)));
    }
    let headers = response.headers().clone();
    let text = requests.text(&call, response).map_err(|failure| failed(failure.error))?;
    read(&headers, &text, after).map_err(|cause| failed(requests.garbled(&call, &cause).error))
}

/// Aborts an upload; `false` if it had ended already.
pub(super) fn abort(requests: &Requests, key: &str, id: &str) -> Result<bool, StoreError> {
    let query = [("uploadId", id)];
    let expects: &[u16] = &[200, 204, 404];
    let call = Call { query: &query, expects, ..Call::ask("abort", Method::DELETE, Some(key)) };
    let response = requests.send(&call)?;
    if response.status() != 404 {
        return Ok(true);
    }
    let error = requests.failure(&call, response).error;
    // Without the bucket there are no uploads to speak of.
    if error.hint.is_some() { Err(error) } else { Ok(false) }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Document {
    encoding_type: Option<String>,
    is_truncated: bool,
    next_key_marker: String,
    next_upload_id_marker: String,
    upload: Vec<Element>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Element {
    key: String,
    upload_id: String,
    initiated: String,
}

/// Reads a page; `Err` says what is wrong with it.
fn read(headers: &HeaderMap, text: &str, after: Option<&Marker>) -> Result<Page, String> {
    // Who does not know the parameter `uploads` may list the bucket's objects instead.
    if answer::root(text).as_deref() != Some("ListMultipartUploadsResult") {
        return Err("the answer is not a list of uploads".to_owned());
    }
    let document: Document = quick_xml::de::from_str(text).map_err(|error| error.to_string())?;
    let encoding = document.encoding_type.as_deref();
    let mut uploads = Vec::with_capacity(document.upload.len());
    for element in document.upload {
        let initiated = OffsetDateTime::parse(&element.initiated, &Rfc3339)
            .map_err(|_| format!("{:?} is no time", element.initiated))?;
        // What is not UTF-8 is nobody's here.
        let Some(key) = decode(&element.key, encoding) else { continue };
        uploads.push(Begun { key, id: element.upload_id, initiated: initiated.unix_timestamp() });
    }
    let next = if document.is_truncated {
        let key = decode(&document.next_key_marker, encoding).filter(|key| !key.is_empty());
        let key = key.ok_or("the list goes on, and it is not said where")?;
        let next = Marker { key, id: document.next_upload_id_marker };
        if after == Some(&next) {
            return Err("the list does not go on".to_owned());
        }
        Some(next)
    } else {
        None
    };
    let now = date(headers).ok_or("it has no date, so no age can be told")?;
    Ok(Page { uploads, next, now })
}

/// The store's time, in Unix seconds.
fn date(headers: &HeaderMap) -> Option<i64> {
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    i64::try_from(date.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const NOW: i64 = 784_111_777;

    fn dated(date: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(DATE, HeaderValue::from_static(date))])
    }

    fn page(inside: &str) -> Result<Page, String> {
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListMultipartUploadsResult \
             xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Bucket>b</Bucket>{inside}\
             </ListMultipartUploadsResult>"
        );
        read(&dated("Sun, 06 Nov 1994 08:49:37 GMT"), &text, None)
    }

    fn upload(key: &str, id: &str, initiated: &str) -> String {
        format!(
            "<Upload><Initiated>{initiated}</Initiated><Initiator><ID>x</ID></Initiator>\
             <Key>{key}</Key><StorageClass>STANDARD</StorageClass><UploadId>{id}</UploadId></Upload>"
        )
    }

    #[test]
    fn a_page_is_read_with_its_times_and_where_the_next_one_begins() {
        let uploads = upload("a+b%2Bc", "one&amp;", "1994-11-06T08:49:37.999Z")
            + &upload("%FF", "not UTF-8", "1994-11-06T08:49:37Z")
            + &upload("z", "two", "1994-11-06T09:49:37+01:00");
        let read = page(&format!(
            "<EncodingType>url</EncodingType><NextKeyMarker>z%20</NextKeyMarker>\
             <NextUploadIdMarker>two</NextUploadIdMarker><IsTruncated>true</IsTruncated>{uploads}"
        ));
        let begun =
            |key: &str, id: &str| Begun { key: key.to_owned(), id: id.to_owned(), initiated: NOW };
        let next = Some(Marker { key: "z ".to_owned(), id: "two".to_owned() });
        let uploads = vec![begun("a b+c", "one&"), begun("z", "two")];
        assert_eq!(read, Ok(Page { uploads, next, now: NOW }));
        let end = "<NextKeyMarker>z</NextKeyMarker><IsTruncated>false</IsTruncated>";
        assert_eq!(page(end), Ok(Page { uploads: vec![], next: None, now: NOW }));
        assert_eq!(page(""), page(end), "what is left out is false");
    }

    #[test]
    fn what_is_no_list_with_a_date_is_an_error_and_never_an_empty_list() {
        let good = upload("a", "b", "1994-11-06T08:49:37Z");
        for (inside, problem) in [
            (upload("a", "b", "yesterday"), "is no time"),
            (good.replace("<UploadId>b</UploadId>", ""), "UploadId"),
            (good.replace("<Key>a</Key>", ""), "Key"),
            ("<IsTruncated>perhaps</IsTruncated>".to_owned(), "perhaps"),
            ("<IsTruncated>true</IsTruncated>".to_owned(), "not said where"),
        ] {
            let error = page(&inside).unwrap_err();
            assert!(error.contains(problem), "{inside}: {error}");
        }
        let headers = dated("Sun, 06 Nov 1994 08:49:37 GMT");
        for text in [
            "",
            "plain",
            "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>",
            "<ListMultipartUploadsResult><Upload>",
        ] {
            assert!(read(&headers, text, None).is_err(), "{text}");
        }
        let empty = "<ListMultipartUploadsResult/>";
        assert!(read(&headers, empty, None).is_ok());
        for headers in [HeaderMap::new(), dated("yesterday")] {
            assert!(read(&headers, empty, None).unwrap_err().contains("date"));
        }
    }

    #[test]
    fn a_list_that_begins_again_where_it_was_is_an_error() {
        let text = "<ListMultipartUploadsResult><NextKeyMarker>a</NextKeyMarker>\
                    <NextUploadIdMarker>1</NextUploadIdMarker><IsTruncated>true</IsTruncated>\
                    </ListMultipartUploadsResult>";
        let headers = dated("Sun, 06 Nov 1994 08:49:37 GMT");
        let marker = |id: &str| Marker { key: "a".to_owned(), id: id.to_owned() };
        let first = read(&headers, text, Some(&marker("0"))).unwrap();
        assert_eq!(first.next, Some(marker("1")));
        assert!(read(&headers, text, first.next.as_ref()).is_err());
    }
}
