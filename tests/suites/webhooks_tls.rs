//! Webhooks over TLS: sent to whom the machine trusts, and to nobody else.

use std::sync::Arc;

use countersign_tests::{
    Answer, Place, Receiver, Serving, TestApp, answer::string, app::SCOPES, program_on_both_databases,
    receiver::eventually,
};
use serde_json::json;

program_on_both_databases![
    a_receiver_that_the_machine_trusts_gets_its_entries,
    a_receiver_that_the_machine_does_not_trust_gets_nothing,
    a_receiver_under_another_name_gets_nothing_and_is_not_quoted,
];

const PRIVATE_TARGETS: (&str, &str) = ("COUNTERSIGN_WEBHOOK_PRIVATE_TARGETS", "true");

async fn register(app: &TestApp, url: &str) -> Answer {
    app.post("/v1/webhooks", &app.key, json!({ "url": url })).await.expect(201)
}

/// Why a webhook is not delivered to.
async fn last_error(app: &TestApp, webhook: &Answer) -> String {
    let path = format!("/v1/webhooks/{}", webhook.string("id"));
    eventually("a delivery that failed", async || {
        let delivery = app.get(&path, &app.key).await.expect(200).body["delivery"].clone();
        (delivery["attempts"] != 0).then(|| string(&delivery["last_error"]))
    })
    .await
}

/// Serves, and trusts this certificate alone.
fn serve_trusting(place: &Place, certificate: String) -> Serving {
    let file = place.data_dir().join("trusted.pem");
    std::fs::write(&file, certificate).expect("a file");
    let file = file.to_string_lossy().into_owned();
    place.serve_with(&[PRIVATE_TARGETS, ("SSL_CERT_FILE", &file)])
}

async fn a_receiver_that_the_machine_trusts_gets_its_entries(place: Arc<Place>) {
    let (receiver, certificate) = Receiver::start_with_tls().await;
    let serving = serve_trusting(&place, certificate);
    let key = place.create_api_key("tls", &SCOPES);
    let app = TestApp::of_program(&place, &serving, &key);
    let webhook = register(&app, &receiver.url("/in")).await;
    app.agreement("Havbris").await;
    for received in receiver.wait_for("/in", 2).await {
        received.assert_signed_with(&webhook.string("secret"));
    }
    serving.stop().exits(0);
}

async fn a_receiver_that_the_machine_does_not_trust_gets_nothing(place: Arc<Place>) {
    let (receiver, _) = Receiver::start_with_tls().await;
    let serving = place.serve_with(&[PRIVATE_TARGETS]);
    let key = place.create_api_key("tls", &SCOPES);
    let app = TestApp::of_program(&place, &serving, &key);
    let webhook = register(&app, &receiver.url("/in")).await;
    let error = last_error(&app, &webhook).await;
    let expected = "its certificate is from an issuer that this machine does not trust";
    assert_eq!(error, format!("the receiver was not reached: {expected}"));
    assert!(receiver.received("/in").is_empty());
    serving.stop().exits(0);
}

async fn a_receiver_under_another_name_gets_nothing_and_is_not_quoted(place: Arc<Place>) {
    let (receiver, certificate) = Receiver::start_with_tls().await;
    let serving = serve_trusting(&place, certificate);
    let key = place.create_api_key("tls", &SCOPES);
    let app = TestApp::of_program(&place, &serving, &key);
    // The certificate is for localhost.
    let webhook = register(&app, &format!("https://127.0.0.1:{}/in", receiver.port())).await;
    let error = last_error(&app, &webhook).await;
    assert_eq!(error, "the receiver was not reached: its certificate is for another name");
    assert!(receiver.received("/in").is_empty());
    let stderr = serving.stop().exits(0).stderr;
    let told = stderr.lines().filter(|line| line.contains("webhook")).collect::<String>();
    assert!(told.contains(&error) && !told.contains("localhost"), "{told}");
}
