//! What becomes of a time that SQLite has in another spelling. Statements compare the texts, so it is found, and
//! sorted, where it does not belong.

use super::*;

/// The moment at which everything was recorded. As a text it comes a day later.
const RESPELLED: &str = "2030-03-18T07:46:40.000000+14:00";

/// Three people, with every read model as a replay gives it, and nothing that keeps history as it is.
async fn filled(database: &Database) {
    history(database, 3).await;
    catch_up(&AuditTrail, database, 6).await.unwrap();
    catch_up(&Coverage, database, 6).await.unwrap();
    rebuild(database, &Model::ALL, |_, _| {}).await.unwrap();
    unlock(database).await.unwrap();
}

async fn respell(database: &Database, table: &str, column: &str, which: &str) {
    let sql = format!("UPDATE {table} SET {column} = '{RESPELLED}' WHERE {which} RETURNING 1 AS done");
    assert_eq!(database.write(&sql, &[]).await.unwrap().len(), 1, "{sql}");
}

async fn compared(database: &Database) -> ReplayReport {
    verify_replay(database, &Model::ALL, |_, _| {}).await.unwrap()
}

/// PostgreSQL has moments, and does not keep how they were spelled.
fn keeps_spellings(database: &Database) -> bool {
    matches!(database.engine(), Engine::Sqlite(_))
}

#[tokio::test]
async fn a_row_with_such_a_time_differs_and_a_rebuild_puts_it_right() {
    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        filled(&database).await;
        let ada = format!("user_id = '{}'", user(1));
        for (model, table, column, which) in [
            (Model::AuditTrail, "audit_trail_v1", "recorded_at", "position = 3"),
            (Model::LoginCheck, "login_check_users", "registered_at", ada.as_str()),
        ] {
            respell(&database, table, column, which).await;
            let report = compared(&database).await;
            assert_eq!(report.holds(), !keeps_spellings(&database), "{report}");
            let named: Vec<_> = report.differences.iter().map(|it| (it.model, it.table, &it.kind)).collect();
            let altered = Kind::Altered { columns: vec![column] };
            let expected = if report.holds() { Vec::new() } else { vec![(model, table, &altered)] };
            assert_eq!(named, expected, "{report}");
            rebuild(&database, &[model], |_, _| {}).await.unwrap();
            let report = compared(&database).await;
            assert!(report.holds(), "{report}");
        }
    }
}

#[tokio::test]
async fn an_event_with_such_a_time_is_named_and_nothing_is_made_of_it() {
    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        filled(&database).await;
        let ada = user(1);
        let which = format!("aggregate_id = '{ada}' AND sequence = 2");
        respell(&database, "events", "recorded_at", &which).await;
        let report = compared(&database).await;
        if !keeps_spellings(&database) {
            assert!(report.holds(), "{report}");
            continue;
        }
        let told = report.to_string();
        for named in [
            format!("audit_trail: events {:019} has another recorded_at", 3),
            format!("event 2 of user/{ada} has a recorded_at that is not as the program writes it"),
            "entry 3 cannot be taken".to_owned(),
        ] {
            assert!(told.contains(&named), "{named}: {told}");
        }
        let counted = (report.differences.len(), report.unreadable_total, report.coverage_stops_before);
        assert_eq!(counted, (1, 1, Some(3)), "{report}");
        let refused = rebuild(&database, &[Model::LoginCheck], |_, _| {}).await;
        assert!(matches!(refused, Err(ReplayError::Unreadable(_))), "{refused:?}");
        let refused = rebuild(&database, &[Model::Coverage], |_, _| {}).await;
        assert!(matches!(refused, Err(ReplayError::Poisoned { position: 3 })), "{refused:?}");
    }
}
