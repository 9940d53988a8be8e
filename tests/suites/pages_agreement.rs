//! The pages of an agreement and of the audit trail, as somebody sees them without a script.

use chrono::TimeDelta;
use countersign_tests::{
    Agreement, Answer, Person, Session, TestApp, on_both_databases,
    pages::{Reader, hidden_fields, seen},
};

on_both_databases![
    a_superuser_enforces_two_factor_through_the_pages,
    the_page_before_the_button_says_whom_it_reaches,
    unticking_says_what_it_does_and_only_permits,
    a_deadline_that_has_passed_is_refused_beside_its_field,
    a_tick_asks_for_a_proof_and_shows_the_emergency_code_that_replaces_a_spent_one,
    who_is_no_superuser_is_told_so_and_a_stranger_finds_nothing,
    s16_a_form_without_its_token_changes_nothing,
    the_agreement_lists_who_has_no_two_factor_and_what_it_administers,
    an_entry_is_shown_with_its_proof_verified,
    the_trail_is_asked_by_its_address,
    only_auditors_take_copies,
    a_script_learns_whether_there_is_anything_newer,
    what_people_wrote_is_shown_and_not_obeyed,
    the_pages_are_there_in_danish,
];

/// An accountant's agreement with two clients and its superuser; Ola is linked to both clients and has no two-factor.
async fn an_accountant(app: &TestApp) -> (Agreement, Agreement, Session, Person) {
    let accountant = app.administrator("Nordlys Revision").await;
    let client = app.administered("Havbris ApS", &accountant).await;
    let other = app.administered("Fjeld AS", &accountant).await;
    let (_, _, session) = app.superuser(&accountant, "Kari").await;
    let ola = app.register("Ola").await;
    app.link(&client, &ola).await;
    app.link(&other, &ola).await;
    (accountant, client, session, ola)
}

fn page_of(agreement: &Agreement, below: &str) -> String {
    format!("/agreements/{}{below}", agreement.id)
}

#[track_caller]
fn says(page: &Answer, text: &str) {
    let seen = seen(page);
    assert!(seen.contains(text), "{}: no \u{201c}{text}\u{201d} in: {seen}", page.asked);
}

async fn a_superuser_enforces_two_factor_through_the_pages(app: TestApp) {
    let (accountant, _, session, ola) = an_accountant(&app).await;
    let mut kari = Reader::signed_in(&app, &session);
    let page = kari.get(&page_of(&accountant, "")).await.expect(200);
    says(&page, "Not enforced by this agreement");
    let action = page_of(&accountant, "/enforcement");
    let page = kari.get(&format!("{action}?enforced=yes")).await.expect(200);
    let day = (app.now() + TimeDelta::days(7)).date_naive();
    let fields = [("deadline", day.to_string()), ("reason", "The board decided it".to_owned())];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let done = kari.submit(&page, &action, &fields).await.expect(303);
    assert_eq!(done.header("location"), page_of(&accountant, ""));

    let page = kari.get(&page_of(&accountant, "")).await.expect(200);
    says(&page, "Enforced for all users linked to this agreement");
    says(&page, &day.format("%-d %B %Y").to_string());
    says(&page, "Changed by Kari");
    says(&page, "The board decided it");
    let check = app.login_check(&ola).await;
    assert_eq!(check["required_by"][0]["name"], "Nordlys Revision", "{}", check.text);
    let ends = format!("{day}T23:59:59Z");
    assert_eq!(check["required_by"][0]["deadline"], ends, "the end of that day: {}", check.text);
}

async fn the_page_before_the_button_says_whom_it_reaches(app: TestApp) {
    let (accountant, client, session, _) = an_accountant(&app).await;
    let (eva, _) = app.register_with_two_factor("Eva").await;
    app.link(&client, &eva).await;
    let mut kari = Reader::signed_in(&app, &session);
    let page = kari.get(&page_of(&accountant, "/enforcement?enforced=yes")).await.expect(200);
    says(&page, "3 people in 3 agreements; 1 of them has no two-factor yet.");
    for said in ["Kari kari@example.com On", "Ola ola@example.com Off", "Eva eva@example.com On"] {
        says(&page, said);
    }
    let page = kari.get(&page_of(&client, "/enforcement?enforced=yes")).await.expect(200);
    says(&page, "2 people in 1 agreement; 1 of them has no two-factor yet.");
}

async fn unticking_says_what_it_does_and_only_permits(app: TestApp) {
    let (accountant, client, session, _) = an_accountant(&app).await;
    let (eva, _) = app.register_with_two_factor("Eva").await;
    app.link(&client, &eva).await;
    app.enforce(&accountant).await;
    app.enforce(&client).await;
    let mut kari = Reader::signed_in(&app, &session);
    let action = page_of(&client, "/enforcement");
    let page = kari.get(&action).await.expect(200);
    says(&page, "It turns off nothing.");
    says(&page, "Here it stays required all the same. Nordlys Revision requires two-factor");
    kari.submit(&page, &action, &[]).await.expect(303);
    let page = kari.get(&page_of(&client, "")).await.expect(200);
    says(&page, "Not enforced by this agreement");
    says(&page, "Nordlys Revision requires two-factor for every agreement that it administers.");
    assert_eq!(app.user(&eva).await["two_factor"]["enabled"], true);
    let again = kari.get(&action).await.expect(303);
    assert_eq!(again.header("location"), page_of(&client, ""), "there is nothing left to untick");
}

async fn a_deadline_that_has_passed_is_refused_beside_its_field(app: TestApp) {
    let (accountant, _, session, _) = an_accountant(&app).await;
    let mut kari = Reader::signed_in(&app, &session);
    let action = page_of(&accountant, "/enforcement");
    let page = kari.get(&format!("{action}?enforced=yes")).await.expect(200);
    let today = app.now().date_naive().to_string();
    for day in [today.as_str(), "2001-01-01", "soon"] {
        let fields = [("deadline", day), ("reason", "kept as typed")];
        let again = kari.submit(&page, &action, &fields).await.expect(422);
        says(&again, "There is a problem Choose a day after today.");
        assert!(again.text.contains("id=\"deadline-fault\""), "{}", again.text);
        assert!(again.text.contains("value=\"kept as typed\""), "{}", again.text);
        says(&again, "3 agreements");
    }
    let read = app.get(&accountant.path(""), &app.key).await.expect(200);
    assert_eq!(read["enforcement"]["enforced"], false);
}

async fn a_tick_asks_for_a_proof_and_shows_the_emergency_code_that_replaces_a_spent_one(app: TestApp) {
    let accountant = app.administrator("Nordlys Revision").await;
    let (person, two_factor, session) = app.superuser(&accountant, "Kari").await;
    app.advance_s(11 * 60);
    let mut kari = Reader::signed_in(&app, &session);
    let action = page_of(&accountant, "/enforcement");
    let page = kari.get(&format!("{action}?enforced=yes")).await.expect(200);
    let again =
        kari.submit(&page, &action, &[("password", "not hers"), ("code", "000000")]).await.expect(401);
    says(&again, "The e-mail address or the password is not right.");
    let proof =
        [("password", person.password.as_str()), ("recovery_code", two_factor.recovery_code.as_str())];
    let page = kari.submit(&again, &action, &proof).await.expect(200);
    says(&page, "Store your emergency code");
    assert!(!page.text.contains(&two_factor.recovery_code), "it is another one");
    let saved = "/account/two-factor/emergency-code/saved";
    let done = kari.submit(&page, saved, &[("stored", "yes")]).await.expect(303);
    let page = kari.get(&done.header("location")).await.expect(200);
    assert!(page.text.contains(&format!("href=\"{}\"", page_of(&accountant, ""))), "the way back");
    says(&kari.get(&page_of(&accountant, "")).await.expect(200), "Enforced for all users");
}

async fn who_is_no_superuser_is_told_so_and_a_stranger_finds_nothing(app: TestApp) {
    let (accountant, client, _, ola) = an_accountant(&app).await;
    let mut member = Reader::signed_in(&app, &app.sign_in(&ola).await);
    let mut nobody = Reader::new(&app);
    let elsewhere = app.agreement("Elsewhere").await;
    let (_, _, session) = app.superuser(&elsewhere, "Ida").await;
    let mut stranger = Reader::signed_in(&app, &session);
    for below in ["", "/enforcement?enforced=yes", "/audit"] {
        let page = member.get(&page_of(&client, below)).await.expect(403);
        says(&page, "This is not yours to do");
        for agreement in [&accountant, &client] {
            let page = stranger.get(&page_of(agreement, below)).await.expect(404);
            says(&page, "There is no such page");
            assert!(!page.text.contains(&agreement.name), "not even its name");
        }
        let to = nobody.get(&page_of(&client, below)).await.expect(303);
        assert_eq!(to.header("location"), "/login");
    }
}

async fn s16_a_form_without_its_token_changes_nothing(app: TestApp) {
    let (accountant, _, session, _) = an_accountant(&app).await;
    let mut kari = Reader::signed_in(&app, &session);
    let action = page_of(&accountant, "/enforcement");
    let page = kari.get(&format!("{action}?enforced=yes")).await.expect(200);
    let mut hidden = hidden_fields(&page, &action);
    assert!(hidden.iter().any(|(name, _)| name == "form_token"));
    hidden.retain(|(name, _)| name != "form_token");
    kari.post(&action, &hidden).await.expect(403);
    let read = app.get(&accountant.path(""), &app.key).await.expect(200);
    assert_eq!(read["enforcement"]["since"], serde_json::Value::Null);
}

async fn the_agreement_lists_who_has_no_two_factor_and_what_it_administers(app: TestApp) {
    let (accountant, client, session, _) = an_accountant(&app).await;
    app.enforce(&accountant).await;
    let mut kari = Reader::signed_in(&app, &session);
    let page = kari.get(&page_of(&accountant, "")).await.expect(200);
    says(&page, "Administers 2 agreements");
    says(&page, "Everybody linked to this agreement has two-factor.");
    says(&page, &format!("Havbris ApS {} Required by Nordlys Revision", client.number));
    assert!(page.text.contains(&format!("href=\"{}\"", page_of(&client, ""))));
    assert!(page.text.contains("<polyline"), "the chart");
    let page = kari.get(&page_of(&client, "")).await.expect(200);
    says(&page, "Administered by Nordlys Revision");
    says(&page, "Ola ola@example.com");
    says(&page, "Overdue");
    says(&page, "People 1 With two-factor 0 Required to have it 1 Overdue 1");
}

async fn an_entry_is_shown_with_its_proof_verified(app: TestApp) {
    let (accountant, _, session, _) = an_accountant(&app).await;
    app.enforce(&accountant).await;
    let entries = app.entries("type=EnforcementToggled").await;
    let position = entries[0]["position"].to_string();
    let mut kari = Reader::signed_in(&app, &session);
    let page = kari.get(&page_of(&accountant, "/audit")).await.expect(200);
    says(&page, "Enforcement switched on for Nordlys Revision by suites");
    says(&page, "Included in checkpoint");
    let address = format!("/audit/entries/{position}");
    assert!(page.text.contains(&format!("href=\"{address}\"")), "{}", page.text);
    let page = kari.get(&address).await.expect(200);
    let seen = seen(&page);
    let (_, after) = seen.split_once("Included in checkpoint ").expect("its checkpoint");
    assert!(after.split(' ').nth(1).is_some_and(|word| word == "verified"), "{after}");
    let (per, two_factor) = app.register_with_two_factor("Per").await;
    let session = app.sign_in_with(&per, &two_factor).await;
    app.entries("type=SessionStarted").await;
    let mut per = Reader::signed_in(&app, &session);
    says(&per.get("/audit").await.expect(200), "Session of Per began");
    says(&per.get(&address).await.expect(404), "There is no such page");
}

async fn the_trail_is_asked_by_its_address(app: TestApp) {
    let (accountant, client, session, ola) = an_accountant(&app).await;
    app.enforce(&accountant).await;
    app.entries("type=EnforcementToggled").await;
    let mut kari = Reader::signed_in(&app, &session);
    let page = kari.get("/audit?type=EnforcementToggled&user=&from=&to=").await.expect(200);
    says(&page, "Enforcement switched on");
    assert!(!seen(&page).contains("linked to"), "nothing else: {}", seen(&page));
    let page = kari.get(&format!("/audit?user={}&type=UserLinked", ola.id)).await.expect(200);
    says(&page, "Ola linked to Havbris ApS");
    says(&page, "Ola linked to Fjeld AS");
    let page = kari.get(&format!("/agreements/{}/audit?user={}", client.id, ola.id)).await.expect(200);
    assert!(!seen(&page).contains("Ola linked to Fjeld AS"), "another agreement's: {}", seen(&page));
    let tomorrow = (app.now() + TimeDelta::days(1)).date_naive();
    let page = kari.get(&format!("/audit?from={tomorrow}")).await.expect(200);
    says(&page, "There is no entry of this kind.");
    let page = kari.get("/audit?user=ola").await.expect(422);
    says(&page, "There is a problem Type a whole id, as the details of an entry show it.");
    assert!(page.text.contains("value=\"ola\""), "what was typed stays");
}

async fn only_auditors_take_copies(app: TestApp) {
    let (_, _, session, _) = an_accountant(&app).await;
    let mut kari = Reader::signed_in(&app, &session);
    assert!(!kari.get("/audit").await.expect(200).text.contains("/audit/export"));
    let page = kari.get("/audit/export?format=csv").await.expect(403);
    says(&page, "This is not yours to do");
}

async fn a_script_learns_whether_there_is_anything_newer(app: TestApp) {
    let (accountant, _, session, _) = an_accountant(&app).await;
    app.entries("type=UserLinked").await;
    let mut kari = Reader::signed_in(&app, &session);
    let address = page_of(&accountant, "/audit");
    let page = kari.get(&address).await.expect(200);
    let (_, newest) = page.text.split_once("data-newer-than=\"").expect("the newest position");
    let newest = newest.split('"').next().expect("a position").to_owned();
    let newer_than = [("countersign-newer-than", newest.as_str())];
    kari.get_with(&address, &newer_than).await.expect(204);
    app.enforce(&accountant).await;
    app.entries("type=EnforcementToggled").await;
    kari.get_with(&address, &newer_than).await.expect(200);
}

async fn what_people_wrote_is_shown_and_not_obeyed(app: TestApp) {
    let written = "<script>alert(1)</script> & \"Sons\"";
    let agreement = app.administrator(written).await;
    let client = app.administered("<b>Bold</b> ApS", &agreement).await;
    let (_, _, session) = app.superuser(&agreement, "Kari").await;
    app.enforce(&client).await;
    app.entries("type=EnforcementToggled").await;
    let mut kari = Reader::signed_in(&app, &session);
    for below in ["", "/enforcement?enforced=yes", "/audit"] {
        let page = kari.get(&page_of(&agreement, below)).await.expect(200);
        says(&page, written);
        assert!(!page.text.contains("<script>"), "{below}");
        assert!(!page.text.contains("<b>"), "{below}");
    }
    assert!(!kari.get("/audit").await.expect(200).text.contains("<b>"));
}

async fn the_pages_are_there_in_danish(app: TestApp) {
    let (accountant, _, session, _) = an_accountant(&app).await;
    let mut kari = Reader::signed_in(&app, &session);
    kari.get("/language/da").await.expect(303);
    let page = kari.get(&page_of(&accountant, "/enforcement?enforced=yes")).await.expect(200);
    says(&page, "Slå krav om totrinsbekræftelse til for Nordlys Revision");
    says(&page, "2 personer i 3 aftaler; 1 af dem har endnu ikke totrinsbekræftelse.");
    says(&kari.get(&page_of(&accountant, "")).await.expect(200), "Kræv totrinsbekræftelse");
    says(&kari.get("/audit").await.expect(200), "Revisionsspor");
}
