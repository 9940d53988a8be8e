//! Every kind of event has its place in the schema.

use countersign_domain::agreement::AgreementEventKind;
use countersign_domain::instance::InstanceEventKind;
use countersign_domain::user::UserEventKind;

use super::*;

fn every_kind() -> Vec<&'static str> {
    let user = UserEventKind::iter().map(<&str>::from);
    let agreement = AgreementEventKind::iter().map(<&str>::from);
    let instance = InstanceEventKind::iter().map(<&str>::from);
    user.chain(agreement).chain(instance).collect()
}

fn ocsf(entry: &EntryView) -> Value {
    serde_json::from_str(&line(Format::Ocsf, entry)).unwrap()
}

#[test]
fn no_two_streams_have_a_kind_of_the_same_name() {
    let mut kinds = every_kind();
    let all = kinds.len();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), all);
}

/// Kari's entry of this kind.
fn of_kind(kind: &str) -> EntryView {
    let data = json!({"email": "kari@example.com", "enforced": true, "session_id": "s-1", "reason": "moved"});
    EntryView { event_type: kind.to_owned(), data, ..sign_in() }
}

/// The same after Kari was erased.
fn erased(kind: &str) -> EntryView {
    let erased = || "[erased]".to_owned();
    let mut entry = of_kind(kind);
    entry.data["email"] = erased().into();
    entry.actor.name = Some(erased());
    (entry.address, entry.user_agent) = (Some(erased()), Some(erased()));
    entry
}

/// The same where its type has a newer version.
fn newer(kind: &str) -> EntryView {
    EntryView { data: Value::Null, ..of_kind(kind) }
}

/// The same after its event was removed: only what the trail itself holds is left.
fn removed(kind: &str) -> EntryView {
    EntryView {
        event_id: String::new(),
        actor: EntryActor { kind: String::new(), id: None, name: None },
        address: None,
        user_agent: None,
        request_id: String::new(),
        ..newer(kind)
    }
}

/// What every event of the schema has, and what its class demands.
fn has_what_the_schema_demands(event: &Value, kind: &str) {
    let number = |pointer: &str| event.pointer(pointer).and_then(Value::as_u64).expect(kind);
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).expect(kind);
    assert_eq!(number("/type_uid"), number("/class_uid") * 100 + number("/activity_id"), "{kind}");
    assert_eq!(number("/class_uid") / 1000, number("/category_uid"), "{kind}");
    assert_eq!(number("/time"), 1_772_352_000_123, "{kind}");
    let activity = if number("/activity_id") == 99 { "Other" } else { text("/activity_name") };
    assert_eq!(text("/type_name"), format!("{}: {activity}", text("/class_name")));
    for name in ["category_name", "severity", "status", "message"] {
        assert!(!text(&format!("/{name}")).is_empty(), "{kind}: {name}");
    }
    assert_eq!(text("/metadata/version"), "1.5.0");
    assert_eq!(text("/metadata/product/name"), "Countersign");
    assert_eq!(number("/metadata/sequence"), 41);
    assert_eq!(text("/metadata/event_code"), kind);
    let demanded: &[&str] = match number("/class_uid") {
        3001 => &["/user/uid"],
        3002 => &["/user/uid", "/service/name"],
        3004 => &["/entity/name", "/entity/type"],
        3006 => &["/group/uid", "/user/uid"],
        class => panic!("{kind} is of class {class}"),
    };
    assert!(demanded.iter().all(|pointer| !text(pointer).is_empty()), "{kind}");
    for optional in ["/actor/user/name", "/actor/app_name", "/metadata/uid", "/metadata/correlation_uid"] {
        assert_ne!(event.pointer(optional), Some(&json!("")), "{kind}: {optional}");
    }
}

#[test]
fn every_kind_has_what_the_schema_demands() {
    for kind in every_kind() {
        for entry in [of_kind(kind), erased(kind)] {
            let event = ocsf(&entry);
            has_what_the_schema_demands(&event, kind);
            assert_eq!(event["metadata"]["uid"], EVENT);
            let number = |name: &str| event[name].as_u64().expect(kind);
            assert!((1..=4).contains(&number("severity_id")), "{kind}");
            assert!((1..=2).contains(&number("status_id")), "{kind}");
        }
        for entry in [newer(kind), removed(kind)] {
            has_what_the_schema_demands(&ocsf(&entry), kind);
        }
        assert_eq!(ocsf(&erased(kind)).pointer("/user/email_addr"), None, "{kind}");
        assert_eq!(ocsf(&removed(kind)).get("actor"), None, "{kind}");
    }
    assert_eq!(ocsf(&of_kind("UserRegistered"))["user"]["email_addr"], "kari@example.com");
}

#[test]
fn of_an_event_that_does_not_say_nothing_is_claimed() {
    for kind in every_kind() {
        for entry in [newer(kind), removed(kind)] {
            let event = ocsf(&entry);
            assert_eq!((&event["activity_id"], &event["activity_name"]), (&json!(99), &json!(kind)));
            assert_eq!((&event["status_id"], &event["severity_id"]), (&json!(0), &json!(0)), "{kind}");
            assert_eq!(event["class_uid"], ocsf(&of_kind(kind))["class_uid"], "{kind}");
            let derived = ["is_mfa", "auth_factors", "session", "status_detail", "count", "comment"];
            for pointer in derived.map(|name| format!("/{name}")) {
                assert_eq!(event.pointer(&pointer), None, "{kind}");
            }
            for pointer in ["/privileges", "/entity/policy/is_applied", "/user/email_addr", "/unmapped"] {
                assert_eq!(event.pointer(pointer), None, "{kind}");
            }
            let (parts, values) = cef(&line(Format::Cef, &entry));
            assert_eq!(parts[6], "Unknown", "{kind}");
            assert!(["outcome", "msg"].iter().all(|key| !values.contains_key(*key)), "{kind}: {values:?}");
        }
    }
}

/// The schema takes no actor, endpoint or request in a base event.
#[test]
fn who_did_what_only_a_newer_program_knows_is_unmapped() {
    let address = Some("192.0.2.7".to_owned());
    let user_agent = Some("curl".to_owned());
    let event = ocsf(&EntryView { address, user_agent, ..of_a_newer_program() });
    assert_eq!((&event["class_uid"], &event["type_uid"]), (&json!(0), &json!(99)));
    let unmapped = json!({
        "actor": {"user": {"name": "operator", "type_id": 2, "type": "Admin"}},
        "src_endpoint": {"ip": "192.0.2.7"},
        "http_request": {"user_agent": "curl", "uid": "r-1"},
    });
    assert_eq!(event["unmapped"], unmapped);
    for name in ["actor", "src_endpoint", "http_request"] {
        assert_eq!(event.get(name), None);
    }
}

#[test]
fn an_address_that_the_schema_does_not_take_is_left_out() {
    let shown = |email: &str| {
        let mut entry = of_kind("UserRegistered");
        entry.data["email"] = email.into();
        ocsf(&entry).pointer("/user/email_addr").and_then(Value::as_str).map(str::to_owned)
    };
    for email in ["kari@example.com", "k.n+a,b'c@x-1.example.co.uk", "{a|b}~@a.b"] {
        assert_eq!(shown(email).as_deref(), Some(email));
    }
    for email in [
        "[erased]",
        "",
        "kari",
        "@example.com",
        "kari@localhost",
        "kari@.com",
        "kari@example.",
        "kari@a@example.com",
        "k\u{e5}ri@example.com",
        "kari@bl\u{e5}b\u{e6}r.example",
        "\"kari\"@example.com",
        "kari@example.com\n",
        "kari@under_score.example",
    ] {
        assert_eq!(shown(email), None, "{email:?}");
    }
}

/// Each number is looked up in the schema by hand: what it means there must not drift.
#[test]
fn the_numbers_are_those_of_the_schema() {
    let means = |kind: &str, data: Value| {
        let event = ocsf(&EntryView { event_type: kind.to_owned(), data, ..sign_in() });
        (event["type_uid"].as_u64().unwrap(), event["status"].as_str().unwrap().to_owned())
    };
    let (success, failure) = ("Success".to_owned(), "Failure".to_owned());
    for (kind, type_uid) in [
        ("UserRegistered", 300_101),
        ("PasswordSet", 300_103),
        ("UserErased", 300_106),
        ("RoleGranted", 300_199),
        ("RoleRevoked", 300_199),
        ("SecondFactorLocked", 300_109),
        ("AuthenticatorAdded", 300_110),
        ("TwoFactorEnabled", 300_110),
        ("TwoFactorReset", 300_111),
        ("LoginSucceeded", 300_201),
        ("SessionEnded", 300_202),
        ("LoginChallenged", 300_299),
        ("SecondFactorPassed", 300_299),
        ("AgreementOpened", 300_401),
        ("AdministrationChanged", 300_403),
        ("AgreementClosed", 300_404),
        ("ApiKeyIssued", 300_401),
        ("ApiKeyRevoked", 300_404),
        ("UserLinked", 300_603),
        ("UserUnlinked", 300_604),
        ("UserRoleChanged", 300_699),
    ] {
        assert_eq!(means(kind, json!({})), (type_uid, success.clone()), "{kind}");
    }
    assert_eq!(means("PasswordFailed", json!({})), (300_201, failure.clone()));
    assert_eq!(means("SecondFactorRefused", json!({})), (300_299, failure.clone()));
    assert_eq!(means("TwoFactorEnrolmentFailed", json!({})), (300_110, failure));
    assert_eq!(means("EnforcementToggled", json!({"enforced": true})), (300_408, success.clone()));
    assert_eq!(means("EnforcementToggled", json!({"enforced": false})), (300_409, success));
}

#[test]
fn a_sign_in_says_with_what() {
    let factors = |kind: &str, data: Value| {
        let event = ocsf(&EntryView { event_type: kind.to_owned(), data, ..sign_in() });
        let numbers = event["auth_factors"].as_array().into_iter().flatten();
        let numbers: Vec<u64> = numbers.map(|factor| factor["factor_type_id"].as_u64().unwrap()).collect();
        (event["is_mfa"].as_bool(), numbers)
    };
    assert_eq!(factors("LoginSucceeded", json!({"method": "password"})), (Some(false), vec![11]));
    assert_eq!(factors("LoginSucceeded", json!({"method": "totp"})), (Some(true), vec![11, 7]));
    assert_eq!(factors("LoginSucceeded", json!({"method": "recovery_code"})), (Some(true), vec![11, 99]));
    assert_eq!(factors("SecondFactorFailed", json!({"factor": "recovery_code"})), (Some(true), vec![99]));
    assert_eq!(factors("SessionStarted", json!({"second_factor_at": null})), (Some(false), vec![]));
    assert_eq!(factors("SessionEnded", json!({})), (None, vec![]));
    assert_eq!(factors("SessionStarted", Value::Null), (None, vec![]));
}

#[test]
fn a_wrong_password_counts_those_that_were_not_recorded() {
    let data = json!({"unrecorded": 7});
    let entry = EntryView { event_type: "PasswordFailed".to_owned(), data, ..sign_in() };
    assert_eq!(ocsf(&entry)["count"], 8);
}
