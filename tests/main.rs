//! Tests of the programs from outside, in one binary. The modules read as a specification;
//! `support` holds what they stand on.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot go on stops, and shows the scene"
)]

#[cfg(feature = "browser")]
mod browser;
mod build_script;
mod client_tls;
mod client_tls_failures;
mod documents;
mod documents_checked;
mod fuzz_corpora;
mod gate_answers;
mod gate_bodies;
mod gate_bounds;
mod gate_crowds;
mod gate_descriptors;
mod gate_drops;
mod gate_heads;
mod gate_lanes;
mod gate_lengths;
mod gate_memory;
mod gate_panics;
mod gate_shutdown;
mod gate_smuggling;
mod gate_throttle;
mod gate_tls;
mod http_api;
mod http_curl;
mod http_refusals;
mod http_store_trouble;
mod kernel_kills;
mod kernel_limits;
mod kernel_moves;
mod kernel_rewrites;
mod kernel_trees;
mod licences;
mod oracle;
mod pair_changes;
mod pair_database;
mod pair_faults;
mod pair_files;
mod pair_filters;
mod pair_metrics;
mod pair_odd_files;
mod pair_reload;
mod pair_reports;
mod pair_signals;
mod pair_start;
mod pair_tls;
mod programs;
mod programs_check;
mod programs_client;
mod programs_config;
mod programs_dry_run;
mod programs_healthcheck;
mod programs_report;
mod programs_secrets;
mod programs_tables;
mod s3_credentials;
mod s3_fault_downloads;
mod s3_fault_schedule;
mod s3_faults;
mod s3_programs;
mod s3_proxy;
mod s3_tls;
mod server_activity;
mod server_activity_trouble;
mod server_alerts;
mod server_metrics;
mod server_page;
mod server_reload;
mod service_manager;
mod simulation;
#[cfg(feature = "static")]
mod static_programs;
mod store_contract;
mod store_directory;
mod store_s3;
mod store_s3_retries;
mod store_s3_turns;
mod store_sweep;
mod support;
mod units;
