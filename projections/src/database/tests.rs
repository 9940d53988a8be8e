//! What both databases must do alike, tried on real ones.

mod opening;
mod writer;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::testing::{cut_short, empty_databases, empty_postgres, empty_sqlite, fresh_databases};
use super::{Database, DatabaseError, Engine, StatementCounts, Step, Transacted};
use crate::table::{APPEND_TABLES, EVENTS, SNAPSHOTS, Value, to_microseconds};

const ALL_MIGRATIONS: [&str; 9] = [
    "0001_foundation",
    "0002_ledger",
    "0003_leaf_with_event",
    "0004_coverage",
    "0005_coverage_v2",
    "0006_coverage_reach",
    "0007_queue_keeps_its_size",
    "0008_queue_without_statistics",
    "0009_entry_by_event_id",
];

const NOW: &str = "2026-01-02T03:04:05.678901Z";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

async fn insert_event(database: &Database, sequence: i64) -> Result<(), DatabaseError> {
    let insert = "INSERT INTO events \
        (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata) \
        VALUES ('user', 'u1', $1, 'UserRegistered', '1', '{}', '{}')";
    database.write(insert, &[sequence.into()]).await.map(drop)
}

fn constraint(name: &str) -> DatabaseError {
    DatabaseError::Constraint { name: name.to_owned() }
}

#[tokio::test]
async fn migrating_twice_applies_everything_once() {
    for fresh in empty_databases().await.unwrap() {
        let database = fresh.database;
        assert_eq!(database.pending_migrations().await.unwrap(), ALL_MIGRATIONS);
        assert_eq!(database.migrate(at(NOW)).await.unwrap(), ALL_MIGRATIONS);
        assert!(database.pending_migrations().await.unwrap().is_empty());
        assert!(database.migrate(at(NOW)).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_start_together_take_turns() {
    for fresh in empty_databases().await.unwrap() {
        let mut nodes = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let node = Database::connect(&fresh.url).await.unwrap();
            nodes.spawn(async move { node.migrate(at(NOW)).await.unwrap().len() });
        }
        assert_eq!(nodes.join_all().await.into_iter().sum::<usize>(), ALL_MIGRATIONS.len());
    }
}

#[tokio::test]
async fn a_newer_database_is_refused() {
    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        let newer = "INSERT INTO countersign_migrations VALUES (99, 'from_tomorrow', '00', $1)";
        database.write(newer, &[at(NOW).into()]).await.unwrap();
        let refused = DatabaseError::Newer { found: 99, known: 9 };
        assert_eq!(database.migrate(at(NOW)).await.unwrap_err(), refused);
        assert_eq!(database.pending_migrations().await.unwrap_err(), refused);
    }
}

#[tokio::test]
async fn an_edited_migration_is_refused() {
    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        database.write("UPDATE countersign_migrations SET checksum = 'edited'", &[]).await.unwrap();
        let refused = database.migrate(at(NOW)).await.unwrap_err();
        assert!(matches!(refused, DatabaseError::Migration { name, .. } if name == "0001_foundation"));
    }
}

/// It costs every entry more than all the rest of storing it.
#[tokio::test]
async fn a_new_database_has_no_key_by_which_only_older_nodes_look() {
    for fresh in fresh_databases().await.unwrap() {
        if let Engine::Postgres(_) = fresh.database.engine() {
            let keys = "SELECT indexrelid::regclass::text AS key FROM pg_index \
                        WHERE indrelid = 'ledger_entries'::regclass ORDER BY key";
            let rows = fresh.database.read(keys, &[]).await.unwrap();
            let keys: Vec<String> = rows.iter().map(|row| row.get("key").unwrap()).collect();
            assert_eq!(keys, ["ledger_entries_event", "ledger_entries_pkey"]);
        }
    }
}

#[tokio::test]
async fn every_described_column_exists() {
    for fresh in fresh_databases().await.unwrap() {
        for table in APPEND_TABLES.iter().copied().chain([&EVENTS, &SNAPSHOTS]) {
            let sql = format!("SELECT {} FROM {}", table.column_names(), table.name);
            assert!(fresh.database.read(&sql, &[]).await.unwrap().is_empty(), "{}", table.name);
        }
    }
}

#[tokio::test]
async fn events_are_append_only() {
    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        insert_event(&database, 1).await.unwrap();
        let mut forbidden = vec!["UPDATE events SET payload = '[]'", "DELETE FROM events"];
        match database.engine() {
            Engine::Postgres(_) => forbidden.push("TRUNCATE events"),
            Engine::Sqlite(_) => forbidden.push("REPLACE INTO events SELECT * FROM events"),
        }
        for sql in forbidden {
            assert_eq!(
                database.write(sql, &[]).await.unwrap_err(),
                constraint("events_append_only"),
                "{sql}"
            );
        }
        let stored = database.read("SELECT payload, event_id, recorded_at FROM events", &[]).await.unwrap();
        assert_eq!(stored[0].get::<String>("payload").unwrap(), "{}");
        assert!(!stored[0].get::<String>("event_id").unwrap().is_empty());
        assert!(stored[0].get::<DateTime<Utc>>("recorded_at").unwrap() > at("2024-01-01T00:00:00Z"));
    }
}

#[tokio::test]
async fn violations_have_the_same_names_on_both() {
    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        insert_event(&database, 1).await.unwrap();
        assert_eq!(insert_event(&database, 1).await.unwrap_err(), constraint("events_pkey"));
        assert_eq!(insert_event(&database, 0).await.unwrap_err(), constraint("events_sequence_check"));
    }
}

#[tokio::test]
async fn values_come_back_as_they_were_stored() {
    let odd = "O'Brien \"Zoë\" 🦀 \\ $1 {object} {}";
    let moment = at("2026-02-03T04:05:06.123456789Z");
    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        let insert = "INSERT INTO login_check_users VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
            RETURNING user_id, email, display_name, two_factor_enabled, totp_usable, codes_locked_until, \
            recovery_code_locked_until, registered_at";
        // The first statement is the one whose parameter types are remembered, so nothing comes first.
        for (id, email, locked) in [("u1", None, None), ("u2", Some(odd), Some(moment))] {
            let params: [Value; 9] = [
                id.into(),
                email.into(),
                odd.into(),
                true.into(),
                false.into(),
                true.into(),
                locked.into(),
                Value::Null,
                Value::Timestamp(moment),
            ];
            let row = &database.write(insert, &params).await.unwrap()[0];
            assert_eq!(row.get::<Option<String>>("email").unwrap().as_deref(), email);
            assert_eq!(row.get::<String>("display_name").unwrap(), odd);
            assert!(row.get::<bool>("two_factor_enabled").unwrap());
            assert!(!row.get::<bool>("totp_usable").unwrap());
            assert_eq!(
                row.get::<Option<DateTime<Utc>>>("codes_locked_until").unwrap(),
                locked.map(to_microseconds)
            );
            assert_eq!(row.get::<Option<DateTime<Utc>>>("recovery_code_locked_until").unwrap(), None);
            assert_eq!(row.get::<DateTime<Utc>>("registered_at").unwrap(), at("2026-02-03T04:05:06.123456Z"));
            assert!(matches!(row.get::<i64>("display_name"), Err(DatabaseError::Corrupt(_))));
            assert!(matches!(row.get::<String>("nothing"), Err(DatabaseError::Query(_))));
        }
        let later = "SELECT count(*) AS found FROM login_check_users \
            WHERE registered_at > $2 AND two_factor_enabled AND user_id = $1";
        for (than, found) in [(moment - TimeDelta::microseconds(1), 1_i64), (moment, 0)] {
            let rows = database.read(later, &["u2".into(), than.into()]).await.unwrap();
            assert_eq!(rows[0].get::<i64>("found").unwrap(), found);
        }
    }
}

#[tokio::test]
async fn a_nul_character_is_refused_before_the_database_sees_it() {
    for fresh in fresh_databases().await.unwrap() {
        let refused = fresh.database.read("SELECT $1 AS x", &["a\0b".into()]).await.unwrap_err();
        assert!(matches!(refused, DatabaseError::Query(reason) if reason.contains("NUL")));
    }
}

#[tokio::test]
async fn no_error_quotes_a_value() {
    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        let claim = "INSERT INTO email_claims (digest, user_id) VALUES ($1, $2)";
        let params = ["hunter2".into(), "u1".into()];
        database.write(claim, &params).await.unwrap();
        let mut errors = vec![
            database.write(claim, &params).await.unwrap_err(),
            database.write("INSERT INTO nowhere VALUES ($1)", &["hunter2".into()]).await.unwrap_err(),
        ];
        if matches!(database.engine(), Engine::Postgres(_)) {
            let cast = database.read("SELECT $1::text::bigint AS x", &["hunter2".into()]).await;
            errors.push(cast.unwrap_err());
        }
        for error in errors {
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
}

#[tokio::test]
async fn one_text_builds_the_same_json_on_both() {
    let sql = "SELECT {object}'list', (SELECT {array}{object}'n', {json}payload{/json}, \
        'even', {boolean}sequence % 2 = 0{/boolean}, 'none', {boolean}NULL{/boolean}, \
        'user', user_id{/object} ORDER BY sequence DESC{/array} FROM events WHERE sequence < $1), \
        'curly', '{}'{/object} AS found";
    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        for sequence in 1..=2 {
            insert_event(&database, sequence).await.unwrap();
        }
        for (limit, list) in [
            (0_i64, "[]"),
            (
                9,
                r#"[{"n":{},"even":true,"none":null,"user":null},{"n":{},"even":false,"none":null,"user":null}]"#,
            ),
        ] {
            let rows = database.read(sql, &[limit.into()]).await.unwrap();
            let found: serde_json::Value =
                serde_json::from_str(&rows[0].get::<String>("found").unwrap()).unwrap();
            let list: serde_json::Value = serde_json::from_str(list).unwrap();
            assert_eq!(found, serde_json::json!({ "list": list, "curly": "{}" }));
        }
    }
}

#[tokio::test]
async fn statements_are_counted_by_kind() {
    for fresh in fresh_databases().await.unwrap() {
        let before = fresh.database.counters();
        fresh.database.read("SELECT 1 AS x", &[]).await.unwrap();
        insert_event(&fresh.database, 1).await.unwrap();
        let expected = StatementCounts { read: before.read + 1, write: before.write + 1, ..before };
        assert_eq!(fresh.database.counters(), expected);
    }
}

#[tokio::test]
async fn one_failing_job_leaves_its_neighbours_alone() {
    let fresh = empty_sqlite().await.unwrap();
    fresh.database.migrate(at(NOW)).await.unwrap();
    let mut claims = tokio::task::JoinSet::new();
    for number in 0..200 {
        let database = fresh.database.clone();
        claims.spawn(async move {
            let claim = "INSERT INTO email_claims (digest, user_id) VALUES ($1, $2)";
            let digest = format!("digest {}", number / 2);
            database.write(claim, &[digest.into(), format!("u{number}").into()]).await
        });
    }
    let outcomes = claims.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 100);
    assert_eq!(
        outcomes.iter().filter(|outcome| **outcome == Err(constraint("email_claims_pkey"))).count(),
        100
    );
    let stored = fresh.database.read("SELECT count(*) AS found FROM email_claims", &[]).await.unwrap();
    assert_eq!(stored[0].get::<i64>("found").unwrap(), 100);
}

/// PostgreSQL has a timeout for this; SQLite must be made to look at the clock.
#[tokio::test]
async fn a_search_that_takes_too_long_is_given_up() {
    let fresh = empty_sqlite().await.unwrap();
    let Engine::Sqlite(sqlite) = fresh.database.engine() else { panic!("not SQLite") };
    let endless =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS found FROM n";
    let time = std::time::Duration::from_millis(20);
    assert!(matches!(sqlite.scan(endless, &[], time), Err(DatabaseError::Unavailable(_))));
    // The connection is as good as before, and nobody counts its steps any more.
    assert_eq!(sqlite.read("SELECT 1 AS one", &[]).unwrap()[0].get::<i64>("one").unwrap(), 1);
}

/// Whoever holds it reads through other connections what it then writes: nobody may write in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn while_somebody_has_a_table_to_themselves_nobody_else_writes_it() {
    // With the one through which the holder reads, no more connections than the pool has.
    const WRITERS: i64 = 8;
    const ROUNDS: i64 = 5;

    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        let insert = "INSERT INTO throttle (bucket, window_started_at, attempts) VALUES ('b', $1, 0)";
        database.write(insert, &[at(NOW).into()]).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            let database = database.clone();
            tasks.spawn(async move {
                for round in 0..ROUNDS {
                    let add = "UPDATE throttle SET attempts = attempts + 1 WHERE bucket = 'b'";
                    database.write(add, &[]).await.unwrap();
                    // Another one in each round.
                    if writer == round {
                        let mut exclusive = database.exclusive(&["throttle"]).await.unwrap();
                        let rows = database.read("SELECT attempts FROM throttle", &[]).await.unwrap();
                        let attempts: i64 = rows[0].get("attempts").unwrap();
                        let set = "UPDATE throttle SET attempts = $1 WHERE bucket = 'b'";
                        assert_eq!(exclusive.execute(set, vec![(attempts + 100).into()]).await, Ok(1));
                        exclusive.commit().await.unwrap();
                    }
                }
            });
        }
        tasks.join_all().await;
        let rows = database.read("SELECT attempts FROM throttle", &[]).await.unwrap();
        assert_eq!(rows[0].get::<i64>("attempts"), Ok(ROUNDS * (WRITERS + 100)), "{database:?}");
    }
}

#[tokio::test]
async fn what_is_not_committed_never_was() {
    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        let insert = "INSERT INTO throttle (bucket, window_started_at, attempts) VALUES ('b', $1, 0)";
        let mut exclusive = database.exclusive(&["throttle"]).await.unwrap();
        assert_eq!(exclusive.execute(insert, vec![at(NOW).into()]).await, Ok(1));
        drop(exclusive);
        // The next one waits until the first is undone.
        let mut exclusive = database.exclusive(&["throttle"]).await.unwrap();
        assert_eq!(exclusive.execute("DELETE FROM throttle", Vec::new()).await, Ok(0));
        exclusive.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_search_that_nobody_waits_for_keeps_its_place_until_it_has_ended() {
    let Some(fresh) = empty_postgres().await.unwrap() else { return };
    let database = fresh.database;
    let Engine::Postgres(postgres) = database.engine() else { panic!("it is PostgreSQL") };
    let mut holder = postgres.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(1)").execute(&mut *holder).await.unwrap();
    let searching = tokio::spawn({
        let database = database.clone();
        async move { database.scan("SELECT 1 AS one FROM pg_advisory_xact_lock(1)", &[]).await }
    });
    let waits = "SELECT 1 AS one FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while database.read(waits, &[]).await.unwrap().is_empty() {
        assert!(!searching.is_finished(), "it did not wait");
        tokio::task::yield_now().await;
    }
    searching.abort();
    assert!(searching.await.unwrap_err().is_cancelled());
    assert_eq!(database.scans.available_permits(), super::SCANS_MAX - 1);
    holder.rollback().await.unwrap();
    let all = u32::try_from(super::SCANS_MAX).unwrap();
    let given_back = tokio::time::timeout(Duration::from_mins(1), database.scans.acquire_many(all)).await;
    drop(given_back.expect("a place is lost").unwrap());
}

/// As many writes as use each connection of the pool.
async fn what_is_written_is_there_for(elsewhere: &Database, database: &Database, when: &str) {
    for number in 0..12 {
        let bucket = format!("{when} {number}");
        let insert = "INSERT INTO throttle (bucket, window_started_at, attempts) VALUES ($1, $2, 0)";
        database.write(insert, &[bucket.as_str().into(), at(NOW).into()]).await.unwrap();
        let find = "SELECT 1 AS one FROM throttle WHERE bucket = $1";
        let found = elsewhere.read(find, &[bucket.into()]).await.unwrap();
        assert_eq!(found.len(), 1, "{when}: {database:?}");
    }
}

/// Whoever wants one may be dropped wherever it was.
#[tokio::test]
async fn what_is_written_after_a_transaction_was_given_up_is_there_for_everybody() {
    for fresh in fresh_databases().await.unwrap() {
        let (database, elsewhere) = (fresh.database, Database::connect(&fresh.url).await.unwrap());
        // Each claims something else: one that was given up while it was committed may be there or not.
        let given_up = |claimed: String| {
            let claim = "INSERT INTO email_claims (digest, user_id) VALUES ($1, 'u1')";
            database.transact(vec![Step::new(claim, vec![claimed.into()])])
        };
        // While the answer to its beginning is on its way. SQLite's writer may have done all of it by then.
        tokio::select! {
            biased;
            done = given_up("at once".to_owned()) => assert_eq!(done, Ok(Transacted::Committed)),
            () = std::future::ready(()) => {}
        }
        what_is_written_is_there_for(&elsewhere, &database, "at once").await;
        let mut steps = 1;
        loop {
            let when = format!("after {steps} steps");
            let done = cut_short(given_up(when.clone()), steps).await;
            what_is_written_is_there_for(&elsewhere, &database, &when).await;
            if let Some(done) = done {
                assert_eq!(done, Ok(Transacted::Committed));
                break;
            }
            steps += 1;
        }
        assert!(steps > 1 || matches!(database.engine(), Engine::Sqlite(_)), "it was never cut short");
    }
}
