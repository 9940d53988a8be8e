//! Coverage: per agreement and day how many people there were, how many had two-factor, of how many it was
//! required, and how many were overdue.

use std::sync::Arc;

use chrono::{NaiveDate, TimeDelta};
use countersign_tests::{Agreement, NOBODY, Place, TestApp, on_both_databases, program_on_both_databases};
use serde_json::{Value, json};

mod in_process {
    use super::*;

    on_both_databases![
        a_roll_out_is_told_day_by_day,
        what_an_administrator_requires_counts_for_those_it_administers,
        what_cannot_be_asked_is_refused,
        superusers_see_their_agreements_only,
    ];
}

mod program {
    use super::*;

    program_on_both_databases![
        one_read_model_that_stops_is_an_alarm_and_the_others_go_on,
        people_are_not_counted_anew,
    ];
}

const DAY_S: i64 = 86_400;

fn coverage_path(agreement: &Agreement) -> String {
    agreement.path("/coverage").replacen("/v1/", "/v1/compliance/", 1)
}

/// `[members, with_two_factor, required, overdue]` of each day.
async fn days(app: &TestApp, agreement: &Agreement) -> Vec<(NaiveDate, [i64; 4])> {
    app.wait_for_the_trail().await;
    let answer = app.get(&coverage_path(agreement), &app.key).await.expect(200);
    let figures = |day: &Value| {
        let date = day["date"].as_str().expect("a value").parse().expect("a value");
        let figure = |name: &str| day[name].as_i64().expect("a value");
        (date, ["members", "with_two_factor", "required", "overdue"].map(figure))
    };
    answer.items().iter().map(figures).collect()
}

async fn a_roll_out_is_told_day_by_day(app: TestApp) {
    let shop = app.agreement("Havbris").await;
    let first = app.now().date_naive();
    let (ada, ben, eve) = (app.register("Ada").await, app.register("Ben").await, app.register("Eve").await);
    for person in [&ada, &ben, &eve] {
        app.link(&shop, person).await;
    }
    app.advance_s(DAY_S);
    // Required from the day after tomorrow on.
    let deadline = app.now() + TimeDelta::days(2);
    app.enforce_by(&shop, deadline).await.expect(200);
    let two_factor = app.enrol_and_confirm(&ada).await;
    app.advance_s(3 * DAY_S);
    app.unlink(&shop, &eve).await;
    app.advance_s(DAY_S);
    app.stop_enforcing(&shop).await;
    let proof = app.proof(&ada, &two_factor);
    app.post(&ada.path("/two-factor/disable"), &app.key, proof).await.expect(204);
    let told = days(&app, &shop).await;
    let expected = [
        [3, 0, 0, 0], // three people, and nothing required
        [3, 1, 3, 0], // required by a deadline; one enrols
        [3, 1, 3, 0], // nothing happens
        [3, 1, 3, 2], // nothing happens, and the deadline passes
        [2, 1, 2, 1], // one of them leaves
        [2, 0, 0, 0], // nothing required any more, and the one turns it off
    ];
    let expected: Vec<_> = first.iter_days().zip(expected).collect();
    assert_eq!(told, expected);

    // Half open, and nothing of days to come.
    let path = coverage_path(&shop);
    let (from, to) = (first + TimeDelta::days(1), first + TimeDelta::days(3));
    let asked = app.get(&format!("{path}?from={from}&to={to}"), &app.key).await.expect(200).items();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0]["date"], from.to_string());
    let (from, to) = (first + TimeDelta::days(5), first + TimeDelta::days(9));
    assert_eq!(app.get(&format!("{path}?from={from}&to={to}"), &app.key).await.expect(200).items().len(), 1);
}

async fn what_an_administrator_requires_counts_for_those_it_administers(app: TestApp) {
    let office = app.administrator("Nordlys").await;
    let shop = app.administered("Havbris", &office).await;
    let ada = app.register("Ada").await;
    app.link(&shop, &ada).await;
    app.enforce(&office).await;
    app.advance_s(DAY_S);
    app.administer(&shop, None).await;
    app.advance_s(DAY_S);
    app.administer(&shop, Some(&office)).await;
    app.advance_s(DAY_S);
    app.administer(&shop, None).await;
    app.post(&office.path("/close"), &app.key, json!({})).await.expect(204);
    let of = |told: Vec<(NaiveDate, [i64; 4])>| told.into_iter().map(|(_, day)| day).collect::<Vec<_>>();
    let told = of(days(&app, &shop).await);
    assert_eq!(told, [[1, 0, 1, 1], [1, 0, 0, 0], [1, 0, 1, 1], [1, 0, 0, 0]]);
    let told = of(days(&app, &office).await);
    assert!(told.iter().all(|day| *day == [0, 0, 0, 0]), "nobody is linked to it: {told:?}");
}

async fn what_cannot_be_asked_is_refused(app: TestApp) {
    let shop = app.agreement("Havbris").await;
    let path = coverage_path(&shop);
    for query in [
        "from=yesterday",
        "from=2027-02-30",
        "from=2027-03-02&to=2027-03-01",
        "from=2020-01-01&to=2027-01-01",
        "to=-262143-01-01",
        "from=%2B262142-12-31",
        "from=%2B10000-01-01&to=%2B10000-01-02",
        "day=2027-03-01",
    ] {
        app.get(&format!("{path}?{query}"), &app.key).await.refused(400, "malformed-request");
    }
    app.get(&path.replace(&shop.id, "00000000-0000-4000-8000-000000000000"), &app.key)
        .await
        .refused(404, "not-found");
    app.get(&path, NOBODY).await.refused(401, "unauthenticated");
}

async fn superusers_see_their_agreements_only(app: TestApp) {
    let (office, other) = (app.administrator("Nordlys").await, app.agreement("Other").await);
    let shop = app.administered("Havbris", &office).await;
    let (_, _, grace) = app.superuser(&office, "Grace").await;
    for agreement in [&office, &shop] {
        app.get(&coverage_path(agreement), &grace.token).await.expect(200);
    }
    app.get(&coverage_path(&other), &grace.token).await.refused(404, "not-found");
    let reads = app.entries("type=AuditRead").await;
    assert!(reads.iter().any(|read| read["data"]["filter"]["route"] == "coverage"), "{reads:?}");
}

async fn one_read_model_that_stops_is_an_alarm_and_the_others_go_on(place: Arc<Place>) {
    let serving = place.serve();
    let key = place.create_api_key("suites", &countersign_tests::app::SCOPES);
    let app = TestApp::of_program(&place, &serving, &key);
    let (ada, _) = app.register_with_two_factor("Ada").await;
    app.wait_for_the_trail().await;
    serving.stop().exits(0);
    let enabled = "SELECT l.position AS one FROM ledger_entries l JOIN events e \
                   ON e.aggregate_id = l.aggregate_id AND e.sequence = l.sequence \
                   WHERE e.event_type = 'TwoFactorEnabled'";
    let position = place.number(enabled).await;
    // Coverage is to begin anew, and finds an event that is gone.
    place.tamper("UPDATE projection_checkpoints SET position = 0 WHERE projection = 'coverage'").await;
    place.tamper("DELETE FROM events WHERE event_type = 'TwoFactorEnabled'").await;

    let serving = place.serve();
    let app = TestApp::of_program(&place, &serving, &key);
    let alarm = format!("Coverage stops before entry {position}, which it cannot take.");
    app.eventually("there is an alarm", async || {
        let ready = app.get("/readyz", NOBODY).await;
        ready.body["alarms"].as_array().is_some_and(|alarms| alarms.contains(&json!(alarm)))
    })
    .await;
    let metrics = app.get("/metrics", NOBODY).await.expect(200).text;
    assert!(metrics.contains("countersign_coverage_stopped 1"), "{metrics}");
    assert!(metrics.contains(&format!("countersign_coverage_entries {position}")), "{metrics}");
    assert!(metrics.contains("countersign_audit_trail_stopped 0"), "{metrics}");
    // The trail goes on.
    let session = app.post("/v1/logins", &key, json!({ "email": ada.email, "password": ada.password })).await;
    let write = session.header("countersign-write").replace('/', "%2F");
    app.get(&format!("/v1/audit/entries?after_write={write}"), &key).await.expect(200);
}

async fn people_are_not_counted_anew(place: Arc<Place>) {
    let serving = place.serve();
    let key = place.create_api_key("suites", &countersign_tests::app::SCOPES);
    let app = TestApp::of_program(&place, &serving, &key);
    let office = app.administrator("Nordlys").await;
    app.link(&office, &app.register("Ada").await).await;
    assert_eq!(days(&app, &office).await.len(), 1);
    // By this it is seen which count was asked.
    place.tamper("UPDATE coverage_v2 SET reached = 1000, reached_with_two_factor = 400").await;
    for answer in [app.preview(&office).await, app.enforce(&office).await] {
        assert_eq!(answer["affected_users"], 1000, "{}", answer.text);
        assert_eq!(answer["without_two_factor"], 600, "{}", answer.text);
    }
    serving.stop().exits(0);
}
