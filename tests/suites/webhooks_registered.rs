//! Webhooks: registering, listing, showing and deleting them, and what is refused.

use countersign_tests::{NOBODY, TestApp, answer::time, on_both_databases, receiver::Reply};
use serde_json::{Value, json};

use crate::routes::UNKNOWN_ID;
use crate::webhooks::{app_and_receiver, failed, path_of, register, served, show};

on_both_databases![
    addresses_in_private_networks_are_refused_at_registration,
    s12_the_secret_is_shown_once_and_nowhere_else,
    a_webhook_is_listed_and_shown_as_it_was_registered,
    a_webhook_is_listed_without_its_registration_too,
    what_is_no_webhook_is_refused,
    there_are_fifty_webhooks_at_most,
];

async fn addresses_in_private_networks_are_refused_at_registration(app: TestApp) {
    for url in [
        "https://127.0.0.1/in",
        "https://127.1/in",
        "https://2130706433/in",
        "https://0x7f000001/in",
        "https://[::1]/in",
        "https://[::ffff:192.168.1.1]/in",
        "https://[64:ff9b::169.254.169.254]/in",
        "https://10.1.2.3/in",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/in",
        "https://[fd00::1]/in",
        "https://[fe80::1]/in",
        "http://siem.example/in",
        "http://8.8.8.8/in",
    ] {
        let answer = app.post("/v1/webhooks", &app.key, json!({ "url": url })).await;
        assert_eq!(answer.refused(422, "invalid-field")["field"], "url", "{url}");
    }
    assert!(app.get("/v1/webhooks", &app.key).await.expect(200).items().is_empty());
}

async fn s12_the_secret_is_shown_once_and_nowhere_else(app: TestApp) {
    let (app, receiver) = app_and_receiver(app).await;
    let webhook = register(&app, &receiver.url("/in"), &[]).await;
    let secret = webhook.string("secret");
    let random = secret.strip_prefix("whsec_").expect("its prefix");
    assert_eq!(random.len(), 44, "256 bits in base64");
    receiver.reply("/in", Reply::Status(500));
    app.agreement("Havbris").await;
    failed(&app, &webhook, 1).await;
    receiver.reply("/in", Reply::Status(204));
    app.advance_s(10);
    served(&app, &webhook).await;
    let mut told = vec![
        show(&app, &webhook).await.to_string(),
        app.get("/v1/webhooks", &app.key).await.expect(200).text,
        json!(app.entries("").await).to_string(),
        app.get("/metrics", NOBODY).await.expect(200).text,
        json!(app.snapshots_and_refolds().await).to_string(),
    ];
    for received in receiver.received("/in") {
        told.push(format!("{:?} {}", received.headers, received.body));
    }
    assert!(told.iter().all(|told| !told.contains(random) && !told.contains("whsec_")), "{told:?}");
    let other = register(&app, &receiver.url("/in"), &[]).await;
    assert_ne!(other.string("secret"), secret);
}

async fn a_webhook_is_listed_and_shown_as_it_was_registered(app: TestApp) {
    let body = json!({
        "url": "https://SIEM.example/in?key=1",
        "types": ["UserUnlinked", "UserLinked", "UserUnlinked"],
    });
    let registered = app.post("/v1/webhooks", &app.key, body).await.expect(201);
    assert!(!registered.header("countersign-write").is_empty());
    let mut expected = registered.body.clone();
    expected.as_object_mut().expect("an object").remove("secret").expect("a secret");
    assert_eq!(expected["url"], "https://siem.example/in?key=1");
    assert_eq!(expected["types"], json!(["UserLinked", "UserUnlinked"]));
    assert_eq!(time(&expected["registered_at"]), app.now());
    let by = &expected["registered_by"];
    assert_eq!((&by["kind"], &by["name"]), (&json!("api_key"), &json!("suites")));
    assert!(by["id"].is_string(), "{by}");
    assert_eq!(app.get("/v1/webhooks", &app.key).await.expect(200).items(), [expected.clone()]);
    let mut shown = show(&app, &registered).await;
    let fares = shown.as_object_mut().expect("an object").remove("delivery").expect("how it fares");
    assert_eq!(shown, expected);
    assert_eq!(fares["attempts"], 0);

    let all = app.post("/v1/webhooks", &app.key, json!({ "url": "https://siem.example" })).await;
    assert_eq!(all.expect(201)["types"], json!([]));
}

async fn a_webhook_is_listed_without_its_registration_too(app: TestApp) {
    let body = json!({ "url": "https://localhost/in", "types": ["AgreementClosed"] });
    let webhook = app.post("/v1/webhooks", &app.key, body).await.expect(201).string("id");
    app.place.tamper(&format!("DELETE FROM events WHERE aggregate_id = '{webhook}'")).await;
    let listed = app.get("/v1/webhooks", &app.key).await.expect(200).items();
    assert_eq!((&listed[0]["id"], &listed[0]["registered_by"]), (&json!(webhook), &Value::Null));
}

async fn what_is_no_webhook_is_refused(app: TestApp) {
    let post = async |body: Value| app.post("/v1/webhooks", &app.key, body).await;
    let url = "https://siem.example/in";
    post(json!({ "url": url, "types": ["NoSuchEvent"] })).await.refused(400, "malformed-request");
    post(json!({ "url": url, "types": ["UserLinked UserUnlinked"] })).await.refused(400, "malformed-request");
    post(json!({ "url": url, "types": "UserLinked" })).await.refused(422, "invalid-body");
    post(json!({ "url": url, "secret": "whsec_bWluZQ==" })).await.refused(422, "invalid-body");
    post(json!({ "types": [] })).await.refused(422, "invalid-body");
    let long = format!("{url}/{}", "a".repeat(2_048));
    for url in ["", "siem.example", "https://ada:pw@siem.example/", "https://siem.example/#x", &long] {
        post(json!({ "url": url })).await.refused(422, "invalid-field");
    }
    for id in [UNKNOWN_ID, "nonsense"] {
        app.get(&format!("/v1/webhooks/{id}"), &app.key).await.refused(404, "not-found");
        app.delete(&format!("/v1/webhooks/{id}"), &app.key).await.refused(404, "not-found");
    }
}

async fn there_are_fifty_webhooks_at_most(app: TestApp) {
    let body = json!({ "url": "https://localhost/in", "types": ["AgreementClosed"] });
    let mut first = None;
    for _ in 0..50 {
        let registered = app.post("/v1/webhooks", &app.key, body.clone()).await.expect(201);
        first.get_or_insert(registered);
    }
    app.post("/v1/webhooks", &app.key, body.clone()).await.refused(409, "too-many-webhooks");
    app.delete(&path_of(&first.expect("a webhook")), &app.key).await.expect(204);
    app.post("/v1/webhooks", &app.key, body).await.expect(201);
}
