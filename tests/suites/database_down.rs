//! The database goes away while a node runs, and comes back.

use std::collections::BTreeSet;

use countersign_tests::{
    Answer, Client, NOBODY, Session, TestApp,
    answer::string,
    on_postgresql,
    postgres::{connect, give_back, take_away},
    trail::types,
};
use serde_json::{Value, json};
use sqlx::{Connection as _, Row as _};

use crate::races::{Shot, fire, how_many, statuses};

on_postgresql![
    every_kind_of_request_says_that_the_database_does_not_answer,
    what_was_refused_without_a_database_works_once_it_is_back,
    s01_a_code_that_was_given_without_a_database_is_not_spent,
    of_many_writes_cut_short_each_took_place_whole_or_not_at_all,
];

/// A problem with the code `unavailable` that says when to come back.
#[track_caller]
fn is_unavailable(answer: Answer) {
    let refused = answer.refused(503, "unavailable");
    assert_ne!(refused.header("retry-after"), "", "{:?}", refused.headers);
    assert_eq!(refused.header("countersign-write"), "", "nothing was written");
}

async fn every_kind_of_request_says_that_the_database_does_not_answer(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let session = app.sign_in_with(&ada, &two_factor).await;
    let agreement = app.agreement("Havbris").await;
    let challenge = app.challenge(&ada).await;
    take_away(app.place.url()).await;
    is_unavailable(app.get(&ada.path(""), &app.key).await);
    is_unavailable(app.get(&ada.path(""), &session.token).await);
    is_unavailable(app.get("/v1/users", &app.key).await);
    is_unavailable(app.get("/v1/audit/entries", &app.key).await);
    is_unavailable(app.log_in(&ada).await);
    is_unavailable(app.verify(&challenge, &app.code(&two_factor.secret)).await);
    is_unavailable(app.post("/v1/login-checks", &app.key, json!({ "email": ada.email })).await);
    let enforce = json!({ "enforced": true });
    is_unavailable(app.put(&agreement.path("/enforcement"), &app.key, enforce).await);
    is_unavailable(app.delete(&ada.path("/sessions"), &session.token).await);
    // What needs no database is answered as ever.
    app.get("/v1/users", NOBODY).await.refused(401, "unauthenticated");
    app.get("/nowhere", NOBODY).await.problem();
}

async fn what_was_refused_without_a_database_works_once_it_is_back(app: TestApp) {
    let agreement = app.agreement("Havbris").await;
    let ada = app.register("Ada").await;
    let grace = json!({ "email": "grace@example.com", "display_name": "Grace", "password": "vapor-lantern-thirteen-oak" });
    let before = app.snapshots_and_refolds().await;
    let register = async || app.post("/v1/users", &app.key, grace.clone()).await;
    let link = async || app.put(&agreement.link_path(&ada), &app.key, json!({ "role": "user" })).await;
    let enforce =
        async || app.put(&agreement.path("/enforcement"), &app.key, json!({ "enforced": true })).await;
    take_away(app.place.url()).await;
    is_unavailable(register().await);
    is_unavailable(link().await);
    is_unavailable(enforce().await);
    give_back(app.place.url()).await;
    assert_eq!(app.snapshots_and_refolds().await, before, "nothing was written");
    app.decides(&ada, "password_only").await;
    register().await.expect(201);
    link().await.expect(204);
    enforce().await.expect(200);
    app.decides(&ada, "enrol").await;
    for (stream, id, snapshot, refolded) in app.snapshots_and_refolds().await {
        assert_eq!(snapshot, refolded, "{stream} {id}");
    }
}

async fn s01_a_code_that_was_given_without_a_database_is_not_spent(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let challenge = app.challenge(&ada).await;
    let code = app.next_code(&two_factor.secret);
    take_away(app.place.url()).await;
    is_unavailable(app.verify(&challenge, &code).await);
    give_back(app.place.url()).await;
    let session = Session::of(&app.verify(&challenge, &code).await.expect(200));
    app.get(&ada.path(""), &session.token).await.expect(200);
    app.verify(&challenge, &code).await.problem();
    assert_eq!(app.count(&ada.id, types::SECOND_FACTOR_PASSED).await, 1);
}

/// How many people there are, asked past the node.
async fn registered(url: &str) -> i64 {
    let mut connection = connect(url).await;
    let row = sqlx::query("SELECT count(*) AS registered FROM email_claims")
        .fetch_one(&mut connection)
        .await
        .expect("a count");
    connection.close().await.expect("a closed connection");
    row.get("registered")
}

/// How many people register at once: more than are registered before the database goes, and so few that a slow machine
/// hashes all their passwords within the ten seconds of a request.
const CROWD: usize = 20;

async fn of_many_writes_cut_short_each_took_place_whole_or_not_at_all(app: TestApp) {
    let person = |number: usize| {
        let email = format!("person{number}@example.com");
        json!({ "email": email, "display_name": "Somebody", "password": "vapor-lantern-thirteen-oak" })
    };
    let shot = |body: Value| Shot {
        node: Client::clone(&app),
        path: "/v1/users".to_owned(),
        key: app.key.clone(),
        body,
    };
    let all = || (0..CROWD).map(|number| shot(person(number))).collect();
    let url = app.place.url();
    let (answers, ()) = tokio::join!(fire(all()), async {
        while registered(url).await < 5 {}
        take_away(url).await;
    });
    let (stored, refused) = (how_many(&answers, 201), how_many(&answers, 503));
    assert_eq!(stored + refused, CROWD, "{:?}", statuses(&answers));
    assert!(stored > 0 && refused > 0, "cut short in the middle: {:?}", statuses(&answers));
    give_back(url).await;
    // Whoever was told 201 is there; of the others nothing, or all of it.
    let there = everybody(&app).await;
    for answer in &answers {
        match answer.status {
            201 => assert!(there.contains(&answer.string("email")), "{}", answer.text),
            _ => is_unavailable(answer.clone()),
        }
    }
    for again in fire(all()).await {
        let taken = again.status == 409;
        let _ = if taken { again.refused(409, "email-taken") } else { again.expect(201) };
    }
    assert_eq!(everybody(&app).await.len(), CROWD);
    for number in 0..CROWD {
        let (email, password) = (person(number)["email"].clone(), person(number)["password"].clone());
        let body = json!({ "email": email, "password": password });
        app.post("/v1/logins", &app.key, body).await.expect(200);
    }
    for (stream, id, snapshot, refolded) in app.snapshots_and_refolds().await {
        assert_eq!(snapshot, refolded, "{stream} {id}");
    }
}

/// The addresses of everybody who is registered.
async fn everybody(app: &TestApp) -> BTreeSet<String> {
    let listed = app.get("/v1/users?limit=500", &app.key).await.expect(200).items();
    listed.iter().map(|user| string(&user["email"])).collect()
}
