//! The pages while the database is away.

use countersign_tests::{
    TestApp, on_postgresql,
    postgres::{give_back, take_away},
};

use crate::pages_account::signed_in;

on_postgresql![s17_nobody_is_told_that_they_signed_out_while_their_session_goes_on];

async fn s17_nobody_is_told_that_they_signed_out_while_their_session_goes_on(app: TestApp) {
    let kari = app.register("Kari").await;
    let mut visitor = signed_in(&app, &kari).await;
    let kept = visitor.cookies.clone();
    take_away(app.place.url()).await;
    visitor.press("Sign out", &[]).await;
    assert_eq!(visitor.page.status, 503);
    assert_eq!(visitor.page.one("h1"), "Too much is going on right now");
    assert_eq!(visitor.cookies, kept, "the browser knows the session that goes on");
    give_back(app.place.url()).await;
    // The page that told of it has the button again.
    visitor.press("Sign out", &[]).await;
    assert_eq!(visitor.page.address, "/login");
    visitor.cookies = kept;
    visitor.open("/account").await;
    assert_eq!(visitor.page.address, "/login", "the session has ended");
}
