//! Which events have a place in the ledger, where some were slipped in, removed or exchanged.

use super::*;
use crate::database::testing::FreshDatabase;
use crate::replay::matching::{MATCH, Matching};

/// Databases of three people with two events each, and with nothing that keeps history as it is.
async fn with_six_events() -> Vec<FreshDatabase> {
    let all = fresh_databases().await.unwrap();
    for FreshDatabase { database, .. } in &all {
        history(database, 3).await;
        unlock(database).await.unwrap();
    }
    all
}

/// Lets an event wait for its place.
async fn queue(database: &Database, user_id: &str, sequence: i64) {
    let waits = "INSERT INTO ledger_pending (event_id, aggregate_type, aggregate_id, sequence) \
                 SELECT event_id, aggregate_type, aggregate_id, sequence FROM events \
                 WHERE aggregate_id = $1 AND sequence = $2";
    database.write(waits, &[user_id.into(), sequence.into()]).await.unwrap();
}

async fn remove(database: &Database, user_id: &str, sequence: i64) {
    let gone = "DELETE FROM events WHERE aggregate_id = $1 AND sequence = $2";
    database.write(gone, &[user_id.into(), sequence.into()]).await.unwrap();
}

/// How events and entries match, and whether a rebuild and a comparison say the same of it.
async fn matching(database: &Database) -> (u64, u64) {
    let matching = Matching::of(database).await.unwrap();
    assert_eq!(matching.size, 6);
    let refused =
        rebuild(database, &[Model::Snapshots], |_, _| {}).await.err().map(|error| error.to_string());
    let report = verify_replay(database, &[Model::Snapshots], |_, _| {}).await.unwrap();
    assert_eq!((report.unplaced, report.events), (matching.unplaced, matching.placed), "{report}");
    let expected = match (matching.unplaced, matching.placed) {
        (0, 6) => None,
        (0, placed) => Some(format!("only {placed} of the ledger's 6 entries have their event")),
        (unplaced, _) => Some(format!("{unplaced} events neither have a place")),
    };
    match (&expected, &refused) {
        (None, None) => assert!(report.holds(), "{report}"),
        (Some(expected), Some(refused)) => {
            assert!(refused.contains(expected.as_str()), "{expected}: {refused}");
            assert!(!report.holds(), "{report}");
        }
        other => panic!("{other:?}"),
    }
    if expected.is_some() {
        let folded = database.read("SELECT count(*) AS folded FROM replay_snapshots", &[]).await.unwrap();
        assert_eq!(folded[0].get::<i64>("folded").unwrap(), 0, "no other goes on with what was folded of it");
    }
    (matching.placed, matching.unplaced)
}

#[tokio::test]
async fn what_waits_is_neither_without_a_place_nor_missing() {
    for FreshDatabase { database, .. } in &with_six_events().await {
        assert_eq!(matching(database).await, (6, 0));
        event(database, &user(1), 3, AT).await;
        queue(database, &user(1), 3).await;
        // What was announced twice waits once, and what has its place waits no more.
        queue(database, &user(1), 3).await;
        queue(database, &user(0), 2).await;
        assert_eq!(matching(database).await, (6, 0));
    }
}

#[tokio::test]
async fn an_event_that_was_slipped_in_does_not_stand_for_one_that_was_removed() {
    for FreshDatabase { database, .. } in &with_six_events().await {
        event(database, &user(1), 3, AT).await;
        assert_eq!(matching(database).await, (6, 1));
        remove(database, &user(0), 2).await;
        assert_eq!(matching(database).await, (5, 1));
        remove(database, &user(1), 3).await;
        assert_eq!(matching(database).await, (5, 0));
    }
}

/// Entries may be added behind the program's back, and of those that the ledger does not prove nothing follows.
#[tokio::test]
async fn an_entry_beyond_the_ledger_is_no_place() {
    for FreshDatabase { database, .. } in &with_six_events().await {
        event(database, &user(1), 3, AT).await;
        entry_of(database, 9_000, &user(1), 3).await;
        assert_eq!(matching(database).await, (6, 1));
        queue(database, &user(1), 3).await;
        assert_eq!(matching(database).await, (6, 0));
        remove(database, &user(0), 2).await;
        assert_eq!(matching(database).await, (5, 0));
    }
}

#[tokio::test]
async fn an_entry_before_the_first_is_no_place() {
    for FreshDatabase { database, .. } in &with_six_events().await {
        event(database, &user(1), 3, AT).await;
        entry_of(database, -1, &user(1), 3).await;
        assert_eq!(matching(database).await, (6, 1));
    }
}

#[tokio::test]
async fn what_was_refused_is_folded_anew_once_history_is_mended() {
    for FreshDatabase { database, .. } in &with_six_events().await {
        event(database, &user(0), 3, AT).await;
        assert_eq!(matching(database).await, (6, 1));
        remove(database, &user(0), 3).await;
        assert_eq!(matching(database).await, (6, 0));
        // One that waits is counted in the place of the one that is gone.
        event(database, &user(1), 3, AT).await;
        queue(database, &user(1), 3).await;
        remove(database, &user(0), 2).await;
        assert_eq!(matching(database).await, (5, 0));
        event(database, &user(0), 2, AT).await;
        assert_eq!(matching(database).await, (6, 0));
    }
}

#[tokio::test]
async fn what_announces_an_event_that_is_gone_does_not_stand_for_another() {
    for FreshDatabase { database, .. } in &with_six_events().await {
        event(database, &user(2), 3, AT).await;
        queue(database, &user(2), 3).await;
        remove(database, &user(2), 3).await;
        assert_eq!(matching(database).await, (6, 0));
        event(database, &user(1), 3, AT).await;
        assert_eq!(matching(database).await, (6, 1));
    }
}

#[tokio::test]
async fn an_event_with_another_id_is_not_the_one_of_its_entry() {
    for FreshDatabase { database, .. } in &with_six_events().await {
        // SQLite finds entries by stream and sequence. That the id is another is said by `verify`.
        let Engine::Postgres(_) = database.engine() else { continue };
        let other = "UPDATE events SET event_id = '00000000-0000-4000-8000-00000000000f' \
                     WHERE aggregate_id = $1 AND sequence = 1";
        database.write(other, &[user(1).into()]).await.unwrap();
        assert_eq!(matching(database).await, (5, 1));
    }
}

#[tokio::test]
async fn events_and_entries_are_matched_as_a_whole() {
    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        match database.engine() {
            Engine::Postgres(_) => {
                fill_ledger(&database, 20_000).await.unwrap();
                let plan = plan(&database, MATCH, &[]).await.unwrap();
                assert!(!plan.contains("Nested Loop") && !plan.contains("Index Scan"), "{plan}");
                let limit = "SELECT current_setting('statement_timeout') AS statement_timeout";
                let limits = database.read_whole_tables(limit).await.unwrap();
                assert_eq!(limits[0].get::<String>("statement_timeout").unwrap(), "1h");
                let limits = database.read(limit, &[]).await.unwrap();
                assert_eq!(limits[0].get::<String>("statement_timeout").unwrap(), "9s");
            }
            Engine::Sqlite(_) => {
                let sql = format!("EXPLAIN QUERY PLAN {MATCH}");
                let rows = database.read(&sql, &[]).await.unwrap();
                let plan: Vec<String> = rows.iter().map(|row| row.get("detail").unwrap()).collect();
                let by_key = "SEARCH l USING COVERING INDEX sqlite_autoindex_ledger_entries_1";
                for looked_up in [by_key, "SEARCH w USING AUTOMATIC COVERING INDEX"] {
                    assert!(plan.iter().any(|step| step.starts_with(looked_up)), "{plan:?}");
                }
            }
        }
    }
}
