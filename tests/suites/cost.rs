//! What a command costs: one query to load its aggregate and one transaction to append.

use std::collections::BTreeMap;

use countersign_tests::{NOBODY, TestApp, on_both_databases};
use serde_json::json;

on_both_databases![
    a_wrong_code_loads_once_and_appends_once,
    a_right_code_loads_once_and_appends_once,
    an_enforcement_loads_once_and_appends_once,
    a_login_check_is_one_query,
    reading_a_user_appends_nothing,
    a_refusal_appends_nothing,
];

/// The program's own counters: statements of a kind since it started.
async fn counters(app: &TestApp) -> BTreeMap<String, u64> {
    let metrics = app.get("/metrics", NOBODY).await.expect(200);
    let mut counters = BTreeMap::new();
    for line in metrics.text.lines() {
        let Some(labelled) = line.strip_prefix("countersign_database_statements_total{") else {
            continue;
        };
        let (labels, value) = labelled.split_once('}').expect("labels and a value");
        let kind = labels
            .split(',')
            .find_map(|label| label.strip_prefix("kind=\"")?.strip_suffix('"'))
            .expect("a kind");
        let value: u64 = value.trim().parse().expect("a count");
        *counters.entry(kind.to_owned()).or_default() += value;
    }
    assert!(!counters.is_empty(), "no countersign_database_statements_total in /metrics");
    counters
}

/// Loads and appends that some work took.
async fn cost(app: &TestApp, work: impl AsyncFnOnce()) -> (u64, u64) {
    let before = counters(app).await;
    work().await;
    let after = counters(app).await;
    let of = |kind: &str| {
        let count = |counters: &BTreeMap<String, u64>| counters.get(kind).copied().unwrap_or_default();
        count(&after) - count(&before)
    };
    (of("load"), of("append"))
}

async fn a_wrong_code_loads_once_and_appends_once(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let challenge = app.challenge(&ada).await;
    let wrong = app.wrong_code(&two_factor.secret);
    let cost = cost(&app, async || {
        for _ in 0..5 {
            app.verify(&challenge, &wrong).await.refused(401, "wrong-code");
        }
    })
    .await;
    assert_eq!(cost, (5, 5));
}

async fn a_right_code_loads_once_and_appends_once(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let challenge = app.challenge(&ada).await;
    let code = app.next_code(&two_factor.secret);
    let cost = cost(&app, async || {
        app.verify(&challenge, &code).await.expect(200);
    })
    .await;
    assert_eq!(cost, (1, 1));
}

async fn an_enforcement_loads_once_and_appends_once(app: TestApp) {
    let agreement = app.agreement("Havbris").await;
    let cost = cost(&app, async || {
        app.enforce(&agreement).await;
    })
    .await;
    assert_eq!(cost, (1, 1));
}

async fn a_login_check_is_one_query(app: TestApp) {
    let (ada, _) = app.register_with_two_factor("Ada").await;
    let cost = cost(&app, async || {
        app.decides(&ada, "challenge").await;
    })
    .await;
    assert_eq!(cost, (1, 0));
}

async fn reading_a_user_appends_nothing(app: TestApp) {
    let ada = app.register("Ada").await;
    let (_, appends) = cost(&app, async || {
        app.user(&ada).await;
    })
    .await;
    assert_eq!(appends, 0);
}

async fn a_refusal_appends_nothing(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let agreement = app.agreement("Havbris").await;
    app.link(&agreement, &ada).await;
    app.enforce(&agreement).await;
    let proof = json!({ "password": ada.password, "code": app.next_code(&two_factor.secret) });
    let (_, appends) = cost(&app, async || {
        app.post(&ada.path("/two-factor/disable"), &app.key, proof).await.refused(409, "two-factor-required");
    })
    .await;
    assert_eq!(appends, 0);
}

/// The same, as PostgreSQL itself counts it.
#[cfg(feature = "postgres")]
mod counted_by_the_database {
    use countersign_tests::{
        TestApp, on_postgresql,
        postgres::{Statement, statements},
    };

    on_postgresql![a_wrong_code_reads_one_snapshot_and_inserts_its_events_once];

    fn calls(statements: &[Statement], is_it: impl Fn(&str) -> bool) -> i64 {
        statements
            .iter()
            .filter(|statement| is_it(&statement.query.to_lowercase()))
            .map(|statement| statement.calls)
            .sum()
    }

    fn appends(query: &str) -> bool {
        query.contains("insert into events")
    }

    fn loads(query: &str) -> bool {
        query.contains("left join snapshots") && !query.contains("insert into")
    }

    async fn a_wrong_code_reads_one_snapshot_and_inserts_its_events_once(app: TestApp) {
        let (ada, two_factor) = app.register_with_two_factor("Ada").await;
        let challenge = app.challenge(&ada).await;
        let wrong = app.wrong_code(&two_factor.secret);
        let before = statements(app.place.url()).await;
        for _ in 0..5 {
            app.verify(&challenge, &wrong).await.refused(401, "wrong-code");
        }
        let after = statements(app.place.url()).await;
        let appended = calls(&after, appends) - calls(&before, appends);
        let loaded = calls(&after, loads) - calls(&before, loads);
        assert_eq!((loaded, appended), (5, 5), "{after:#?}");
    }
}
