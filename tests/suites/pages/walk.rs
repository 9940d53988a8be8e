//! The ways through the pages that several tests take.

use countersign_tests::{Browser, Person, TestApp, authenticator::read_qr_png, browser::opening::Opening};

/// What a person looks for on the way, in their language.
pub(super) struct Words {
    pub(super) email: &'static str,
    pub(super) password: &'static str,
    pub(super) sign_in: &'static str,
    pub(super) account: &'static str,
    pub(super) enable: &'static str,
    pub(super) go_on: &'static str,
    pub(super) qr: &'static str,
    pub(super) code: &'static str,
    pub(super) store: &'static str,
    pub(super) stored: &'static str,
    pub(super) done: &'static str,
}

pub(super) const ENGLISH: Words = Words {
    email: "E-mail address",
    password: "Password",
    sign_in: "Sign in",
    account: "Your account",
    enable: "Enable two-factor authentication",
    go_on: "Continue",
    qr: "QR code for your authenticator app. The same key stands below as text.",
    code: "Six-digit code",
    store: "Store your emergency code",
    stored: "I have stored it",
    done: "Two-factor is on",
};

pub(super) const DANISH: Words = Words {
    email: "E-mailadresse",
    password: "Adgangskode",
    sign_in: "Log ind",
    account: "Din konto",
    enable: "Slå totrinsbekræftelse til",
    go_on: "Fortsæt",
    qr: "QR-kode til din authenticator-app. Den samme nøgle står som tekst nedenfor.",
    code: "Sekscifret kode",
    store: "Gem din nødkode",
    stored: "Jeg har gemt den",
    done: "Totrinsbekræftelse er slået til",
};

/// A browser that is to visit the product.
pub(super) fn visiting(app: &TestApp) -> Opening {
    Browser::visiting(app.base())
}

/// Opens the account, and gives the password that is asked for.
pub(super) async fn gives_password(browser: &Browser, person: &Person, words: &Words) {
    browser.goto("/account").await;
    browser.arrives_at("/login").await;
    browser.fill(words.email, &person.email).await;
    browser.fill(words.password, &person.password).await;
    browser.press(words.sign_in).await;
}

/// Opens the account of somebody who has no two-factor.
pub(super) async fn signs_in(browser: &Browser, person: &Person, words: &Words) {
    gives_password(browser, person, words).await;
    browser.arrives_at("/account").await;
    browser.heading(words.account).await;
}

/// Goes from the account to two-factor that is on, looking at each page; returns the key of the app
/// and the emergency code.
pub(super) async fn turns_on_two_factor(
    (app, browser): (&TestApp, &Browser),
    person: &Person,
    words: &Words,
    look: impl AsyncFn(&str),
) -> (String, String) {
    look("account-without-two-factor").await;
    browser.follow(words.enable).await;
    look("two-factor-begin").await;
    browser.fill(words.password, &person.password).await;
    browser.press(words.go_on).await;
    let secret = scans(browser, words).await;
    look("two-factor-scan").await;
    browser.fill(words.code, &app.code(&secret)).await;
    browser.press(words.go_on).await;
    browser.heading(words.store).await;
    let emergency_code = emergency_code(browser).await;
    look("emergency-code").await;
    browser.tick(words.stored).await;
    browser.press(words.go_on).await;
    browser.heading(words.done).await;
    look("two-factor-done").await;
    (secret, emergency_code)
}

/// Points the app at the QR code; the key that stands below is the same.
pub(super) async fn scans(browser: &Browser, words: &Words) -> String {
    let read = read_qr_png(&browser.photograph(words.qr).await);
    let (_, rest) = read.split_once("secret=").expect("a key in the QR code");
    let secret = rest.split('&').next().unwrap_or_default().to_owned();
    browser.sees(&secret).await;
    secret
}

/// The emergency code on the page: five groups of four.
pub(super) async fn emergency_code(browser: &Browser) -> String {
    let text = browser.text().await;
    let mut words = text.split(' ');
    let is_code = |word: &&str| word.len() == 24 && word.split('-').all(|group| group.len() == 4);
    words.find(is_code).unwrap_or_else(|| panic!("no emergency code in {text}")).to_owned()
}
