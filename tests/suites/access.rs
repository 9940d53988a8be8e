//! Deny by default: every route walked by everybody who may not.

use countersign_tests::{NOBODY, Person, Session, TestApp, TwoFactor, app::SCOPES, on_both_databases};
use serde_json::json;

use crate::routes::{OPEN, OPEN_PARTS, Sessions, World, documented, enrolment_token, nameless, routes};

on_both_databases![
    s19_every_documented_route_is_walked_here,
    s19_signed_out_every_route_is_refused,
    s19_every_wrong_scope_is_refused,
    s19_every_needed_scope_is_needed,
    s19_somebody_else_is_refused_everywhere,
    s19_a_plain_member_is_refused_what_superusers_may,
    s19_a_superuser_of_an_administered_agreement_is_refused_at_the_administrator,
    s19_a_superuser_of_the_administrator_may_at_an_administered_agreement,
    s19_an_enrolment_token_is_refused_everywhere_else,
    s19_a_session_is_refused_what_only_api_keys_may,
    s19_an_auditor_is_refused_what_the_role_does_not_stand_for,
    s19_an_operator_is_refused_what_the_role_does_not_stand_for,
    s19_an_operator_may_what_the_role_stands_for,
    s19_an_operator_changes_nothing_without_a_fresh_second_factor,
    s19_a_role_is_no_right_in_a_session_without_a_second_factor,
    s19_a_role_that_was_revoked_is_no_right,
    s19_a_role_is_no_right_once_two_factor_is_off,
    s19_an_api_key_says_nothing_outside_its_header,
    s08_a_challenge_id_is_refused_as_a_token,
    s26_a_superuser_edits_people_already_linked,
    s26_a_superuser_cannot_link_somebody_new,
    s26_nobody_becomes_superuser_by_their_own_doing,
    s26_the_last_superuser_cannot_go,
    open_routes_need_no_token,
];

async fn s19_every_documented_route_is_walked_here(app: TestApp) {
    let openapi = app.get("/openapi.json", NOBODY).await.expect(200);
    let walked: Vec<String> = routes()
        .iter()
        .map(|route| format!("{} {}", route.method, nameless(route.path)))
        .chain(OPEN.iter().chain(&OPEN_PARTS).map(|path| format!("GET {}", nameless(path))))
        .chain(["GET /docs".to_owned()])
        .collect();
    let documented = documented(&openapi.body);
    for route in &documented {
        assert!(walked.contains(route), "{route} is new: add it to routes.rs, with who may call it");
    }
    for route in routes() {
        let route = format!("{} {}", route.method, nameless(route.path));
        assert!(documented.contains(&route), "{route} is missing in /openapi.json");
    }
}

async fn s19_signed_out_every_route_is_refused(app: TestApp) {
    let world = World::make(&app).await;
    let before = world.state(&app).await;
    let random = "A".repeat(43);
    let tokens = [
        NOBODY.to_owned(),
        "garbage".to_owned(),
        format!("csk_{random}"),
        format!("css_{random}"),
        format!("cse_{random}"),
    ];
    for route in routes() {
        for token in &tokens {
            world.call(&app, &route, token).await.refused(401, "unauthenticated");
        }
    }
    assert_eq!(world.state(&app).await, before);
}

async fn s19_every_wrong_scope_is_refused(app: TestApp) {
    let world = World::make(&app).await;
    let before = world.state(&app).await;
    for scope in SCOPES {
        let key = app.key_with(&[scope]).await;
        for route in routes() {
            if route.scopes != [scope] {
                world.call(&app, &route, &key).await.refused(403, "forbidden");
            }
        }
    }
    assert_eq!(world.state(&app).await, before);
}

async fn s19_every_needed_scope_is_needed(app: TestApp) {
    let world = World::make(&app).await;
    let before = world.state(&app).await;
    for missing in SCOPES {
        let others: Vec<&str> = SCOPES.into_iter().filter(|scope| *scope != missing).collect();
        let key = app.key_with(&others).await;
        for route in routes().iter().filter(|route| route.scopes.contains(&missing)) {
            let refused = world.call(&app, route, &key).await.refused(403, "forbidden");
            assert!(refused.string("detail").contains(missing), "{}", refused.text);
        }
    }
    assert_eq!(world.state(&app).await, before);
}

/// Asserts that a session gets nothing at any route, whatever it names.
async fn refused_everywhere(app: &TestApp, world: &World, token: &str) {
    refused_without(app, world, token, &[]).await;
}

async fn s19_somebody_else_is_refused_everywhere(app: TestApp) {
    let world = World::make(&app).await;
    let other = app.agreement("Elsewhere").await;
    let (_, _, eve) = app.superuser(&other, "Eve").await;
    refused_everywhere(&app, &world, &eve.token).await;
    let (mallory, of_mallory) = app.register_with_two_factor("Mallory").await;
    app.link(&other, &mallory).await;
    let session = app.sign_in_with(&mallory, &of_mallory).await;
    refused_everywhere(&app, &world, &session.token).await;
}

async fn s19_a_plain_member_is_refused_what_superusers_may(app: TestApp) {
    let world = World::make(&app).await;
    let (eve, two_factor) = app.register_with_two_factor("Eve").await;
    app.link(&world.agreement, &eve).await;
    let session = app.sign_in_with(&eve, &two_factor).await;
    let before = world.state(&app).await;
    for route in routes() {
        let answer = match route.sessions {
            Sessions::Superuser => world.call(&app, &route, &session.token).await,
            Sessions::None | Sessions::Own | Sessions::Member | Sessions::Each => continue,
        };
        answer.refused(403, "forbidden");
    }
    app.get(&world.agreement.path(""), &session.token).await.expect(200);
    assert_eq!(world.state(&app).await, before);
}

async fn s19_a_superuser_of_an_administered_agreement_is_refused_at_the_administrator(app: TestApp) {
    let accountant = app.administrator("Nordlys").await;
    let client = app.administered("Havbris", &accountant).await;
    let (_, _, session) = app.superuser(&client, "Ada").await;
    for below in ["", "/users", "/enforcement/preview"] {
        app.get(&accountant.path(below), &session.token).await.refused(404, "not-found");
    }
    let body = json!({ "enforced": true });
    app.put(&accountant.path("/enforcement"), &session.token, body).await.refused(404, "not-found");
}

async fn s19_a_superuser_of_the_administrator_may_at_an_administered_agreement(app: TestApp) {
    let accountant = app.administrator("Nordlys").await;
    let client = app.administered("Havbris", &accountant).await;
    let (_, _, session) = app.superuser(&accountant, "Ada").await;
    for below in ["", "/users", "/enforcement/preview"] {
        app.get(&client.path(below), &session.token).await.expect(200);
    }
    app.administer(&client, None).await;
    for below in ["", "/users", "/enforcement/preview"] {
        app.get(&client.path(below), &session.token).await.refused(404, "not-found");
    }
}

async fn s19_an_enrolment_token_is_refused_everywhere_else(app: TestApp) {
    let world = World::make(&app).await;
    let eve = app.register("Eve").await;
    app.link(&world.agreement, &eve).await;
    app.enforce(&world.agreement).await;
    let token = enrolment_token(&app, &eve).await;
    let before = world.state(&app).await;
    for route in routes() {
        let refused = world.call(&app, &route, &token).await.problem();
        let about = format!("{} {}: {}", route.method, route.path, refused.text);
        if route.enrolment_token {
            assert_eq!(refused.status, 404, "it is hers only: {about}");
        } else {
            assert!([401, 403, 404].contains(&refused.status), "{about}");
        }
    }
    assert_eq!(world.state(&app).await, before);
}

async fn s19_a_session_is_refused_what_only_api_keys_may(app: TestApp) {
    let world = World::make(&app).await;
    let before = world.state(&app).await;
    for route in routes() {
        if route.sessions == Sessions::None {
            world.call(&app, &route, &world.session.token).await.refused(403, "forbidden");
        }
    }
    assert_eq!(world.state(&app).await, before);
}

const AUDITOR: &[&str] = &["audit:read"];
const OPERATOR: &[&str] = &["users:read", "users:write", "agreements:read", "agreements:write"];

/// Somebody with a role and no agreement, signed in with a second factor a moment ago.
async fn with_role(app: &TestApp, role: &str) -> (Person, TwoFactor, Session) {
    let (eve, two_factor) = app.register_with_two_factor("Eve").await;
    app.grant(&eve, role).await;
    let session = app.sign_in_with(&eve, &two_factor).await;
    (eve, two_factor, session)
}

/// Asserts that a session gets nothing at any route but those that its role stands for.
async fn refused_without(app: &TestApp, world: &World, token: &str, scopes: &[&str]) {
    let before = world.state(app).await;
    for route in routes() {
        if route.sessions == Sessions::Each || route.is_for_role(scopes) {
            continue;
        }
        let refused = world.call(app, &route, token).await.problem();
        let about = format!("{} {}: {}", route.method, route.path, refused.text);
        if route.sessions == Sessions::None {
            // Not for sessions at all; hiding the object as well is as good.
            assert!([403, 404].contains(&refused.status), "{about}");
        } else {
            assert_eq!(refused.status, 404, "an object of another tenant is not there: {about}");
        }
    }
    assert_eq!(world.state(app).await, before);
}

async fn s19_an_auditor_is_refused_what_the_role_does_not_stand_for(app: TestApp) {
    let world = World::make(&app).await;
    let (.., session) = with_role(&app, "auditor").await;
    refused_without(&app, &world, &session.token, AUDITOR).await;
    for route in routes().iter().filter(|route| route.is_for_role(AUDITOR)) {
        let answer = world.call(&app, route, &session.token).await;
        // The stream is asked for an empty beginning.
        assert!([200, 400].contains(&answer.status), "{} {}: {}", route.method, route.path, answer.text);
    }
}

async fn s19_an_operator_is_refused_what_the_role_does_not_stand_for(app: TestApp) {
    let world = World::make(&app).await;
    let (.., session) = with_role(&app, "operator").await;
    refused_without(&app, &world, &session.token, OPERATOR).await;
}

async fn s19_an_operator_may_what_the_role_stands_for(app: TestApp) {
    let world = World::make(&app).await;
    let (.., session) = with_role(&app, "operator").await;
    for route in routes().iter().filter(|route| route.is_for_role(OPERATOR)) {
        let answer = world.call(&app, route, &session.token).await;
        // What the world does not permit is refused for what it is: the last superuser, a closed agreement.
        let about = format!("{} {}: {}", route.method, route.path, answer.text);
        assert!([200, 201, 204, 409].contains(&answer.status), "{about}");
    }
}

async fn s19_an_operator_changes_nothing_without_a_fresh_second_factor(app: TestApp) {
    let world = World::make(&app).await;
    let (.., session) = with_role(&app, "operator").await;
    app.advance_min(10);
    let before = world.state(&app).await;
    for route in routes().iter().filter(|route| route.is_for_role(OPERATOR)) {
        let answer = world.call(&app, route, &session.token).await;
        if route.method == reqwest::Method::GET {
            answer.expect(200);
        } else {
            answer.refused(403, "step-up-required");
        }
    }
    assert_eq!(world.state(&app).await, before);
}

async fn s19_a_role_is_no_right_in_a_session_without_a_second_factor(app: TestApp) {
    let world = World::make(&app).await;
    let eve = app.register("Eve").await;
    for role in ["auditor", "operator"] {
        app.grant(&eve, role).await;
    }
    let session = app.sign_in(&eve).await;
    refused_everywhere(&app, &world, &session.token).await;
    // That two-factor is on by now does not say that this session passed it.
    app.enrol_and_confirm(&eve).await;
    refused_everywhere(&app, &world, &session.token).await;
}

async fn s19_a_role_that_was_revoked_is_no_right(app: TestApp) {
    let world = World::make(&app).await;
    for role in ["auditor", "operator"] {
        let (eve, two_factor) = app.register_with_two_factor(role).await;
        app.grant(&eve, role).await;
        let session = app.sign_in_with(&eve, &two_factor).await;
        let path = if role == "auditor" { "/v1/audit/export?format=csv" } else { "/v1/users" };
        app.get(path, &session.token).await.expect(200);
        app.revoke(&eve, role).await;
        refused_everywhere(&app, &world, &session.token).await;
    }
}

async fn s19_a_role_is_no_right_once_two_factor_is_off(app: TestApp) {
    let world = World::make(&app).await;
    let (eve, two_factor, session) = with_role(&app, "operator").await;
    let proof = app.proof(&eve, &two_factor);
    app.post(&eve.path("/two-factor/disable"), &app.key, proof).await.expect(204);
    refused_everywhere(&app, &world, &session.token).await;
    // On again, but not in this session.
    app.enrol_and_confirm(&eve).await;
    refused_everywhere(&app, &world, &session.token).await;
}

async fn s19_an_api_key_says_nothing_outside_its_header(app: TestApp) {
    let world = World::make(&app).await;
    let path = format!("{}?access_token={}", world.ada.path(""), app.key);
    app.get(&path, NOBODY).await.refused(401, "unauthenticated");
    for value in [format!("Basic {}", app.key), app.key.clone(), format!("bearer: {}", app.key)] {
        app.request(reqwest::Method::GET, &world.ada.path(""))
            .header("authorization", &value)
            .send()
            .await
            .refused(401, "unauthenticated");
    }
}

async fn s08_a_challenge_id_is_refused_as_a_token(app: TestApp) {
    let world = World::make(&app).await;
    let before = world.state(&app).await;
    for route in routes() {
        world.call(&app, &route, &world.challenge).await.refused(401, "unauthenticated");
    }
    assert_eq!(world.state(&app).await, before);
}

async fn role_of(app: &TestApp, world: &World, person: &Person) -> Option<String> {
    let listed = app.get(&world.agreement.path("/users"), &app.key).await.expect(200);
    let items = listed.items();
    let item = items.iter().find(|item| item["user_id"] == person.id)?;
    item["role"].as_str().map(str::to_owned)
}

async fn s26_a_superuser_edits_people_already_linked(app: TestApp) {
    let world = World::make(&app).await;
    let grace = app.register("Grace").await;
    app.link(&world.agreement, &grace).await;
    let path = world.agreement.link_path(&grace);
    let token = &world.session.token;
    app.put(&path, token, json!({ "role": "superuser" })).await.expect(204);
    assert_eq!(role_of(&app, &world, &grace).await.as_deref(), Some("superuser"));
    app.delete(&path, token).await.expect(204);
    assert_eq!(role_of(&app, &world, &grace).await, None);
}

async fn s26_a_superuser_cannot_link_somebody_new(app: TestApp) {
    let world = World::make(&app).await;
    let grace = app.register("Grace").await;
    let nobody = Person { id: crate::routes::UNKNOWN_ID.to_owned(), ..grace.clone() };
    let mut answers = Vec::new();
    for person in [&grace, &nobody] {
        let path = world.agreement.link_path(person);
        let body = json!({ "role": "user" });
        let refused = app.put(&path, &world.session.token, body).await.problem();
        assert!([403, 404].contains(&refused.status), "{}", refused.text);
        answers.push((refused.status, refused.string("code")));
    }
    assert_eq!(answers[0], answers[1], "the answer must not tell who has an account");
    assert_eq!(role_of(&app, &world, &grace).await, None);
}

async fn s26_nobody_becomes_superuser_by_their_own_doing(app: TestApp) {
    let world = World::make(&app).await;
    let (eve, two_factor) = app.register_with_two_factor("Eve").await;
    app.link(&world.agreement, &eve).await;
    let session = app.sign_in_with(&eve, &two_factor).await;
    let body = json!({ "role": "superuser" });
    app.put(&world.agreement.link_path(&eve), &session.token, body).await.refused(403, "forbidden");
    assert_eq!(role_of(&app, &world, &eve).await.as_deref(), Some("user"));
}

async fn s26_the_last_superuser_cannot_go(app: TestApp) {
    let world = World::make(&app).await;
    let path = world.agreement.link_path(&world.ada);
    for token in [&app.key, &world.session.token] {
        app.delete(&path, token).await.expect(409).problem();
        app.put(&path, token, json!({ "role": "user" })).await.expect(409).problem();
    }
    assert_eq!(role_of(&app, &world, &world.ada).await.as_deref(), Some("superuser"));
    let (grace, _) = app.register_with_two_factor("Grace").await;
    app.link_as(&world.agreement, &grace, "superuser").await;
    app.delete(&path, &app.key).await.expect(204);
}

async fn open_routes_need_no_token(app: TestApp) {
    for path in OPEN {
        let answer = app.get(path, NOBODY).await.expect(200);
        assert!(!answer.text.is_empty(), "{path} says nothing");
    }
}
