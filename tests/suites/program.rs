//! The command line.

use std::sync::Arc;

use countersign_tests::{
    NOBODY, Place, TestApp, answer::string, app::SCOPES, program::bare_command, program::run,
    program_on_both_databases,
};
use serde_json::{Value, json};

program_on_both_databases![
    api_key_create_prints_the_key_alone_on_standard_output,
    an_api_key_has_its_prefix_and_256_bits,
    an_api_key_has_the_scopes_that_it_was_given,
    an_unknown_scope_is_refused,
    api_key_list_names_keys_and_shows_none,
    a_revoked_api_key_is_refused_while_the_server_runs,
    a_webhook_outlives_its_api_key_and_is_deleted_by_an_operator,
    a_webhook_that_is_none_is_not_deleted,
    migrate_applies_and_stops_and_can_be_repeated,
    a_reset_person_needs_the_pass_to_enrol,
    a_reset_ends_sessions_and_turns_two_factor_off,
    a_reset_of_somebody_unknown_is_refused,
    a_role_is_granted_and_revoked_while_the_server_runs,
    an_unknown_role_is_refused_and_those_there_are_are_listed,
    serve_stops_with_status_0_when_asked_to,
    serve_says_nothing_on_standard_output,
    options_are_environment_variables_too,
    an_option_that_is_none_is_a_usage_error,
];

async fn api_key_create_prints_the_key_alone_on_standard_output(place: Arc<Place>) {
    let words = ["api-key", "create", "--name", "first", "--scope", "login"];
    let ran = place.run(&words).exits(0);
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.stdout);
    assert!(ran.stdout.starts_with("csk_"), "{}", ran.stdout);
    assert!(!ran.stderr.contains(ran.stdout.trim()), "once only");
}

async fn an_api_key_has_its_prefix_and_256_bits(place: Arc<Place>) {
    let (first, second) = (place.create_api_key("a", &["login"]), place.create_api_key("b", &["login"]));
    let random = first.strip_prefix("csk_").expect("csk_…");
    assert!(random.len() >= 43, "{} letters", random.len());
    assert_ne!(first, second);
}

async fn an_api_key_has_the_scopes_that_it_was_given(place: Arc<Place>) {
    let serving = place.serve();
    let app = TestApp::of_program(&place, &serving, &place.create_api_key("all", &SCOPES));
    let ada = app.register("Ada").await;
    let login_only = place.create_api_key("login only", &["login"]);
    let check = json!({ "email": ada.email });
    app.post("/v1/login-checks", &login_only, check).await.expect(200);
    app.get(&ada.path(""), &login_only).await.refused(403, "forbidden");
}

async fn an_unknown_scope_is_refused(place: Arc<Place>) {
    let ran = place.run(&["api-key", "create", "--name", "odd", "--scope", "everything"]);
    assert_ne!(ran.status, Some(0));
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("everything"), "{}", ran.stderr);
}

/// The object with this name, wherever it stands in a printed result.
fn named(value: &Value, name: &str) -> Option<Value> {
    match value {
        Value::Object(members) if members.get("name").is_some_and(|is| is == name) => Some(value.clone()),
        Value::Object(members) => members.values().find_map(|member| named(member, name)),
        Value::Array(items) => items.iter().find_map(|item| named(item, name)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn listed(place: &Place, name: &str) -> Value {
    let ran = place.run(&["api-key", "list", "--json"]).exits(0);
    let list: Value = serde_json::from_str(&ran.stdout).expect("one JSON value");
    named(&list, name).unwrap_or_else(|| panic!("{name} is missing in {list}"))
}

async fn api_key_list_names_keys_and_shows_none(place: Arc<Place>) {
    let key = place.create_api_key("the ledger team", &["audit:read"]);
    let text = place.run(&["api-key", "list"]).exits(0).stdout;
    assert!(text.contains("the ledger team") && text.contains("audit:read"), "{text}");
    let json = listed(&place, "the ledger team");
    assert_eq!(json["scopes"], json!(["audit:read"]));
    for shown in [text, json.to_string()] {
        assert!(!shown.contains(&key), "a key is shown once");
    }
}

async fn a_revoked_api_key_is_refused_while_the_server_runs(place: Arc<Place>) {
    let serving = place.serve();
    let app = TestApp::of_program(&place, &serving, &place.create_api_key("all", &SCOPES));
    let ada = app.register("Ada").await;
    let leaked = place.create_api_key("leaked", &["users:read"]);
    app.get(&ada.path(""), &leaked).await.expect(200);
    let id = string(&listed(&place, "leaked")["id"]);
    place.run(&["api-key", "revoke", &id]).exits(0);
    app.get(&ada.path(""), &leaked).await.refused(401, "unauthenticated");
    app.get(&ada.path(""), &app.key).await.expect(200);
}

async fn a_webhook_outlives_its_api_key_and_is_deleted_by_an_operator(place: Arc<Place>) {
    let serving = place.serve();
    let app = TestApp::of_program(&place, &serving, &place.create_api_key("all", &SCOPES));
    let leaked = place.create_api_key("leaked", &["audit:read", "webhooks:write"]);
    // Nothing is ever sent there.
    let body = json!({ "url": "https://localhost/in", "types": ["AgreementClosed"] });
    let webhook = app.post("/v1/webhooks", &leaked, body.clone()).await.expect(201).string("id");
    let kept = app.post("/v1/webhooks", &app.key, body).await.expect(201).string("id");

    let key = string(&listed(&place, "leaked")["id"]);
    let list = || -> Vec<Value> {
        let ran = place.run(&["webhook", "list", "--json"]).exits(0);
        serde_json::from_str(&ran.stdout).expect("one JSON list")
    };
    assert_eq!(list(), app.get("/v1/webhooks", &app.key).await.expect(200).items());
    assert_eq!(list()[0]["registered_by"], json!({ "kind": "api_key", "id": key, "name": "leaked" }));
    let text = place.run(&["webhook", "list"]).exits(0).stdout;
    for told in [&*webhook, "leaked", "https://localhost/in", "AgreementClosed", &*kept] {
        assert!(text.contains(told), "{told} is missing in {text}");
    }

    let told = place.run(&["api-key", "revoke", &key]).exits(0).stderr;
    assert!(told.contains(&format!("countersign webhook delete {webhook}")), "{told}");
    assert!(!told.contains(&kept) && !told.contains("https://"), "{told}");
    assert_eq!(list().len(), 2);
    place.run(&["webhook", "delete", &webhook]).exits(0);
    assert_eq!(list().len(), 1);
    assert_eq!(list()[0]["id"], kept);
    assert!(!place.run(&["api-key", "revoke", &key]).exits(0).stderr.contains(" webhook "), "none is left");
}

async fn a_webhook_that_is_none_is_not_deleted(place: Arc<Place>) {
    // A list makes no installation.
    place.run(&["webhook", "list"]).refuses(&["database"]);
    place.create_api_key("all", &SCOPES);
    assert_eq!(place.run(&["webhook", "list"]).exits(0).stdout, "");
    for id in [crate::routes::UNKNOWN_ID, "nonsense"] {
        place.run(&["webhook", "delete", id]).refuses(&["webhook"]);
    }
    place.run(&["webhook"]).exits(2);
}

async fn migrate_applies_and_stops_and_can_be_repeated(place: Arc<Place>) {
    place.run(&["migrate"]).exits(0);
    place.run(&["migrate"]).exits(0);
    let serving = place.serve();
    let app = TestApp::of_program(&place, &serving, NOBODY);
    app.get("/readyz", NOBODY).await.expect(200);
}

fn reset(place: &Place, id: &str) -> String {
    let words = ["user", "reset-two-factor", id, "--reason", "lost her phone"];
    let ran = place.run(&words).exits(0);
    assert_eq!(ran.stdout.lines().count(), 1, "the pass alone: {}", ran.stdout);
    ran.stdout.trim().to_owned()
}

async fn a_reset_person_needs_the_pass_to_enrol(place: Arc<Place>) {
    let serving = place.serve();
    let app = TestApp::of_program(&place, &serving, &place.create_api_key("all", &SCOPES));
    let ada = app.register("Ada").await;
    app.enrol_and_confirm(&ada).await;
    let pass = reset(&place, &ada.id);
    let without = json!({ "password": ada.password });
    app.try_to_enrol(&ada, &app.key, without).await.refused(403, "pass-required");
    let wrong = json!({ "password": ada.password, "pass": "not the pass" });
    app.try_to_enrol(&ada, &app.key, wrong).await.refused(403, "pass-required");
    let with = json!({ "password": ada.password, "pass": pass });
    let answer = app.try_to_enrol(&ada, &app.key, with).await.expect(201);
    let enrolment = countersign_tests::people::enrolment(&answer);
    let confirmed = app.confirm(&ada, &enrolment).await;
    assert_eq!(confirmed["two_factor"]["enabled"], true);
}

async fn a_reset_ends_sessions_and_turns_two_factor_off(place: Arc<Place>) {
    let serving = place.serve();
    let app = TestApp::of_program(&place, &serving, &place.create_api_key("all", &SCOPES));
    let ada = app.register("Ada").await;
    let session = app.sign_in(&ada).await;
    app.enrol_and_confirm(&ada).await;
    reset(&place, &ada.id);
    app.get(&ada.path(""), &session.token).await.refused(401, "unauthenticated");
    assert_eq!(app.user(&ada).await["two_factor"]["enabled"], false);
    // Another process wrote it, so there is no write to wait for.
    app.eventually("the reset is in the trail", async || {
        app.count(&ada.id, countersign_tests::trail::types::TWO_FACTOR_RESET).await == 1
    })
    .await;
}

async fn a_reset_of_somebody_unknown_is_refused(place: Arc<Place>) {
    place.run(&["migrate"]).exits(0);
    let unknown = crate::routes::UNKNOWN_ID;
    let ran = place.run(&["user", "reset-two-factor", unknown, "--reason", "none"]);
    ran.refuses(&[unknown]);
}

async fn a_role_is_granted_and_revoked_while_the_server_runs(place: Arc<Place>) {
    let serving = place.serve();
    let app = TestApp::of_program(&place, &serving, &place.create_api_key("all", &SCOPES));
    let ada = app.register("Ada").await;
    let change = |verb, role| {
        let ran = place.run(&["user", verb, &ada.id, "--role", role]).exits(0);
        assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.stdout);
        assert!(ran.stdout.contains(&ada.id) && ran.stdout.contains(role), "{}", ran.stdout);
        ran.stdout
    };
    assert!(change("grant", "auditor").contains("until two-factor is on"));
    assert_eq!(app.user(&ada).await["roles"], json!(["auditor"]));
    let two_factor = app.enrol_and_confirm(&ada).await;
    assert!(change("grant", "auditor").contains("already"));
    // Its code was given in the enrolment, and the machine's clock does not wait: the emergency code.
    let challenge = app.challenge(&ada).await;
    let signed_in = app.verify_recovery_code(&challenge, &two_factor.recovery_code).await.expect(200);
    let token = string(&signed_in["session"]["token"]);
    app.get("/v1/audit/export?format=csv", &token).await.expect(200);
    assert!(change("revoke", "auditor").contains("no more"));
    app.get("/v1/audit/export?format=csv", &token).await.refused(403, "forbidden");
    assert!(change("revoke", "auditor").contains("nothing was changed"));
}

async fn an_unknown_role_is_refused_and_those_there_are_are_listed(place: Arc<Place>) {
    place.run(&["migrate"]).exits(0);
    let unknown = crate::routes::UNKNOWN_ID;
    place.run(&["user", "grant", unknown, "--role", "admin"]).refuses(&["admin", "auditor", "operator"]);
    for verb in ["grant", "revoke"] {
        place.run(&["user", verb, unknown, "--role", "auditor"]).refuses(&[unknown]);
    }
    place.run(&["user", "grant", unknown]).exits(2);
}

async fn serve_stops_with_status_0_when_asked_to(place: Arc<Place>) {
    place.serve().stop().exits(0);
}

async fn serve_says_nothing_on_standard_output(place: Arc<Place>) {
    let serving = place.serve();
    let app = TestApp::of_program(&place, &serving, NOBODY);
    app.get("/healthz", NOBODY).await.expect(200);
    assert_eq!(serving.stop().exits(0).stdout, "");
}

async fn options_are_environment_variables_too(place: Arc<Place>) {
    let mut command = bare_command();
    command
        .args(["api-key", "create", "--name", "by environment", "--scope", "login"])
        .env("COUNTERSIGN_DATABASE", place.url())
        .env("COUNTERSIGN_DATA_DIR", place.data_dir());
    run(command).exits(0);
    listed(&place, "by environment");
}

async fn an_option_that_is_none_is_a_usage_error(place: Arc<Place>) {
    let ran = place.run(&["serve", "--no-such-option"]).exits(2);
    assert!(ran.stderr.contains("--no-such-option"), "{}", ran.stderr);
}

/// What needs no database of the test's own.
mod demo {
    use super::{bare_command, run};

    #[test]
    fn demo_exit_walks_the_guide_and_exits_0() {
        let mut command = bare_command();
        command.args(["demo", "--exit"]);
        let ran = run(command).exits(0);
        let told = format!("{}{}", ran.stdout, ran.stderr).to_lowercase();
        for step in ["two-factor", "emergency code", "challenge", "enforce", "audit"] {
            assert!(told.contains(step), "no step tells of {step}: {told}");
        }
        // The QR code is drawn in the terminal.
        assert!(told.contains('█') || told.contains('▀') || told.contains('▄'), "{told}");
    }
}
