mod appended;
mod by_event;
mod queue;
mod tampered;
mod with_leaf;

use serde_json::json;
use zeroize::Zeroizing;

use super::queue::FROM_FIRST_EVERY;
use super::reconcile::{LOOK_MAX, MISSING_KEPT_MAX, look};
use super::*;
use crate::audit_trail::AuditTrail;
use crate::catch_up::{CaughtUp, catch_up};
use crate::coverage::Coverage;
use crate::database::testing::{FreshDatabase, fresh_databases, unlock};
use crate::database::{Database, Engine};
use crate::ledger::canonical;
use crate::ledger::checkpoint::Verifier;
use crate::ledger::leaf::Leaf;
use crate::ledger::proof::{verify_consistency, verify_inclusion};
use crate::ledger::tree::{empty_root, leaf_hash};
use crate::ledger::waiting;
use crate::table::text;

fn signer() -> Arc<Signer> {
    let mut seed = Zeroizing::new([0; 32]);
    seed.iter_mut().zip(0..).for_each(|(byte, number)| *byte = number);
    Arc::new(Signer::from_seed("audit.example.com/log1".parse().unwrap(), &seed))
}

fn now() -> Timestamp {
    Timestamp::from_timestamp(1_900_000_000, 0).unwrap()
}

struct Log {
    /// The directory of a SQLite file goes when this does.
    _fresh: FreshDatabase,
    database: Database,
    store: LedgerStore,
    sequencer: Sequencer,
}

impl Log {
    async fn on(fresh: FreshDatabase) -> Self {
        let database = fresh.database.clone();
        let store = LedgerStore::new(database.clone());
        store.make(&signer(), now()).await.unwrap();
        Self {
            _fresh: fresh,
            database,
            sequencer: Sequencer::new(store.clone(), signer(), Arc::default()),
            store,
        }
    }

    async fn event(&self, stream: u32, sequence: i64) {
        self.event_without_notice(stream, sequence).await;
        self.announce(stream, sequence).await;
    }

    async fn event_without_notice(&self, stream: u32, sequence: i64) {
        let sql = "INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, \
                   metadata, event_id, recorded_at) SELECT 'user', $1, $2, 'SessionStarted', '1', given.payload, \
                   given.metadata, $3, $4 FROM";
        let columns = [crate::table::json("payload"), crate::table::json("metadata")];
        let sql = format!("{sql} {}", self.database.given(5, &columns));
        let texts = json!([{
            "payload": {"SessionStarted": {"number": sequence}},
            "metadata": {"actor_kind": "api_key", "actor_id": "k", "request_id": "r"},
        }]);
        let event_id = format!("00000000-0000-7000-8000-{stream:06}{sequence:06}");
        let row =
            [name(stream).into(), sequence.into(), event_id.into(), now().into(), texts.to_string().into()];
        self.database.write(&sql, &row).await.unwrap();
    }

    async fn announce(&self, stream: u32, sequence: i64) {
        let sql = "INSERT INTO ledger_pending (event_id, aggregate_type, aggregate_id, sequence) \
                   VALUES ('unused', 'user', $1, $2)";
        self.database.write(sql, &[name(stream).into(), sequence.into()]).await.unwrap();
    }

    /// More events of a stream that has its first one, up to this sequence, and their announcements.
    async fn events_up_to(&self, stream: u32, last: i64) {
        let sequences = format!(
            "WITH RECURSIVE n (sequence) AS (SELECT 2 UNION ALL SELECT sequence + 1 FROM n WHERE sequence < {last})"
        );
        let id = name(stream);
        let events = format!(
            "{sequences} INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, \
             payload, metadata, event_id, recorded_at) SELECT e.aggregate_type, e.aggregate_id, n.sequence, \
             e.event_type, e.event_version, e.payload, e.metadata, '00000000-0000-7000-8000-' || \
             substr(CAST(1000000000000 + n.sequence AS text), 2), e.recorded_at FROM n CROSS JOIN events e \
             WHERE e.aggregate_id = '{id}' AND e.sequence = 1"
        );
        let announcements = format!(
            "{sequences} INSERT INTO ledger_pending (event_id, aggregate_type, aggregate_id, sequence) \
             SELECT 'unused', 'user', '{id}', sequence FROM n"
        );
        for sql in [events, announcements] {
            self.database.write(&sql, &[]).await.unwrap();
        }
    }

    /// As many as a turn looks at, none of which can be placed.
    async fn announce_a_turn_of_held(&self, sequence: u64, leaf: &str) {
        let rows: Vec<_> =
            (0..TURN_ROWS_MAX).map(|number| json!({ "aggregate_id": format!("held-{number}") })).collect();
        let given = self.database.given(1, &[text("aggregate_id")]);
        let sql = format!(
            "INSERT INTO ledger_pending (event_id, aggregate_type, aggregate_id, sequence, leaf) \
             SELECT 'unused', 'user', aggregate_id, {sequence}, {leaf} FROM {given}"
        );
        self.database.write(&sql, &[json!(rows).to_string().into()]).await.unwrap();
    }

    /// Announces the first event of a stream by a number before all others.
    async fn announce_late(&self, stream: u32) {
        let given = match self.database.engine() {
            Engine::Postgres(_) => "OVERRIDING SYSTEM VALUE",
            Engine::Sqlite(_) => "",
        };
        let sql = format!(
            "INSERT INTO ledger_pending (pending_id, event_id, aggregate_type, aggregate_id, sequence) {given} \
             VALUES (-1, 'unused', 'user', $1, 1)"
        );
        self.database.write(&sql, &[name(stream).into()]).await.unwrap();
    }

    async fn turn(&mut self) -> Turn {
        turn_of(&mut self.sequencer).await
    }

    /// Another node's.
    fn another_sequencer(&self) -> Sequencer {
        Sequencer::new(self.store.clone(), signer(), Arc::default())
    }

    async fn entries(&self) -> Vec<Leaf> {
        let leaves = self.store.leaves(0, u64::from(u32::MAX)).await.unwrap();
        assert!(leaves.iter().zip(0..).all(|(leaf, position)| leaf.position == position), "not dense");
        leaves.iter().map(|leaf| Leaf::parse(leaf.leaf.as_bytes()).unwrap()).collect()
    }

    async fn places(&self) -> Vec<(String, u64)> {
        self.entries().await.into_iter().map(|leaf| (leaf.stream_id, leaf.sequence)).collect()
    }

    async fn pending(&self) -> i64 {
        let rows = self.database.read("SELECT count(*) AS waiting FROM ledger_pending", &[]).await.unwrap();
        rows[0].get("waiting").unwrap()
    }

    async fn signed(&self) -> Checkpoint {
        let state = self.store.state().await.unwrap().unwrap();
        let verifier: Verifier = state.verifier_key.parse().unwrap();
        verifier.verify(state.checkpoint.as_bytes()).unwrap()
    }
}

async fn turn_of(sequencer: &mut Sequencer) -> Turn {
    sequencer.turn(Trust::Head(None), now()).await.unwrap()
}

fn name(stream: u32) -> String {
    format!("00000000-0000-7000-8000-{stream:012}")
}

async fn logs() -> Vec<Log> {
    let mut logs = Vec::new();
    for fresh in fresh_databases().await.unwrap() {
        logs.push(Log::on(fresh).await);
    }
    logs
}

#[tokio::test]
async fn what_waits_becomes_the_next_entries_in_order_and_is_signed() {
    for mut log in logs().await {
        assert_eq!(log.signed().await.size, 0);
        for (stream, sequence) in [(1, 1), (2, 1), (1, 2)] {
            log.event(stream, sequence).await;
        }
        let turn = log.turn().await;
        assert_eq!(turn, Turn { size: 3, taken: 3, held: Held::default(), again: false });
        assert_eq!(log.places().await, [(name(1), 1), (name(2), 1), (name(1), 2)]);
        assert_eq!(log.pending().await, 0);
        let entries = log.entries().await;
        assert_eq!(entries[2].prev, Some(entries[0].hash().unwrap()));
        let payload = canonical::digest(r#"{"SessionStarted":{"number":1}}"#);
        assert_eq!(
            (Ok(entries[0].payload_sha256), Ok(entries[0].metadata_sha256)),
            (payload, canonical::digest(&metadata()))
        );
        let signed = log.signed().await;
        let root = log.store.root(3, 3).await.unwrap();
        assert_eq!((signed.size, signed.root), (3, root));
        assert_eq!(log.turn().await.taken, 0);
    }
}

/// Numbers are given before they are committed, so that one may come long after those behind it.
#[tokio::test]
async fn an_event_whose_number_is_long_past_gets_its_place() {
    for mut log in logs().await {
        for sequence in 1..=i64::from(3 * FROM_FIRST_EVERY) {
            log.event(1, sequence).await;
            assert_eq!(log.turn().await.taken, 1);
        }
        log.event_without_notice(2, 1).await;
        log.announce_late(2).await;
        let mut taken = 0;
        for _ in 0..FROM_FIRST_EVERY {
            taken += log.turn().await.taken;
        }
        assert_eq!((taken, log.pending().await), (1, 0));
    }
}

#[tokio::test]
async fn an_event_that_follows_a_late_one_is_not_held() {
    for mut log in logs().await {
        for sequence in 1..=i64::from(2 * FROM_FIRST_EVERY) + 1 {
            log.event(1, sequence).await;
            log.turn().await;
        }
        // This turn would begin behind what is late.
        assert!(log.sequencer.queue.may_pass_a_late_one());
        log.event_without_notice(2, 1).await;
        log.announce_late(2).await;
        log.event(2, 2).await;
        let turn = log.turn().await;
        assert_eq!((turn.taken, turn.held), (2, Held::default()));
        // What is missing is held in every turn.
        log.event(3, 2).await;
        for _ in 0..2 * FROM_FIRST_EVERY {
            assert_eq!(log.turn().await.held.count, 1);
        }
    }
}

fn metadata() -> String {
    r#"{"request_id":"r","actor_kind":"api_key","actor_id":"k"}"#.to_owned()
}

#[tokio::test]
async fn every_size_has_the_root_and_the_proofs_of_its_leaves() {
    for mut log in logs().await {
        let (mut sequence, mut roots) = (0, vec![empty_root()]);
        // Turns of uneven sizes, past the first tile of the second level's first two hashes.
        for turn in [1, 2, 253, 1, 255, 90] {
            for _ in 0..turn {
                sequence += 1;
                log.event(1, sequence).await;
            }
            assert_eq!(log.turn().await.taken, turn);
        }
        let leaves = log.store.leaves(0, 602).await.unwrap();
        let mut frontier = Frontier::default();
        for leaf in &leaves {
            frontier.push(leaf_hash(leaf.leaf.as_bytes())).unwrap();
            roots.push(frontier.root());
        }
        assert_eq!(log.signed().await.root, roots[602]);
        for size in [1, 2, 3, 255, 256, 257, 511, 512, 513, 601, 602] {
            let at = usize::try_from(size).unwrap();
            assert_eq!(log.store.root(size, 602).await.unwrap(), roots[at], "{size}");
            assert_eq!(log.store.frontier(size, 602).await.unwrap().root(), roots[at], "{size}");
            let grown = log.store.consistency(size, 602).await.unwrap();
            verify_consistency((size, roots[at]), (602, roots[602]), &grown).unwrap();
            let (index, leaf) = (size - 1, leaf_hash(leaves[at - 1].leaf.as_bytes()));
            let proof = log.store.inclusion(index, 602).await.unwrap();
            verify_inclusion(leaf, index, 602, roots[602], &proof).unwrap();
            let then = log.store.inclusion(0, size).await.unwrap();
            verify_inclusion(leaf_hash(leaves[0].leaf.as_bytes()), 0, size, roots[at], &then).unwrap();
        }
    }
}

#[tokio::test]
async fn a_stream_whose_next_event_is_missing_waits_and_the_others_go_on() {
    for mut log in logs().await {
        log.event(1, 2).await;
        log.event(2, 1).await;
        let turn = log.turn().await;
        assert_eq!((turn.taken, turn.held.count), (1, 1));
        assert!(turn.held.first[0].reason.contains("event 1 of its stream is missing"), "{:?}", turn.held);
        assert_eq!(log.turn().await.taken, 0);
        log.event(1, 1).await;
        // The predecessor's row comes after its own in the queue, so this takes a second turn.
        assert_eq!(log.turn().await.taken + log.turn().await.taken, 2);
        assert_eq!(log.places().await, [(name(2), 1), (name(1), 1), (name(1), 2)]);
    }
}

#[tokio::test]
async fn an_event_that_is_announced_twice_has_one_place() {
    for mut log in logs().await {
        log.event(1, 1).await;
        log.announce(1, 1).await;
        log.turn().await;
        log.announce(1, 1).await;
        log.turn().await;
        assert_eq!((log.places().await, log.pending().await), (vec![(name(1), 1)], 0));
    }
}

#[tokio::test]
async fn an_event_that_is_gone_holds_only_its_stream() {
    for mut log in logs().await {
        log.announce(1, 1).await;
        log.event(2, 1).await;
        let turn = log.turn().await;
        assert_eq!((turn.taken, turn.held.count), (1, 1));
        assert!(turn.held.first[0].reason.contains("is gone"), "{:?}", turn.held);
        assert_eq!(log.pending().await, 1);
    }
}

#[tokio::test]
async fn of_two_sequencers_at_once_each_event_gets_one_place() {
    for mut log in logs().await {
        let mut other = log.another_sequencer();
        for sequence in 1..=40 {
            log.event(1, sequence).await;
            log.event(2, sequence).await;
            tokio::join!(turn_of(&mut log.sequencer), turn_of(&mut other));
        }
        log.turn().await;
        assert_eq!(log.entries().await.len(), 80);
        assert_eq!(log.pending().await, 0);
    }
}

#[tokio::test]
async fn a_turn_that_ended_before_it_signed_is_signed_by_the_next() {
    for mut log in logs().await {
        log.event(1, 1).await;
        log.turn().await;
        let unsigned = "UPDATE ledger_state SET signed_size = 0, checkpoint = $1";
        log.database.write(unsigned, &[signer().sign(0, empty_root()).into()]).await.unwrap();
        let mut next = log.another_sequencer();
        turn_of(&mut next).await;
        assert_eq!(log.signed().await.size, 1);
    }
}

#[tokio::test]
async fn the_audit_trail_follows_and_stops_before_an_entry_whose_event_is_gone() {
    for mut log in logs().await {
        for sequence in 1..=5 {
            log.event(1, sequence).await;
        }
        log.turn().await;
        assert_eq!(catch_up(&AuditTrail, &log.database, 3).await, Ok(CaughtUp::To(3)));
        remove_event(&log.database, 5).await;
        assert_eq!(catch_up(&AuditTrail, &log.database, 5).await, Ok(CaughtUp::Poisoned(4)));
        assert_eq!(catch_up(&Coverage, &log.database, 5).await, Ok(CaughtUp::Poisoned(4)));
        let rows =
            log.database.read("SELECT position FROM audit_trail_v1 ORDER BY position", &[]).await.unwrap();
        let positions: Vec<i64> = rows.iter().map(|row| row.get("position").unwrap()).collect();
        assert_eq!(positions, [0, 1, 2, 3]);
    }
}

#[tokio::test]
async fn what_follows_the_ledger_stops_before_an_entry_that_is_gone() {
    let cases = [
        ("position = 0", 0),
        ("position = 1", 1),
        ("position = 2", 2),
        ("position > 0", 1),
        ("position >= 0", 0),
    ];
    for (gone, first) in cases {
        for mut log in logs().await {
            for sequence in 1..=3 {
                log.event(1, sequence).await;
            }
            log.turn().await;
            unlock(&log.database).await.unwrap();
            log.database.write(&format!("DELETE FROM ledger_entries WHERE {gone}"), &[]).await.unwrap();
            let poisoned = Ok(CaughtUp::Poisoned(first));
            assert_eq!(catch_up(&AuditTrail, &log.database, 3).await, poisoned, "the trail, without {gone}");
            assert_eq!(catch_up(&Coverage, &log.database, 3).await, poisoned, "coverage, without {gone}");
        }
    }
}

#[tokio::test]
async fn what_is_held_hides_nothing_for_ever() {
    hides_nothing(2, "NULL").await;
    hides_nothing(1, "'{}'").await;
}

async fn hides_nothing(sequence: u64, leaf: &str) {
    for mut log in logs().await {
        log.announce_a_turn_of_held(sequence, leaf).await;
        log.event(1, 1).await;
        let turn = log.turn().await;
        assert_eq!((turn.taken, turn.held.count), (1, TURN_ROWS_MAX));
        let idle = log.turn().await;
        assert_eq!((idle.taken, idle.again, idle.held.count), (0, false, TURN_ROWS_MAX));
    }
}

#[tokio::test]
async fn what_was_passed_over_is_held_while_more_is_behind_it() {
    for mut log in logs().await {
        log.announce_a_turn_of_held(2, "NULL").await;
        log.event(1, 1).await;
        log.events_up_to(1, i64::try_from(TURN_ROWS_MAX).unwrap() + 10).await;
        for (taken, again) in [(TURN_ROWS_MAX, true), (10, false), (0, false)] {
            let turn = log.turn().await;
            assert_eq!((turn.taken, turn.again, turn.held.count), (taken, again, TURN_ROWS_MAX));
        }
    }
}

async fn remove_event(database: &Database, sequence: i64) {
    unlock(database).await.unwrap();
    database.write("DELETE FROM events WHERE sequence = $1", &[sequence.into()]).await.unwrap();
}
