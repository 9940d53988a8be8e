//! How the entry of an event is found.

use super::*;

/// A ledger of so many events, each of a stream of its own.
async fn filled(log: &Log, events: u32) {
    let run = async |sql: &str| log.database.write(sql, &[]).await.unwrap();
    run(&format!(
        "INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata) \
         SELECT 'user', CAST(n AS text), 1, 'SessionStarted', '1', '{{}}', '{{}}' FROM generate_series(1, {events}) AS n"
    ))
    .await;
    run("INSERT INTO ledger_entries (position, aggregate_type, aggregate_id, sequence, leaf, leaf_hash) \
         SELECT CAST(aggregate_id AS bigint) - 1, aggregate_type, aggregate_id, sequence, \
         '{\"actor_kind\":\"api_key\",\"event_id\":\"' || event_id || '\",\"event_type\":\"SessionStarted\"}', 'hash' \
         FROM events")
    .await;
    run("ANALYZE events, ledger_entries").await;
}

#[tokio::test]
async fn an_entry_is_found_through_the_index_by_event() {
    for log in logs().await {
        let Engine::Postgres(_) = log.database.engine() else { continue };
        filled(&log, 20_000).await;
        let find = "SELECT l.position FROM events e JOIN ledger_entries l ON {entry_of_event} \
                    WHERE e.aggregate_type = 'user' AND e.aggregate_id = '777' ORDER BY e.sequence DESC LIMIT 1";
        let found = log.database.read(find, &[]).await.unwrap();
        assert_eq!(found[0].get::<i64>("position").unwrap(), 776);
        let rows = log.database.read(&format!("EXPLAIN {find}"), &[]).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get("QUERY PLAN").unwrap()).collect();
        let plan = plan.join("\n");
        assert!(plan.contains("Index Scan using ledger_entries_event"), "{plan}");
        assert!(plan.contains("Index Cond: ((\"left\"(split_part(leaf"), "{plan}");
    }
}

/// An actor may call itself anything.
#[tokio::test]
async fn what_a_value_says_is_not_taken_for_the_id() {
    for mut log in logs().await {
        log.event_without_notice(1, 1).await;
        let name = r#"","event_id":"00000000-0000-7000-8000-000002000001"#;
        let actor = json!({"actor_kind": "api_key", "actor_id": name, "request_id": "r"}).to_string();
        let open = match log.database.engine() {
            Engine::Postgres(_) => "ALTER TABLE events DISABLE TRIGGER events_append_only",
            Engine::Sqlite(_) => "DROP TRIGGER events_refuse_update",
        };
        log.database.write(open, &[]).await.unwrap();
        let given = log.database.given(1, &[crate::table::json("metadata")]);
        let sql = format!("UPDATE events SET metadata = (SELECT given.metadata FROM {given})");
        let metadata = json!([{ "metadata": actor.parse::<serde_json::Value>().unwrap() }]).to_string();
        log.database.write(&sql, &[metadata.into()]).await.unwrap();
        log.announce(1, 1).await;
        assert_eq!(log.turn().await.taken, 1);
        log.event(2, 1).await;
        assert_eq!(log.turn().await.taken, 1);
        assert_eq!(log.entries().await[0].actor_id.as_deref(), Some(name));
        let later = now() + chrono::TimeDelta::seconds(10);
        assert!(log.sequencer.look_for_missing(later).await.unwrap().missing.is_empty());
    }
}

/// By another spelling of its id nothing would find it.
#[tokio::test]
async fn an_event_whose_id_is_spelled_otherwise_is_held() {
    for mut log in logs().await {
        let sql = "INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, \
                   event_id) SELECT 'user', $1, 1, 'SessionStarted', '1', payload, metadata, $2 FROM events";
        log.event(1, 1).await;
        let other = "00000000-0000-7000-8000-00000000000A";
        log.database.write(sql, &[name(2).into(), other.into()]).await.unwrap();
        log.announce(2, 1).await;
        let turn = log.turn().await;
        assert_eq!((turn.taken, turn.held.count), (1, 1));
        assert_eq!(turn.held.first[0].reason, "its id does not read");
    }
}
