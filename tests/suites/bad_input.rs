//! What nobody should send: every answer is a problem that says what is wrong.

use countersign_tests::{Answer, TestApp, on_both_databases};
use reqwest::Method;
use serde_json::{Value, json};

use crate::routes::UNKNOWN_ID;

on_both_databases![
    s20_malformed_json_is_400,
    s20_nul_and_lone_surrogates_are_400,
    s20_bytes_that_are_not_utf8_are_400,
    s20_json_nested_without_end_is_400,
    s20_a_wrong_type_is_422,
    s20_an_unknown_field_is_422,
    s20_a_missing_field_is_422,
    s20_a_field_that_makes_no_sense_is_422,
    s20_a_body_over_64_kib_is_413,
    s20_another_media_type_is_415,
    s20_a_body_without_a_media_type_is_415,
    s20_an_unknown_id_is_404,
    s20_an_id_that_is_none_is_404,
    s20_an_unknown_route_is_404,
    s20_a_wrong_method_is_405_and_says_which_are_right,
    s08_an_expired_challenge_is_410,
    s08_a_completed_challenge_is_410,
    s08_a_challenge_that_never_was_is_refused,
    s08_a_challenge_of_one_person_does_not_take_the_code_of_another,
    a_code_that_is_none_is_a_wrong_code_or_no_field,
    an_email_that_is_taken_is_409,
    an_agreement_number_that_is_taken_is_409,
    one_level_of_administration_only,
    a_deadline_needs_an_enforcement,
    a_cursor_that_is_none_is_refused,
    every_problem_has_a_request_id_of_its_own,
];

/// Posts bytes to a route that takes JSON.
async fn post_bytes(app: &TestApp, content_type: &str, body: impl Into<Vec<u8>>) -> Answer {
    app.request(Method::POST, "/v1/users").token(&app.key).bytes(content_type, body).send().await
}

async fn post_user(app: &TestApp, body: Value) -> Answer {
    app.post("/v1/users", &app.key, body).await
}

async fn s20_malformed_json_is_400(app: TestApp) {
    for body in ["", "{", "{\"email\": }", "{} {}", "nonsense", "{'email': 'ada@example.com'}"] {
        post_bytes(&app, "application/json", body).await.refused(400, "malformed-json");
    }
}

async fn s20_nul_and_lone_surrogates_are_400(app: TestApp) {
    for name in [r"Ada\u0000", r"\ud800", r"Ada \udc00 Lovelace", r"\ud83d!"] {
        let body = format!(r#"{{"email": "ada@example.com", "display_name": "{name}"}}"#);
        post_bytes(&app, "application/json", body).await.refused(400, "malformed-json");
    }
    let found = app.get("/v1/users?email=ada@example.com", &app.key).await.expect(200);
    assert_eq!(found.items(), Vec::<Value>::new());
}

async fn s20_bytes_that_are_not_utf8_are_400(app: TestApp) {
    let mut body = br#"{"email": "ada@example.com", "display_name": "Ada"#.to_vec();
    body.extend([0xff, 0xfe]);
    body.extend(br#""}"#);
    post_bytes(&app, "application/json", body).await.refused(400, "malformed-json");
}

async fn s20_json_nested_without_end_is_400(app: TestApp) {
    let body = "[".repeat(10_000);
    post_bytes(&app, "application/json", body).await.refused(400, "malformed-json");
}

async fn s20_a_wrong_type_is_422(app: TestApp) {
    for body in [
        json!({ "email": 7, "display_name": "Ada" }),
        json!({ "email": "ada@example.com", "display_name": ["Ada"] }),
        json!({ "email": null, "display_name": "Ada" }),
        json!(["ada@example.com", "Ada"]),
        json!("ada@example.com"),
    ] {
        post_user(&app, body).await.refused(422, "invalid-body");
    }
}

async fn s20_an_unknown_field_is_422(app: TestApp) {
    let body = json!({ "email": "ada@example.com", "display_name": "Ada", "is_admin": true });
    let refused = post_user(&app, body).await.refused(422, "invalid-body");
    assert!(refused.string("detail").contains("is_admin"), "{}", refused.text);
}

async fn s20_a_missing_field_is_422(app: TestApp) {
    let refused = post_user(&app, json!({ "email": "ada@example.com" })).await;
    let refused = refused.refused(422, "invalid-body");
    assert!(refused.string("detail").contains("display_name"), "{}", refused.text);
}

async fn s20_a_field_that_makes_no_sense_is_422(app: TestApp) {
    for email in ["", "ada", "@", "ada@", "@example.com", "a da@example.com", "ada@example.com\n"] {
        let body = json!({ "email": email, "display_name": "Ada" });
        post_user(&app, body).await.refused(422, "invalid-field");
    }
    let body = json!({ "email": "ada@example.com", "display_name": "" });
    post_user(&app, body).await.refused(422, "invalid-field");
}

async fn s20_a_body_over_64_kib_is_413(app: TestApp) {
    let body = json!({ "email": "ada@example.com", "display_name": "a".repeat(64 * 1024) });
    post_user(&app, body).await.refused(413, "payload-too-large");
}

async fn s20_another_media_type_is_415(app: TestApp) {
    let body = r#"{"email": "ada@example.com", "display_name": "Ada"}"#;
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "application/xml"] {
        post_bytes(&app, media_type, body).await.refused(415, "unsupported-media-type");
    }
    post_bytes(&app, "application/json; charset=utf-8", body).await.expect(201);
}

async fn s20_a_body_without_a_media_type_is_415(app: TestApp) {
    let body = r#"{"email": "ada@example.com", "display_name": "Ada"}"#;
    post_bytes(&app, "", body).await.refused(415, "unsupported-media-type");
}

async fn s20_an_unknown_id_is_404(app: TestApp) {
    let (ada, agreement) = (app.register("Ada").await, app.agreement("Havbris").await);
    for path in [
        format!("/v1/users/{UNKNOWN_ID}"),
        format!("/v1/users/{UNKNOWN_ID}/sessions"),
        ada.path(&format!("/sessions/{UNKNOWN_ID}")),
        format!("/v1/agreements/{UNKNOWN_ID}"),
        format!("/v1/agreements/{UNKNOWN_ID}/users"),
        format!("/v1/agreements/{UNKNOWN_ID}/enforcement/preview"),
    ] {
        app.get(&path, &app.key).await.refused(404, "not-found");
    }
    let role = json!({ "role": "user" });
    let path = agreement.path(&format!("/users/{UNKNOWN_ID}"));
    app.put(&path, &app.key, role).await.refused(404, "not-found");
    app.delete(&path, &app.key).await.refused(404, "not-found");
    let path = ada.path(&format!("/two-factor/enrolments/{UNKNOWN_ID}/confirm"));
    app.post(&path, &app.key, json!({ "code": "000000" })).await.refused(404, "not-found");
    let by = json!({ "administered_by": UNKNOWN_ID });
    app.put(&agreement.path("/administration"), &app.key, by).await.refused(404, "not-found");
}

async fn s20_an_id_that_is_none_is_404(app: TestApp) {
    for path in ["/v1/users/ada", "/v1/users/1/sessions", "/v1/agreements/%00", "/v1/users/.."] {
        app.get(path, &app.key).await.refused(404, "not-found");
    }
}

async fn s20_an_unknown_route_is_404(app: TestApp) {
    for path in ["/v1", "/v1/nothing", "/v2/users", "/v1/users/", "/.env", "/v1/logins/x/y/z"] {
        app.get(path, &app.key).await.refused(404, "not-found");
    }
}

async fn s20_a_wrong_method_is_405_and_says_which_are_right(app: TestApp) {
    for (method, path, right) in [
        (Method::DELETE, "/v1/users", "POST"),
        (Method::PATCH, "/v1/agreements", "POST"),
        (Method::PUT, "/v1/logins", "POST"),
        (Method::POST, "/healthz", "GET"),
    ] {
        let refused = app.request(method, path).token(&app.key).send().await;
        let refused = refused.refused(405, "method-not-allowed");
        assert!(refused.header("allow").contains(right), "{:?}", refused.headers);
    }
}

async fn s08_an_expired_challenge_is_410(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let challenge = app.challenge(&ada).await;
    app.advance_min(5);
    let code = app.code(&two_factor.secret);
    app.verify(&challenge, &code).await.refused(410, "challenge-expired");
    // Nothing was judged: the code still works.
    let challenge = app.challenge(&ada).await;
    app.verify(&challenge, &code).await.expect(200);
}

async fn s08_a_completed_challenge_is_410(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let challenge = app.challenge(&ada).await;
    let code = app.next_code(&two_factor.secret);
    app.verify(&challenge, &code).await.expect(200);
    let code = app.next_code(&two_factor.secret);
    app.verify(&challenge, &code).await.refused(410, "challenge-expired");
}

async fn s08_a_challenge_that_never_was_is_refused(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let challenge = app.challenge(&ada).await;
    let half = &challenge[..challenge.len() / 2];
    for never in ["x", UNKNOWN_ID, half] {
        let code = app.next_code(&two_factor.secret);
        let refused = app.verify(never, &code).await.problem();
        // Not there (404), or not told apart from one that has ended (410).
        assert!([404, 410].contains(&refused.status), "{}", refused.text);
    }
}

async fn s08_a_challenge_of_one_person_does_not_take_the_code_of_another(app: TestApp) {
    let (ada, _) = app.register_with_two_factor("Ada").await;
    let (_, of_eve) = app.register_with_two_factor("Eve").await;
    let challenge = app.challenge(&ada).await;
    let code = app.next_code(&of_eve.secret);
    app.verify(&challenge, &code).await.refused(401, "wrong-code");
}

async fn a_code_that_is_none_is_a_wrong_code_or_no_field(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let challenge = app.challenge(&ada).await;
    for code in ["", "12345", "1234567", "abcdef", "１２３４５６", "-12345"] {
        let refused = app.verify(&challenge, code).await.problem();
        assert!([401, 422].contains(&refused.status), "{}", refused.text);
    }
    let code = app.next_code(&two_factor.secret);
    app.verify(&challenge, &code).await.expect(200);
}

async fn an_email_that_is_taken_is_409(app: TestApp) {
    app.register("Ada").await;
    for email in ["ada@example.com", "ADA@EXAMPLE.COM"] {
        let body = json!({ "email": email, "display_name": "Another Ada" });
        post_user(&app, body).await.refused(409, "email-taken");
    }
}

async fn an_agreement_number_that_is_taken_is_409(app: TestApp) {
    let agreement = app.agreement("Havbris").await;
    let body = json!({ "number": agreement.number, "name": "Another", "kind": "standard" });
    app.post("/v1/agreements", &app.key, body).await.refused(409, "number-taken");
}

async fn one_level_of_administration_only(app: TestApp) {
    let (top, middle) = (app.administrator("Top").await, app.administrator("Middle").await);
    app.administered("Client", &middle).await;
    let by = json!({ "administered_by": top.id });
    let refused = app.put(&middle.path("/administration"), &app.key, by).await.problem();
    // The contract names no code for it.
    assert!([409, 422].contains(&refused.status), "{}", refused.text);
    let standard = app.agreement("Standard").await;
    let by = json!({ "administered_by": standard.id });
    let client = app.agreement("Another client").await;
    let refused = app.put(&client.path("/administration"), &app.key, by).await.problem();
    assert!([409, 422].contains(&refused.status), "{}", refused.text);
}

async fn a_deadline_needs_an_enforcement(app: TestApp) {
    let agreement = app.agreement("Havbris").await;
    for body in [
        json!({ "enforced": false, "deadline": "2030-01-01T00:00:00Z" }),
        json!({ "enforced": true, "deadline": "tomorrow" }),
        json!({ "enforced": "yes" }),
    ] {
        let refused = app.put(&agreement.path("/enforcement"), &app.key, body).await.problem();
        assert_eq!(refused.status, 422, "{}", refused.text);
    }
}

async fn a_cursor_that_is_none_is_refused(app: TestApp) {
    for query in ["cursor=nonsense", "limit=0", "limit=-1", "limit=many"] {
        let path = format!("/v1/audit/entries?{query}");
        let refused = app.get(&path, &app.key).await.problem();
        assert!([400, 422].contains(&refused.status), "{} {}", refused.asked, refused.text);
    }
}

async fn every_problem_has_a_request_id_of_its_own(app: TestApp) {
    let first = app.get("/v1/nothing", &app.key).await.refused(404, "not-found");
    let second = app.get("/v1/nothing", &app.key).await.refused(404, "not-found");
    assert_ne!(first.string("request_id"), second.string("request_id"));
}
