mod made;

use super::*;
use crate::database::Engine;
use crate::ledger::store::{encode_hashes, frontier_text};
use crate::ledger::testing::history::{Entry, history};
use crate::ledger::testing::{Stored, signer};
use crate::ledger::tree::{Frontier, Subtree};
use made::made;

/// One full tile, one of level 1, and some entries more.
const SIZE: u64 = 300;

fn at(position: u64, field: &str) -> (Option<u64>, String) {
    (Some(position), field.to_owned())
}

fn of_ledger(field: &str) -> (Option<u64>, String) {
    (None, field.to_owned())
}

/// Every way to tamper, with what is to be found, on a ledger of its own each.
async fn after(statements: &[&str], expected: &[(Option<u64>, String)]) {
    for made in made(SIZE).await {
        for statement in statements {
            made.run(statement).await;
        }
        let found = made.findings(None).await;
        assert_eq!(found, expected, "{:?} {statements:?}", made.fresh.database);
    }
}

const EVENT_7: &str = "WHERE aggregate_id = '00000000-0000-0000-0000-000000000002' AND sequence = 2";

#[tokio::test]
async fn an_untouched_ledger_holds() {
    for size in [1, SIZE, 2_600] {
        for made in made(size).await {
            let head = made.head(size, size);
            let mut told = Vec::new();
            let verifier = signer(0).verifier().clone();
            let told_to = |done, of| told.push((done, of));
            let report = verify_stored(&made.fresh.database, &verifier, Some(&head), told_to).await.unwrap();
            assert!(report.holds(), "{report}");
            assert_eq!((report.size, report.root), (size, made.stored.root(size)));
            assert_eq!(
                (report.source.signed_size, report.streams, report.source.pending),
                (size, size.min(5), 0)
            );
            assert_eq!(told.last().copied(), Some((size, size)));
            assert!(made.verify(None).await.to_string().contains("no checkpoint outside it"));
        }
    }
}

#[tokio::test]
async fn an_empty_ledger_shows_nothing() {
    for made in made(0).await {
        let report = made.verify(Some(&made.head(0, 0))).await;
        assert!(!report.holds() && report.proved().is_empty());
        assert_eq!(report.to_string(), "The ledger has no entries: there is nothing to verify.\n");
        let report = made.verify(Some(&made.head(SIZE, 0))).await;
        assert_eq!(report.findings[0].problem, Problem::RolledBack { signed: SIZE, size: 0 });
        assert!(report.to_string().starts_with("The ledger does NOT hold"), "{report}");
    }
}

#[tokio::test]
async fn a_changed_event_is_named() {
    let update = |set: &str| format!("UPDATE events SET {set} {EVENT_7}");
    for (set, expected) in [
        ("event_type = 'UserRegistered'", vec![at(7, "event_type")]),
        ("event_version = '2'", vec![at(7, "event_version")]),
        ("user_id = NULL", vec![at(7, "user_id")]),
        ("user_id = '00000000-0000-0000-0000-000000000000'", vec![at(7, "user_id")]),
        ("agreement_id = '00000000-0000-0000-0000-000000000000'", vec![at(7, "agreement_id")]),
        ("actor_id = NULL", vec![at(7, "actor_id")]),
        ("recorded_at = '2030-03-17T17:46:41.000000Z'", vec![at(7, "recorded_at")]),
        ("payload = '{\"TwoFactorDisabled\":{\"step\":8,\"at\":\"2030\"}}'", vec![at(7, "payload")]),
        ("payload = '{\"TwoFactorDisabled\":{\"at\":\"\\u0032030\",\"step\":7.0}}'", vec![]),
    ] {
        let statement = update(set);
        if expected.is_empty() {
            for made in made(SIZE).await {
                made.run(&statement).await;
                assert!(made.verify(None).await.holds(), "another spelling is the same payload");
            }
        } else {
            after(&[&statement], &expected).await;
        }
    }
}

#[tokio::test]
async fn an_event_with_another_id_is_named() {
    for made in made(SIZE).await {
        made.run(&format!("UPDATE events SET event_id = '00000000-0000-0000-0000-000000000000' {EVENT_7}"))
            .await;
        let expected = match made.fresh.database.engine() {
            // It finds entries by that id, and none of this one.
            Engine::Postgres(_) => vec![at(7, "event_id"), of_ledger("event")],
            Engine::Sqlite(_) => vec![at(7, "event_id")],
        };
        assert_eq!(made.findings(None).await, expected);
    }
}

#[tokio::test]
async fn sqlite_may_hold_what_is_no_moment() {
    for made in made(20).await {
        if matches!(made.fresh.database.engine(), Engine::Sqlite(_)) {
            made.run(&format!("UPDATE events SET recorded_at = 'soon' {EVENT_7}")).await;
            assert_eq!(made.findings(None).await, [at(7, "recorded_at")]);
        }
    }
}

/// Of the moment that position 7 has. PostgreSQL reads each as that, and keeps none of them.
const SPELLINGS: [&str; 3] =
    ["2030-03-18T07:46:50.500007+14:00", "2030-03-17T17:46:50.500007+00:00", "2030-03-17 17:46:50.500007Z"];

#[tokio::test]
async fn a_moment_that_sqlite_has_in_another_spelling_is_named() {
    for spelling in SPELLINGS {
        for made in made(20).await {
            made.run(&format!("UPDATE events SET recorded_at = '{spelling}' {EVENT_7}")).await;
            match made.fresh.database.engine() {
                Engine::Sqlite(_) => {
                    assert_eq!(made.findings(None).await, [at(7, "recorded_at")], "{spelling}");
                }
                Engine::Postgres(_) => assert!(made.verify(None).await.holds(), "{spelling}"),
            }
        }
    }
}

#[tokio::test]
async fn a_removed_event_is_named() {
    after(&[&format!("DELETE FROM events {EVENT_7}")], &[at(7, "event")]).await;
    // The last one of its stream is missed by the snapshot too.
    let last = "DELETE FROM events WHERE aggregate_id LIKE '%4' AND sequence = 60";
    after(&[last], &[at(299, "event"), of_ledger("event")]).await;
}

#[tokio::test]
async fn removed_and_changed_entries_are_named() {
    let tree = [of_ledger("frontier"), of_ledger("root")];
    let tiles = [at(0, "tile"), at(0, "tile")];
    let one_more = [of_ledger("event")];
    let first = [&tree[..], &[at(0, "position")], &tiles, &[at(5, "sequence")], &one_more].concat();
    after(&["DELETE FROM ledger_entries WHERE position = 0"], &first).await;
    let middle = [&tree[..], &tiles, &[at(7, "position"), at(12, "sequence")], &one_more].concat();
    after(&["DELETE FROM ledger_entries WHERE position = 7"], &middle).await;
    let last = [&tree[..], &[at(299, "position")], &one_more].concat();
    after(&["DELETE FROM ledger_entries WHERE position = 299"], &last).await;
    let changed = [at(7, "leaf_hash"), at(7, "event_version"), at(12, "prev")];
    let change = "UPDATE ledger_entries SET leaf = replace(leaf, '\"event_version\":\"1\"', \
                  '\"event_version\":\"2\"') WHERE position = 7";
    after(&[change], &[&tree[..], &tiles, &changed].concat()).await;
    after(&["UPDATE ledger_entries SET leaf_hash = 'x' WHERE position = 7"], &[at(7, "leaf_hash")]).await;
}

#[tokio::test]
async fn swapped_entries_are_named_even_if_all_their_columns_move() {
    let swap = [
        "UPDATE ledger_entries SET position = 1000 WHERE position = 7",
        "UPDATE ledger_entries SET position = 7 WHERE position = 12",
        "UPDATE ledger_entries SET position = 12 WHERE position = 1000",
    ];
    let expected =
        [of_ledger("frontier"), of_ledger("root"), at(0, "tile"), at(0, "tile"), at(7, "sequence")];
    after(&swap, &expected).await;
}

#[tokio::test]
async fn an_inserted_entry_is_named_with_what_it_repeats() {
    // Everything behind it moves up by one; what is put in is the event that stands there already, anew.
    let insert = [
        "UPDATE ledger_entries SET position = position + 1000 WHERE position >= 7",
        "UPDATE ledger_entries SET position = position - 999 WHERE position >= 1000",
        "INSERT INTO ledger_entries (position, aggregate_type, aggregate_id, sequence, leaf, leaf_hash) \
         SELECT 7, aggregate_type, aggregate_id, 61, replace(leaf, '\"sequence\":\"2\"', '\"sequence\":\"61\"'), leaf_hash \
         FROM ledger_entries WHERE position = 8",
        "UPDATE ledger_state SET size = size + 1",
    ];
    // It claims to come after its stream's last event, which another hash and a later time stand before.
    let expected = [
        of_ledger("frontier"),
        of_ledger("root"),
        at(0, "tile"),
        at(0, "tile"),
        at(7, "leaf_hash"),
        at(7, "event"),
        at(7, "prev"),
        at(7, "recorded_at"),
    ];
    after(&insert, &expected).await;
}

#[tokio::test]
async fn what_was_put_past_the_ledger_is_named() {
    let inserted = "INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, \
                    metadata) SELECT aggregate_type, aggregate_id, 61, event_type, event_version, payload, metadata \
                    FROM events";
    let inserted = format!("{inserted} {EVENT_7}");
    for made in made(SIZE).await {
        made.run(&inserted).await;
        let report = made.verify(None).await;
        let id = "00000000-0000-0000-0000-000000000002";
        assert_eq!(
            report.findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [format!(
                "this event is not in the ledger, and does not wait for its place (TwoFactorDisabled, user/{id}/61)"
            )]
        );
        // One that waits is a number, and one whose predecessor is gone is a finding.
        made.run(ANNOUNCE).await;
        let report = made.verify(None).await;
        assert!(report.holds() && report.source.pending == 1, "{report}");
        assert!(report.to_string().contains("about 1 events that wait"));
        made.run("UPDATE events SET sequence = 63 WHERE sequence = 61").await;
        made.run("UPDATE ledger_pending SET sequence = 63").await;
        assert_eq!(made.verify(None).await.findings[0].problem, Problem::EventsGone { from: 61 });
        made.run("UPDATE snapshots SET last_sequence = 63 WHERE aggregate_id LIKE '%2'").await;
        made.run("DELETE FROM events WHERE sequence = 63").await;
        let problems: Vec<_> = made.verify(None).await.findings.into_iter().map(|it| it.problem).collect();
        assert_eq!(problems, [Problem::WaitingEventGone, Problem::StreamEndGone]);
    }
}

const ANNOUNCE: &str = "INSERT INTO ledger_pending (event_id, aggregate_type, aggregate_id, sequence) \
                        SELECT event_id, aggregate_type, aggregate_id, sequence FROM events WHERE sequence > 60";

/// Copies the event of position 7 to the end of its stream, with each of these sequences.
fn append(from: i64, to: i64) -> String {
    format!(
        "WITH RECURSIVE n (sequence) AS (SELECT {from} UNION ALL SELECT sequence + 1 FROM n WHERE sequence < {to}) \
         INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata) \
         SELECT e.aggregate_type, e.aggregate_id, n.sequence, e.event_type, e.event_version, e.payload, e.metadata \
         FROM n CROSS JOIN events e WHERE e.aggregate_id LIKE '%2' AND e.sequence = 2"
    )
}

#[tokio::test]
async fn more_events_than_are_read_at_once_may_wait() {
    for made in made(SIZE).await {
        made.run(&append(61, 10_100)).await;
        made.run(ANNOUNCE).await;
        let report = made.verify(None).await;
        assert!(report.holds() && report.source.pending == 10_040, "{report}");
        made.run("DELETE FROM ledger_pending WHERE sequence IN (61, 10000)").await;
        let problems: Vec<_> = made.verify(None).await.findings.into_iter().map(|it| it.problem).collect();
        assert_eq!(problems, [Problem::EventWithoutEntry, Problem::EventWithoutEntry]);
    }
}

#[tokio::test]
async fn an_event_that_is_announced_twice_is_one_event() {
    for made in made(SIZE).await {
        made.run(&append(63, 63)).await;
        for _ in 0..2 {
            made.run(ANNOUNCE).await;
        }
        let report = made.verify(None).await;
        assert_eq!((report.source.pending, report.findings_total), (2, 1), "{report}");
        assert_eq!(report.findings[0].problem, Problem::EventsGone { from: 61 });
    }
}

#[tokio::test]
async fn stored_hashes_must_be_those_of_the_entries() {
    let wrong = encode_hashes(&[empty_root()]);
    for (statement, expected) in [
        ("DELETE FROM ledger_tiles WHERE level = 0".to_owned(), vec![at(0, "tile")]),
        (format!("UPDATE ledger_tiles SET hashes = '{wrong}' WHERE level = 0"), vec![at(0, "tile")]),
        (format!("UPDATE ledger_tiles SET hashes = '{wrong}' WHERE level = 1"), vec![at(0, "tile")]),
        ("UPDATE ledger_tiles SET hashes = 'x' WHERE level = 1".to_owned(), vec![at(0, "tile")]),
        ("DELETE FROM ledger_tiles WHERE level = 1".to_owned(), vec![at(0, "tile")]),
        ("UPDATE ledger_state SET frontier = ''".to_owned(), vec![of_ledger("frontier")]),
        ("UPDATE ledger_state SET signed_size = 299".to_owned(), vec![of_ledger("signed_size")]),
        (
            "UPDATE ledger_state SET origin = 'x', verifier_key = 'y'".to_owned(),
            vec![of_ledger("origin"), of_ledger("verifier_key")],
        ),
        (
            "UPDATE ledger_state SET size = 4611686018427387904".to_owned(),
            vec![of_ledger("frontier"), at(300, "position")],
        ),
    ] {
        after(&[&statement], &expected).await;
    }
}

#[tokio::test]
async fn a_second_tile_is_compared_as_the_first() {
    for made in made(2_600).await {
        let statement = "UPDATE ledger_tiles SET hashes = (SELECT t.hashes FROM ledger_tiles t WHERE t.level = 0 AND \
                         t.tile_index = 0) WHERE level = 0 AND tile_index IN (1, 9)";
        made.run(statement).await;
        assert_eq!(made.findings(None).await, [at(256, "tile"), at(9 * 256, "tile")]);
    }
}

#[tokio::test]
async fn what_a_server_adds_meanwhile_is_left_alone() {
    for made in made(SIZE).await {
        // As if 256 entries more had widened the tile of level 1 after the size was read.
        let entries = history(SIZE + 256);
        let later = Stored::of_leaves(entries.iter().map(Entry::hash).collect());
        let hashes = [0, 1].map(|index| later.subtree(Subtree { level: 8, index }));
        made.run(&format!("UPDATE ledger_tiles SET hashes = '{}' WHERE level = 1", encode_hashes(&hashes)))
            .await;
        assert!(made.verify(None).await.holds());
        // What is not signed yet is told, and is no finding.
        let note = made.note(298);
        made.run(&format!("UPDATE ledger_state SET checkpoint = '{note}', signed_size = 298")).await;
        let report = made.verify(None).await;
        assert!(
            report.holds() && report.to_string().contains("from position 298 on were signed"),
            "{report}"
        );
    }
}

#[tokio::test]
async fn a_rolled_back_or_forked_ledger_is_found() {
    for made in made(SIZE).await {
        for size in [0, 1, 256, 299, SIZE] {
            let report = made.verify(Some(&made.head(size, size))).await;
            assert!(report.holds() && report.grown_from == Some(size), "{report}");
        }
        let report = made.verify(Some(&made.head(301, SIZE))).await;
        assert_eq!(report.findings[0].problem, Problem::RolledBack { signed: 301, size: SIZE });
        let report = made.verify(Some(&made.head(200, 199))).await;
        assert_eq!(report.findings[0].problem, Problem::Forked { size: 200 });
        assert_eq!(report.findings_total, 1);
        // Cut off with everything that belongs to it, the ledger is one that was signed once.
        let mut frontier = Frontier::default();
        for entry in &history(200) {
            frontier.push(entry.hash()).unwrap();
        }
        let state = format!(
            "UPDATE ledger_state SET size = 200, frontier = '{}', checkpoint = '{}', signed_size = 200",
            frontier_text(&frontier),
            made.note(200)
        );
        made.run(&state).await;
        assert_eq!(made.findings(None).await[0], at(200, "position"));
        made.run("DELETE FROM ledger_entries WHERE position >= 200").await;
        let report = made.verify(Some(&made.head(SIZE, SIZE))).await;
        assert_eq!(report.findings[0].problem, Problem::RolledBack { signed: SIZE, size: 200 });
        assert_eq!(report.findings_total, 1 + 100);
    }
}

#[tokio::test]
async fn a_checkpoint_of_another_key_or_tree_is_found() {
    for made in made(SIZE).await {
        let set = |note: &str| format!("UPDATE ledger_state SET checkpoint = '{note}'");
        made.run(&set(&signer(1).sign(SIZE, made.stored.root(SIZE)))).await;
        assert_eq!(made.findings(None).await, [of_ledger("checkpoint")]);
        made.run(&set(&signer(0).sign(SIZE, made.stored.root(299)))).await;
        assert_eq!(made.findings(None).await, [of_ledger("root")]);
        made.run(&set(&signer(0).sign(301, made.stored.root(SIZE)))).await;
        assert_eq!(made.findings(None).await, [of_ledger("signed_size"), of_ledger("size")]);
        made.run("DELETE FROM ledger_state").await;
        let verifier = signer(0).verifier().clone();
        let error = verify_stored(&made.fresh.database, &verifier, None, |_, _| {}).await.unwrap_err();
        assert!(matches!(error, StoredError::NotThere));
    }
}

/// An event that was slipped in, and an entry for it where nobody counts.
const BEFORE_FIRST: &str = "INSERT INTO ledger_entries (position, aggregate_type, aggregate_id, sequence, leaf, leaf_hash) \
                            SELECT -1, e.aggregate_type, e.aggregate_id, 61, replace(l.leaf, s.event_id, e.event_id), \
                            l.leaf_hash FROM events e JOIN ledger_entries l ON l.position = 7 JOIN events s \
                            ON s.aggregate_id = l.aggregate_id AND s.sequence = l.sequence WHERE e.sequence = 61";

#[tokio::test]
async fn an_entry_before_the_first_is_named_and_is_no_place_for_an_event() {
    for made in made(SIZE).await {
        made.run(&append(61, 61)).await;
        made.run(BEFORE_FIRST).await;
        let report = made.verify(None).await;
        let problems: Vec<_> = report.findings.into_iter().map(|it| it.problem).collect();
        assert_eq!(problems, [Problem::BeforeFirst { position: -1 }, Problem::EventWithoutEntry]);
    }
}

#[tokio::test]
async fn a_moment_that_no_calendar_has_is_named() {
    for moment in ["infinity", "-infinity", "294000-01-01", "10000-01-01"] {
        for made in made(20).await {
            made.run(&format!("UPDATE events SET recorded_at = '{moment}' {EVENT_7}")).await;
            assert_eq!(made.findings(None).await, [at(7, "recorded_at")], "{moment}");
        }
    }
}

#[tokio::test]
async fn what_is_no_text_is_named_with_its_column() {
    for made in made(20).await {
        if matches!(made.fresh.database.engine(), Engine::Sqlite(_)) {
            for (column, expected) in
                [("payload", vec![at(7, "payload")]), ("actor_id", vec![at(7, "actor_id"), at(7, "payload")])]
            {
                made.run(&format!("UPDATE events SET {column} = x'ff00' {EVENT_7}")).await;
                assert_eq!(made.findings(None).await, expected);
            }
            made.run("UPDATE ledger_entries SET leaf = x'ff00' WHERE position = 3").await;
            assert!(made.findings(None).await.contains(&at(3, "leaf")));
        }
    }
}

#[tokio::test]
async fn one_entry_shows_by_itself_what_is_wrong_with_it() {
    for made in made(20).await {
        let problems = async |position| {
            let found = verify_entry(&made.fresh.database, position).await.unwrap();
            found.into_iter().map(|finding| finding.problem).collect::<Vec<_>>()
        };
        assert_eq!(problems(7).await, []);
        assert_eq!(problems(20).await, [Problem::Missing { until: 21 }]);
        made.run(&format!("UPDATE events SET actor_id = NULL {EVENT_7}")).await;
        assert_eq!(problems(7).await, [Problem::Altered { field: "actor_id" }]);
        made.run(&format!("DELETE FROM events {EVENT_7}")).await;
        assert_eq!(problems(7).await, [Problem::NoEvent]);
        assert_eq!(problems(8).await, []);
    }
}
