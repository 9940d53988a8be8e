//! Evidence reports: each tells what was done, by whom and why, names the entries of the ledger that it comes
//! from, and is signed.

mod checked;
mod handed_out;
mod judged;
mod listed;
mod printed;

use countersign_tests::{Agreement, Answer, Person, TestApp, clock};
use serde_json::Value;

/// Every report there is.
const REPORTS: [&str; 11] = [
    "enforcement-on-date",
    "disabled",
    "policy-history",
    "sign-ins-without-second-factor",
    "recovery-codes",
    "lockouts",
    "admin-actions",
    "audit-reads",
    "integrity",
    "replay",
    "erasures",
];

async fn ask(app: &TestApp, report: &str, query: &str) -> Answer {
    app.wait_for_the_trail().await;
    app.get(&format!("/v1/compliance/evidence/{report}?{query}"), &app.key).await
}

/// The report itself.
async fn evidence(app: &TestApp, report: &str, query: &str) -> Value {
    let body = ask(app, report, query).await.expect(200).body["report"].clone();
    assert_eq!(body["report"], report);
    body
}

fn rows(report: &Value) -> Vec<Value> {
    report["rows"].as_array().expect("rows").clone()
}

fn events(report: &Value) -> Vec<String> {
    rows(report).iter().map(|row| row["event"].as_str().expect("an event").to_owned()).collect()
}

/// The row of a type; it must be the entry that the trail has at its position.
async fn row_of(app: &TestApp, report: &Value, event: &str) -> Value {
    let row = rows(report).into_iter().find(|row| row["event"] == event);
    let row = row.unwrap_or_else(|| panic!("no {event} in {report}"));
    let entry = app.get(&format!("/v1/audit/entries/{}", row["position"]), &app.key).await.expect(200).body;
    assert_eq!(entry["type"], event);
    assert_eq!((&entry["recorded_at"], &entry["summary"]), (&row["at"], &row["summary"]));
    assert_eq!((&entry["user_id"], &entry["actor"]["kind"]), (&row["person"]["id"], &row["actor"]["kind"]));
    row
}

fn at(moment: chrono::DateTime<chrono::Utc>) -> String {
    clock::text(moment).replace(':', "%3A")
}

async fn linked(app: &TestApp, agreement: &Agreement, name: &str) -> Person {
    let person = app.register(name).await;
    app.link(agreement, &person).await;
    person
}

const PASSWORD_ALONE: &str = "sign-ins-without-second-factor";

async fn disable(app: &TestApp, name: &str) -> Person {
    let (person, two_factor) = app.register_with_two_factor(name).await;
    let proof = app.proof(&person, &two_factor);
    app.post(&person.path("/two-factor/disable"), &app.key, proof).await.expect(204);
    person
}
