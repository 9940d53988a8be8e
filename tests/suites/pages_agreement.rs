//! The pages of an agreement and of the audit trail, as somebody sees them without a script.

use chrono::TimeDelta;
use countersign_tests::{Agreement, Person, Session, Shown, TestApp, Visitor, on_both_databases};
use reqwest::Method;

on_both_databases![
    a_superuser_enforces_two_factor_through_the_pages,
    the_guide_is_followed_word_for_word,
    the_page_before_the_button_says_whom_it_reaches,
    those_whom_it_reaches_are_paged_through,
    unticking_says_what_it_does_and_only_permits,
    a_deadline_that_has_passed_is_refused_beside_its_field,
    a_tick_asks_for_a_proof_and_shows_the_emergency_code_that_replaces_a_spent_one,
    who_is_no_superuser_is_told_so_and_a_stranger_finds_nothing,
    s16_a_form_without_its_token_changes_nothing,
    the_agreement_lists_who_has_no_two_factor_and_what_it_administers,
    the_agreements_that_it_administers_are_paged_through_by_name,
    an_entry_is_shown_with_its_proof_verified,
    an_entry_that_was_changed_afterwards_is_said_not_to_be_proved,
    the_trail_is_asked_by_its_address,
    the_trail_is_asked_for_a_person_by_address_and_an_agreement_by_number,
    a_script_learns_whether_there_is_anything_newer,
    an_address_that_cannot_be_read_is_told_on_a_page,
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

/// Somebody in a session.
fn in_session(app: &TestApp, session: &Session) -> Visitor {
    let mut visitor = Visitor::of(app);
    visitor.cookies.insert("__Host-session".to_owned(), session.token.clone());
    visitor
}

#[track_caller]
fn says(page: &Shown, text: &str) {
    let seen = page.text();
    assert!(seen.contains(text), "{} {}: no \u{201c}{text}\u{201d} in: {seen}", page.status, page.address);
}

/// Opens a page and asserts its status.
async fn opened(visitor: &mut Visitor, address: &str, status: u16) -> Shown {
    let page = visitor.open(address).await;
    assert_eq!(page.status, status, "{address}: {}", page.text());
    page.clone()
}

/// Fills in the form with this button, and asserts the status of what follows.
async fn pressed(visitor: &mut Visitor, button: &str, typed: &[(&str, &str)], status: u16) -> Shown {
    let page = visitor.press(button, typed).await;
    assert_eq!(page.status, status, "{}: {}", page.address, page.text());
    page.clone()
}

async fn a_superuser_enforces_two_factor_through_the_pages(app: TestApp) {
    let (accountant, _, session, ola) = an_accountant(&app).await;
    let mut kari = in_session(&app, &session);
    let page = opened(&mut kari, &page_of(&accountant, ""), 200).await;
    says(&page, "Not enforced by this agreement");
    opened(&mut kari, &page_of(&accountant, "/enforcement?enforced=yes"), 200).await;
    let day = (app.now() + TimeDelta::days(7)).date_naive();
    let fields = [("deadline", day.to_string()), ("reason", "The board decided it".to_owned())];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let page = pressed(&mut kari, "Enforce two-factor", &fields, 200).await;
    assert_eq!(page.address, page_of(&accountant, ""));
    says(&page, "Enforced for all users linked to this agreement");
    says(&page, &day.format("%-d %B %Y").to_string());
    says(&page, "Changed by Kari");
    says(&page, "Reached by enforcement: 2 people in 3 agreements; 1 of them has no two-factor yet.");
    says(&page, "People of this agreement alone");
    says(&page, "People 1 With two-factor 1 Required to have it 1 Overdue 0");
    says(&page, "The board decided it");
    let check = app.login_check(&ola).await;
    assert_eq!(check["required_by"][0]["name"], "Nordlys Revision", "{}", check.text);
    let ends = format!("{day}T23:59:59Z");
    assert_eq!(check["required_by"][0]["deadline"], ends, "the end of that day: {}", check.text);
}

async fn the_guide_is_followed_word_for_word(app: TestApp) {
    let (accountant, client, session, _) = an_accountant(&app).await;
    let mut kari = in_session(&app, &session);
    for below in ["", "/enforcement?enforced=yes", "/audit"] {
        let page = opened(&mut kari, &page_of(&accountant, below), 200).await;
        assert_eq!(page.one("nav .group"), "Administrator", "{below}");
    }
    let page = kari.follow("Basic information").await.clone();
    assert_eq!(page.address, page_of(&accountant, ""));
    assert_eq!(page.one("nav .group + ul a[aria-current=page]"), "Basic information");
    assert_eq!(page.one("section[aria-labelledby=company] h2"), "Company");
    assert_eq!(page.one("section[aria-labelledby=company] summary"), "Edit");
    assert_eq!(
        page.one("section[aria-labelledby=company] details label[for=enforced]"),
        "Enforce two-factor authentication"
    );
    let page = opened(&mut kari, &page_of(&client, ""), 200).await;
    assert!(!page.has("nav .group"), "it administers none");
    kari.open("/language/da").await;
    let page = opened(&mut kari, &page_of(&accountant, ""), 200).await;
    assert_eq!(page.one("nav .group + ul a"), "Stamoplysninger");
    assert_eq!(page.one("section[aria-labelledby=company] h2"), "Virksomhed");
    assert_eq!(page.one("section[aria-labelledby=company] summary"), "Redig\u{e9}r");
}

async fn the_page_before_the_button_says_whom_it_reaches(app: TestApp) {
    let (accountant, client, session, _) = an_accountant(&app).await;
    let (eva, _) = app.register_with_two_factor("Eva").await;
    app.link(&client, &eva).await;
    let mut kari = in_session(&app, &session);
    let page = opened(&mut kari, &page_of(&accountant, "/enforcement?enforced=yes"), 200).await;
    says(&page, "3 people in 3 agreements; 1 of them has no two-factor yet.");
    for said in ["Kari kari@example.com On", "Ola ola@example.com Off", "Eva eva@example.com On"] {
        says(&page, said);
    }
    let page = opened(&mut kari, &page_of(&client, "/enforcement?enforced=yes"), 200).await;
    says(&page, "2 people in 1 agreement; 1 of them has no two-factor yet.");
}

async fn those_whom_it_reaches_are_paged_through(app: TestApp) {
    let (accountant, client, session, ola) = an_accountant(&app).await;
    let eva = app.register("Eva").await;
    app.link(&client, &eva).await;
    let (before, after) = if ola.id < eva.id { (&ola, &eva) } else { (&eva, &ola) };
    let mut kari = in_session(&app, &session);
    let begin = page_of(&accountant, "/enforcement?enforced=yes");
    let page = opened(&mut kari, &format!("{begin}&people={}", before.id), 200).await;
    says(&page, "3 people in 3 agreements");
    says(&page, &after.email);
    assert!(!page.text().contains(&before.email), "on a page before: {}", page.text());
    kari.follow("First page").await;
    assert_eq!(kari.page.address, begin);
    says(&kari.page, &before.email);
}

async fn unticking_says_what_it_does_and_only_permits(app: TestApp) {
    let (accountant, client, session, _) = an_accountant(&app).await;
    let (eva, _) = app.register_with_two_factor("Eva").await;
    app.link(&client, &eva).await;
    app.enforce(&accountant).await;
    app.enforce(&client).await;
    let mut kari = in_session(&app, &session);
    let action = page_of(&client, "/enforcement");
    let page = opened(&mut kari, &action, 200).await;
    says(&page, "It turns off nothing.");
    says(&page, "Here it stays required all the same. Nordlys Revision requires two-factor");
    let page = pressed(&mut kari, "Stop enforcing", &[], 200).await;
    assert_eq!(page.address, page_of(&client, ""));
    says(&page, "Not enforced by this agreement");
    says(&page, "Nordlys Revision requires two-factor for every agreement that it administers.");
    assert_eq!(app.user(&eva).await["two_factor"]["enabled"], true);
    let again = opened(&mut kari, &action, 200).await;
    assert_eq!(again.address, page_of(&client, ""), "there is nothing left to untick");
}

async fn a_deadline_that_has_passed_is_refused_beside_its_field(app: TestApp) {
    let (accountant, _, session, _) = an_accountant(&app).await;
    let mut kari = in_session(&app, &session);
    opened(&mut kari, &page_of(&accountant, "/enforcement?enforced=yes"), 200).await;
    let today = app.now().date_naive().to_string();
    for day in [today.as_str(), "2001-01-01", "soon"] {
        let fields = [("deadline", day), ("reason", "kept as typed")];
        let again = pressed(&mut kari, "Enforce two-factor", &fields, 422).await;
        says(&again, "There is a problem Choose a day after today.");
        assert_eq!(again.fault("deadline"), "Choose a day after today.");
        assert!(again.has("#reason[value=\"kept as typed\"]"), "{}", again.html);
        says(&again, "3 agreements");
    }
    let read = app.get(&accountant.path(""), &app.key).await.expect(200);
    assert_eq!(read["enforcement"]["enforced"], false);
}

async fn a_tick_asks_for_a_proof_and_shows_the_emergency_code_that_replaces_a_spent_one(app: TestApp) {
    let accountant = app.administrator("Nordlys Revision").await;
    let (person, two_factor, session) = app.superuser(&accountant, "Kari").await;
    app.advance_s(11 * 60);
    let mut kari = in_session(&app, &session);
    opened(&mut kari, &page_of(&accountant, "/enforcement?enforced=yes"), 200).await;
    let wrong = [("password", "not hers"), ("code", "000000")];
    let page = pressed(&mut kari, "Enforce two-factor", &wrong, 401).await;
    assert_eq!(
        page.fault("password"),
        "The e-mail address or the password is not right. Check both and try again."
    );
    let proof = [("password", &*person.password), ("recovery_code", &*two_factor.recovery_code)];
    let page = pressed(&mut kari, "Enforce two-factor", &proof, 200).await;
    says(&page, "Store your emergency code");
    assert_ne!(page.one("#emergency-code"), two_factor.recovery_code, "it is another one");
    let page = pressed(&mut kari, "Continue", &[("stored", "yes")], 200).await;
    assert!(page.has(&format!("a[href=\"{}\"]", page_of(&accountant, ""))), "the way back");
    says(&opened(&mut kari, &page_of(&accountant, ""), 200).await, "Enforced for all users");
}

async fn who_is_no_superuser_is_told_so_and_a_stranger_finds_nothing(app: TestApp) {
    let (accountant, client, _, ola) = an_accountant(&app).await;
    let mut member = in_session(&app, &app.sign_in(&ola).await);
    let mut nobody = Visitor::of(&app);
    let elsewhere = app.agreement("Elsewhere").await;
    let (_, _, session) = app.superuser(&elsewhere, "Ida").await;
    let mut stranger = in_session(&app, &session);
    for below in ["", "/enforcement?enforced=yes", "/audit"] {
        let page = opened(&mut member, &page_of(&client, below), 403).await;
        says(&page, "This is not yours to do");
        assert!(page.has("main a[href=\"/account\"]"), "the way on: {}", page.html);
        assert!(page.has("form[action=\"/logout\"]"), "the way out: {}", page.html);
        for agreement in [&accountant, &client] {
            let page = opened(&mut stranger, &page_of(agreement, below), 404).await;
            says(&page, "There is no such page");
            assert!(!page.html.contains(&agreement.name), "not even its name");
        }
        assert_eq!(opened(&mut nobody, &page_of(&client, below), 200).await.address, "/login");
    }
}

async fn s16_a_form_without_its_token_changes_nothing(app: TestApp) {
    let (accountant, _, session, _) = an_accountant(&app).await;
    let mut kari = in_session(&app, &session);
    let action = page_of(&accountant, "/enforcement");
    let page = opened(&mut kari, &format!("{action}?enforced=yes"), 200).await;
    assert!(page.has("form[method=post] input[name=form_token]"));
    let page = kari.send(&action, &[("enforced", "yes")]).await;
    assert_eq!(page.one("h1"), "That page is out of date");
    says(page, "your browser keeps no cookies");
    let read = app.get(&accountant.path(""), &app.key).await.expect(200);
    assert_eq!(read["enforcement"]["since"], serde_json::Value::Null);
}

async fn the_agreement_lists_who_has_no_two_factor_and_what_it_administers(app: TestApp) {
    let (accountant, client, session, _) = an_accountant(&app).await;
    app.enforce(&accountant).await;
    let mut kari = in_session(&app, &session);
    let page = opened(&mut kari, &page_of(&accountant, ""), 200).await;
    says(&page, "Administers 2 agreements");
    says(&page, "Everybody linked to this agreement has two-factor.");
    says(&page, &format!("Havbris ApS {} 1 0 Required by Nordlys Revision", client.number));
    let text = page.text();
    let (list, fjeld) = (text.rfind("Agreements that it administers"), text.rfind("Fjeld AS"));
    assert!(list < fjeld && fjeld < text.rfind("Havbris ApS"), "by name: {text}");
    says(&page, "Reached by enforcement: 2 people in 3 agreements");
    assert!(page.has(&format!("th a[href=\"{}\"]", page_of(&client, ""))));
    assert!(page.has("figure.chart svg[role=img] > polyline.with-two-factor"), "the chart");
    let page = opened(&mut kari, &page_of(&client, ""), 200).await;
    says(&page, "Administered by Nordlys Revision");
    says(&page, "Ola ola@example.com");
    says(&page, "Overdue");
    says(&page, "People 1 With two-factor 0 Required to have it 1 Overdue 1");
}

async fn the_agreements_that_it_administers_are_paged_through_by_name(app: TestApp) {
    let accountant = app.administrator("Nordlys Revision").await;
    for number in (0..51).rev() {
        app.administered(
            &format!("{} {number:02}", if number % 2 == 0 { "kunde" } else { "Kunde" }),
            &accountant,
        )
        .await;
    }
    let (_, _, session) = app.superuser(&accountant, "Kari").await;
    let mut kari = in_session(&app, &session);
    let page = opened(&mut kari, &page_of(&accountant, ""), 200).await;
    says(&page, "kunde 00");
    says(&page, "Kunde 49");
    assert!(!page.text().contains("kunde 50"), "on the next page: {}", page.text());
    let page = kari.follow("Next page").await;
    says(page, "kunde 50");
    assert!(!page.text().contains("Kunde 49"), "on the page before: {}", page.text());
}

async fn an_entry_is_shown_with_its_proof_verified(app: TestApp) {
    let (accountant, _, session, _) = an_accountant(&app).await;
    app.enforce(&accountant).await;
    let entries = app.entries("type=EnforcementToggled").await;
    let position = entries[0]["position"].to_string();
    let mut kari = in_session(&app, &session);
    let page = opened(&mut kari, &page_of(&accountant, "/audit"), 200).await;
    says(&page, "Enforcement switched on for Nordlys Revision by suites");
    says(&page, "Included in checkpoint");
    let address = format!("/audit/entries/{position}");
    assert!(page.has(&format!(".mark a[href=\"{address}\"]")), "{}", page.html);
    let page = opened(&mut kari, &address, 200).await;
    let seen = page.one("section[aria-labelledby=proof] .status");
    let (_, after) = seen.split_once("Included in checkpoint ").expect("its checkpoint");
    assert!(after.ends_with(", verified"), "{after}");
    let (per, two_factor) = app.register_with_two_factor("Per").await;
    let session = app.sign_in_with(&per, &two_factor).await;
    app.entries("type=SessionStarted").await;
    let mut per = in_session(&app, &session);
    says(&opened(&mut per, "/audit", 200).await, "Session of Per began");
    says(&opened(&mut per, &address, 404).await, "There is no such page");
}

async fn the_trail_is_asked_by_its_address(app: TestApp) {
    let (accountant, client, session, ola) = an_accountant(&app).await;
    app.enforce(&accountant).await;
    app.entries("type=EnforcementToggled").await;
    let mut kari = in_session(&app, &session);
    let page = opened(&mut kari, "/audit?type=EnforcementToggled&user=&from=&to=", 200).await;
    says(&page, "Enforcement switched on");
    assert!(!page.text().contains("linked to"), "nothing else: {}", page.text());
    let page = opened(&mut kari, &format!("/audit?user={}&type=UserLinked", ola.id), 200).await;
    says(&page, "Ola linked to Havbris ApS");
    says(&page, "Ola linked to Fjeld AS");
    let page = opened(&mut kari, &format!("/agreements/{}/audit?user={}", client.id, ola.id), 200).await;
    assert!(!page.text().contains("Ola linked to Fjeld AS"), "another agreement's: {}", page.text());
    let tomorrow = (app.now() + TimeDelta::days(1)).date_naive();
    let page = opened(&mut kari, &format!("/audit?from={tomorrow}"), 200).await;
    says(&page, "There is no entry of this kind.");
    let page = opened(&mut kari, "/audit?user=ola", 422).await;
    says(
        &page,
        "There is a problem Nobody whom you may see has that. Type a whole e-mail address, or a user id",
    );
    assert!(page.has("#user[value=ola]"), "what was typed stays");
}

async fn the_trail_is_asked_for_a_person_by_address_and_an_agreement_by_number(app: TestApp) {
    let (_, client, session, ola) = an_accountant(&app).await;
    let elsewhere = app.agreement("Elsewhere").await;
    let stranger = app.register("Stranger").await;
    app.link(&elsewhere, &stranger).await;
    app.entries("type=UserLinked").await;
    let mut kari = in_session(&app, &session);
    let page = opened(&mut kari, &format!("/audit?type=UserLinked&user={}", ola.email), 200).await;
    says(&page, "Ola linked to Havbris ApS");
    assert!(!page.text().contains("Kari linked to"), "nobody else: {}", page.text());
    let page = opened(&mut kari, &format!("/audit?type=UserLinked&agreement={}", client.number), 200).await;
    says(&page, "Ola linked to Havbris ApS");
    assert!(!page.text().contains("Ola linked to Fjeld AS"), "another agreement's: {}", page.text());
    // What is another's and what is not there are told alike.
    let nobody = refused(&mut kari, "user", "nobody@example.com").await;
    assert_eq!(refused(&mut kari, "user", &stranger.email).await, nobody);
    let none = refused(&mut kari, "agreement", "no-such-number").await;
    assert_eq!(refused(&mut kari, "agreement", &elsewhere.number).await, none);
}

/// What the trail says beside a field that names nobody and nothing that the visitor may see.
async fn refused(visitor: &mut Visitor, field: &str, value: &str) -> String {
    opened(visitor, &format!("/audit?{field}={value}"), 422).await.fault(field)
}

async fn a_script_learns_whether_there_is_anything_newer(app: TestApp) {
    let (accountant, _, session, _) = an_accountant(&app).await;
    app.entries("type=UserLinked").await;
    let mut kari = in_session(&app, &session);
    let address = page_of(&accountant, "/audit");
    let page = opened(&mut kari, &address, 200).await;
    let (_, newest) = page.html.split_once("data-newer-than=\"").expect("the newest position");
    let newest = newest.split('"').next().expect("a position").to_owned();
    let cookie = format!("__Host-session={}", session.token);
    let newer = || {
        let request = app.request(Method::GET, &address).header("cookie", &cookie);
        request.header("countersign-newer-than", &newest).send()
    };
    newer().await.expect(204);
    app.enforce(&accountant).await;
    app.entries("type=EnforcementToggled").await;
    newer().await.expect(200);
}

async fn an_address_that_cannot_be_read_is_told_on_a_page(app: TestApp) {
    let (accountant, _, session, _) = an_accountant(&app).await;
    let mut kari = in_session(&app, &session);
    let agreement = page_of(&accountant, "");
    for address in ["/audit?cursor=xx".to_owned(), format!("{agreement}?people=a&people=b")] {
        let page = opened(&mut kari, &address, 400).await;
        assert_eq!(page.one("h1"), "That cannot be read", "{address}");
        assert!(page.has("main a[href=\"/account\"]"), "{address}");
    }
    let page = opened(&mut kari, &format!("{agreement}?people=%00"), 404).await;
    assert_eq!(page.one("h1"), "There is no such page");
    let page = opened(&mut kari, &format!("{agreement}?agreements=banana"), 404).await;
    assert_eq!(page.one("h1"), "There is no such page");
}

async fn what_people_wrote_is_shown_and_not_obeyed(app: TestApp) {
    let written = "<script>alert(1)</script> & \"Sons\"";
    let agreement = app.administrator(written).await;
    let client = app.administered("<b>Bold</b> ApS", &agreement).await;
    let (_, _, session) = app.superuser(&agreement, "Kari").await;
    app.enforce(&client).await;
    app.entries("type=EnforcementToggled").await;
    let mut kari = in_session(&app, &session);
    for below in ["", "/enforcement?enforced=yes", "/audit"] {
        let page = opened(&mut kari, &page_of(&agreement, below), 200).await;
        says(&page, written);
        assert!(!page.html.contains("<script>") && !page.html.contains("<b>"), "{below}");
    }
    assert!(!opened(&mut kari, "/audit", 200).await.html.contains("<b>"));
}

async fn the_pages_are_there_in_danish(app: TestApp) {
    let (accountant, _, session, _) = an_accountant(&app).await;
    let mut kari = in_session(&app, &session);
    kari.open("/language/da").await;
    let page = opened(&mut kari, &page_of(&accountant, "/enforcement?enforced=yes"), 200).await;
    says(&page, "Slå krav om totrinsbekræftelse til for Nordlys Revision");
    says(&page, "2 personer på 3 aftaler; 1 af dem har endnu ikke totrinsbekræftelse.");
    says(&opened(&mut kari, &page_of(&accountant, ""), 200).await, "Kræv totrinsbekræftelse");
    says(&opened(&mut kari, "/audit", 200).await, "Revisionsspor");
    let page = opened(&mut kari, "/account", 200).await;
    assert!(page.has("section[aria-labelledby=recent] li span[lang=en]"), "sentences are English");
}

async fn an_entry_that_was_changed_afterwards_is_said_not_to_be_proved(app: TestApp) {
    let (accountant, _, session, _) = an_accountant(&app).await;
    app.enforce(&accountant).await;
    let position = app.entries("type=EnforcementToggled").await[0]["position"].to_string();
    let changed = format!(
        "UPDATE ledger_entries SET leaf = replace(leaf, 'EnforcementToggled', 'EnforcementTouched') \
         WHERE position = {position}"
    );
    app.place.tamper(&changed).await;
    let mut kari = in_session(&app, &session);
    let page = opened(&mut kari, &format!("/audit/entries/{position}"), 200).await;
    let seen = page.one("section[aria-labelledby=proof] .status");
    assert_eq!(seen, "The ledger does not prove this entry");
}
