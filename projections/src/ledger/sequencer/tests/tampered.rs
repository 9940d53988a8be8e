//! Somebody who can write the database, and does.

use chrono::TimeDelta;

use super::*;

#[tokio::test]
async fn a_tree_that_has_not_grown_from_the_signed_one_is_not_signed() {
    for mut log in logs().await {
        log.event(1, 1).await;
        log.turn().await;
        let signed = log.signed().await;
        let mut next = log.another_sequencer();
        assert!(next.turn(Trust::Head(Some(&signed)), now()).await.is_ok());
        for trusted in [Checkpoint { size: 2, ..signed.clone() }, Checkpoint { root: empty_root(), ..signed }]
        {
            let mut next = log.another_sequencer();
            let refused = next.turn(Trust::Head(Some(&trusted)), now()).await.unwrap_err();
            assert!(refused.to_string().contains("has not grown"), "{refused}");
        }
        log.event(1, 2).await;
        let forged = "UPDATE ledger_state SET frontier = $1";
        log.database.write(forged, &[leaf_hash(b"another").to_string().into()]).await.unwrap();
        let refused = log.sequencer.turn(Trust::Head(None), now()).await.unwrap_err();
        assert!(matches!(refused, LedgerError::Corrupt(_)), "{refused}");
        assert_eq!(log.pending().await, 1);
    }
}

#[tokio::test]
async fn an_event_that_nobody_announced_is_found() {
    for mut log in logs().await {
        log.event(1, 1).await;
        log.turn().await;
        let later = now() + TimeDelta::seconds(10);
        let nothing = Looked { missing: Vec::new(), at_the_end: true };
        assert_eq!(log.sequencer.look_for_missing(later).await.unwrap(), nothing);
        log.event_without_notice(2, 1).await;
        // Whoever moves the database's own note of it hides nothing.
        let far = now() + TimeDelta::days(9);
        log.database.write("UPDATE ledger_state SET reconciled_to = $1", &[far.into()]).await.unwrap();
        for _ in 0..2 {
            let looked = log.sequencer.look_for_missing(later).await.unwrap();
            assert_eq!(looked.missing, [format!("user/{}/1", name(2))], "it is found until it has its place");
        }
        log.announce(2, 1).await;
        log.turn().await;
        assert_eq!(log.sequencer.look_for_missing(later).await.unwrap(), nothing);
    }
}

/// So that one that stays missing costs no more each day, and one of very many is not forgotten.
#[tokio::test]
async fn what_is_missing_is_looked_for_by_name_and_nothing_else_again() {
    for mut log in logs().await {
        log.event(1, 1).await;
        log.turn().await;
        log.event_without_notice(2, 1).await;
        let (later, much_later) = (now() + TimeDelta::seconds(10), now() + TimeDelta::hours(2));
        let missing = format!("user/{}/1", name(2));
        for until in [later, much_later] {
            let looked = log.sequencer.look_for_missing(until).await.unwrap();
            assert_eq!(looked, Looked { missing: vec![missing.clone()], at_the_end: true });
        }
        // Long before where the last look ended.
        log.event_without_notice(3, 1).await;
        assert_eq!(log.sequencer.look_for_missing(much_later).await.unwrap().missing, [missing]);
        // Another sequencer begins with what this one left.
        let mut other = log.another_sequencer();
        assert_eq!(other.look_for_missing(much_later).await.unwrap().missing.len(), 2);
    }
}

#[tokio::test]
async fn more_missing_events_than_are_kept_come_up_once_the_first_are_placed() {
    for mut log in logs().await {
        let kept = i64::try_from(MISSING_KEPT_MAX).unwrap();
        log.event_without_notice(1, 1).await;
        log.events_up_to(1, kept + 30).await;
        let announced =
            log.database.write("DELETE FROM ledger_pending RETURNING sequence", &[]).await.unwrap();
        assert_eq!(announced.len() + 1, MISSING_KEPT_MAX + 30);
        let later = now() + TimeDelta::seconds(10);
        assert_eq!(log.sequencer.look_for_missing(later).await.unwrap().missing.len(), 100, "named");
        let announce = "INSERT INTO ledger_pending (event_id, aggregate_type, aggregate_id, sequence) \
                        SELECT event_id, aggregate_type, aggregate_id, sequence FROM events WHERE sequence <= $1 \
                        ORDER BY sequence";
        log.database.write(announce, &[kept.into()]).await.unwrap();
        assert_eq!(log.turn().await.taken, MISSING_KEPT_MAX);
        let left = log.sequencer.look_for_missing(later).await.unwrap();
        assert_eq!((left.missing.len(), left.at_the_end), (30, true));
    }
}

#[tokio::test]
async fn a_clock_that_was_set_back_stops_no_look() {
    for mut log in logs().await {
        log.event(1, 1).await;
        log.turn().await;
        let (later, before) = (now() + TimeDelta::seconds(10), now() - TimeDelta::minutes(1));
        for until in [later, before, later] {
            let looked = log.sequencer.look_for_missing(until).await.unwrap();
            assert_eq!(looked, Looked { missing: Vec::new(), at_the_end: true });
        }
        log.event_without_notice(2, 1).await;
        assert_eq!(log.sequencer.look_for_missing(before).await.unwrap().missing.len(), 1);
    }
}

#[tokio::test]
async fn a_look_that_takes_several_rounds_finds_what_is_at_its_end() {
    for mut log in logs().await {
        log.event(1, 1).await;
        log.events_up_to(1, LOOK_MAX + 1).await;
        while log.turn().await.again {}
        // Behind all the others, however these are read.
        log.event_without_notice(999_999, 1).await;
        let later = now() + TimeDelta::seconds(10);
        let looked = log.sequencer.look_for_missing(later).await.unwrap();
        assert_eq!(looked, Looked { missing: Vec::new(), at_the_end: false });
        let looked = log.sequencer.look_for_missing(later).await.unwrap();
        assert_eq!(looked, Looked { missing: vec![format!("user/{}/1", name(999_999))], at_the_end: true });
    }
}

#[tokio::test]
async fn a_forged_tile_does_not_get_a_larger_tree_signed() {
    for mut log in logs().await {
        for sequence in 1..=300 {
            log.event(1, sequence).await;
        }
        log.turn().await;
        let signed = log.signed().await;
        // A tree of the same size with another first tile, and with the frontier that belongs to it.
        let forged = vec![leaf_hash(b"forged"); 256];
        let top = full_tile_hash(&forged).unwrap();
        for (level, hashes) in [(0, &forged[..]), (1, &[top][..])] {
            let tile = [level.into(), encode_hashes(hashes).into()];
            let sql = "UPDATE ledger_tiles SET hashes = $2 WHERE level = $1";
            log.database.write(sql, &tile).await.unwrap();
        }
        let mut frontier = log.store.state().await.unwrap().unwrap().frontier.hashes().to_vec();
        frontier[0] = top;
        let frontier = frontier_text(&Frontier::from_parts(300, frontier).unwrap());
        log.database.write("UPDATE ledger_state SET frontier = $1", &[frontier.into()]).await.unwrap();
        log.event(1, 301).await;
        for trust in [Trust::Head(Some(&signed)), Trust::Head(None)] {
            let mut next = log.another_sequencer();
            let refused = next.turn(trust, now()).await.unwrap_err();
            assert!(refused.to_string().contains("has not grown"), "{refused}");
        }
        assert_eq!(log.signed().await, signed);
    }
}

#[tokio::test]
async fn a_moved_signed_size_neither_stops_signing_nor_hides_it() {
    for mut log in logs().await {
        log.event(1, 1).await;
        log.turn().await;
        log.database.write("UPDATE ledger_state SET signed_size = 1000", &[]).await.unwrap();
        log.event(1, 2).await;
        log.turn().await;
        assert_eq!(log.signed().await.size, 2);
        assert_eq!(log.store.state().await.unwrap().unwrap().signed_size, 2);
    }
}

#[tokio::test]
async fn a_sequencer_signs_no_second_tree_of_a_size_whatever_the_database_says() {
    for mut log in logs().await {
        let empty = log.store.state().await.unwrap().unwrap();
        for sequence in 1..=3 {
            log.event(1, sequence).await;
        }
        log.turn().await;
        let signed = log.signed().await;
        // Another tree of the same size, and the first checkpoint of all put back.
        let forged = leaf_hash(b"forged");
        let mut frontier = Frontier::default();
        for _ in 0..3 {
            frontier.push(forged).unwrap();
        }
        unlock(&log.database).await.unwrap();
        log.database
            .write("UPDATE ledger_entries SET leaf_hash = $1", &[forged.to_string().into()])
            .await
            .unwrap();
        let sql = "UPDATE ledger_state SET frontier = $1, checkpoint = $2, signed_size = 0";
        log.database.write(sql, &[frontier_text(&frontier).into(), empty.checkpoint.into()]).await.unwrap();
        let refused = log.sequencer.turn(Trust::Head(None), now()).await.unwrap_err();
        assert!(refused.to_string().contains("has not grown"), "{refused}");
        let stored = log.signed().await;
        assert!(stored.size == 0 && signed.size == 3, "nothing was signed anew");
    }
}

#[tokio::test]
async fn an_entry_beyond_the_ledger_hides_no_event() {
    for (leaf, names_it) in [("'x'", false), ("'{\"event_id\":\"' || event_id || '\"}'", true)] {
        for mut log in logs().await {
            log.event(1, 1).await;
            let sql = format!(
                "INSERT INTO ledger_entries (position, aggregate_type, aggregate_id, sequence, leaf, leaf_hash) \
                 SELECT 9000, aggregate_type, aggregate_id, sequence, {leaf}, $1 FROM events"
            );
            log.database.write(&sql, &[leaf_hash(b"x").to_string().into()]).await.unwrap();
            if names_it || matches!(log.database.engine(), Engine::Sqlite(_)) {
                // It stands in the way of the true one, which fails for everybody to see, and stays announced.
                for _ in 0..2 {
                    assert!(log.sequencer.turn(Trust::Head(None), now()).await.is_err());
                }
                assert_eq!(log.pending().await, 1);
            } else {
                assert_eq!((log.turn().await.taken, log.pending().await), (1, 0));
            }
        }
    }
}

/// Only the sequencer that placed it still knows its entry.
#[tokio::test]
async fn a_stream_whose_last_event_was_removed_is_held() {
    for mut log in logs().await {
        log.event(1, 1).await;
        log.event(1, 2).await;
        log.turn().await;
        remove_event(&log.database, 2).await;
        log.event(1, 3).await;
        log.event(2, 1).await;
        let mut next = log.another_sequencer();
        let turn = turn_of(&mut next).await;
        assert_eq!((turn.taken, turn.held.count), (1, 1));
        assert_eq!(turn.held.first[0].reason, "event 2 of its stream is missing");
    }
}

#[tokio::test]
async fn an_entry_that_is_not_found_by_its_event_gets_in_nobodys_way() {
    for mut log in logs().await {
        log.event(1, 1).await;
        log.event(1, 2).await;
        log.turn().await;
        let entries = log.entries().await;
        remove_event(&log.database, 2).await;
        // The same again, and another one that says it is that.
        let other = Leaf { event_type: "SignedIn".to_owned(), ..entries[1].clone() };
        for (leaf, held) in [(&entries[1], 0), (&other, 1)] {
            log.announce_with(1, 2, &leaf.to_text().unwrap()).await;
            log.event(2 + held, 1).await;
            let mut next = log.another_sequencer();
            let turn = turn_of(&mut next).await;
            assert_eq!((turn.taken, turn.again), (0, true), "it is looked up");
            let turn = turn_of(&mut next).await;
            assert_eq!((turn.taken, turn.held.count), (1, usize::try_from(held).unwrap()));
        }
        assert_eq!(log.pending().await, 1);
        assert_eq!(log.entries().await.len(), 4);
    }
}

/// What was looked up is not remembered for ever.
#[tokio::test]
async fn a_stream_goes_on_once_its_event_is_as_it_was() {
    for mut log in logs().await {
        let Engine::Postgres(_) = log.database.engine() else { continue };
        log.event(1, 1).await;
        log.turn().await;
        unlock(&log.database).await.unwrap();
        let change = "UPDATE events SET event_id = $1 || substr(event_id, 2) WHERE sequence = 1";
        log.database.write(change, &["1".into()]).await.unwrap();
        log.event(1, 2).await;
        let mut next = log.another_sequencer();
        assert_eq!(turn_of(&mut next).await.held.count, 1);
        log.database.write(change, &["0".into()]).await.unwrap();
        next.look_for_missing(now()).await.unwrap();
        assert_eq!(turn_of(&mut next).await.taken, 1);
    }
}

#[tokio::test]
async fn an_event_whose_id_was_changed_gets_no_second_entry_by_adopting() {
    for mut log in logs().await {
        log.event(1, 1).await;
        log.event(1, 2).await;
        log.turn().await;
        unlock(&log.database).await.unwrap();
        let changed =
            "UPDATE events SET event_id = '00000000-0000-7000-8000-00000000000a' WHERE sequence = 2";
        log.database.write(changed, &[]).await.unwrap();
        log.event(1, 3).await;
        let mut next = log.another_sequencer();
        assert_eq!(next.requeue().await.unwrap(), 1);
        assert_eq!(turn_of(&mut next).await.taken, 1);
        assert_eq!(next.requeue().await.unwrap(), 0);
        assert_eq!(log.places().await, [(name(1), 1), (name(1), 2), (name(1), 3)]);
    }
}

#[tokio::test]
async fn a_row_of_the_queue_that_makes_no_sense_holds_up_nobody_else() {
    for mut log in logs().await {
        log.announce(1, -1).await;
        log.event(2, 1).await;
        let turn = log.turn().await;
        assert_eq!((turn.taken, turn.held.count), (1, 1));
    }
}

#[tokio::test]
async fn what_is_recorded_after_a_clock_was_set_right_is_looked_at() {
    for mut log in logs().await {
        log.event(1, 1).await;
        log.turn().await;
        let (ahead, right) = (now() + TimeDelta::hours(1), now() + TimeDelta::seconds(10));
        for until in [right, ahead] {
            assert_eq!(log.sequencer.look_for_missing(until).await.unwrap().missing, [""; 0]);
        }
        log.event_without_notice(2, 1).await;
        // A look that failed in between, or took long, leaves nothing out.
        let later = right + TimeDelta::minutes(2);
        let looked = log.sequencer.look_for_missing(right).await.unwrap();
        assert_eq!(looked.missing, [format!("user/{}/1", name(2))]);
        log.event_without_notice(3, 1).await;
        let looked = log.sequencer.look_for_missing(later).await.unwrap();
        assert_eq!(looked.missing, [2, 3].map(|stream| format!("user/{}/1", name(stream))));
    }
}

#[tokio::test]
async fn a_spoiled_checkpoint_is_made_anew_by_whoever_knows_the_tree_and_by_nobody_else() {
    for mut log in logs().await {
        log.event(1, 1).await;
        log.turn().await;
        let (head, spoil) = (log.signed().await, "UPDATE ledger_state SET checkpoint = 'spoiled'");
        log.database.write(spoil, &[]).await.unwrap();
        let mut next = log.another_sequencer();
        let refused = next.turn(Trust::Head(Some(&head)), now()).await.unwrap_err();
        assert!(refused.to_string().contains("the checkpoint in the database"), "{refused}");
        log.turn().await;
        assert_eq!(log.signed().await.size, 1);
        log.database.write(spoil, &[]).await.unwrap();
        // Whoever adopts the ledger takes it as it is.
        next.turn(Trust::Database, now()).await.unwrap();
        assert_eq!(log.signed().await.size, 1);
    }
}

#[tokio::test]
async fn an_event_of_no_moment_holds_its_stream_alone() {
    for mut log in logs().await {
        log.event(1, 1).await;
        log.event(2, 1).await;
        unlock(&log.database).await.unwrap();
        let spoil = "UPDATE events SET recorded_at = 'infinity' WHERE aggregate_id = $1";
        log.database.write(spoil, &[name(1).into()]).await.unwrap();
        let turn = log.turn().await;
        assert_eq!((turn.taken, turn.held.count), (1, 1));
        log.database.write("UPDATE ledger_state SET reconciled_to = 'infinity'", &[]).await.unwrap();
        log.event(2, 2).await;
        assert_eq!(log.turn().await.taken, 1);
        let mut next = log.another_sequencer();
        next.look_for_missing(now() + TimeDelta::seconds(10)).await.unwrap();
    }
}

#[tokio::test]
async fn putting_events_back_takes_away_what_stands_for_nothing() {
    for mut log in logs().await {
        log.event(1, 1).await;
        log.turn().await;
        log.announce(3, 1).await;
        log.event_without_notice(2, 1).await;
        log.event(1, 2).await;
        for _ in 0..2 {
            assert_eq!((log.sequencer.count_unplaced().await.unwrap(), log.pending().await), (2, 2));
            assert_eq!(log.sequencer.strays().await.unwrap(), [format!("user/{}/1", name(3))]);
        }
        assert_eq!(log.sequencer.requeue().await.unwrap(), 2);
        assert_eq!((log.pending().await, log.sequencer.strays().await.unwrap()), (2, Vec::new()));
        let turn = log.turn().await;
        assert_eq!((turn.taken, turn.held.count), (2, 0));
    }
}

#[tokio::test]
async fn a_spoiled_checkpoint_does_not_get_a_tree_signed_that_contradicts_the_head() {
    for mut log in logs().await {
        log.event(1, 1).await;
        log.turn().await;
        let head = log.signed().await;
        log.database.write("UPDATE ledger_state SET checkpoint = 'spoiled'", &[]).await.unwrap();
        let other = Checkpoint { root: empty_root(), ..head.clone() };
        let mut next = log.another_sequencer();
        let refused = next.turn(Trust::HeadAlone(Some(&other)), now()).await.unwrap_err();
        assert!(refused.to_string().contains("has not grown"), "{refused}");
        next.turn(Trust::HeadAlone(Some(&head)), now()).await.unwrap();
        assert_eq!(log.signed().await, head);
    }
}
