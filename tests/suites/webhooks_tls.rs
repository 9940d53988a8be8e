//! Webhooks over TLS: sent to whom the machine trusts, and to nobody else.

use std::sync::Arc;

use countersign_tests::{
    Answer, Place, Receiver, TestApp, answer::string, app::SCOPES, program_on_both_databases,
    receiver::eventually,
};
use serde_json::json;

program_on_both_databases![
    a_receiver_that_the_machine_trusts_gets_its_entries,
    a_receiver_that_the_machine_does_not_trust_gets_nothing,
];

const PRIVATE_TARGETS: (&str, &str) = ("COUNTERSIGN_WEBHOOK_PRIVATE_TARGETS", "true");

async fn register(app: &TestApp, receiver: &Receiver) -> Answer {
    let body = json!({ "url": receiver.url("/in") });
    app.post("/v1/webhooks", &app.key, body).await.expect(201)
}

async fn a_receiver_that_the_machine_trusts_gets_its_entries(place: Arc<Place>) {
    let (receiver, certificate) = Receiver::start_with_tls().await;
    let file = place.data_dir().join("trusted.pem");
    std::fs::write(&file, certificate).expect("a file");
    let file = file.to_string_lossy().into_owned();
    let serving = place.serve_with(&[PRIVATE_TARGETS, ("SSL_CERT_FILE", &file)]);
    let key = place.create_api_key("tls", &SCOPES);
    let app = TestApp::of_program(&place, &serving, &key);
    let webhook = register(&app, &receiver).await;
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
    let webhook = register(&app, &receiver).await;
    let path = format!("/v1/webhooks/{}", webhook.string("id"));
    let error = eventually("a delivery that failed", async || {
        let delivery = app.get(&path, &app.key).await.expect(200).body["delivery"].clone();
        (delivery["attempts"] != 0).then(|| string(&delivery["last_error"]))
    })
    .await;
    assert!(error.contains("invalid peer certificate"), "{error}");
    assert!(receiver.received("/in").is_empty());
    serving.stop().exits(0);
}
