//! Events that bring their leaf along.

use super::*;
use crate::ledger::leaf::EventColumns;

/// The leaf of an event as [`Log::event`] stores it.
fn leaf_of(stream: u32, sequence: u64, prev: Option<Hash>) -> Leaf {
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
    async fn announce_with(&self, stream: u32, sequence: i64, leaf: &str) {
        let sql = "INSERT INTO ledger_pending (event_id, aggregate_type, aggregate_id, sequence, leaf) \
                   VALUES ('unused', 'user', $1, $2, $3)";
        self.database.write(sql, &[name(stream).into(), sequence.into(), leaf.into()]).await.unwrap();
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
        let mut other = Sequencer::new(log.store.clone(), signer());
        for sequence in 1..=6 {
            log.event(1, sequence).await;
            let turn = if sequence % 2 == 0 {
                other.turn(Trust::Head(None), now()).await.unwrap()
            } else {
                log.turn().await
            };
            assert_eq!((turn.taken, turn.held.count), (1, 0), "{sequence}");
        }
    }
}

/// Rows without a gap are moved in another way than those with one, and than leaves that are made.
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
                    let sql = "DELETE FROM ledger_pending WHERE aggregate_id = $1";
                    log.database.write(sql, &[name(stream).into()]).await.unwrap();
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
