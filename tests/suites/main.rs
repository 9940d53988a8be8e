//! The suites. A test named `s12_…` covers requirement S12 of the security requirements.
//! Every test runs on SQLite, and with the feature `postgres` on PostgreSQL too.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod access;
mod as_of;
mod attacks;
mod bad_input;
mod bounds;
mod clock_set_back;
mod cost;
mod coverage;
#[cfg(feature = "postgres")]
mod database_down;
mod emergency_code;
mod erase;
mod events;
mod events_seen;
mod evidence;
mod independent;
mod journey;
mod journey_enforcement;
mod ledger;
mod ledger_api;
mod ledger_kills;
mod ledger_trust;
mod lock;
mod login_check;
#[cfg(feature = "postgres")]
mod made_otherwise;
#[cfg(feature = "postgres")]
mod nodes;
mod pages;
mod pages_account;
mod pages_agreement;
mod pages_auditor;
#[cfg(feature = "postgres")]
mod pages_database_down;
mod pages_guard;
mod pages_login;
mod paging;
mod passwords;
mod program;
mod races;
mod readiness;
mod refuses_to_start;
mod replay;
mod roles;
mod routes;
mod secrets;
mod secrets_search;
mod sessions;
mod snapshots;
mod step_up;
mod two_factor;
mod upgrade;
mod webhooks;
mod webhooks_registered;
mod webhooks_tls;

/// Nothing is left out silently: without PostgreSQL a test with this name says so.
#[cfg(not(feature = "postgres"))]
#[test]
fn postgresql_left_out_use_tests_run() {
    use std::io::Write as _;

    // Written past the test runner, which shows what a passing test prints to nobody.
    let written = writeln!(
        std::io::stderr(),
        "\nLEFT OUT: every suite on PostgreSQL. `tests/run` runs them on both databases."
    );
    assert!(written.is_ok(), "standard error takes a line");
}
