//! The queue as PostgreSQL keeps it.

use super::super::sweeping::SWEEP_ROWS;
use super::*;
use crate::database::testing::plan;

/// After its busiest time, when its file is large and holds next to nothing.
#[tokio::test]
async fn what_waits_is_read_through_the_index() {
    for log in logs().await {
        let Engine::Postgres(_) = log.database.engine() else { continue };
        let run = async |sql: &str| log.database.write(sql, &[]).await.unwrap();
        run("INSERT INTO ledger_pending (event_id, aggregate_type, aggregate_id, sequence, leaf) \
             SELECT 'e', 'user', CAST(n AS text), 1, repeat('x', 500) FROM generate_series(1, 20000) AS n")
        .await;
        run("ANALYZE ledger_pending").await;
        run("DELETE FROM ledger_pending WHERE pending_id < (SELECT max(pending_id) FROM ledger_pending)")
            .await;
        run("VACUUM ledger_pending").await;
        for only in
            ["", "WHERE pending_id > (SELECT 0)", "WHERE pending_id BETWEEN (SELECT 0) AND (SELECT 9)"]
        {
            let sql = format!("SELECT * FROM ledger_pending {only} ORDER BY pending_id LIMIT 4096");
            let plan = plan(&log.database, &sql, &[]).await.unwrap();
            assert!(plan.contains("Index Scan using ledger_pending_pkey"), "{only}: {plan}");
            // Going through the index is known to be little work, however large the file is.
            let cost =
                plan.split_once("..").and_then(|(_, rest)| rest.split(' ').next()).map(str::parse::<f64>);
            assert!(matches!(cost, Some(Ok(0.0..100.0))), "{only}: {plan}");
        }
    }
}

/// As PostgreSQL takes it to be while it fills again.
#[tokio::test]
async fn what_waits_is_gone_through_once_for_a_look_though_it_was_empty_when_last_vacuumed() {
    for log in logs().await {
        let Engine::Postgres(_) = log.database.engine() else { continue };
        let run = async |sql: &str| log.database.write(sql, &[]).await.unwrap();
        log.event(1, 1).await;
        log.events_up_to(1, LOOK_MAX).await;
        run("ANALYZE events").await;
        run("ALTER TABLE ledger_pending SET (autovacuum_enabled = off)").await;
        run("DELETE FROM ledger_pending").await;
        run("VACUUM (TRUNCATE false) ledger_pending").await;
        run("INSERT INTO ledger_pending (event_id, aggregate_type, aggregate_id, sequence, leaf) \
             SELECT 'e', 'user', CAST(n AS text), 1, repeat('x', 500) FROM generate_series(1, 20000) AS n")
        .await;
        let later = now() + chrono::TimeDelta::hours(1);
        // Many events, and next to none as far as PostgreSQL knows.
        for from in [Timestamp::UNIX_EPOCH, now() + chrono::TimeDelta::minutes(1)] {
            let params =
                [from.into(), String::new().into(), later.into(), LOOK_MAX.into(), waiting::nothing()];
            let plan = plan(&log.database, &look(&log.database), &params).await.unwrap();
            assert!(!plan.contains("Join Filter"), "{plan}");
        }
    }
}

/// How often the queue was vacuumed by hand.
async fn swept(database: &Database) -> i64 {
    let sql = "SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = 'ledger_pending'";
    database.read(sql, &[]).await.unwrap()[0].get("vacuum_count").unwrap()
}

#[tokio::test]
async fn the_queue_is_swept_once_much_has_left_it() {
    for mut log in logs().await {
        if let Engine::Postgres(_) = log.database.engine() {
            let alone = "ALTER TABLE ledger_pending SET (autovacuum_enabled = off)";
            log.database.write(alone, &[]).await.unwrap();
        }
        log.event(1, 1).await;
        log.events_up_to(1, i64::try_from(SWEEP_ROWS).unwrap()).await;
        assert_eq!(log.turn().await.taken, TURN_ROWS_MAX);
        assert!(log.sequencer.sweeping.under_way.is_none(), "not for every turn");
        while log.turn().await.taken > 0 {}
        log.sequencer.sweeping.under_way.take().unwrap().await.unwrap();
        if let Engine::Postgres(_) = log.database.engine() {
            assert_eq!(swept(&log.database).await, 1);
        }
    }
}
