//! Every bound of both programs, with its unit and its reason.
//!
//! Pure: constants only. A bound that an operator may want to change is a key of the configuration
//! and only its range stands here.

pub mod activity;
pub mod alerts;
pub mod daily;
pub mod metrics;
pub mod page;
pub mod report;

use std::time::Duration;

/// Longest object key S3 accepts, in bytes of UTF-8, prefix and client included
/// (Amazon S3 user guide, "Naming Amazon S3 objects").
pub const KEY_BYTES_MAX: usize = 1024;

/// Longest segment of a remote path, in bytes: what common file systems can hold as one name, so
/// that every backup can be restored to a disk.
pub const SEGMENT_BYTES_MAX: usize = 255;

/// Longest client name, in bytes; leaves most of the key to the path.
pub const CLIENT_NAME_BYTES_MAX: usize = 64;

/// Shortest API key that is accepted, in bytes. `s3up-server keygen` makes far longer ones.
pub const API_KEY_BYTES_MIN: usize = 16;

/// Below this length an API key is accepted with a warning: the design asks for 32 characters.
pub const API_KEY_BYTES_ADVISED: usize = 32;

/// Longest API key, in bytes: a header line has to hold it.
pub const API_KEY_BYTES_MAX: usize = 512;

/// How long `s3up-server healthcheck` waits in all: less than those who ask by it wait themselves, which
/// is mostly 10 s or 30, and long enough for a machine that is busy.
pub const HEALTHCHECK_MAX: Duration = Duration::from_secs(5);

/// Largest configuration file, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// Largest file that holds a secret and nothing else, in bytes: of all that may stand in one, an address
/// with a token in it is the longest, and browsers and servers take no more of those.
pub const SECRET_FILE_BYTES_MAX: u64 = 8 * 1024;

/// Between two looks at `server.yaml` and the certificate. What is seen to have changed is read at
/// the next look, if it has come to rest.
pub const RELOAD_LOOK_EVERY: Duration = Duration::from_secs(5);

/// Largest PEM file with a certificate chain or a private key, in bytes: chains have a few thousand.
pub const PEM_BYTES_MAX: u64 = 256 * 1024;

/// From so long before its end on, the server's certificate is a warning. Shorter than what renewals
/// leave, those of six-day certificates included, so that one that works is not warned about.
pub const CERTIFICATE_ENDS_SOON: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// Most problems of a configuration file that are shown. The file is read once more for the line of
/// each: with all of them, a large file of something else would take hours to refuse.
pub const CONFIG_PROBLEMS_MAX: usize = 50;

/// Size of the buffer that a small object is collected in, and of one part of a large one, in
/// bytes. S3 wants at least 5 MiB for every part but the last.
pub const PART_BYTES: usize = 8 * 1024 * 1024;

/// Most parts one S3 multipart upload may have.
pub const PARTS_MAX: u64 = 10_000;

/// Largest object S3 can hold, in bytes (5 TiB). `max_file_size_mb` cannot ask for more.
pub const OBJECT_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024 * 1024;

/// Largest form field other than the file, in bytes: a path is at most [`KEY_BYTES_MAX`].
pub const FIELD_BYTES_MAX: usize = 4096;

/// Largest head (header lines) of one multipart part, in bytes.
pub const PART_HEAD_BYTES_MAX: usize = 8 * 1024;

/// Most header lines in the head of one multipart part: three are in use.
pub const PART_HEADERS_MAX: usize = 16;

/// Longest boundary of a multipart form, in bytes (RFC 2046, section 5.1.1).
pub const BOUNDARY_BYTES_MAX: usize = 70;

/// Most blanks that may follow a boundary on its line, in bytes. Mail gateways added some; without
/// a bound a line of blanks would have to be held back for as long as it goes on.
pub const BOUNDARY_BLANKS_MAX: usize = 64;

/// Most parts one upload form may have: four are known, the rest is tolerated and skipped.
pub const FORM_PARTS_MAX: usize = 16;

/// What an upload form may weigh beside the file itself, in bytes: boundaries, part heads, fields.
pub const FORM_OVERHEAD_BYTES_MAX: u64 = 256 * 1024;

/// Largest head of a request, in bytes, its empty line included. Our client's heads are below 5 KiB;
/// a connection that has no head yet may hold so much memory and no more.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Most header lines in the head of a request: browsers and proxies together send about thirty.
pub const HEAD_FIELDS_MAX: usize = 64;

/// Longest method, in bytes; the longest registered one has 17. Answers and the log repeat it.
pub const METHOD_BYTES_MAX: usize = 32;

/// Longest target of a request, in bytes: a path of [`KEY_BYTES_MAX`] with every byte escaped fits.
pub const TARGET_BYTES_MAX: usize = 4096;

/// Largest JSON answer the client reads from the server, in bytes.
pub const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Largest answer of the S3 server that is parsed (errors, the ends of uploads in parts), in bytes.
pub const S3_ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Most idle connections kept to the S3 server; more requests at once open more, and close them.
pub const S3_IDLE_CONNECTIONS_MAX: usize = 64;

/// Buffer for moving file bytes, in bytes.
pub const COPY_BUFFER_BYTES: usize = 128 * 1024;

/// So much of a download is read from the store before its answer begins, in bytes: more than what
/// `tiny_http` holds back together with a head, so that whatever breaks off later breaks a connection.
pub const DOWNLOAD_FIRST_BYTES: u64 = 16 * 1024;

/// Uploads larger than this ask first (`Expect: 100-continue`), in bytes: an early refusal then
/// arrives before the body is sent instead of being lost with it.
pub const EXPECT_CONTINUE_BYTES: u64 = 256 * 1024;

/// Largest `server.ca_file`, in bytes: the whole collection of a Linux system has a quarter of a MiB.
pub const CA_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How many names of a certificate are repeated when it is for another server: some have a hundred.
pub const CERTIFICATE_NAMES_SHOWN_MAX: usize = 8;

/// Step of the clock that stamps files, with a margin: 4 ms were seen on ext4.
pub const FILE_CLOCK_STEP: Duration = Duration::from_millis(10);

/// A clock that seems to have been set back by less than this is nothing to tell: so long a thread may
/// have been waiting between a look at one clock and a look at another.
pub const CLOCK_SET_BACK_TOLD: Duration = Duration::from_secs(1);

/// Shortest `debounce_seconds`. Two stats this far apart cannot fall into one step of the file
/// clock, so an equal stamp means an untouched file.
pub const DEBOUNCE_SECONDS_MIN: f64 = 0.1;

/// Longest `debounce_seconds`: one day.
pub const DEBOUNCE_SECONDS_MAX: f64 = 86_400.0;

/// What a bandwidth limit lets go at once after an idle time, as the time in which it goes at that
/// rate: short, so that a line of that rate has no queue to build up.
pub const BANDWIDTH_BURST: Duration = Duration::from_millis(250);

/// What one file sends under a bandwidth limit before the next one's turn, as the time in which it
/// goes at that rate. Sixty-four files at once then wait for some seconds, which is no stall.
pub const BANDWIDTH_PIECE: Duration = Duration::from_millis(50);

/// What a bandwidth limit has to leave to each of the files that are sent at the same time, in bytes
/// per second: a server gives up on a body that comes more slowly (`limits.min_bytes_per_second`
/// there, 1024 by default), and it would begin anew for ever.
pub const UPLOAD_BYTES_PER_SECOND_MIN: u64 = 2048;

/// Lowest and highest bandwidth limit, in megabits per second.
pub const BANDWIDTH_MEGABITS_MIN: f64 = 0.1;
/// See [`BANDWIDTH_MEGABITS_MIN`].
pub const BANDWIDTH_MEGABITS_MAX: f64 = 100_000.0;

/// How long a file may be found changing before the operator is told of it. Longer than what
/// ordinary uploads and dumps take to be written; a log that is always written to shows on the day
/// it is first watched.
pub const WAIT_DEFAULT: Duration = Duration::from_secs(3600);

/// Longest `max_wait_seconds`: one week.
pub const WAIT_SECONDS_MAX: u64 = 7 * 24 * 60 * 60;

/// Most patterns in one list of a watch: each takes memory and makes every look at a name longer.
pub const PATTERNS_MAX: usize = 256;

/// Longest pattern, in bytes: no path that can be stored is longer.
pub const PATTERN_BYTES_MAX: usize = KEY_BYTES_MAX;

/// Most paths the upload queue holds. Beyond it the scanner waits, and an event becomes a rescan.
pub const QUEUE_PATHS_MAX: usize = 65_536;

/// Up to this size the client's database is read and checked as a whole when it is opened, in bytes:
/// 0.1 s from memory. Of a larger one head, length and schema are; what is met later ends the program.
pub const DATABASE_CHECKED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Most watch events that wait for the watcher thread; beyond it they become one rescan.
pub const WATCH_EVENTS_MAX: usize = 65_536;

/// Most rows that a scan reads at once. The uploader's workers wait for the database meanwhile, some
/// milliseconds.
pub const SCAN_PAGE_ROWS: usize = 1000;

/// Files that a scan's walk hands over at once: enough to make the handing over cheap.
pub const SCAN_CHUNK_FILES: usize = 500;

/// Most chunks of files, and of rows, that a scan reads ahead: below 2 MB of paths in all.
pub const SCAN_CHUNKS_AHEAD: usize = 4;

/// Longest pause after a file's failed attempt.
pub const RETRY_DELAY_MAX: Duration = Duration::from_secs(15 * 60);

/// First pause when the server does not answer or is overloaded.
pub const SERVER_PAUSE_FIRST: Duration = Duration::from_secs(1);

/// Longest pause when the server does not answer or is overloaded.
pub const SERVER_PAUSE_MAX: Duration = Duration::from_secs(60);

/// First pause after the server refused the API key: hammering would not help ...
pub const KEY_PAUSE_FIRST: Duration = Duration::from_secs(60);

/// ... and the longest one: whoever mends the key at the server waits for no longer.
pub const KEY_PAUSE_MAX: Duration = Duration::from_secs(5 * 60);

/// How long a program may take to end after the first signal, uploads in hand included.
/// The systemd units allow more.
pub const SHUTDOWN_MAX: Duration = Duration::from_secs(15);

/// Shortest time between two signs of life for the service manager, should it want them more often: each
/// wakes the program.
pub const WATCHDOG_BEAT_LEAST: Duration = Duration::from_millis(10);

/// How long an upload in hand may still run after the first signal; then it is abandoned, and
/// found again by the next start's scan.
pub const UPLOAD_GRACE: Duration = Duration::from_secs(5);

/// How long an upload that has only to be made visible waits for an older one of the same file to get
/// out of the way: for one more attempt of that at the store. An older one that completes a large
/// object may take longer; then the newer one is told to come again.
pub const TURN_WAIT: Duration = Duration::from_secs(90);

/// When the client tries again to watch what it could not.
pub mod watch {
    use std::time::Duration;

    /// First pause before a folder that is gone is looked for again: deployments remove and make
    /// them. It grows ...
    pub const FOLDER_PAUSE_FIRST: Duration = Duration::from_secs(1);
    /// ... up to this one.
    pub const FOLDER_PAUSE_MAX: Duration = Duration::from_secs(60);
    /// First pause before a tree that found no watches left is watched anew, and scanned: long enough
    /// for what was being made in it to be there. It grows ...
    pub const LIMIT_PAUSE_FIRST: Duration = Duration::from_secs(5);
    /// ... up to this one.
    pub const LIMIT_PAUSE_MAX: Duration = Duration::from_secs(60 * 60);
    /// First pause after a scan of what was lost, before the next one: long enough for most bursts to
    /// end. It grows with each further loss ...
    pub const LOSS_PAUSE_FIRST: Duration = Duration::from_secs(1);
    /// ... up to this one: so long a file of which nothing was heard waits in a storm of events ...
    pub const LOSS_PAUSE_GROWN: Duration = Duration::from_secs(16);
    /// ... and is so many times as long as the watches and the scan took: they get a fifth of the time.
    pub const LOSS_PAUSE_FACTOR: u32 = 4;
    /// But no longer than this: a scan may take hours because it waits for room in the queue. Those that
    /// take more than 15 s of their own get more of the time.
    pub const LOSS_PAUSE_MAX: Duration = Duration::from_secs(60);
    /// Most paths that are remembered because they could not be looked at or watched.
    pub const DENIED_PATHS_MAX: usize = 4096;
}

/// Bounds of the gate, beside those that are keys of the configuration (`limits:`).
pub mod gate {
    use std::time::Duration;

    /// A body up to this size is read whole before it takes a lane, in bytes: a slow uplink then
    /// holds none. Our client's small files are below it.
    pub const SMALL_BODY_BYTES: u64 = 256 * 1024;
    /// Payload of one chunk on a lane, in bytes; measured as the fastest of 16 to 256 KiB.
    pub const CHUNK_BYTES: usize = 64 * 1024;
    /// Most lanes that large uploads and downloads leave to everything else.
    pub const LANES_RESERVED_MAX: usize = 8;
    /// Workers beyond one for each lane, so that a new lane can be proven while others are busy.
    pub const SPARE_WORKERS: usize = 4;
    /// When fewer idle workers than this wait for a request, one that rests is called.
    pub const WAITING_WORKERS_LEAST: usize = 4;
    /// Most idle workers that wait for a request, and take turns in serving: the more, the colder
    /// is the memory of each.
    pub const WAITING_WORKERS_MOST: usize = 12;
    /// How long a new lane's round trip may take: no work is in it.
    pub const LANE_PROOF: Duration = Duration::from_secs(5);
    /// How long an admitted request waits for memory, and for a lane, before it is told to come again.
    pub const LANE_WAIT: Duration = Duration::from_secs(5);
    /// How long a worker may take from the last byte of a request to its answer, or between two
    /// pieces of it: S3 is behind it. The client waits as long.
    pub const WORKER_SILENCE: Duration = super::http::ANSWER;
    /// How long a connection that was refused is read from and thrown away, so that a sender that
    /// is still sending sees the answer and no reset.
    pub const LINGER: Duration = Duration::from_secs(5);
    /// Most requests on one connection; the next one opens a new one.
    pub const REQUESTS_PER_CONNECTION_MAX: u32 = 10_000;
    /// Most connections that wait to be accepted. The system may allow fewer (`net.core.somaxconn`).
    /// Beyond it a peer tries again a second later by itself, so that a burst of hosts should fit.
    pub const BACKLOG: i32 = 1024;
    /// First pause after a failed accept, which grows ...
    pub const ACCEPT_PAUSE_FIRST: Duration = Duration::from_millis(10);
    /// ... up to this one.
    pub const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);
    /// Most connections that are taken in when the house is full, beside those the configuration
    /// allows. Only health is answered there; a few monitors and those who need to be told 503 have
    /// to fit.
    pub const VESTIBULE_CONNECTIONS: usize = 32;
    /// Most connections that were shown out for others and have not ended yet: a thread and a
    /// descriptor each until then. With more, nobody new is accepted.
    pub const LEAVING_CONNECTIONS: usize = 8;
    /// Failed authentications a peer may have on its account before its answers are slowed: a host
    /// that is set up wrong tries once a minute, and its operator a few times by hand.
    pub const AUTH_FAILURES_FREE: u32 = 10;
    /// Failed authentications a peer may have on its account before it is told 429.
    pub const AUTH_FAILURES_MAX: u32 = 30;
    /// How long it takes until one failed authentication is forgotten: a full account takes five
    /// minutes.
    pub const AUTH_FAILURE_AGE: Duration = Duration::from_secs(10);
    /// Delay of the first slowed answer to a failed authentication; it doubles with each further one.
    pub const AUTH_DELAY_FIRST: Duration = Duration::from_millis(250);
    /// Longest delay of an answer to a failed authentication.
    pub const AUTH_DELAY_MAX: Duration = Duration::from_secs(2);
    /// Most peers whose failed authentications are remembered: below 1 MB of memory.
    pub const AUTH_PEERS_MAX: usize = 4096;
    /// Descriptors that the server needs for itself: log, database, listeners, folders, and
    /// [`LEAVING_CONNECTIONS`].
    pub const DESCRIPTORS_RESERVED: u64 = 32;
    /// Descriptors of one lane and its worker: three for the lane's two ends, the connection to
    /// S3 or the files of a folder, and some for what is being replaced.
    pub const DESCRIPTORS_PER_LANE: u64 = 8;
}

/// How the server waits for its S3 store.
pub mod s3 {
    use std::time::Duration;

    /// For a body to be sent. With 8 MiB that is 28 KB/s, as one of many over a narrow line; as long as
    /// a client and the gate wait for a sign of life.
    pub const SEND: Duration = super::http::ANSWER;
    /// From the last byte of a request to the head of its answer. The store has an object of a few
    /// MiB to write.
    pub const ANSWER: Duration = Duration::from_secs(60);
    /// Completing an upload in parts may take so many times as long as an answer otherwise: Amazon's
    /// documents speak of several minutes ...
    pub const COMPLETION_FACTOR: u32 = 4;
    /// ... up to this. A client waits longer for the server.
    pub const COMPLETION_MAX: Duration = Duration::from_secs(280);
    /// A request that failed for a reason that may pass is begun anew for so long. Then the client
    /// is told to come again later, which it does by itself.
    pub const RETRY_FOR: Duration = Duration::from_secs(10);
    /// First pause before a request is begun anew, which grows ...
    pub const RETRY_PAUSE_FIRST: Duration = Duration::from_millis(100);
    /// ... up to this one.
    pub const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);
}

/// Bounds of getting temporary S3 credentials, and of renewing them.
pub mod credentials {
    use std::time::Duration;

    /// So long before they end, credentials are renewed. An EC2 instance has new ones at least five
    /// minutes ahead (Amazon EC2 user guide, "Retrieve security credentials from instance
    /// metadata").
    pub const RENEW_AHEAD: Duration = Duration::from_secs(5 * 60);
    /// Between two attempts to get credentials: a metadata service is small and shared.
    pub const PAUSE: Duration = Duration::from_secs(10);
    /// How old what was read from a credentials file may become: such files are replaced by others
    /// and do not say until when they are good.
    pub const FILE_AGE: Duration = Duration::from_secs(5 * 60);
    /// For the connection to a metadata service, which is on this machine or one link away: where
    /// there is none, nobody answers.
    pub const CONNECT: Duration = Duration::from_secs(2);
    /// For one question to a metadata service and its answer.
    pub const REQUEST: Duration = Duration::from_secs(5);
    /// How long a request without credentials waits for the thread that fetches some: three
    /// questions at most.
    pub const WAIT: Duration = Duration::from_secs(20);
    /// How long the token for questions to an EC2 instance's metadata service is good for, in
    /// seconds: they follow at once.
    pub const INSTANCE_TOKEN_SECONDS: u32 = 60;
    /// Largest answer of a metadata service, in bytes: session tokens have up to a few thousand.
    pub const ANSWER_BYTES_MAX: u64 = 64 * 1024;
    /// Largest credentials file, and largest file with a container's token, in bytes.
    pub const FILE_BYTES_MAX: u64 = 1024 * 1024;
}

/// Bounds of the sweep, which removes uploads that nobody will finish.
pub mod sweep {
    use std::time::Duration;

    /// Between two sweeps; the first one is at the start.
    pub const EVERY: Duration = Duration::from_secs(24 * 60 * 60);
    /// An upload that was begun so long ago, and is not this process's, counts as abandoned. Those of
    /// other processes are not known here, so this has to be longer than what they may take.
    pub const AGE: Duration = Duration::from_secs(24 * 60 * 60);
    /// Most uploads that the S3 server is asked for at once. Small, so that a page of the longest
    /// keys fits [`super::S3_ANSWER_BYTES_MAX`]; there is a request for each that is removed anyway.
    pub const PAGE_UPLOADS: usize = 8;
    /// What one upload takes of a page beside its key, in bytes: id, owner, dates and their tags.
    pub const PAGE_UPLOAD_REST_BYTES: usize = 3000;
    /// Most pages of one client's folder in one sweep. What is behind them waits for the next one.
    pub const PAGES_MAX: usize = 10_000;
    /// After so many failures a sweep ends early: the store has other worries, or the rights are
    /// missing everywhere.
    pub const FAILURES_MAX: usize = 3;
}

/// How long a question of `s3up check` and its answer may take, in all: somebody waits for it.
pub const CHECK_ANSWER: Duration = Duration::from_secs(30);

/// From this difference of the clocks on, `s3up check` warns. Machines without NTP drift by seconds a
/// day; a wrong time zone is hours.
pub const CLOCK_DIFFERENCE: Duration = Duration::from_secs(5 * 60);

/// Bounds of asking a running client, by the socket beside its database.
pub mod status {
    use std::time::Duration;

    /// How long whoever asks, or reads the answer, may take between two pieces: both are on this
    /// machine, and one who stops must not keep the others waiting.
    pub const PEER: Duration = Duration::from_secs(2);
    /// How long the commands wait for an answer. Another one may be answered first.
    pub const ASK: Duration = Duration::from_secs(10);
    /// Longest question, in bytes: it is one word.
    pub const QUESTION_BYTES_MAX: u64 = 64;
    /// Largest answer, in bytes: some hundred for each watch and each upload in hand, of both of
    /// which a configuration file holds a few thousand at most.
    pub const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;
    /// Pause after a failed accept, such as for want of descriptors.
    pub const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
    /// Parked files that are shown to people; programs get all.
    pub const PARKED_SHOWN_MAX: usize = 20;
    /// Last uploads that are shown.
    pub const UPLOADS_SHOWN_MAX: usize = 5;
}

/// How often the client says how the work goes, while there is some.
pub mod herald {
    use std::time::Duration;

    /// Between two words to the service manager: who asks it how the client stands should not see a scan that is over.
    pub const STANDING_EVERY: Duration = Duration::from_secs(5);
    /// How many of them a line of the log comes after: a minute.
    pub const STANDINGS_A_LINE: u32 = 12;
    /// Fewer uploads than this in a minute that ends at rest are not summed up.
    pub const FILES_TOLD_LEAST: u64 = 10;
    /// Between two looks of the bar: the eye wants no more.
    pub const BAR_EVERY: Duration = Duration::from_millis(200);
    /// A bar that has stood still for so long is taken away: the server is down, or the last file
    /// never rests.
    pub const BAR_IDLE: Duration = Duration::from_secs(60);
}

/// Deadlines of one HTTP request, as the client and the store keep them.
pub mod http {
    use std::time::Duration;

    /// Name look-up and connection.
    pub const CONNECT: Duration = Duration::from_secs(10);
    /// Without one byte sent or received for so long, the peer counts as gone.
    pub const STALL: Duration = Duration::from_secs(30);
    /// From the last byte of the request to the head of the answer: the server acknowledges only
    /// after S3 did.
    pub const ANSWER: Duration = Duration::from_secs(300);
    /// How long to wait for `100 Continue` before the body is sent anyway.
    pub const CONTINUE: Duration = Duration::from_secs(5);
    /// How long what is written of a request may be held back for what follows: longer than it takes to
    /// read a small file, and nothing beside what the other side takes for a stall.
    pub const HELD_BACK_MAX: Duration = Duration::from_millis(100);
    /// Idle connections older than this are not used again; servers keep theirs for longer.
    pub const IDLE: Duration = Duration::from_secs(60);
    /// How long a server's address is remembered. Longer than a burst of small files, shorter than
    /// an operator waits for a change in the DNS.
    pub const NAME_AGE: Duration = Duration::from_secs(30);
}

const _: () = assert!(PART_BYTES >= 5 * 1024 * 1024, "S3 refuses smaller parts");
const _: () = assert!(
    DEBOUNCE_SECONDS_MIN * 1000.0 >= 2.0 * FILE_CLOCK_STEP.as_millis() as f64,
    "two stats must not fall into one step of the file clock"
);
const _: () = assert!(
    s3::COMPLETION_MAX.as_secs() < http::ANSWER.as_secs(),
    "the client waits until the store has completed the object"
);
const _: () = assert!(
    // Name, connection, body and answer.
    TURN_WAIT.as_secs() >= s3::ANSWER.as_secs() + 3 * http::CONNECT.as_secs(),
    "an attempt that is under way ends meanwhile"
);
const _: () = assert!(
    TURN_WAIT.as_secs() + s3::RETRY_FOR.as_secs() + 2 * s3::ANSWER.as_secs()
        < http::ANSWER.as_secs(),
    "the client waits until its file has had its own attempts, too"
);
const _: () =
    assert!(credentials::WAIT.as_secs() > 3 * credentials::REQUEST.as_secs(), "IMDSv2 asks thrice");
const _: () = assert!(
    status::ASK.as_secs() > 2 * status::PEER.as_secs(),
    "who waits behind one that is slow is answered nevertheless"
);
const _: () = assert!(UPLOAD_GRACE.as_secs() < SHUTDOWN_MAX.as_secs());
const _: () = assert!(
    BANDWIDTH_PIECE.as_millis() * 64 < http::STALL.as_millis(),
    "with the highest upload.concurrency, every file has its turn before it counts as stalled"
);
const _: () = assert!(BANDWIDTH_PIECE.as_millis() <= BANDWIDTH_BURST.as_millis());
const _: () = assert!(FIELD_BYTES_MAX >= KEY_BYTES_MAX);
const _: () = assert!(
    // An escaped byte is three; the prefix and both markers stand beside the uploads.
    sweep::PAGE_UPLOADS * (3 * KEY_BYTES_MAX + sweep::PAGE_UPLOAD_REST_BYTES)
        + 3 * 3 * KEY_BYTES_MAX
        < S3_ANSWER_BYTES_MAX as usize
);
const _: () = assert!(gate::AUTH_FAILURES_FREE < gate::AUTH_FAILURES_MAX);
const _: () = assert!(
    COPY_BUFFER_BYTES >= 2 * (PART_HEAD_BYTES_MAX + BOUNDARY_BYTES_MAX + BOUNDARY_BLANKS_MAX),
    "a part's head and the line before it are read in one buffer"
);
const _: () = assert!(
    TARGET_BYTES_MAX >= 3 * KEY_BYTES_MAX + 64,
    "a route, its query and a path in which every byte is escaped"
);
const _: () = assert!(
    HEAD_BYTES_MAX >= 2 * (TARGET_BYTES_MAX + API_KEY_BYTES_MAX + METHOD_BYTES_MAX),
    "the longest target and key leave as much again for what others add"
);
