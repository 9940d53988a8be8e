//! Writes down what an installation of this version leaves behind, for later versions to be tried on:
//!
//! ```sh
//! COUNTERSIGN_TEST_POSTGRES=postgres://… cargo run -p countersign-tests --features postgres \
//!     --example write_fixture -- tests/fixtures/VERSION
//! ```
//!
//! The directory gets `sqlite/` and `postgres/`: the data directory as it was when the node stopped, and
//! `answers.json` with what the node had answered; PostgreSQL's database is `dump.sql` in it.

#![expect(clippy::expect_used, reason = "a program for developers: it says where it failed by panicking")]

use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use countersign_tests::{Database, Mixed, Place, TestApp, clock};
use serde_json::{Value, json};

/// What is done at random, on so many days.
const SEED: u8 = 7;
const ACTS: usize = 40;
const DAYS: usize = 4;

#[tokio::main]
async fn main() {
    let into = PathBuf::from(std::env::args().nth(1).expect("a directory to write to"));
    write(Database::Sqlite, &into.join("sqlite")).await;
    #[cfg(feature = "postgres")]
    write(Database::Postgres, &into.join("postgres")).await;
}

async fn write(database: Database, into: &Path) {
    std::fs::create_dir_all(into).expect("a directory");
    let place = Place::fresh(database).await;
    let app = TestApp::start(&place).await;
    let answers = live(&app).await;
    app.stop().await;
    for file in place.files() {
        let name = file.file_name().expect("a name");
        std::fs::copy(&file, into.join(name)).expect("a copy");
    }
    #[cfg(feature = "postgres")]
    if database == Database::Postgres {
        let mut dump = countersign_tests::postgres::program("pg_dump");
        let dumped = dump.args(["--no-owner", "--file"]).arg(into.join("dump.sql")).arg(place.url());
        assert!(dumped.status().expect("pg_dump").success());
    }
    let answers = serde_json::to_string_pretty(&answers).expect("JSON");
    std::fs::write(into.join("answers.json"), answers + "\n").expect("a file");
}

/// Some days in the life of an installation, and what it answers at the end of each.
async fn live(app: &TestApp) -> Value {
    let mut mixed = Mixed::default();
    let mut days = Vec::new();
    for day in 0..DAYS {
        app.mix(&mut mixed, SEED + u8::try_from(day).expect("few days"), ACTS).await;
        let (person, two_factor) = app.register_with_two_factor(&format!("Keeper {day}")).await;
        let spare = app.enrol_another(&person, &two_factor, json!({ "label": "Tablet" })).await;
        app.confirm(&person, &spare).await;
        app.advance_s(60);
        let removed = person.path(&format!("/two-factor/authenticators/{}", two_factor.authenticator_id));
        let proof = json!({ "password": person.password, "code": app.next_code(&spare.secret) });
        app.delete_with(&removed, &app.key, proof).await.expect(204);
        let mut now = two_factor;
        now.secret = spare.secret;
        app.advance_s(60);
        let other = app.enrol_another(&person, &now, json!({ "replace": true })).await;
        app.confirm(&person, &other).await;
        now.secret = other.secret;
        mixed.people.push((person, Some(now)));
        app.advance_s(60);
        app.wait_for_the_trail().await;
        days.push(answers(app, &mixed).await);
        app.clock.advance_s(86_400);
    }
    let agreements: Vec<&str> = mixed.agreements.iter().map(|agreement| agreement.id.as_str()).collect();
    let people: Vec<Value> = mixed
        .people
        .iter()
        .map(|(person, two_factor)| {
            let secret = two_factor.as_ref().map(|two_factor| two_factor.secret.as_str());
            json!({ "id": person.id, "email": person.email, "password": person.password, "secret": secret })
        })
        .collect();
    let coverage = coverage(app, &mixed).await;
    let stopped_at = clock::text(app.now());
    json!({
        "key": app.key, "stopped_at": stopped_at, "people": people, "agreements": agreements,
        "coverage": coverage, "days": days,
    })
}

/// What is answered about everybody and everything.
async fn answers(app: &TestApp, mixed: &Mixed) -> Value {
    let mut shown = serde_json::Map::new();
    let people = mixed.people.iter().map(|(person, _)| person.path(""));
    for path in people.chain(mixed.agreements.iter().map(|agreement| agreement.path(""))) {
        shown.insert(path.clone(), app.get(&path, &app.key).await.expect(200).body);
    }
    let mut checks = serde_json::Map::new();
    for (person, _) in &mixed.people {
        checks.insert(person.id.clone(), app.login_check(person).await.expect(200).body);
    }
    json!({ "at": clock::text(app.now()), "shown": shown, "login_checks": checks })
}

async fn coverage(app: &TestApp, mixed: &Mixed) -> Value {
    let (from, to) = (clock::beginning().date_naive(), (app.now() - TimeDelta::days(1)).date_naive());
    let mut days = serde_json::Map::new();
    for agreement in &mixed.agreements {
        let path = format!("/v1/compliance/agreements/{}/coverage?from={from}&to={to}", agreement.id);
        days.insert(agreement.id.clone(), app.get(&path, &app.key).await.expect(200).body);
    }
    Value::Object(days)
}
