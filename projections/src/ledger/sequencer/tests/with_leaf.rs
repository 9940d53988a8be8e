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
