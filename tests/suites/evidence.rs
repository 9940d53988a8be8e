//! Evidence reports: each tells what was done, by whom and why, names the entries of the ledger that it comes
//! from, and is signed.

use chrono::TimeDelta;
use countersign_tests::{Agreement, Answer, Database, NOBODY, Person, TestApp, clock, on_both_databases};
use serde_json::{Value, json};

use crate::independent::second_program::{Outsider, with_another_signature};
use crate::routes::UNKNOWN_ID;

on_both_databases![
    who_was_required_and_who_had_it_is_told_of_any_moment,
    what_an_administrator_requires_reaches_those_it_administers,
    after_any_mix_of_commands_it_is_what_the_live_routes_say,
    who_removed_a_second_factor_is_told_with_entry_person_and_actor,
    an_agreement_narrows_to_people_who_were_linked_then,
    changes_of_what_is_required_are_told_in_order,
    emergency_codes_are_told_from_issue_to_use,
    lockouts_are_told,
    what_those_who_administer_did_is_told,
    readings_and_exports_of_the_trail_are_told,
    the_ledger_is_verified_and_what_was_altered_is_named,
    everything_is_folded_twice_at_any_moment,
    a_sign_in_before_the_deadline_is_no_finding,
    a_forged_sign_in_with_the_password_alone_is_found,
    a_sign_in_whose_event_is_gone_is_found,
    the_ledger_is_verified_also_while_the_trail_cannot_go_on,
    every_report_is_signed_by_the_ledgers_key_and_is_no_checkpoint,
    the_same_question_has_the_same_rows,
    what_cannot_be_asked_is_refused,
    asking_is_recorded_once,
    a_page_shows_what_people_wrote_as_text_and_loads_nothing,
];

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

/// `[name, due, two_factor]` of each person.
fn required(report: &Value) -> Vec<(String, bool, bool)> {
    let told = |row: &Value| {
        let flag = |name: &str| row[name].as_bool().expect("a flag");
        (row["person"]["name"].as_str().expect("a name").to_owned(), flag("due"), flag("two_factor"))
    };
    let mut all: Vec<_> = rows(report).iter().map(told).collect();
    all.sort();
    all
}

fn told(name: &str, due: bool, two_factor: bool) -> (String, bool, bool) {
    (name.to_owned(), due, two_factor)
}

async fn linked(app: &TestApp, agreement: &Agreement, name: &str) -> Person {
    let person = app.register(name).await;
    app.link(agreement, &person).await;
    person
}

async fn who_was_required_and_who_had_it_is_told_of_any_moment(app: TestApp) {
    let (shop, other) = (app.agreement("Havbris").await, app.agreement("Other").await);
    let (ada, eve) = (linked(&app, &shop, "Ada").await, linked(&app, &shop, "Eve").await);
    linked(&app, &other, "Zoe").await;
    let ben = disable(&app, "Ben").await;
    app.link(&shop, &ben).await;
    let before = app.now();
    app.advance_s(60);
    let deadline = app.now() + TimeDelta::days(7);
    app.enforce_by(&shop, deadline).await;
    app.enrol_and_confirm(&ada).await;
    let early = app.now();
    app.advance_s(60);
    app.advance_s(8 * 86_400);
    app.unlink(&shop, &eve).await;
    let late = app.now();
    app.advance_s(60);

    let asked = async |moment| evidence(&app, "enforcement-on-date", &format!("as_of={}", at(moment))).await;
    assert_eq!(required(&asked(before).await), []);
    let nothing = evidence(&app, "enforcement-on-date", "as_of=0001-01-01T00%3A00%3A00Z").await;
    assert_eq!((&nothing["position"], rows(&nothing).len()), (&json!(0), 0));
    // The hash of nothing is the root of the empty tree.
    assert_eq!(nothing["root"], "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    let report = asked(early).await;
    assert_eq!(
        required(&report),
        [told("Ada", false, true), told("Ben", false, false), told("Eve", false, false)]
    );
    assert_eq!(clock::parse(report["parameters"]["as_of"].as_str().expect("a time")), early);
    let row = |id: &str| rows(&report).into_iter().find(|row| row["person"]["id"] == id).expect("a row");
    let turned_off = app.entries(&format!("user={}&type=TwoFactorDisabled", ben.id)).await.remove(0);
    assert_eq!(row(&ben.id)["position"], turned_off["position"]);
    let row = row(&ada.id);
    assert_eq!(row["required_by"][0]["name"], "Havbris");
    assert_eq!(clock::parse(row["deadline"].as_str().expect("a time")), deadline);
    let entry = app.get(&format!("/v1/audit/entries/{}", row["position"]), &app.key).await.expect(200);
    assert_eq!((entry.string("type").as_str(), entry.string("user_id")), ("TwoFactorEnabled", ada.id));
    let (ada, ben, eve) = (told("Ada", true, true), told("Ben", true, false), told("Eve", true, false));
    assert_eq!(required(&asked(deadline).await), [ada.clone(), ben.clone(), eve]);
    assert_eq!(required(&asked(late).await), [ada.clone(), ben.clone()]);
    // Without a moment, as things are.
    assert_eq!(required(&evidence(&app, "enforcement-on-date", "").await), [ada, ben]);
    let report = evidence(&app, "enforcement-on-date", &format!("agreement={}", other.id)).await;
    assert_eq!(required(&report), []);
}

async fn what_an_administrator_requires_reaches_those_it_administers(app: TestApp) {
    let office = app.administrator("Nordlys").await;
    let shop = app.administered("Havbris", &office).await;
    let ada = linked(&app, &shop, "Ada").await;
    linked(&app, &office, "Grace").await;
    app.enforce(&office).await;
    let of = async |agreement: &Agreement| {
        evidence(&app, "enforcement-on-date", &format!("agreement={}", agreement.id)).await
    };
    assert_eq!(required(&of(&office).await), [told("Ada", true, false), told("Grace", true, false)]);
    let report = of(&shop).await;
    assert_eq!(required(&report), [told("Ada", true, false)]);
    let live = app.login_check(&ada).await;
    let by = &rows(&report)[0]["required_by"];
    assert_eq!(by[0]["via_name"], "Havbris");
    for field in ["agreement_id", "name", "via"] {
        assert_eq!(by[0][field], live["required_by"][0][field]);
    }
    assert!(report["summary"].as_str().expect("a sentence").contains("two-factor was required of 1 person"));
    assert_eq!(report["parameters"]["agreement_name"], "Havbris");
    app.administer(&shop, None).await;
    assert_eq!(required(&of(&office).await), [told("Grace", true, false)]);
}

async fn after_any_mix_of_commands_it_is_what_the_live_routes_say(app: TestApp) {
    let (mut mixed, mut seen) = (countersign_tests::Mixed::default(), 0);
    for seed in 5..13 {
        app.mix(&mut mixed, seed, 30).await;
        let mut expected = Vec::new();
        for (person, _) in &mixed.people {
            let live = app.user(person).await;
            if live["required_by"].as_array().is_some_and(|by| !by.is_empty()) {
                let check = app.login_check(person).await;
                let due =
                    check["deadline"].as_str().is_none_or(|deadline| clock::parse(deadline) <= app.now());
                let enabled = live["two_factor"]["enabled"].as_bool().expect("a flag");
                expected.push(told(live["display_name"].as_str().expect("a name"), due, enabled));
            }
        }
        expected.sort();
        seen += expected.len();
        let report = evidence(&app, "enforcement-on-date", "").await;
        assert_eq!(required(&report), expected, "seed {seed}");
        assert_eq!(evidence(&app, PASSWORD_ALONE, "").await["holds"], true, "seed {seed}");
    }
    assert!(seen > 5, "the mix requires something of {seen} people");
}

async fn disable(app: &TestApp, name: &str) -> Person {
    let (person, two_factor) = app.register_with_two_factor(name).await;
    let proof = app.proof(&person, &two_factor);
    app.post(&person.path("/two-factor/disable"), &app.key, proof).await.expect(204);
    person
}

async fn who_removed_a_second_factor_is_told_with_entry_person_and_actor(app: TestApp) {
    let from = app.now();
    let ada = disable(&app, "Ada").await;
    app.advance_s(60);
    let middle = app.now();
    let (grace, two_factor) = app.register_with_two_factor("Grace").await;
    let another = app.enrol_another(&grace, &two_factor, json!({ "replace": true })).await;
    app.confirm(&grace, &another).await;
    app.advance_s(60);

    let report = evidence(&app, "disabled", "").await;
    let row = row_of(&app, &report, "TwoFactorDisabled").await;
    assert_eq!(row["person"], json!({ "id": ada.id, "name": "Ada" }));
    assert_eq!((&row["actor"]["kind"], &row["actor"]["name"]), (&json!("api_key"), &json!("suites")));
    assert_eq!(report["summary"], "2 people had a second factor removed or reset since the ledger began.");
    assert_eq!(report["holds"], Value::Null);
    let replaced = row_of(&app, &report, "AuthenticatorRemoved").await;
    assert_eq!(replaced["person"]["name"], "Grace");

    // A period is half open.
    let period = format!("from={}&to={}", at(from), at(middle));
    let report = evidence(&app, "disabled", &period).await;
    assert!(rows(&report).iter().all(|row| row["person"]["id"] == ada.id), "{report}");
    let report = evidence(&app, "disabled", &format!("from={}", at(middle))).await;
    assert!(rows(&report).iter().all(|row| row["person"]["id"] == grace.id), "{report}");
    let report = evidence(&app, "disabled", &format!("from={0}&to={0}", at(app.now()))).await;
    assert_eq!(rows(&report), Vec::<Value>::new());
    assert!(report["summary"].as_str().expect("a sentence").starts_with("Nobody had"), "{report}");
}

async fn an_agreement_narrows_to_people_who_were_linked_then(app: TestApp) {
    let shop = app.agreement("Havbris").await;
    disable(&app, "Nobody").await;
    let (ada, first) = app.register_with_two_factor("Ada").await;
    let turn_off = async |proof: Value| {
        app.post(&ada.path("/two-factor/disable"), &app.key, proof).await.expect(204);
    };
    turn_off(app.proof(&ada, &first)).await;
    app.link(&shop, &ada).await;
    let second = app.enrol_and_confirm(&ada).await;
    turn_off(app.proof(&ada, &second)).await;
    app.unlink(&shop, &ada).await;
    let third = app.enrol_and_confirm(&ada).await;
    turn_off(app.proof(&ada, &third)).await;

    let all = evidence(&app, "disabled", "").await;
    let narrowed = evidence(&app, "disabled", &format!("agreement={}", shop.id)).await;
    let positions = |report: &Value| -> Vec<u64> {
        let disabled = rows(report).into_iter().filter(|row| row["event"] == "TwoFactorDisabled");
        disabled.map(|row| row["position"].as_u64().expect("a position")).collect()
    };
    assert_eq!(positions(&all).len(), 4, "{all}");
    assert_eq!(positions(&narrowed), [positions(&all)[2]]);
}

async fn changes_of_what_is_required_are_told_in_order(app: TestApp) {
    let office = app.administrator("Nordlys").await;
    let shop = app.administered("Havbris", &office).await;
    let body = json!({ "enforced": true, "deadline": "2099-01-01T00:00:00Z", "reason": "client data" });
    app.put(&shop.path("/enforcement"), &app.key, body).await.expect(200);
    app.stop_enforcing(&shop).await;
    app.administer(&shop, None).await;
    app.post(&shop.path("/close"), &app.key, json!({})).await.expect(204);

    let report = evidence(&app, "policy-history", &format!("agreement={}", shop.id)).await;
    assert_eq!(
        events(&report),
        [
            "AgreementOpened",
            "AdministrationChanged",
            "EnforcementToggled",
            "EnforcementToggled",
            "AdministrationChanged",
            "AgreementClosed"
        ]
    );
    let row = row_of(&app, &report, "EnforcementToggled").await;
    assert_eq!(row["agreement"], json!({ "id": shop.id, "name": "Havbris" }));
    assert_eq!((&row["reason"], &row["actor"]["name"]), (&json!("client data"), &json!("suites")));
    assert_eq!(row["deadline"], "2099-01-01T00:00:00Z");
    let row = row_of(&app, &report, "AdministrationChanged").await;
    assert_eq!(row["administered_by"], json!({ "id": office.id, "name": "Nordlys" }));
    assert_eq!(rows(&evidence(&app, "policy-history", "").await).len(), 7);
}

async fn emergency_codes_are_told_from_issue_to_use(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    app.post(&ada.path("/two-factor/recovery-code/saved"), &app.key, json!({})).await.expect(204);
    let challenge = app.challenge(&ada).await;
    app.verify_recovery_code(&challenge, &two_factor.recovery_code).await.expect(200);
    let report = evidence(&app, "recovery-codes", "").await;
    assert_eq!(
        events(&report),
        ["RecoveryCodeIssued", "RecoveryCodeSaved", "RecoveryCodeUsed", "RecoveryCodeIssued"]
    );
    let row = row_of(&app, &report, "RecoveryCodeUsed").await;
    assert_eq!(row["person"]["id"], ada.id);
}

async fn lockouts_are_told(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    app.lock_codes(&ada, &two_factor.secret).await;
    let report = evidence(&app, "lockouts", "").await;
    let row = row_of(&app, &report, "SecondFactorLocked").await;
    assert_eq!(row["person"], json!({ "id": ada.id, "name": "Ada" }));
    assert_eq!(report["summary"], "1 person was locked out of a second factor since the ledger began.");
}

async fn what_those_who_administer_did_is_told(app: TestApp) {
    let office = app.administrator("Nordlys").await;
    let (_, _, grace) = app.superuser(&office, "Grace").await;
    app.put(&office.path("/enforcement"), &grace.token, json!({ "enforced": true, "reason": "client data" }))
        .await
        .expect(200);
    let ada = linked(&app, &office, "Ada").await;
    app.put(&office.link_path(&ada), &app.key, json!({ "role": "superuser" })).await.expect(204);
    app.post("/v1/webhooks", &app.key, json!({ "url": "https://siem.example/in" })).await.expect(201);

    let report = evidence(&app, "admin-actions", "").await;
    let row = row_of(&app, &report, "EnforcementToggled").await;
    assert_eq!((&row["actor"]["kind"], &row["actor"]["name"]), (&json!("user"), &json!("Grace")));
    let row = row_of(&app, &report, "UserRoleChanged").await;
    assert_eq!((&row["person"]["id"], &row["agreement"]["id"]), (&json!(ada.id), &json!(office.id)));
    let row = row_of(&app, &report, "ApiKeyIssued").await;
    assert_eq!(row["actor"], json!({ "kind": "operator" }));
    let row = row_of(&app, &report, "WebhookRegistered").await;
    assert!(row["summary"].as_str().expect("a sentence").contains("https://siem.example/in"), "{row}");
    let of_agreement = evidence(&app, "admin-actions", &format!("agreement={}", office.id)).await;
    assert!(!events(&of_agreement).contains(&"ApiKeyIssued".to_owned()));
    assert!(events(&of_agreement).contains(&"UserRoleChanged".to_owned()));
}

async fn readings_and_exports_of_the_trail_are_told(app: TestApp) {
    let ada = app.register("Ada").await;
    app.entries(&format!("user={}", ada.id)).await;
    app.get("/v1/audit/export?format=csv", &app.key).await.expect(200);
    let report = evidence(&app, "audit-reads", "").await;
    let exported = row_of(&app, &report, "AuditExported").await;
    assert_eq!((&exported["asked"]["format"], &exported["actor"]["name"]), (&json!("csv"), &json!("suites")));
    let asked = rows(&report).into_iter().map(|row| row["asked"]["filter"].clone());
    let asked: Vec<Value> = asked.collect();
    assert!(asked.contains(&json!({ "route": "entries", "user": ada.id })), "{asked:?}");
    // The question itself came before it was answered.
    assert_eq!(asked.last().expect("a row"), &json!({ "route": "evidence", "types": ["audit-reads"] }));
}

async fn the_ledger_is_verified_and_what_was_altered_is_named(app: TestApp) {
    let (ada, _) = app.register_with_two_factor("Ada").await;
    let report = evidence(&app, "integrity", "").await;
    assert_eq!((&report["holds"], rows(&report).len()), (&json!(true), 0), "{report}");
    assert!(report["proved"].to_string().contains("Every event is what it was"), "{report}");
    let found = evidence(&app, "disabled", "").await;
    assert!(found["position"].as_u64() >= report["position"].as_u64());

    let enabled = app.entries(&format!("user={}&type=TwoFactorEnabled", ada.id)).await;
    let altered = "UPDATE events SET actor_id = 'somebody else' WHERE event_type = 'TwoFactorEnabled'";
    app.place.tamper(altered).await;
    let report = evidence(&app, "integrity", "").await;
    assert_eq!(report["holds"], false);
    assert_eq!(rows(&report)[0]["position"], enabled[0]["position"]);
    assert!(report["summary"].as_str().expect("a sentence").contains("does not hold"), "{report}");
}

async fn everything_is_folded_twice_at_any_moment(app: TestApp) {
    let office = app.administrator("Nordlys").await;
    let ada = linked(&app, &office, "Ada").await;
    let early = app.now();
    app.advance_s(60);
    let then = evidence(&app, "replay", &format!("as_of={}", at(early))).await;
    assert_eq!(then["holds"], true, "{then}");
    let events: u64 = rows(&then).iter().map(|row| row["events"].as_u64().expect("a number")).sum();
    assert_eq!(Some(events), then["position"].as_u64());
    let kinds: Vec<Value> = rows(&then).iter().map(|row| row["stream_type"].clone()).collect();
    assert_eq!(kinds, ["agreement", "instance", "user"]);
    for row in rows(&then) {
        assert!(row["first"] == row["second"] && row["first"].as_str().is_some_and(|it| it.len() == 44));
    }
    app.enrol_and_confirm(&ada).await;
    let again = evidence(&app, "replay", &format!("as_of={}", at(early))).await;
    assert_eq!((&again["rows"], &again["root"]), (&then["rows"], &then["root"]));
    let now = evidence(&app, "replay", "").await;
    assert_ne!(rows(&now)[2]["first"], rows(&then)[2]["first"], "Ada has two-factor now");

    app.place.tamper(&format!("DELETE FROM events WHERE aggregate_id = '{}' AND sequence = 2", ada.id)).await;
    let broken = evidence(&app, "replay", "").await;
    assert_eq!(broken["holds"], false);
    assert!(rows(&broken)[0]["problem"].as_str().expect("a sentence").contains("is gone"), "{broken}");
}

const PASSWORD_ALONE: &str = "sign-ins-without-second-factor";

async fn a_sign_in_before_the_deadline_is_no_finding(app: TestApp) {
    let shop = app.agreement("Havbris").await;
    let ada = linked(&app, &shop, "Ada").await;
    let zoe = app.register("Zoe").await;
    app.sign_in(&ada).await;
    app.enforce_by(&shop, app.now() + TimeDelta::days(1)).await;
    app.sign_in(&ada).await;
    app.advance_s(2 * 86_400);
    // Nothing is required of her, and of Ada too much.
    app.sign_in(&zoe).await;
    app.log_in(&ada).await.expect(202);
    let report = evidence(&app, PASSWORD_ALONE, "").await;
    assert_eq!((&report["holds"], rows(&report).len()), (&json!(true), 0), "{report}");
    assert!(report["proved"].to_string().contains("3 sign-ins with the password alone"), "{report}");
    app.stop_enforcing(&shop).await;
    app.sign_in(&ada).await;
    let report = evidence(&app, PASSWORD_ALONE, "").await;
    assert_eq!(report["holds"], true, "{report}");
}

async fn a_sign_in_whose_event_is_gone_is_found(app: TestApp) {
    let shop = app.agreement("Havbris").await;
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    app.link(&shop, &ada).await;
    app.enforce(&shop).await;
    app.sign_in_with(&ada, &two_factor).await;
    assert_eq!(evidence(&app, PASSWORD_ALONE, "").await["holds"], true);
    app.place.tamper("DELETE FROM events WHERE event_type = 'LoginSucceeded'").await;
    let found = evidence(&app, PASSWORD_ALONE, "").await;
    assert_eq!(found["holds"], false, "{found}");
    let [row] = rows(&found).try_into().expect("one row");
    assert!(row["problem"].as_str().expect("a text").contains("is gone"), "{row}");
    let entry = app.entries("type=LoginSucceeded").await.remove(0);
    assert_eq!(row["position"], entry["position"]);
}

async fn the_ledger_is_verified_also_while_the_trail_cannot_go_on(app: TestApp) {
    app.register("Ada").await;
    app.wait_for_the_trail().await;
    // The trail says that it holds nothing, and cannot take in again what it holds.
    app.place.tamper("UPDATE projection_checkpoints SET position = 0 WHERE projection = 'audit_trail'").await;
    app.get("/v1/compliance/evidence/erasures", &app.key).await.refused(503, "busy");
    let answer = app.get("/v1/compliance/evidence/integrity", &app.key).await.expect(200);
    assert_eq!(answer.body["report"]["holds"], true);
}

/// Says of a person's sign-ins with a code that the password was enough.
async fn forge(app: &TestApp, person: &Person) {
    let forged = "replace(CAST(payload AS text), '\"totp\"', '\"password\"')";
    let forged = match app.place.database {
        Database::Sqlite => forged.to_owned(),
        #[cfg(feature = "postgres")]
        Database::Postgres => format!("CAST({forged} AS json)"),
    };
    let only = format!("aggregate_id = '{}' AND event_type = 'LoginSucceeded'", person.id);
    app.place.tamper(&format!("UPDATE events SET payload = {forged} WHERE {only}")).await;
}

async fn a_forged_sign_in_with_the_password_alone_is_found(app: TestApp) {
    let office = app.administrator("Nordlys").await;
    let (shop, other) = (app.administered("Havbris", &office).await, app.agreement("Other").await);
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    app.link(&shop, &ada).await;
    app.sign_in_with(&ada, &two_factor).await;
    app.advance_s(60);
    let ticked = app.now();
    app.enforce(&office).await;
    app.advance_s(60);
    app.sign_in_with(&ada, &two_factor).await;
    let entry = app.entries(&format!("user={}&type=LoginSucceeded", ada.id)).await.remove(0);
    assert_eq!(evidence(&app, PASSWORD_ALONE, "").await["holds"], true);

    forge(&app, &ada).await;
    let found = evidence(&app, PASSWORD_ALONE, "").await;
    assert_eq!(found["holds"], false, "{found}");
    // The one before nothing was required is none.
    let [row] = rows(&found).try_into().expect("one row");
    assert_eq!((&row["position"], &row["at"]), (&entry["position"], &entry["recorded_at"]));
    assert_eq!(row["person"], json!({ "id": ada.id, "name": "Ada" }));
    let by = &row["required_by"][0];
    assert_eq!((&by["name"], &by["via"]), (&json!("Nordlys"), &json!(shop.id)));
    assert_eq!(clock::parse(row["required_since"].as_str().expect("a time")), ticked);
    for (query, holds) in [
        (format!("agreement={}", office.id), false),
        (format!("agreement={}", shop.id), false),
        (format!("agreement={}", other.id), true),
        (format!("to={}", at(ticked)), true),
        (format!("from={}", at(ticked)), false),
    ] {
        assert_eq!(evidence(&app, PASSWORD_ALONE, &query).await["holds"], holds, "{query}");
    }
}

async fn every_report_is_signed_by_the_ledgers_key_and_is_no_checkpoint(app: TestApp) {
    let outsider = Outsider::who_trusts(&app.get("/v1/audit/key", NOBODY).await.expect(200).text);
    app.register("Ada").await;
    for report in REPORTS {
        let answer = ask(&app, report, "").await.expect(200);
        let note = answer.string("note");
        let said = outsider.note(&note).exits(0).stdout;
        let signed: Value = serde_json::from_str(&said).expect("the text is JSON");
        assert_eq!(signed, answer.body["report"], "{report}");
        assert_eq!((said.lines().count(), said.starts_with('{')), (1, true));
        outsider.note(&with_another_signature(&note)).refuses(&["invalid signature"]);
        outsider.note(&note.replacen("\"title\"", "\"Title\"", 1)).refuses(&["invalid signature"]);
        outsider.checkpoint(&note).refuses(&["the checkpoint is of"]);
        let alone = ask(&app, report, "format=note").await.expect(200);
        assert_eq!(alone.header("content-type"), "text/plain; charset=utf-8");
        outsider.note(&alone.text).exits(0);
    }
    // What it rests on is a part of the ledger that anybody can compare with a later checkpoint.
    let report = evidence(&app, "disabled", "").await;
    let checkpoint = app.get("/v1/audit/checkpoint", NOBODY).await.expect(200).text;
    let lines: Vec<&str> = checkpoint.lines().collect();
    assert_eq!(
        [lines[0], lines[1], lines[2]].map(str::to_owned),
        [
            report["origin"].as_str().expect("a name").to_owned(),
            report["position"].to_string(),
            report["root"].as_str().expect("a root").to_owned()
        ]
    );
}

async fn the_same_question_has_the_same_rows(app: TestApp) {
    let mut mixed = countersign_tests::Mixed::default();
    app.mix(&mut mixed, 7, 60).await;
    let until = app.now();
    app.advance_s(60);
    let question = |report: &str| match report {
        "enforcement-on-date" | "replay" => format!("as_of={}", at(until)),
        "integrity" => String::new(),
        _ => format!("to={}", at(until)),
    };
    let mut first = Vec::new();
    for report in REPORTS {
        first.push(evidence(&app, report, &question(report)).await);
    }
    assert!(first.iter().filter(|report| !rows(report).is_empty()).count() > 5);
    app.mix(&mut mixed, 8, 30).await;
    for (report, first) in REPORTS.iter().zip(first) {
        let again = evidence(&app, report, &question(report)).await;
        assert_eq!(again["rows"], first["rows"], "{report}");
        if first["parameters"]["as_of"].is_string() {
            assert_eq!((&again["position"], &again["root"]), (&first["position"], &first["root"]));
        }
    }
}

async fn what_cannot_be_asked_is_refused(app: TestApp) {
    let shop = app.agreement("Havbris").await;
    let tomorrow = at(app.now() + TimeDelta::days(1));
    let agreement = format!("agreement={}", shop.id);
    let moment = "as_of=2027-01-01T00%3A00%3A00Z";
    let from = "from=2027-01-01T00%3A00%3A00Z";
    for (report, query) in [
        ("enforcement-on-date", from.to_owned()),
        ("enforcement-on-date", format!("as_of={tomorrow}")),
        ("disabled", moment.to_owned()),
        ("disabled", "from=2027-02-01T00%3A00%3A00Z&to=2027-01-01T00%3A00%3A00Z".to_owned()),
        ("disabled", "from=yesterday".to_owned()),
        ("disabled", "agreement=Havbris".to_owned()),
        ("disabled", "format=pdf".to_owned()),
        ("disabled", "user=1".to_owned()),
        ("audit-reads", agreement.clone()),
        ("erasures", agreement.clone()),
        ("integrity", agreement.clone()),
        ("integrity", moment.to_owned()),
        ("integrity", from.to_owned()),
        ("replay", agreement.clone()),
        ("replay", "to=2027-01-01T00%3A00%3A00Z".to_owned()),
        ("replay", format!("as_of={tomorrow}")),
    ] {
        ask(&app, report, &query).await.refused(400, "malformed-request");
    }
    let unknown = ask(&app, "everything", "").await.refused(404, "not-found");
    for report in REPORTS {
        assert!(unknown.string("detail").contains(report), "{}", unknown.text);
    }
    ask(&app, "disabled", &format!("agreement={UNKNOWN_ID}")).await.refused(404, "not-found");
    // What is refused is not recorded as read.
    let reads = app.entries("type=AuditRead").await;
    assert!(reads.iter().all(|read| read["data"]["filter"]["route"] != "evidence"), "{reads:?}");
}

async fn asking_is_recorded_once(app: TestApp) {
    let shop = app.agreement("Havbris").await;
    let query = format!("agreement={}&from=2027-01-01T00%3A00%3A00Z", shop.id);
    for _ in 0..3 {
        ask(&app, "disabled", &query).await.expect(200);
        ask(&app, "lockouts", &query).await.expect(200);
    }
    let reads = app.entries("type=AuditRead").await;
    let asked = |report: &str| {
        let filter = json!({
            "route": "evidence", "types": [report], "agreement": shop.id, "from": "2027-01-01T00:00:00Z"
        });
        reads.iter().filter(|read| read["data"]["filter"] == filter).count()
    };
    assert_eq!([asked("disabled"), asked("lockouts")], [1, 1], "{reads:?}");
}

async fn a_page_shows_what_people_wrote_as_text_and_loads_nothing(app: TestApp) {
    let name = "<script>alert(1)</script>\"'&";
    let shop = app.agreement("</style><img src=x onerror=alert(1)>").await;
    let body =
        json!({ "email": "eve@example.com", "display_name": name, "password": "a long passphrase of Eve" });
    let eve = app.post("/v1/users", &app.key, body).await.expect(201).string("id");
    app.put(&shop.path(&format!("/users/{eve}")), &app.key, json!({ "role": "superuser" })).await.expect(204);
    app.enforce(&shop).await;
    for report in REPORTS {
        let page = ask(&app, report, "format=html").await.expect(200);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        let policy = page.header("content-security-policy").to_owned();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        for foreign in ["<script", "<img", "</style><", "src=\"", "href=\"", "url(", "@import", "://"] {
            let html = page.text.replace("</style></head>", "").replace("https://siem.example", "");
            assert!(!html.contains(foreign), "{foreign} in {report}");
        }
        assert_eq!(page.text.matches("<style>").count(), 1);
    }
    let page = ask(&app, "admin-actions", "format=html").await.expect(200).text;
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;"), "the name is shown");
    assert!(page.contains("<h1>What operators, applications and superusers changed</h1>"));
    assert!(page.contains("<time datetime=\"2027-01-15T08:00:00Z\"><span>15 January 2027</span> <span>08:00:00 UTC</span></time>"));
}
