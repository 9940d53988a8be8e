//! How reports are asked for, signed and shown.

use chrono::TimeDelta;
use countersign_tests::{NOBODY, TestApp, on_both_databases};
use serde_json::{Value, json};

use super::{REPORTS, ask, at, evidence, rows};
use crate::independent::second_program::{Outsider, with_another_signature};
use crate::routes::UNKNOWN_ID;

on_both_databases![
    every_report_is_signed_by_the_ledgers_key_and_is_no_checkpoint,
    the_same_question_has_the_same_rows,
    what_cannot_be_asked_is_refused,
    asking_is_recorded_once,
    a_page_shows_what_people_wrote_as_text_and_loads_nothing,
];

async fn every_report_is_signed_by_the_ledgers_key_and_is_no_checkpoint(app: TestApp) {
    let outsider = Outsider::who_trusts(&app.get("/v1/audit/key", NOBODY).await.expect(200).text);
    app.register("Ada").await;
    for report in REPORTS {
        let answer = ask(&app, report, "").await.expect(200);
        let note = answer.string("note");
        let said = outsider.note(&note).exits(0).stdout;
        let signed: Value = serde_json::from_str(&said).expect("the text is JSON");
        assert_eq!(signed, answer.body["report"], "{report}");
        assert_eq!((said.lines().count(), said.starts_with('{')), (1, true));
        outsider.note(&with_another_signature(&note)).refuses(&["invalid signature"]);
        outsider.note(&note.replacen("\"title\"", "\"Title\"", 1)).refuses(&["invalid signature"]);
        outsider.checkpoint(&note).refuses(&["the checkpoint is of"]);
        let alone = ask(&app, report, "format=note").await.expect(200);
        assert_eq!(alone.header("content-type"), "text/plain; charset=utf-8");
        outsider.note(&alone.text).exits(0);
    }
    // What it rests on is a part of the ledger that anybody can compare with a later checkpoint.
    let report = evidence(&app, "disabled", "").await;
    let checkpoint = app.get("/v1/audit/checkpoint", NOBODY).await.expect(200).text;
    let lines: Vec<&str> = checkpoint.lines().collect();
    assert_eq!(
        [lines[0], lines[1], lines[2]].map(str::to_owned),
        [
            report["origin"].as_str().expect("a name").to_owned(),
            report["position"].to_string(),
            report["root"].as_str().expect("a root").to_owned()
        ]
    );
}

async fn the_same_question_has_the_same_rows(app: TestApp) {
    let mut mixed = countersign_tests::Mixed::default();
    app.mix(&mut mixed, 7, 100).await;
    let until = app.now();
    app.advance_s(60);
    let question = |report: &str| match report {
        "enforcement-on-date" | "replay" => format!("as_of={}", at(until)),
        "integrity" => String::new(),
        _ => format!("to={}", at(until)),
    };
    let mut first = Vec::new();
    for report in REPORTS {
        first.push(evidence(&app, report, &question(report)).await);
    }
    assert!(first.iter().filter(|report| !rows(report).is_empty()).count() > 5);
    app.mix(&mut mixed, 8, 30).await;
    for (report, first) in REPORTS.iter().zip(first) {
        let again = evidence(&app, report, &question(report)).await;
        assert_eq!(again["rows"], first["rows"], "{report}");
        if first["parameters"]["as_of"].is_string() {
            assert_eq!((&again["position"], &again["root"]), (&first["position"], &first["root"]));
        }
    }
}

async fn what_cannot_be_asked_is_refused(app: TestApp) {
    let shop = app.agreement("Havbris").await;
    let tomorrow = at(app.now() + TimeDelta::days(1));
    let agreement = format!("agreement={}", shop.id);
    let moment = "as_of=2027-01-01T00%3A00%3A00Z";
    let from = "from=2027-01-01T00%3A00%3A00Z";
    for (report, query) in [
        ("enforcement-on-date", from.to_owned()),
        ("enforcement-on-date", format!("as_of={tomorrow}")),
        ("disabled", moment.to_owned()),
        ("disabled", "from=2027-02-01T00%3A00%3A00Z&to=2027-01-01T00%3A00%3A00Z".to_owned()),
        ("disabled", "from=yesterday".to_owned()),
        ("disabled", "agreement=Havbris".to_owned()),
        ("disabled", "format=pdf".to_owned()),
        ("disabled", "user=1".to_owned()),
        ("audit-reads", agreement.clone()),
        ("erasures", agreement.clone()),
        ("integrity", agreement.clone()),
        ("integrity", moment.to_owned()),
        ("integrity", from.to_owned()),
        ("replay", agreement.clone()),
        ("replay", "to=2027-01-01T00%3A00%3A00Z".to_owned()),
        ("replay", format!("as_of={tomorrow}")),
    ] {
        ask(&app, report, &query).await.refused(400, "malformed-request");
    }
    let unknown = ask(&app, "everything", "").await.refused(404, "not-found");
    for report in REPORTS {
        assert!(unknown.string("detail").contains(report), "{}", unknown.text);
    }
    ask(&app, "disabled", &format!("agreement={UNKNOWN_ID}")).await.refused(404, "not-found");
    // What is refused is not recorded as read.
    let reads = app.entries("type=AuditRead").await;
    assert!(reads.iter().all(|read| read["data"]["filter"]["route"] != "evidence"), "{reads:?}");
}

async fn asking_is_recorded_once(app: TestApp) {
    let shop = app.agreement("Havbris").await;
    let query = format!("agreement={}&from=2027-01-01T00%3A00%3A00Z", shop.id);
    for _ in 0..3 {
        ask(&app, "disabled", &query).await.expect(200);
        ask(&app, "lockouts", &query).await.expect(200);
    }
    let reads = app.entries("type=AuditRead").await;
    let asked = |report: &str| {
        let filter = json!({
            "route": "evidence", "types": [report], "agreement": shop.id, "from": "2027-01-01T00:00:00Z"
        });
        reads.iter().filter(|read| read["data"]["filter"] == filter).count()
    };
    assert_eq!([asked("disabled"), asked("lockouts")], [1, 1], "{reads:?}");
}

async fn a_page_shows_what_people_wrote_as_text_and_loads_nothing(app: TestApp) {
    let name = "<script>alert(1)</script>\"'&";
    let shop = app.agreement("</style><img src=x onerror=alert(1)>").await;
    let body =
        json!({ "email": "eve@example.com", "display_name": name, "password": "a long passphrase of Eve" });
    let eve = app.post("/v1/users", &app.key, body).await.expect(201).string("id");
    app.put(&shop.path(&format!("/users/{eve}")), &app.key, json!({ "role": "superuser" })).await.expect(204);
    app.enforce(&shop).await;
    for report in REPORTS {
        let page = ask(&app, report, "format=html").await.expect(200);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        let policy = page.header("content-security-policy").to_owned();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        for foreign in ["<script", "<img", "</style><", "src=\"", "href=\"", "url(", "@import", "://"] {
            let html = page.text.replace("</style></head>", "").replace("https://siem.example", "");
            assert!(!html.contains(foreign), "{foreign} in {report}");
        }
        assert_eq!(page.text.matches("<style>").count(), 1);
    }
    let page = ask(&app, "admin-actions", "format=html").await.expect(200).text;
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;"), "the name is shown");
    assert!(page.contains("<h1>What operators, applications and superusers changed</h1>"));
    assert!(page.contains("<time datetime=\"2027-01-15T08:00:00Z\"><span>15 January 2027</span> <span>08:00:00 UTC</span></time>"));
}
