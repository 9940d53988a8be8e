//! Events that bring their leaf along.

use super::super::leaves::Entry;
use super::*;
use crate::database::Row;
use crate::ledger::leaf::EventColumns;

/// The leaf of an event as [`Log::event`] stores it.
pub(super) fn leaf_of(stream: u32, sequence: u64, prev: Option<Hash>) -> Leaf {
    let columns = EventColumns {
        stream_type: "user".into(),
        stream_id: name(stream).into(),
        sequence,
        event_id: format!("00000000-0000-7000-8000-{stream:06}{sequence:06}").into(),
        event_type: "SessionStarted".into(),
        event_version: "1".into(),
        agreement_id: None,
        recorded_at: now(),
        payload: format!(r#"{{"SessionStarted":{{"number":{sequence}}}}}"#).into(),
        metadata: metadata().into(),
    };
    Leaf::of_event(&columns, prev).unwrap()
}

impl Log {
    /// The first events of these streams, one after the other; of the missing stream, its number is missing too.
    async fn announce_all(&self, leaves: &[Leaf], missing: Option<u32>) {
        let rows: Vec<_> = leaves
            .iter()
            .map(|leaf| json!({ "aggregate_id": leaf.stream_id, "leaf": leaf.to_text().unwrap() }))
            .collect();
        let (before, behind) =
            rows.split_at(missing.map_or(0, |stream| usize::try_from(stream - 1).unwrap()));
        let given = self.database.given(1, &[text("aggregate_id"), text("leaf")]);
        let sql = format!(
            "INSERT INTO ledger_pending (event_id, aggregate_type, aggregate_id, sequence, leaf) \
             SELECT 'unused', 'user', aggregate_id, 1, leaf FROM {given}"
        );
        self.database.write(&sql, &[json!(before).to_string().into()]).await.unwrap();
        if missing.is_some() {
            self.announce(0, 1).await;
            self.take_back(0).await;
        }
        self.database.write(&sql, &[json!(behind).to_string().into()]).await.unwrap();
    }

    pub(super) async fn announce_with(&self, stream: u32, sequence: i64, leaf: &str) {
        let sql = "INSERT INTO ledger_pending (event_id, aggregate_type, aggregate_id, sequence, leaf) \
                   VALUES ('unused', 'user', $1, $2, $3)";
        self.database.write(sql, &[name(stream).into(), sequence.into(), leaf.into()]).await.unwrap();
    }

    /// Takes what was announced of this stream out of the queue again, as somebody else may.
    async fn take_back(&self, stream: u32) {
        let sql = "DELETE FROM ledger_pending WHERE aggregate_id = $1";
        self.database.write(sql, &[name(stream).into()]).await.unwrap();
    }

    /// What a turn that read these three streams would store, of the first event of each.
    async fn entries_of(&self, streams: [u32; 3]) -> Vec<Entry> {
        for stream in streams {
            self.announce_with(stream, 1, &leaf_of(stream, 1, None).to_text().unwrap()).await;
        }
        let sql = "SELECT pending_id FROM ledger_pending ORDER BY pending_id";
        let rows = self.database.read(sql, &[]).await.unwrap();
        let entry = |((row, stream), position): ((&Row, u32), u64)| Entry {
            pending_id: row.get("pending_id").unwrap(),
            position,
            stream: StreamKey::new("user", &name(stream)),
            sequence: 1,
            made: None,
            leaf_hash: leaf_of(stream, 1, None).hash().unwrap(),
            recorded_at: now(),
        };
        rows.iter().zip(streams).zip(0..).map(entry).collect()
    }

    async fn move_rows(&self, entries: &[Entry]) -> Transacted {
        let done: Vec<i64> = entries.iter().map(|entry| entry.pending_id).collect();
        self.database.transact(moving::steps(&self.database, entries, &done).unwrap()).await.unwrap()
    }
}

#[tokio::test]
async fn the_leaf_that_came_is_the_one_that_would_be_made() {
    for mut log in logs().await {
        log.event(1, 1).await;
        log.event_without_notice(1, 2).await;
        let first = leaf_of(1, 1, None);
        let second = leaf_of(1, 2, Some(first.hash().unwrap()));
        log.announce_with(1, 2, &second.to_text().unwrap()).await;
        assert_eq!(log.turn().await.taken, 2);
        assert_eq!(log.entries().await, [first, second.clone()]);
        // The last entry is remembered now, and followed as well.
        let third = leaf_of(1, 3, Some(second.hash().unwrap()));
        log.event_without_notice(1, 3).await;
        log.announce_with(1, 3, &third.to_text().unwrap()).await;
        assert_eq!(log.turn().await.taken, 1);
        assert_eq!(log.entries().await[2], third);
    }
}

#[tokio::test]
async fn a_leaf_that_does_not_fit_holds_its_stream_until_it_is_made_anew() {
    let right = leaf_of(1, 2, Some(leaf_of(1, 1, None).hash().unwrap()));
    let wrong = [
        ("is not a leaf", "{}".to_owned()),
        ("another spelling", right.to_text().unwrap().replacen('{', "{ ", 1)),
        ("of another event", leaf_of(2, 2, right.prev).to_text().unwrap()),
        ("of another event", leaf_of(1, 3, right.prev).to_text().unwrap()),
        ("does not follow", leaf_of(1, 2, None).to_text().unwrap()),
        ("does not follow", leaf_of(1, 2, Some(leaf_hash(b"another"))).to_text().unwrap()),
    ];
    for (reason, leaf) in wrong {
        for mut log in logs().await {
            log.event(1, 1).await;
            log.turn().await;
            log.event_without_notice(1, 2).await;
            log.announce_with(1, 2, &leaf).await;
            log.event(2, 1).await;
            let turn = log.turn().await;
            assert_eq!((turn.taken, turn.held.count), (1, 1));
            assert!(turn.held.first[0].reason.contains(reason), "{reason}: {:?}", turn.held);
            assert_eq!(log.sequencer.requeue().await.unwrap(), 1);
            assert_eq!(log.turn().await.taken, 1);
            assert_eq!(log.entries().await[2], right);
        }
    }
}

#[tokio::test]
async fn an_event_whose_place_somebody_elses_leaf_took_is_held() {
    for mut log in logs().await {
        log.announce_with(1, 1, &leaf_of(1, 1, None).to_text().unwrap()).await;
        log.turn().await;
        let genuine = Leaf { event_type: "SignedIn".to_owned(), ..leaf_of(1, 1, None) };
        log.announce_with(1, 1, &genuine.to_text().unwrap()).await;
        let turn = log.turn().await;
        assert_eq!((turn.taken, turn.held.count, log.pending().await), (0, 1, 1));
        assert!(turn.held.first[0].reason.contains("another leaf"), "{:?}", turn.held);
    }
}

#[tokio::test]
async fn what_another_sequencer_placed_is_looked_up_again() {
    for mut log in logs().await {
        let mut other = log.another_sequencer();
        for sequence in 1..=6 {
            log.event(1, sequence).await;
            let turn = if sequence % 2 == 0 { turn_of(&mut other).await } else { log.turn().await };
            assert_eq!((turn.taken, turn.held.count), (1, 0), "{sequence}");
        }
    }
}

/// Rows without a gap are moved in another way than those with one, and leaves that are made in a third.
#[tokio::test]
async fn each_leaf_gets_its_own_place_whatever_lies_between() {
    for mut log in logs().await {
        for stream in 1..=4 {
            log.announce_with(stream, 1, &leaf_of(stream, 1, None).to_text().unwrap()).await;
        }
        assert_eq!(log.turn().await.taken, 4);
        for stream in 11..=20 {
            let leaf = leaf_of(stream, 1, None).to_text().unwrap();
            match stream {
                // One whose leaf is made, one whose number nobody has, one that is held.
                13 => log.event(stream, 1).await,
                16 => {
                    log.announce_with(stream, 1, &leaf).await;
                    log.take_back(stream).await;
                }
                18 => log.announce_with(stream, 2, &leaf).await,
                _ => log.announce_with(stream, 1, &leaf).await,
            }
        }
        let turn = log.turn().await;
        assert_eq!((turn.taken, turn.held.count, log.pending().await), (8, 1, 1));
        let streams = [1, 2, 3, 4, 11, 12, 13, 14, 15, 17, 19, 20];
        let leaves = streams.map(|stream| leaf_of(stream, 1, None));
        assert_eq!(log.entries().await, leaves);
        let hashes = leaves.map(|leaf| leaf.hash().unwrap());
        assert_eq!(log.store.leaf_hashes(0, 12).await.unwrap(), hashes);
        log.turn().await;
        assert_eq!(log.store.root(12, 12).await.unwrap(), log.signed().await.root);
    }
}

/// As where another node had drawn a number and commits it only now.
#[tokio::test]
async fn a_row_that_came_between_the_others_after_they_were_read_stays() {
    for log in logs().await {
        let mut entries = log.entries_of([1, 2, 3]).await;
        entries.remove(1);
        entries[1].position = 1;
        assert_eq!(log.move_rows(&entries).await, Transacted::Committed);
        assert_eq!(log.places().await, [(name(1), 1), (name(3), 1)]);
        let left = log.database.read("SELECT aggregate_id FROM ledger_pending", &[]).await.unwrap();
        assert_eq!(left.iter().map(|row| row.get("aggregate_id")).collect::<Vec<_>>(), [Ok(name(2))]);
    }
}

/// As where an adoption takes what waits out of the queue and puts it in anew.
#[tokio::test]
async fn nothing_takes_effect_where_a_row_that_was_read_is_gone() {
    for gap in [false, true] {
        for log in logs().await {
            let mut entries = log.entries_of([1, 2, 3]).await;
            log.take_back(3).await;
            if gap {
                entries.remove(1);
            }
            assert_eq!(log.move_rows(&entries).await, Transacted::Undone);
            assert_eq!((log.entries().await.len(), log.pending().await), (0, 2));
        }
    }
}

#[tokio::test]
async fn a_whole_turn_of_leaves_is_moved_with_a_gap_and_without() {
    for gap in [None, Some(7)] {
        for mut log in logs().await {
            let streams = (1..).take(TURN_ROWS_MAX).filter(|stream| Some(*stream) != gap);
            let leaves: Vec<Leaf> = streams.map(|stream| leaf_of(stream, 1, None)).collect();
            log.announce_all(&leaves, gap).await;
            assert_eq!(log.turn().await.taken, leaves.len());
            assert_eq!(log.entries().await, leaves);
            let hashes: Vec<Hash> = leaves.iter().map(|leaf| leaf.hash().unwrap()).collect();
            let size = u64::try_from(leaves.len()).unwrap();
            assert_eq!(log.store.leaf_hashes(0, size).await.unwrap(), hashes);
        }
    }
}
