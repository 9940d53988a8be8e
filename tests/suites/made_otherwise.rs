//! PostgreSQL databases that somebody made with another encoding, collation or setting than the documents say.

use std::sync::Arc;

use countersign_tests::postgres::{cluster, create_database, drop_database, name_of, run};
use countersign_tests::{Database, Place, program, run_in_place};

#[test]
fn a_database_of_another_encoding_is_refused() {
    run_in_place(Database::Postgres, async |place: Arc<Place>| {
        for encoding in ["SQL_ASCII", "LATIN1"] {
            let url = create_database(&format!("TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")).await;
            let refused = place.cannot_serve_on(&url).refuses(&["utf8", "docs/operations.md"]);
            assert!(refused.stderr.contains(encoding), "{}", refused.stderr);
            drop_database(&url).await;
        }
    });
}

/// Needs a server that was built with ICU, from version 15 on; `tests/run` takes the newest there is.
#[test]
fn a_collation_that_upgrades_can_change_is_noted() {
    run_in_place(Database::Postgres, async |place: Arc<Place>| {
        let icu = "TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C'";
        let url = create_database(icu).await;
        program::run(place.command_on(&url, &["migrate"])).exits(0);
        let examined = program::run(place.command_on(&url, &["doctor"]));
        assert!(examined.stdout.contains("note   collation       en-US"), "{}", examined.stdout);
        drop_database(&url).await;
    });
}

#[test]
fn a_database_that_may_lose_what_was_answered_is_called_wrong() {
    run_in_place(Database::Postgres, async |place: Arc<Place>| {
        let url = create_database("TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'").await;
        program::run(place.command_on(&url, &["migrate"])).exits(0);
        // The keys are missing too, so the exit status alone would say nothing.
        let says = async || program::run(place.command_on(&url, &["doctor"])).stdout;
        let said = says().await;
        assert!(said.contains("ok     settings        what was answered outlives a crash"), "{said}");
        let off = format!("ALTER DATABASE {} SET synchronous_commit = off", name_of(&url));
        run(&mut cluster().await, &off).await;
        let said = says().await;
        assert!(said.contains("WRONG  settings        synchronous_commit off: what was answered"), "{said}");
        drop_database(&url).await;
    });
}
