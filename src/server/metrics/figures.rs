//! The server's figures and their text.
//!
//! Pure. Names and meanings are promised to whoever has rules for them; the README lists them. The
//! number of lines is bounded by the clients of the configuration and by the tables of routes and errors:
//! nothing that a peer sends becomes a label.

use crate::exposition::{Histogram, Labels, Page};
use crate::version;
use crate::wire::ErrorCode;

/// How the server stands at one moment. Moments are seconds since 1970.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// When it was started.
    pub started: i64,
    /// The clients of the configuration.
    pub clients: Vec<ClientFigures>,
    /// What was refused to those without a client's key.
    pub strangers: Vec<(ErrorCode, u64)>,
    /// How long requests took, by what they asked for.
    pub requests: Vec<(&'static str, Histogram)>,
    /// How long workers had the uploads that were stored.
    pub uploads: Histogram,
    /// How often the store failed, by how.
    pub store_errors: Vec<(&'static str, u64)>,
    /// How often a request to the store was sent again.
    pub store_retries: u64,
    /// What the gate holds.
    pub inside: Inside,
    /// What the ledger says of itself, if there is one.
    pub ledger: Option<LedgerFigures>,
    /// When the certificate ends, if there is one.
    pub certificate_end: Option<i64>,
}

/// How a client stands.
#[derive(Clone, Debug, Default)]
pub struct ClientFigures {
    /// Its name.
    pub name: String,
    /// Files that were stored.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What was refused to it, without zeros: codes are many, and most never happen.
    pub refusals: Vec<(ErrorCode, u64)>,
    /// When a file of its was last stored.
    pub last_success: Option<i64>,
    /// When its last report came.
    pub last_report: Option<i64>,
}

/// What the gate holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inside {
    /// Connections, in the house and in the vestibule.
    pub connections: usize,
    /// Most connections in the house.
    pub connections_max: usize,
    /// Connections that found no place at all.
    pub turned_away: u64,
    /// Bodies on their way.
    pub bodies: u64,
    /// Memory reserved for bodies, in bytes.
    pub memory: usize,
    /// Most memory that can be reserved, in bytes.
    pub memory_max: usize,
    /// Lanes that are lent out or being replaced.
    pub lanes_in_use: usize,
    /// All lanes.
    pub lanes: usize,
}

/// What the ledger says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct LedgerFigures {
    /// Whether it is written.
    pub healthy: bool,
    /// Uploads that found no room since the start.
    pub dropped: u64,
    /// Uploads that wait to be written.
    pub waiting: usize,
}

/// The figures in Prometheus' text form.
pub fn text(figures: &Figures) -> String {
    let mut page = Page::default();
    this_server(figures, &mut page);
    clients(figures, &mut page);
    requests(figures, &mut page);
    inside(&figures.inside, &mut page);
    store(figures, &mut page);
    ledger(figures.ledger.as_ref(), &mut page);
    page.text()
}

fn this_server(figures: &Figures, page: &mut Page) {
    let version = vec![("version", version::NUMBER.to_owned())];
    let help = "Always 1; the label is the version of the server";
    page.gauges("s3up_server_build_info", help, [(version, 1_i64)]);
    let help = "When the server was started, in seconds since 1970";
    page.gauge("s3up_server_start_timestamp_seconds", help, Some(figures.started));
    let help = "When the certificate ends that is served now, in seconds since 1970";
    let end = figures.certificate_end;
    page.gauge("s3up_server_certificate_not_after_timestamp_seconds", help, end);
}

fn clients(figures: &Figures, page: &mut Page) {
    let each = |value: fn(&ClientFigures) -> u64| {
        figures.clients.iter().map(move |client| (of(&client.name), value(client)))
    };
    let help = "Files of each client that the store has acknowledged since the start";
    page.counters("s3up_server_uploaded_files_total", help, each(|client| client.files));
    let help = "Bytes of these files";
    page.counters("s3up_server_uploaded_bytes_total", help, each(|client| client.bytes));
    let each = |value: fn(&ClientFigures) -> Option<i64>| {
        let known = move |client: &ClientFigures| Some((of(&client.name), value(client)?));
        figures.clients.iter().filter_map(known)
    };
    let help = "When a file of the client was last stored, in seconds since 1970, also before the \
                start; not there if that is not known";
    let name = "s3up_client_last_success_timestamp_seconds";
    page.gauges(name, help, each(|client| client.last_success));
    let help = "When the last report of the client came, in seconds since 1970, also before the \
                start; not there if that is not known";
    let name = "s3up_client_last_report_timestamp_seconds";
    page.gauges(name, help, each(|client| client.last_report));
    let labels = |name: &str, code: ErrorCode| {
        vec![("client", name.to_owned()), ("code", code.as_str().to_owned())]
    };
    let nobody = figures.strangers.iter().map(|(code, count)| (labels("", *code), *count));
    let all = figures.clients.iter().flat_map(|client| {
        client.refusals.iter().map(|(code, count)| (labels(&client.name, *code), *count))
    });
    let help = "Requests that were refused or failed since the start, by their error code; without a \
                client those that had no client's key";
    page.counters("s3up_server_refusals_total", help, nobody.chain(all));
}

fn requests(figures: &Figures, page: &mut Page) {
    let routes = figures.requests.iter();
    let routes = routes.map(|(word, took)| (vec![("route", (*word).to_owned())], took.clone()));
    let help = "From the first byte of a request to the last of its answer";
    page.histograms("s3up_server_request_duration_seconds", help, routes);
    let help = "How long stored uploads took from when a worker had them to the store's \
                acknowledgement";
    let all = [(Labels::new(), figures.uploads.clone())];
    page.histograms("s3up_server_upload_duration_seconds", help, all);
}

fn inside(inside: &Inside, page: &mut Page) {
    let help = "Bodies that are coming in or being stored";
    page.gauge("s3up_server_bodies_in_flight", help, Some(inside.bodies));
    page.gauge("s3up_server_connections", "Open connections", Some(inside.connections));
    let help = "Connections for which there is room (limits.connections)";
    page.gauge("s3up_server_connections_max", help, Some(inside.connections_max));
    let help = "Connections that found no place at all since the start";
    let name = "s3up_server_connections_turned_away_total";
    page.counter(name, help, inside.turned_away);
    let help = "Memory that is reserved for bodies";
    page.gauge("s3up_server_buffer_memory_reserved_bytes", help, Some(inside.memory));
    let help = "Memory that can be reserved for bodies (limits.buffer_memory_mb)";
    page.gauge("s3up_server_buffer_memory_limit_bytes", help, Some(inside.memory_max));
    let help = "Lanes to workers that are in use or being replaced";
    page.gauge("s3up_server_lanes_in_use", help, Some(inside.lanes_in_use));
    let help = "Lanes to workers: requests that can be served at once (server.workers)";
    page.gauge("s3up_server_lanes", help, Some(inside.lanes));
}

fn store(figures: &Figures, page: &mut Page) {
    let kinds = figures.store_errors.iter();
    let kinds = kinds.map(|(kind, count)| (vec![("kind", (*kind).to_owned())], *count));
    let help = "What the store failed at since the start, after all attempts, by how it failed";
    page.counters("s3up_server_store_errors_total", help, kinds);
    let help = "Requests to the store that were sent again since the start";
    page.counter("s3up_server_store_retries_total", help, figures.store_retries);
}

fn ledger(ledger: Option<&LedgerFigures>, page: &mut Page) {
    let Some(ledger) = ledger else { return };
    let help = "Whether the server's database is written (database.path)";
    page.gauge("s3up_server_ledger_healthy", help, Some(ledger.healthy));
    let help = "Uploads that were stored or failed and are missing in the server's database, since \
                the start";
    page.counter("s3up_server_ledger_dropped_uploads_total", help, ledger.dropped);
    let help = "Uploads that wait to be written to the server's database";
    page.gauge("s3up_server_ledger_waiting_uploads", help, Some(ledger.waiting));
}

fn of(client: &str) -> Labels {
    vec![("client", client.to_owned())]
}
