//! The account in a browser: turning two-factor on as the guide says, and what comes after.

use countersign_tests::{Person, TestApp, TwoFactor, Visitor, authenticator::read_qr, on_both_databases};

on_both_databases![
    the_guide_can_be_followed_to_the_second_sign_in,
    the_emergency_code_is_acknowledged_before_anything_else,
    a_wrong_first_code_is_told_beside_the_field,
    an_authenticator_is_added_and_the_first_removed,
    a_new_emergency_code_needs_a_proof_once_the_second_factor_is_old,
    what_is_required_cannot_be_turned_off,
    two_factor_is_turned_off,
    another_session_is_signed_out,
    signing_out_everywhere_ends_this_session_too,
    recent_activity_is_ones_own,
    a_name_for_the_app_that_is_none_is_told_beside_the_field,
    whoever_was_reset_turns_two_factor_on_with_the_pass,
    an_authenticator_is_replaced_with_the_emergency_code_as_proof,
    what_comes_after_the_emergency_code_is_an_enrolment_of_ones_own,
];

/// Signs in with the password alone.
pub(crate) async fn signed_in(app: &TestApp, person: &Person) -> Visitor {
    let mut visitor = Visitor::of(app);
    visitor.open("/login").await;
    visitor.press("Sign in", &[("email", &person.email), ("password", &person.password)]).await;
    visitor
}

/// Signs in with the next code.
pub(crate) async fn signed_in_with(app: &TestApp, person: &Person, two_factor: &TwoFactor) -> Visitor {
    let mut visitor = signed_in(app, person).await;
    visitor.press("Sign in", &[("code", &app.next_code(&two_factor.secret))]).await;
    visitor
}

async fn the_guide_can_be_followed_to_the_second_sign_in(app: TestApp) {
    let kari = app.register("Kari").await;
    let mut visitor = signed_in(&app, &kari).await;
    assert_eq!(visitor.page.address, "/account");
    assert_eq!(visitor.page.one(".status"), "Off");
    visitor.follow("Enable two-factor authentication").await;
    visitor.press("Continue", &[("password", &kari.password), ("label", "My phone")]).await;
    let secret = visitor.page.key();
    let picture = visitor.page.html.split("src=\"data:").nth(1).expect("a QR code");
    let picture = format!("data:{}", picture.split('"').next().unwrap_or_default());
    assert!(read_qr(&picture).contains(&format!("secret={secret}")));
    visitor.press("Continue", &[("code", &app.code(&secret))]).await;
    assert_eq!(visitor.page.one("h1"), "Store your emergency code");
    assert_eq!(visitor.page.one("#emergency-code").len(), 24);
    visitor.press("Continue", &[("stored", "yes")]).await;
    assert_eq!(visitor.page.one("h1"), "Two-factor is on");
    visitor.follow("Go to your account").await;
    assert!(visitor.page.one(".status").starts_with("On since"), "{}", visitor.page.text());
    assert!(visitor.page.text().contains("My phone"));
    assert_eq!(app.user(&kari).await["two_factor"]["recovery_code_saved"], true);
    visitor.press("Sign out", &[]).await;
    assert_eq!(visitor.page.address, "/login");
    visitor.press("Sign in", &[("email", &kari.email), ("password", &kari.password)]).await;
    assert_eq!(visitor.page.address, "/login/code");
    let code = app.next_code(&secret);
    // As some apps show it, and some people type it.
    let (first, second) = code.split_at(3);
    visitor.press("Sign in", &[("code", &format!(" {first} {second}"))]).await;
    assert_eq!(visitor.page.address, "/account");
}

async fn the_emergency_code_is_acknowledged_before_anything_else(app: TestApp) {
    let kari = app.register("Kari").await;
    let mut visitor = signed_in(&app, &kari).await;
    visitor.open("/account/two-factor/new").await;
    visitor.press("Continue", &[("password", &kari.password)]).await;
    let secret = visitor.page.key();
    visitor.press("Continue", &[("code", &app.code(&secret))]).await;
    let shown = visitor.page.one("#emergency-code");
    visitor.press("Continue", &[]).await;
    assert_eq!(visitor.page.fault("stored"), "Store the code first, then tick that you have.");
    assert_eq!(visitor.page.one("#emergency-code"), shown, "it can still be stored");
    assert_eq!(app.user(&kari).await["two_factor"]["recovery_code_saved"], false);
}

async fn a_wrong_first_code_is_told_beside_the_field(app: TestApp) {
    let kari = app.register("Kari").await;
    let mut visitor = signed_in(&app, &kari).await;
    visitor.open("/account/two-factor/new").await;
    visitor.press("Continue", &[("password", "something else altogether")]).await;
    assert_eq!(visitor.page.status, 401);
    assert!(visitor.page.fault("password").contains("not right"));
    visitor.press("Continue", &[("password", &kari.password)]).await;
    let secret = visitor.page.key();
    visitor.press("Continue", &[("code", &app.wrong_code(&secret))]).await;
    assert_eq!(visitor.page.status, 422);
    assert!(visitor.page.fault("code").contains("not the code that the app shows"));
    assert!(visitor.page.one(".summary").contains("There is a problem"));
    let again = visitor.page.key();
    assert_eq!(again, secret, "the same key is there to type");
    visitor.press("Continue", &[("code", "12345")]).await;
    assert!(visitor.page.fault("code").contains("six digits"));
    app.advance_min(11);
    visitor.press("Continue", &[("code", &app.code(&secret))]).await;
    assert_eq!((visitor.page.status, visitor.page.one("h1").as_str()), (410, "That took too long"));
}

async fn an_authenticator_is_added_and_the_first_removed(app: TestApp) {
    let (kari, two_factor) = app.register_with_two_factor("Kari").await;
    let mut visitor = signed_in_with(&app, &kari, &two_factor).await;
    visitor.follow("Add another").await;
    assert!(!visitor.page.has("#password"), "the second factor has just been passed");
    visitor.press("Continue", &[("label", "Tablet")]).await;
    let secret = visitor.page.key();
    visitor.press("Continue", &[("code", &app.code(&secret))]).await;
    visitor.open("/account").await;
    assert!(visitor.page.text().contains("Tablet"));
    visitor.open(&format!("/account/two-factor/authenticators/{}/remove", two_factor.authenticator_id)).await;
    assert_eq!(visitor.page.one("h1"), "Remove Authenticator?");
    visitor.press("Remove", &[]).await;
    assert_eq!(visitor.page.address, "/account");
    let user = app.user(&kari).await;
    assert_eq!(user["two_factor"]["authenticators"].as_array().map(Vec::len), Some(1));
    assert_eq!(user["two_factor"]["authenticators"][0]["label"], "Tablet");
}

async fn a_new_emergency_code_needs_a_proof_once_the_second_factor_is_old(app: TestApp) {
    let (kari, two_factor) = app.register_with_two_factor("Kari").await;
    let mut visitor = signed_in_with(&app, &kari, &two_factor).await;
    app.advance_min(11);
    visitor.follow("Get a new emergency code").await;
    assert!(visitor.page.has("#password") && visitor.page.has("#code"));
    visitor.press("Get a new emergency code", &[("password", &kari.password)]).await;
    assert_eq!(visitor.page.status, 403);
    assert!(visitor.page.fault("password").contains("Show that it is you"));
    let wrong = [("password", kari.password.as_str()), ("code", &app.wrong_code(&two_factor.secret))];
    visitor.press("Get a new emergency code", &wrong).await;
    assert!(visitor.page.fault("code").contains("That code is not right"));
    let right = [("password", kari.password.as_str()), ("code", &app.next_code(&two_factor.secret))];
    visitor.press("Get a new emergency code", &right).await;
    let fresh = visitor.page.one("#emergency-code");
    let challenge = app.challenge(&kari).await;
    app.verify_recovery_code(&challenge, &two_factor.recovery_code).await.expect(401);
    app.verify_recovery_code(&challenge, &fresh).await.expect(200);
}

async fn what_is_required_cannot_be_turned_off(app: TestApp) {
    let (kari, two_factor) = app.register_with_two_factor("Kari").await;
    let office = app.administrator("Nordlys Regnskab").await;
    let customer = app.administered("Bageren", &office).await;
    app.link(&customer, &kari).await;
    let mut visitor = signed_in_with(&app, &kari, &two_factor).await;
    visitor.open("/account/two-factor/disable").await;
    app.enforce(&office).await;
    // Ticked after the page was loaded: the answer is judged when the form comes.
    visitor.press("Turn off two-factor", &[]).await;
    assert_eq!(visitor.page.status, 409);
    let required = "Nordlys Regnskab requires two-factor for every agreement that it administers.";
    assert!(visitor.page.text().contains(required), "{}", visitor.page.text());
    visitor.open("/account").await;
    assert!(visitor.page.text().contains(required));
    assert!(visitor.page.text().contains("You cannot turn it off while it is required of you."));
    assert_eq!(app.user(&kari).await["two_factor"]["enabled"], true);
}

async fn two_factor_is_turned_off(app: TestApp) {
    let (kari, two_factor) = app.register_with_two_factor("Kari").await;
    let mut visitor = signed_in_with(&app, &kari, &two_factor).await;
    visitor.follow("Turn off two-factor").await;
    visitor.press("Turn off two-factor", &[]).await;
    app.decides(&kari, "password_only").await;
}

async fn another_session_is_signed_out(app: TestApp) {
    let kari = app.register("Kari").await;
    let mut elsewhere = signed_in(&app, &kari).await;
    let mut visitor = signed_in(&app, &kari).await;
    visitor.press("Sign out there", &[]).await;
    assert_eq!(visitor.page.address, "/account");
    elsewhere.open("/account").await;
    assert_eq!(elsewhere.page.address, "/login");
}

async fn signing_out_everywhere_ends_this_session_too(app: TestApp) {
    let kari = app.register("Kari").await;
    let mut elsewhere = signed_in(&app, &kari).await;
    let mut visitor = signed_in(&app, &kari).await;
    visitor.press("Sign out everywhere", &[]).await;
    assert_eq!(visitor.page.address, "/login");
    elsewhere.open("/account").await;
    assert_eq!(elsewhere.page.address, "/login");
}

async fn recent_activity_is_ones_own(app: TestApp) {
    let (kari, ola) = (app.register("Kari").await, app.register("Ola").await);
    signed_in(&app, &ola).await;
    let mut visitor = signed_in(&app, &kari).await;
    app.wait_for_the_trail().await;
    visitor.open("/account").await;
    assert!(visitor.page.text().contains("Kari signed in"), "{}", visitor.page.text());
    assert!(!visitor.page.text().contains("Ola"));
}

async fn a_name_for_the_app_that_is_none_is_told_beside_the_field(app: TestApp) {
    let kari = app.register("Kari").await;
    let mut visitor = signed_in(&app, &kari).await;
    visitor.open("/account/two-factor/new").await;
    visitor.press("Continue", &[("password", &kari.password), ("label", &"x".repeat(101))]).await;
    assert_eq!(visitor.page.status, 422);
    assert!(visitor.page.fault("label").contains("100 characters"));
}

async fn whoever_was_reset_turns_two_factor_on_with_the_pass(app: TestApp) {
    let (kari, _) = app.register_with_two_factor("Kari").await;
    let pass = app.reset_two_factor(&kari).await;
    let mut visitor = signed_in(&app, &kari).await;
    visitor.follow("Enable two-factor authentication").await;
    assert!(!visitor.page.has("#pass"), "it is asked for once it is known to be needed");
    visitor.press("Continue", &[("password", &kari.password)]).await;
    assert_eq!(visitor.page.status, 403);
    assert!(visitor.page.fault("pass").contains("the pass that you were given"));
    visitor.press("Continue", &[("password", &kari.password), ("pass", "csp_nonsense")]).await;
    assert_eq!(visitor.page.status, 403);
    assert!(visitor.page.fault("pass").contains("the pass that you were given"));
    visitor.press("Continue", &[("password", "something else altogether"), ("pass", &pass)]).await;
    assert_eq!(visitor.page.status, 401);
    assert!(visitor.page.fault("password").contains("not right"));
    let pasted = format!(" {pass} ");
    visitor.press("Continue", &[("password", &kari.password), ("pass", &pasted)]).await;
    visitor.connect_app().await;
    visitor.press("Continue", &[("stored", "yes")]).await;
    assert_eq!(visitor.page.one("h1"), "Two-factor is on");
}

async fn an_authenticator_is_replaced_with_the_emergency_code_as_proof(app: TestApp) {
    let (kari, two_factor) = app.register_with_two_factor("Kari").await;
    let mut visitor = signed_in_with(&app, &kari, &two_factor).await;
    app.advance_min(11);
    visitor.follow("Replace").await;
    let proof = [("password", kari.password.as_str()), ("recovery_code", two_factor.recovery_code.as_str())];
    visitor.press("Continue", &proof).await;
    assert_eq!(visitor.page.one("h1"), "Store your new emergency code");
    let fresh = visitor.page.one("#emergency-code");
    visitor.press("Continue", &[]).await;
    assert_eq!(visitor.page.fault("stored"), "Store the code first, then tick that you have.");
    visitor.press("Continue", &[("stored", "yes")]).await;
    visitor.connect_app().await;
    assert_eq!(visitor.page.one("h1"), "Two-factor is on");
    let user = app.user(&kari).await;
    assert_eq!(user["two_factor"]["authenticators"].as_array().map(Vec::len), Some(1));
    assert_eq!(user["two_factor"]["recovery_code_saved"], true);
    let challenge = app.challenge(&kari).await;
    app.verify(&challenge, &app.next_code(&two_factor.secret)).await.expect(401);
    app.verify_recovery_code(&challenge, &fresh).await.expect(200);
}

async fn what_comes_after_the_emergency_code_is_an_enrolment_of_ones_own(app: TestApp) {
    let (kari, two_factor) = app.register_with_two_factor("Kari").await;
    let mut visitor = signed_in_with(&app, &kari, &two_factor).await;
    let token = visitor.page.form_token();
    let saved = "/account/two-factor/emergency-code/saved";
    for (next, status) in [
        ("//evil.example", 400),
        ("https://evil.example/", 400),
        ("../../logout", 400),
        ("01890a5d-ac96-7b7c-8f8f-5c1c6f4f0001", 404),
    ] {
        let fields =
            [("form_token", token.as_str()), ("shown_code", ""), ("stored", "yes"), ("enrolment", next)];
        visitor.send(saved, &fields).await;
        assert_eq!(visitor.page.status, status, "{next}");
        assert!(visitor.page.address.starts_with("/account/two-factor/"), "{}", visitor.page.address);
    }
}
