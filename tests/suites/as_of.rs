//! Any account as it was at any moment is what was live then, and asking again gives the same answer.

use countersign_tests::{Mixed, NOBODY, TestApp, clock, on_both_databases};
use serde_json::{Value, json};

on_both_databases![
    at_every_moment_of_a_history_the_answer_is_what_was_live_then,
    the_ends_of_the_log_are_defined,
    what_cannot_be_asked_is_refused,
    sessions_are_those_that_had_not_ended,
    what_a_slow_clock_recorded_brings_nothing_else_along,
];

/// What a live route shows of one thing, without what only the present has.
async fn live(app: &TestApp, path: &str) -> Value {
    app.get(path, &app.key).await.expect(200).body
}

async fn then(app: &TestApp, path: &str, at: &str) -> Value {
    let mut body = app.get(&as_of(path, at), &app.key).await.expect(200).body;
    let shown = body.as_object_mut().expect("a value");
    assert_eq!(clock::parse(shown["as_of"].as_str().expect("a value")), clock::parse(at));
    assert!(shown["position"].as_u64().expect("a value") > 0);
    for added in ["as_of", "position", "sessions", "administrator", "members_count", "superusers"] {
        shown.remove(added);
    }
    body
}

fn as_of(path: &str, at: &str) -> String {
    let path = path.replacen("/v1/", "/v1/compliance/", 1);
    format!("{path}?as_of={}", at.replace(':', "%3A").replace('+', "%2B"))
}

async fn at_every_moment_of_a_history_the_answer_is_what_was_live_then(app: TestApp) {
    let mut mixed = Mixed { nobody_is_erased: true, ..Mixed::default() };
    let mut history: Vec<(String, String, Value)> = Vec::new();
    for round in 0..30 {
        app.advance_s(1);
        app.mix(&mut mixed, 40 + round, 2).await;
        let at = clock::text(app.now());
        let people = mixed.people.iter().map(|(person, _)| person.path(""));
        for path in people.chain(mixed.agreements.iter().map(|agreement| agreement.path(""))) {
            let shown = live(&app, &path).await;
            history.push((path, at.clone(), shown));
        }
    }
    app.wait_for_the_trail().await;
    let mut first = Vec::new();
    for (path, at, was) in &history {
        let shown = then(&app, path, at).await;
        assert_eq!(shown, *was, "{path} at {at}");
        first.push(app.get(&as_of(path, at), &app.key).await.expect(200).body);
    }
    // Much later, and much more recorded: the same answers, out of the same entries.
    app.advance_s(100_000);
    app.mix(&mut mixed, 99, 20).await;
    app.wait_for_the_trail().await;
    for ((path, at, _), first) in history.iter().zip(&first) {
        let again = app.get(&as_of(path, at), &app.key).await.expect(200).body;
        assert_eq!(again, *first, "{path} at {at}");
    }
}

async fn the_ends_of_the_log_are_defined(app: TestApp) {
    let before = clock::text(app.now() - chrono::TimeDelta::microseconds(1));
    let office = app.administrator("Nordlys").await;
    let (ada, _) = app.register_with_two_factor("Ada").await;
    app.wait_for_the_trail().await;
    for path in [ada.path(""), office.path("")] {
        for at in [&before, "0001-01-01T00:00:00Z"] {
            app.get(&as_of(&path, at), &app.key).await.refused(404, "not-found");
        }
        app.get(&path.replacen("/v1/", "/v1/compliance/", 1), &app.key).await.expect(200);
    }
    // The very moment at which something was recorded counts.
    app.advance_s(60);
    app.enforce(&office).await;
    app.wait_for_the_trail().await;
    let at = app.now();
    for (at, enforced) in [(at, true), (at - chrono::TimeDelta::microseconds(1), false)] {
        let shown = then(&app, &office.path(""), &clock::text(at)).await;
        assert_eq!(shown["enforcement"]["enforced"], enforced, "{at}");
    }
    let tomorrow = clock::text(app.now() + chrono::TimeDelta::days(1));
    app.get(&as_of(&ada.path(""), &tomorrow), &app.key).await.refused(400, "malformed-request");
}

async fn what_cannot_be_asked_is_refused(app: TestApp) {
    let ada = app.register("Ada").await;
    let path = ada.path("").replacen("/v1/", "/v1/compliance/", 1);
    for query in ["as_of=yesterday", "as_of=2027-13-01T00:00:00Z", "at=2027-01-01T00:00:00Z"] {
        app.get(&format!("{path}?{query}"), &app.key).await.refused(400, "malformed-request");
    }
    app.get("/v1/compliance/users/nobody", &app.key).await.refused(404, "not-found");
    app.get("/v1/compliance/agreements/00000000-0000-4000-8000-000000000000", &app.key)
        .await
        .refused(404, "not-found");
    let blind = app.key_with(&["users:read", "agreements:read"]).await;
    app.get(&path, &blind).await.refused(403, "forbidden");
    app.get(&path, NOBODY).await.refused(401, "unauthenticated");
}

async fn sessions_are_those_that_had_not_ended(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let session = app.sign_in_with(&ada, &two_factor).await;
    let signed_in = clock::text(app.now());
    app.advance_s(60);
    app.delete(&ada.path("/sessions"), &app.key).await.expect(204);
    app.wait_for_the_trail().await;
    let sessions = async |at: &str| {
        app.get(&as_of(&ada.path(""), at), &app.key).await.expect(200).body["sessions"].clone()
    };
    let then = sessions(&signed_in).await;
    assert_eq!(then[0]["id"], session.id);
    assert!(then.to_string().contains("second_factor_at") && !then.to_string().contains("token"), "{then}");
    assert_eq!(sessions(&clock::text(app.now())).await, json!([]));
    // Asking is on the record.
    let reads = app.entries("type=AuditRead").await;
    assert!(reads.iter().any(|read| read["data"]["filter"]["route"] == "as_of"), "{reads:?}");
}

async fn what_a_slow_clock_recorded_brings_nothing_else_along(app: TestApp) {
    let office = app.administrator("Nordlys").await;
    app.advance_s(100);
    app.enforce(&office).await;
    // The clock of another node is behind: what it records gets its place after what came later.
    app.advance_s(-50);
    let ben = app.register("Ben").await;
    app.advance_s(200);
    app.wait_for_the_trail().await;
    let between = clock::text(app.now() - chrono::TimeDelta::seconds(190));
    assert_eq!(then(&app, &ben.path(""), &between).await["display_name"], "Ben");
    assert_eq!(then(&app, &office.path(""), &between).await["enforcement"]["enforced"], false);
    let later = clock::text(app.now() - chrono::TimeDelta::seconds(150));
    assert_eq!(then(&app, &office.path(""), &later).await["enforcement"]["enforced"], true);
}
