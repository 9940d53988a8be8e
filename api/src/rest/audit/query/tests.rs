//! Every filter has an index that serves it, asked of the databases themselves.

use countersign_projections::database::testing::fresh_databases;
use countersign_projections::database::{Database, Engine};

use super::super::{EntryFilter, narrow};
use super::*;

const USER: &str = "00000000-0000-4000-8000-000000000007";

/// Enough entries that walking through all of them is the worse plan.
const ENTRIES: i64 = 20_000;

async fn fill(database: &Database) {
    let numbers = match database.engine() {
        Engine::Postgres(_) => "generate_series(0, $1) AS numbers(n)",
        Engine::Sqlite(_) => {
            "(WITH RECURSIVE count(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM count WHERE n < $1) SELECT n FROM count) AS numbers"
        }
    };
    // Two hundred people and agreements, ten types, one entry a second.
    let id = |prefix: &str| match database.engine() {
        Engine::Postgres(_) => {
            format!("'{prefix}000000-0000-4000-8000-' || lpad((n % 200)::text, 12, '0')")
        }
        Engine::Sqlite(_) => format!("'{prefix}000000-0000-4000-8000-' || printf('%012d', n % 200)"),
    };
    let at = match database.engine() {
        Engine::Postgres(_) => "to_timestamp(1900000000 + n)",
        Engine::Sqlite(_) => "strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1900000000 + n, 'unixepoch')",
    };
    let kind =
        "CASE n % 10 WHEN 0 THEN 'UserRegistered' WHEN 1 THEN 'TwoFactorEnabled' ELSE 'SessionStarted' END";
    let columns =
        "aggregate_type, aggregate_id, sequence, event_type, recorded_at, user_id, agreement_id, actor_id";
    let values =
        format!("'user', {}, n / 200 + 1, {kind}, {at}, {}, {}, {}", id("00"), id("00"), id("11"), id("22"));
    for sql in [
        format!(
            "INSERT INTO events ({columns}, event_version, payload, metadata) SELECT {values}, '1', '{{}}', '{{}}' FROM {numbers}"
        ),
        format!("INSERT INTO audit_trail_v1 (position, {columns}) SELECT n, {values} FROM {numbers}"),
        "ANALYZE".to_owned(),
    ] {
        let params: &[Value] = if sql == "ANALYZE" { &[] } else { &[(ENTRIES - 1).into()] };
        database.write(&sql, params).await.unwrap();
    }
}

async fn plan(database: &Database, reader: Reader, query: &str) -> String {
    let filter: EntryFilter = serde_html_form::from_str(query).unwrap();
    let mut conditions = Conditions::default();
    narrow(&mut conditions, &filter).map_err(|problem| problem.for_operator()).unwrap();
    let sql = conditions.select(reader, false, 101);
    let (explain, column) = match database.engine() {
        Engine::Postgres(_) => ("EXPLAIN", "QUERY PLAN"),
        Engine::Sqlite(_) => ("EXPLAIN QUERY PLAN", "detail"),
    };
    let rows = database.read(&format!("{explain} {sql}"), &conditions.params).await.unwrap();
    let lines: Vec<String> = rows.iter().map(|row| row.get(column).unwrap()).collect();
    lines.join("\n")
}

/// Whether a table is walked through without an index.
fn walks(plan: &str) -> bool {
    let by_index = |line: &&str| line.contains("USING INDEX") || line.contains("USING COVERING INDEX");
    plan.contains("Seq Scan on audit_trail_v1")
        || plan.contains("Seq Scan on events")
        || plan
            .lines()
            .filter(|line| line.contains("SCAN t") || line.contains("SCAN e"))
            .any(|line| !by_index(&line))
}

#[tokio::test]
async fn every_filter_is_served_by_an_index() {
    for fresh in fresh_databases().await.unwrap() {
        fill(&fresh.database).await;
        let cursor = "MjAzMC0wMy0xN1QxODo0NjozOS4wMDAwMDBafDM1OTk";
        for (query, index) in [
            (String::new(), "audit_trail_v1_recorded_at"),
            (format!("user={USER}"), "audit_trail_v1_user_id"),
            (format!("agreement={USER}"), "audit_trail_v1_agreement_id"),
            (format!("actor={USER}"), "audit_trail_v1_actor_id"),
            ("type=UserRegistered".to_owned(), "audit_trail_v1_event_type"),
            ("type=UserRegistered&type=TwoFactorEnabled".to_owned(), "audit_trail_v1_event_type"),
            ("from=2030-03-17T18:00:00Z&to=2030-03-17T18:30:00Z".to_owned(), "audit_trail_v1_recorded_at"),
            (
                format!("user={USER}&from=2030-03-17T18:00:00Z&to=2030-03-17T18:30:00Z"),
                "audit_trail_v1_user_id",
            ),
            (
                "type=UserRegistered&from=2030-03-17T18:00:00Z&to=2030-03-17T18:30:00Z".to_owned(),
                "audit_trail_v1_event_type",
            ),
            (format!("user={USER}&type=UserRegistered"), "audit_trail_v1_user_id"),
            (format!("cursor={cursor}"), "audit_trail_v1_recorded_at"),
            (format!("actor={USER}&cursor={cursor}"), "audit_trail_v1_actor_id"),
        ] {
            let plan = plan(&fresh.database, Reader::Auditor, &query).await;
            assert!(plan.contains(index), "{query:?} does not use {index}:\n{plan}");
            assert!(!walks(&plan), "{query:?} walks through everything:\n{plan}");
        }
    }
}

/// Which index serves two filters best depends on how much each of them leaves.
#[tokio::test]
async fn no_two_filters_together_walk_through_everything() {
    let filters = [
        format!("user={USER}"),
        format!("agreement={USER}"),
        format!("actor={USER}"),
        "type=TwoFactorEnabled".to_owned(),
        "type=UserRegistered&type=TwoFactorEnabled".to_owned(),
        "from=2030-03-17T18:00:00Z".to_owned(),
    ];
    for fresh in fresh_databases().await.unwrap() {
        fill(&fresh.database).await;
        for (place, one) in filters.iter().enumerate() {
            for other in filters.iter().skip(place + 1) {
                // Types are one filter, however many there are.
                if one.starts_with("type") && other.starts_with("type") {
                    continue;
                }
                let query = format!("{one}&{other}");
                let plan = plan(&fresh.database, Reader::Auditor, &query).await;
                assert!(!walks(&plan), "{query:?} walks through everything:\n{plan}");
            }
        }
    }
}

#[tokio::test]
async fn what_a_person_may_see_is_found_through_indexes() {
    for fresh in fresh_databases().await.unwrap() {
        fill(&fresh.database).await;
        let me = Reader::Person(USER.parse().unwrap());
        for query in ["", "from=2030-03-17T18:00:00Z", "type=UserRegistered"] {
            let plan = plan(&fresh.database, me, query).await;
            assert!(plan.contains("audit_trail_v1_user_id"), "{query:?}:\n{plan}");
            assert!(!walks(&plan), "{query:?} walks through everything:\n{plan}");
        }
    }
}
