//! Reports that judge the past: who was required to have two-factor, and who signed in without.

use chrono::TimeDelta;
use countersign_tests::{Agreement, Database, Person, TestApp, clock, on_both_databases};
use serde_json::{Value, json};

use super::{PASSWORD_ALONE, at, disable, evidence, linked, rows};

on_both_databases![
    who_was_required_and_who_had_it_is_told_of_any_moment,
    what_an_administrator_requires_reaches_those_it_administers,
    after_any_mix_of_commands_it_is_what_the_live_routes_say,
    a_sign_in_before_the_deadline_is_no_finding,
    a_forged_sign_in_with_the_password_alone_is_found,
    a_sign_in_whose_event_is_gone_is_found,
];

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
