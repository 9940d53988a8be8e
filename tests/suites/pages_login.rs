//! Signing in in a browser.

use chrono::TimeDelta;
use countersign_tests::{Person, TestApp, Visitor, on_both_databases};

use crate::pages_account::{signed_in, signed_in_with};

on_both_databases![
    a_wrong_password_and_nobodys_address_read_alike,
    a_code_that_was_used_is_said_to_be,
    locked_codes_leave_the_emergency_code,
    an_emergency_code_is_replaced_and_shown,
    whoever_lost_the_authenticator_for_good_sets_up_a_new_one,
    whoever_lost_it_and_took_their_time_goes_on_with_the_new_code,
    enforcement_that_is_due_must_be_met_first,
    enforcement_that_is_not_due_can_wait,
    whoever_was_reset_needs_the_pass,
    a_person_goes_back_to_the_application_that_sent_them,
    nobody_is_sent_to_another_host,
    the_page_speaks_danish,
    a_sign_in_that_took_too_long_begins_anew,
    the_record_says_that_it_was_the_page,
    s17_a_sign_in_that_somebody_left_behind_is_not_the_next_persons,
    whoever_is_not_the_person_signs_in_as_somebody_else,
    what_a_sign_in_offered_is_taken_up_from_the_account,
    what_a_sign_in_offered_long_ago_is_taken_up_with_the_password,
    an_emergency_code_that_was_lost_sight_of_is_replaced,
    an_application_that_sent_somebody_is_not_forgotten_midway,
];

async fn a_wrong_password_and_nobodys_address_read_alike(app: TestApp) {
    let kari = app.register("Kari").await;
    let mut texts = Vec::new();
    for email in [kari.email.as_str(), "nobody@example.com"] {
        let mut visitor = Visitor::of(&app);
        visitor.open("/login").await;
        visitor.press("Sign in", &[("email", email), ("password", "not the one that it is")]).await;
        assert_eq!(visitor.page.status, 401);
        assert!(visitor.page.fault("password").contains("The e-mail address or the password is not right"));
        texts.push(visitor.page.text());
    }
    assert_eq!(texts[0], texts[1]);
}

async fn a_code_that_was_used_is_said_to_be(app: TestApp) {
    let (kari, two_factor) = app.register_with_two_factor("Kari").await;
    let code = app.next_code(&two_factor.secret);
    signed_in(&app, &kari).await.press("Sign in", &[("code", &code)]).await;
    let mut visitor = signed_in(&app, &kari).await;
    visitor.press("Sign in", &[("code", &code)]).await;
    assert_eq!(visitor.page.status, 401);
    let used = "That code has been used already. Wait for the next one in your app.";
    assert_eq!(visitor.page.fault("code"), used);
    visitor.press("Sign in", &[("code", &app.next_code(&two_factor.secret))]).await;
    assert_eq!(visitor.page.address, "/account");
}

async fn locked_codes_leave_the_emergency_code(app: TestApp) {
    let (kari, two_factor) = app.register_with_two_factor("Kari").await;
    let mut visitor = signed_in(&app, &kari).await;
    app.lock_codes(&kari, &two_factor.secret).await;
    visitor.press("Sign in", &[("code", &app.next_code(&two_factor.secret))]).await;
    assert_eq!(visitor.page.status, 429);
    assert!(visitor.page.fault("code").contains("Wait 30 minutes"), "{}", visitor.page.text());
    assert!(visitor.page.headers.contains("retry-after: "));
    visitor.open("/login/code").await;
    assert_eq!(visitor.page.one("h1"), "Codes are locked for now");
    assert!(visitor.page.text().contains("for the next 30 minutes"), "{}", visitor.page.text());
    visitor.follow("Use your emergency code").await;
    visitor.press("Sign in", &[("recovery_code", &two_factor.recovery_code)]).await;
    assert_eq!(visitor.page.one("h1"), "Store your new emergency code");
}

async fn an_emergency_code_is_replaced_and_shown(app: TestApp) {
    let (kari, two_factor) = app.register_with_two_factor("Kari").await;
    let mut visitor = signed_in(&app, &kari).await;
    visitor.follow("Use your emergency code").await;
    visitor.press("Sign in", &[("recovery_code", "ABCD")]).await;
    assert!(visitor.page.fault("recovery_code").contains("twenty letters"));
    let other = "0000-0000-0000-0000-0000";
    visitor.press("Sign in", &[("recovery_code", other)]).await;
    assert_eq!(visitor.page.status, 401);
    visitor.press("Sign in", &[("recovery_code", &two_factor.recovery_code.to_lowercase())]).await;
    let fresh = visitor.page.one("#emergency-code");
    visitor.press("No, I still have it", &[]).await;
    assert!(visitor.page.fault("stored").contains("tick"));
    visitor.press("No, I still have it", &[("stored", "yes")]).await;
    assert_eq!(visitor.page.address, "/account");
    assert_eq!(app.user(&kari).await["two_factor"]["recovery_code_saved"], true);
    let challenge = app.challenge(&kari).await;
    app.verify_recovery_code(&challenge, &fresh).await.expect(200);
}

async fn whoever_lost_the_authenticator_for_good_sets_up_a_new_one(app: TestApp) {
    let (kari, two_factor) = app.register_with_two_factor("Kari").await;
    let mut visitor = signed_in(&app, &kari).await;
    visitor.follow("Use your emergency code").await;
    visitor.press("Sign in", &[("recovery_code", &two_factor.recovery_code)]).await;
    visitor.press("Yes, set up a new one", &[("stored", "yes")]).await;
    let secret = visitor.connect_app().await;
    assert_eq!(visitor.page.one("h1"), "Two-factor is on");
    let user = app.user(&kari).await;
    assert_eq!(user["two_factor"]["authenticators"].as_array().map(Vec::len), Some(1));
    let challenge = app.challenge(&kari).await;
    app.verify(&challenge, &app.next_code(&two_factor.secret)).await.expect(401);
    app.verify(&challenge, &app.next_code(&secret)).await.expect(200);
}

async fn whoever_lost_it_and_took_their_time_goes_on_with_the_new_code(app: TestApp) {
    let (kari, two_factor) = app.register_with_two_factor("Kari").await;
    let mut visitor = signed_in(&app, &kari).await;
    visitor.follow("Use your emergency code").await;
    visitor.press("Sign in", &[("recovery_code", &two_factor.recovery_code)]).await;
    let fresh = visitor.page.one("#emergency-code");
    app.advance_min(11);
    visitor.press("Yes, set up a new one", &[("stored", "yes")]).await;
    assert_eq!(visitor.page.one("h1"), "Replace your authenticator");
    visitor.press("Continue", &[("password", &kari.password), ("recovery_code", &fresh)]).await;
    assert_ne!(visitor.page.one("#emergency-code"), fresh);
    visitor.press("Continue", &[("stored", "yes")]).await;
    visitor.connect_app().await;
    assert_eq!(visitor.page.one("h1"), "Two-factor is on");
}

async fn enforcement_that_is_due_must_be_met_first(app: TestApp) {
    let kari = app.register("Kari").await;
    let office = app.administrator("Nordlys Regnskab").await;
    let customer = app.administered("Bageren", &office).await;
    app.link(&customer, &kari).await;
    app.enforce(&office).await;
    let mut visitor = signed_in(&app, &kari).await;
    assert_eq!(visitor.page.one("h1"), "Set up two-factor to go on");
    let required = "Nordlys Regnskab requires two-factor for every agreement that it administers.";
    assert!(visitor.page.text().contains(required));
    assert!(!visitor.page.text().contains("Remind me later"));
    visitor.open("/account").await;
    assert_eq!(visitor.page.address, "/login", "nobody is signed in yet");
    visitor.open("/login/two-factor").await;
    visitor.press("Set up two-factor", &[]).await;
    let secret = visitor.page.key();
    visitor.press("Continue", &[("code", &app.code(&secret))]).await;
    visitor.press("Continue", &[("stored", "yes")]).await;
    visitor.open("/account").await;
    assert!(visitor.page.one(".status").starts_with("On since"));
}

async fn enforcement_that_is_not_due_can_wait(app: TestApp) {
    let kari = app.register("Kari").await;
    let bakery = app.agreement("Bageren").await;
    app.link(&bakery, &kari).await;
    app.enforce_by(&bakery, app.now() + TimeDelta::days(7)).await;
    let mut visitor = signed_in(&app, &kari).await;
    let text = visitor.page.text();
    assert!(text.contains("Bageren requires two-factor of everybody linked to it, by"), "{text}");
    assert!(text.contains("You can leave it until"), "{text}");
    visitor.press("Remind me later", &[]).await;
    assert_eq!(visitor.page.address, "/account");
    app.advance_min(8 * 24 * 60);
    let mut visitor = signed_in(&app, &kari).await;
    assert!(!visitor.page.text().contains("Remind me later"));
    visitor.open("/account").await;
    assert_eq!(visitor.page.address, "/login");
}

async fn whoever_was_reset_needs_the_pass(app: TestApp) {
    let (kari, _) = app.register_with_two_factor("Kari").await;
    let office = app.agreement("Nordlys").await;
    app.link(&office, &kari).await;
    app.enforce(&office).await;
    let pass = app.reset_two_factor(&kari).await;
    let mut visitor = signed_in(&app, &kari).await;
    visitor.press("Set up two-factor", &[]).await;
    assert_eq!(visitor.page.status, 403);
    assert!(visitor.page.fault("pass").contains("the pass that you were given"));
    visitor.press("Set up two-factor", &[("pass", "csp_nonsense")]).await;
    assert_eq!(visitor.page.status, 403);
    app.decides(&kari, "enrol").await;
    visitor.press("Set up two-factor", &[("pass", &pass)]).await;
    assert_eq!(visitor.page.one("h1"), "Connect your authenticator app");
}

async fn a_person_goes_back_to_the_application_that_sent_them(app: TestApp) {
    let (kari, two_factor) = app.register_with_two_factor("Kari").await;
    let mut visitor = Visitor::of(&app);
    visitor.open("/login?return_to=https://app.example.com/orders?page=2").await;
    visitor.press("Sign in", &[("email", &kari.email), ("password", &kari.password)]).await;
    visitor.press("Sign in", &[("code", &app.next_code(&two_factor.secret))]).await;
    assert_eq!(visitor.page.address, "https://app.example.com/orders?page=2");
    visitor.open("/account?return_to=https://app.example.com/settings").await;
    visitor.follow("Back to where you came from").await;
    assert_eq!(visitor.page.address, "https://app.example.com/settings");
}

async fn nobody_is_sent_to_another_host(app: TestApp) {
    let kari = app.register("Kari").await;
    let others = [
        "https://evil.example/",
        "https://app.example.com.evil.example/",
        "https://app.example.com@evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "javascript:alert(1)",
    ];
    for other in others {
        let mut visitor = Visitor::of(&app);
        visitor.open(&format!("/login?return_to={other}")).await;
        visitor.press("Sign in", &[("email", &kari.email), ("password", &kari.password)]).await;
        assert_eq!(visitor.page.address, "/account", "{other}");
        visitor.open(&format!("/account?return_to={other}")).await;
        assert!(!visitor.page.html.contains(&format!("href=\"{other}")), "{other}");
        visitor.open(&format!("/language/da?return_to={other}")).await;
        assert_eq!(visitor.page.address, "/account", "{other}");
        // What somebody put into the cookie is no better.
        visitor.cookies.insert("__Host-return-to".to_owned(), other.to_owned());
        visitor.open("/account").await;
        assert!(!visitor.page.html.contains(&format!("href=\"{other}")), "{other}");
    }
}

async fn the_page_speaks_danish(app: TestApp) {
    let kari = app.register("Kari").await;
    let mut visitor = Visitor::of(&app);
    "da-DK,da;q=0.9,en;q=0.5".clone_into(&mut visitor.languages);
    visitor.open("/login").await;
    assert!(visitor.page.html.contains("<html lang=\"da\">"));
    visitor.press("Log ind", &[("email", &kari.email), ("password", &kari.password)]).await;
    assert_eq!(visitor.page.one("h1"), "Din konto");
    // The switch outlasts what the browser likes best.
    visitor.follow("English").await;
    assert_eq!(
        (visitor.page.address.as_str(), visitor.page.one("h1").as_str()),
        ("/account", "Your account")
    );
    visitor.open("/account").await;
    assert_eq!(visitor.page.one("h1"), "Your account");
}

async fn a_sign_in_that_took_too_long_begins_anew(app: TestApp) {
    let (kari, two_factor) = app.register_with_two_factor("Kari").await;
    let mut visitor = signed_in(&app, &kari).await;
    app.advance_min(6);
    visitor.press("Sign in", &[("code", &app.next_code(&two_factor.secret))]).await;
    assert_eq!((visitor.page.status, visitor.page.one("h1").as_str()), (410, "That took too long"));
    visitor.open("/login/code").await;
    assert_eq!(visitor.page.address, "/login");
}

async fn the_record_says_that_it_was_the_page(app: TestApp) {
    let (kari, two_factor) = app.register_with_two_factor("Kari").await;
    let mut visitor = Visitor::of(&app);
    visitor.open("/login").await;
    visitor.press("Sign in", &[("email", &kari.email), ("password", "not the one that it is")]).await;
    signed_in_with(&app, &kari, &two_factor).await;
    app.wait_for_the_trail().await;
    for event_type in ["PasswordFailed", "LoginChallenged", "LoginSucceeded"] {
        let query = format!("user={}&type={event_type}", kari.id);
        let entries = app.entries(&query).await;
        assert_eq!(entries.len(), 1, "{event_type}");
        assert_eq!(entries[0]["actor"]["kind"], "sign_in_page");
        assert_eq!(entries[0]["on_behalf_of"]["id"], kari.id);
    }
}

/// Gives the right password in a browser that somebody has used before.
async fn signs_in_with(visitor: &mut Visitor, person: &Person) {
    visitor.open("/login").await;
    visitor.press("Sign in", &[("email", &person.email), ("password", &person.password)]).await;
}

async fn s17_a_sign_in_that_somebody_left_behind_is_not_the_next_persons(app: TestApp) {
    let (kari, ola) = (app.register("Kari").await, app.register("Ola").await);
    let office = app.agreement("Nordlys").await;
    app.link(&office, &kari).await;
    app.enforce(&office).await;
    let mut visitor = signed_in(&app, &kari).await;
    assert_eq!(visitor.page.address, "/login/two-factor");
    let left_behind = visitor.cookies["__Host-step"].clone();
    signs_in_with(&mut visitor, &ola).await;
    assert_eq!(visitor.page.address, "/account");
    assert!(!visitor.cookies.contains_key("__Host-step"));
    // And where it is still there, whoever is signed in is asked about.
    visitor.cookies.insert("__Host-step".to_owned(), left_behind);
    visitor.open("/login/two-factor").await;
    let text = visitor.page.text();
    assert!(text.contains(&ola.email) && !text.contains(&kari.email), "{text}");
}

async fn whoever_is_not_the_person_signs_in_as_somebody_else(app: TestApp) {
    let kari = app.register("Kari").await;
    let office = app.agreement("Nordlys").await;
    app.link(&office, &kari).await;
    app.enforce(&office).await;
    let mut visitor = signed_in(&app, &kari).await;
    assert!(visitor.page.text().contains(&kari.email));
    visitor.press("Not you? Sign in as somebody else", &[]).await;
    assert_eq!(visitor.page.address, "/login");
    assert!(!visitor.cookies.contains_key("__Host-step"));
}

/// Somebody who should set up two-factor within a week, and has just signed in.
async fn offered_two_factor(app: &TestApp) -> (Person, Visitor) {
    let kari = app.register("Kari").await;
    let bakery = app.agreement("Bageren").await;
    app.link(&bakery, &kari).await;
    app.enforce_by(&bakery, app.now() + TimeDelta::days(7)).await;
    let visitor = signed_in(app, &kari).await;
    assert_eq!(visitor.page.address, "/login/two-factor");
    (kari, visitor)
}

async fn what_a_sign_in_offered_is_taken_up_from_the_account(app: TestApp) {
    let (kari, mut visitor) = offered_two_factor(&app).await;
    visitor.open("/account").await;
    visitor.follow("Enable two-factor authentication").await;
    visitor.press("Continue", &[("password", &kari.password)]).await;
    visitor.connect_app().await;
    assert_eq!(visitor.page.one("h1"), "Store your emergency code");
}

async fn what_a_sign_in_offered_long_ago_is_taken_up_with_the_password(app: TestApp) {
    let (kari, mut visitor) = offered_two_factor(&app).await;
    app.advance_min(11);
    visitor.press("Set up two-factor", &[]).await;
    assert_eq!(visitor.page.address, "/account/two-factor/new");
    visitor.press("Continue", &[("password", &kari.password)]).await;
    assert_eq!(visitor.page.one("h1"), "Connect your authenticator app");
}

async fn an_emergency_code_that_was_lost_sight_of_is_replaced(app: TestApp) {
    let kari = app.register("Kari").await;
    let mut visitor = signed_in(&app, &kari).await;
    visitor.open("/account/two-factor/new").await;
    visitor.press("Continue", &[("password", &kari.password)]).await;
    let (enrolment, secret) = (visitor.page.address.clone(), visitor.page.key());
    visitor.press("Continue", &[("code", &app.code(&secret))]).await;
    let lost = visitor.page.one("#emergency-code");
    assert!(!visitor.page.html.contains("/language/"), "nothing on the page leads away from the code");
    // Whoever loads the page again, or comes back to it, gets another code instead of being told of failure.
    visitor.open(&enrolment).await;
    assert_eq!(visitor.page.address, "/account/two-factor/emergency-code");
    // The session has no second factor behind it, so both are asked for.
    let proof = [("password", kari.password.as_str()), ("code", &app.next_code(&secret))];
    visitor.press("Get a new emergency code", &proof).await;
    let fresh = visitor.page.one("#emergency-code");
    assert_ne!(fresh, lost);
    visitor.press("Continue", &[("stored", "yes")]).await;
    visitor.open(&enrolment).await;
    assert_eq!(visitor.page.status, 410, "whoever stored it is only told that the enrolment has ended");
    let challenge = app.challenge(&kari).await;
    app.verify_recovery_code(&challenge, &lost).await.expect(401);
    app.verify_recovery_code(&challenge, &fresh).await.expect(200);
}

async fn an_application_that_sent_somebody_is_not_forgotten_midway(app: TestApp) {
    let (kari, two_factor) = app.register_with_two_factor("Kari").await;
    let mut visitor = Visitor::of(&app);
    visitor.open("/login?return_to=https://app.example.com/orders").await;
    visitor.press("Sign in", &[("email", &kari.email), ("password", &kari.password)]).await;
    visitor.open("/audit").await;
    assert_eq!(visitor.page.address, "/login");
    visitor.open("/login/code").await;
    visitor.press("Sign in", &[("code", &app.next_code(&two_factor.secret))]).await;
    assert_eq!(visitor.page.address, "https://app.example.com/orders");
}
