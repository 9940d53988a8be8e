//! How the entry of an event is found.

use super::super::heads::{last_by_event, last_entries_by_event};
use super::*;
use crate::database::testing::{fill_ledger, plan};

#[tokio::test]
async fn entries_are_found_through_the_index_by_event() {
    for log in logs().await {
        let Engine::Postgres(_) = log.database.engine() else { continue };
        fill_ledger(&log.database, 100_000).await.unwrap();
        log.database.write("UPDATE ledger_state SET size = 100000", &[]).await.unwrap();
        let known = StreamKey::new("user", "777");
        let found = last_entries_by_event(&log.database, &[(&known, 2)], 100_000).await.unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), [&known]);
        let (from, to) = (now() - chrono::TimeDelta::days(1), now());
        let one = json!([{ "aggregate_type": "user", "aggregate_id": "777", "sequence": 2 }]).to_string();
        for (sql, params) in [
            (last_by_event(&log.database), vec![one.into(), 100_000.into()]),
            (
                look(&log.database),
                vec![from.into(), String::new().into(), to.into(), 8.into(), waiting::nothing()],
            ),
        ] {
            let plan = plan(&log.database, &sql, &params).await.unwrap();
            assert!(plan.contains("Index Scan using ledger_entries_event"), "{plan}");
            assert!(plan.contains("Index Cond: ((\"left\"(split_part(l"), "{plan}");
            assert!(!plan.contains("Seq Scan on ledger_entries"), "{plan}");
        }
    }
}

/// An actor may call itself anything.
#[tokio::test]
async fn what_a_value_says_is_not_taken_for_the_id() {
    for mut log in logs().await {
        log.event_without_notice(1, 1).await;
        let name = r#"","event_id":"00000000-0000-7000-8000-000002000001"#;
        let metadata =
            json!([{ "metadata": { "actor_kind": "api_key", "actor_id": name, "request_id": "r" } }]);
        unlock(&log.database).await.unwrap();
        let given = log.database.given(1, &[crate::table::json("metadata")]);
        let sql = format!("UPDATE events SET metadata = (SELECT given.metadata FROM {given})");
        log.database.write(&sql, &[metadata.to_string().into()]).await.unwrap();
        log.announce(1, 1).await;
        assert_eq!(log.turn().await.taken, 1);
        log.event(2, 1).await;
        assert_eq!(log.turn().await.taken, 1);
        assert_eq!(log.entries().await[0].actor_id.as_deref(), Some(name));
        let later = now() + chrono::TimeDelta::seconds(10);
        assert!(log.sequencer.look_for_missing(later).await.unwrap().missing.is_empty());
    }
}

/// By another spelling of its id PostgreSQL would not find it; SQLite's own ids are spelled otherwise.
#[tokio::test]
async fn an_event_whose_id_is_spelled_otherwise_is_held_where_it_is_found_by_that() {
    for mut log in logs().await {
        let sql = "INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, \
                   event_id) SELECT 'user', $1, 1, 'SessionStarted', '1', payload, metadata, $2 FROM events";
        log.event(1, 1).await;
        let other = "00000000-0000-7000-8000-00000000000A";
        log.database.write(sql, &[name(2).into(), other.into()]).await.unwrap();
        log.announce(2, 1).await;
        let turn = log.turn().await;
        if let Engine::Sqlite(_) = log.database.engine() {
            assert_eq!((turn.taken, turn.held.count), (2, 0));
            continue;
        }
        assert_eq!((turn.taken, turn.held.count), (1, 1));
        assert_eq!(turn.held.first[0].reason, "the event is gone, or does not read");
    }
}
