//! The whole journey on the built program with its logs wide open, then a search of the database
//! and the logs for everything that must not be there.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::TimeDelta;
use countersign_tests::{
    Database, Person, Place, Ran, Receiver, TestApp, answer::string, app::SCOPES, authenticator::code_at,
    people::enrolment, people::two_factor, program_on_both_databases,
};
use serde_json::json;

use crate::secrets_search::{Heap, Secret};

program_on_both_databases![
    s12_no_secret_is_left_in_the_database_or_the_logs,
    s12_the_search_finds_what_is_really_in_the_database,
];

/// What the journey left behind.
struct Remains {
    /// Must be nowhere.
    secrets: Vec<Secret>,
    /// Must not be in the database.
    personal: Vec<Secret>,
    ran: Ran,
}

/// A name that is stored as it is, so that the search can be seen to find something.
const PLANTED: &str = "Havbris Planted Marker";

async fn journey(place: &Arc<Place>) -> Remains {
    let env = [("RUST_LOG", "trace"), ("COUNTERSIGN_WEBHOOK_PRIVATE_TARGETS", "true")];
    let serving = place.serve_with(&env);
    let key = place.create_api_key("secrets", &SCOPES);
    let app = TestApp::of_program(place, &serving, &key);
    let mut secrets = vec![Secret::new("API key", &key)];
    let receiver = Receiver::start().await;
    secrets.extend(webhook(&app, &receiver).await);
    let ada = app.register("Ada Augusta Lovelace").await;
    enforced(&app, &ada, &mut secrets).await;
    signed_in(&app, &ada, &mut secrets).await;
    let personal = vec![Secret::new("e-mail", &ada.email), Secret::new("display name", &ada.display_name)];
    secrets.extend(reset(place, &ada));
    receiver.wait_for("/in", 10).await;
    Remains { secrets, personal, ran: serving.stop().exits(0) }
}

fn token(name: &str, token: &str) -> Vec<Secret> {
    let random = token.split_once('_').map_or(token, |(_, random)| random);
    vec![Secret::new(name, token), Secret::new(&format!("{name} without its prefix"), random)]
}

/// Everything that is recorded from now on is sent to an address that holds a password.
async fn webhook(app: &TestApp, receiver: &Receiver) -> Vec<Secret> {
    let password = "a-password-in-an-address";
    let body = json!({ "url": receiver.url(&format!("/in?key={password}")) });
    let secret = app.post("/v1/webhooks", &app.key, body).await.expect(201).string("secret");
    let random = secret.strip_prefix("whsec_").and_then(|random| STANDARD.decode(random).ok());
    vec![
        Secret::new("address of a webhook", password),
        Secret::new("secret of a webhook", &secret),
        Secret::bytes("secret of a webhook, its bytes", random.expect("base64")),
    ]
}

fn recovery_code(code: &str) -> Vec<Secret> {
    let bare = code.replace('-', "");
    vec![
        Secret::new("emergency code", code),
        Secret::new("emergency code without dashes", &bare),
        Secret::new("emergency code in small letters", &bare.to_lowercase()),
    ]
}

/// Somebody who must enrol does.
async fn enforced(app: &TestApp, ada: &Person, secrets: &mut Vec<Secret>) {
    let agreement = app.agreement(PLANTED).await;
    app.link(&agreement, ada).await;
    app.enforce(&agreement).await;
    let enrolling = app.log_in(ada).await.expect(202).string("enrolment_token");
    secrets.extend(token("enrolment token", &enrolling));
    secrets.push(Secret::new("password", &ada.password));
}

/// Enrols, signs in with a code, with a wrong one, with the emergency code, changes the password.
async fn signed_in(app: &TestApp, ada: &Person, secrets: &mut Vec<Secret>) {
    let enrolling = app.log_in(ada).await.expect(202).string("enrolment_token");
    let enrolment = enrolment(&app.try_to_enrol(ada, &enrolling, json!({})).await.expect(201));
    let start = app.now();
    let first = code_at(&enrolment.secret, start);
    let confirmed = app.try_to_confirm(ada, &enrolment, &enrolling, &first).await.expect(200);
    let two_factor = two_factor(&enrolment, &confirmed);
    let raw = base32::decode(base32::Alphabet::Rfc4648 { padding: false }, &enrolment.secret);
    secrets.push(Secret::bytes("TOTP secret, its bytes", raw.expect("base32")));
    secrets.push(Secret::new("TOTP secret", &enrolment.secret));
    secrets.push(Secret::code("code of the enrolment", &first));
    secrets.extend(token("enrolment token", &enrolling));
    secrets.extend(token("session", &string(&confirmed["session"]["token"])));
    secrets.extend(recovery_code(&two_factor.recovery_code));

    let body = json!({ "email": ada.email, "password": "a passphrase typed wrong" });
    app.post("/v1/logins", &app.key, body).await.expect(401);
    secrets.push(Secret::new("password typed wrong", "a passphrase typed wrong"));

    // The next step is accepted early, so that the test need not wait for it.
    let second = code_at(&enrolment.secret, start + TimeDelta::seconds(30));
    let challenge = app.challenge(ada).await;
    let answer = app.verify(&challenge, &second).await.expect(200);
    secrets.push(Secret::code("code of the sign-in", &second));
    let session = string(&answer["session"]["token"]);
    secrets.extend(token("session", &session));

    let wrong = app.wrong_code(&enrolment.secret);
    let challenge = app.challenge(ada).await;
    app.verify(&challenge, &wrong).await.expect(401);
    let answer = app.verify_recovery_code(&challenge, &two_factor.recovery_code).await.expect(200);
    secrets.extend(recovery_code(&answer.string("recovery_code")));

    let new = "another passphrase of Ada";
    let body = json!({ "current_password": ada.password, "new_password": new });
    app.put(&ada.path("/password"), &session, body).await.expect(204);
    secrets.push(Secret::new("new password", new));
}

/// The operator resets her, which prints a one-time pass.
fn reset(place: &Place, ada: &Person) -> Vec<Secret> {
    let words = ["user", "reset-two-factor", &ada.id, "--reason", "lost her phone"];
    let pass = place.run(&words).exits(0).stdout;
    token("one-time pass", pass.trim())
}

pub(crate) fn heaps_of_the_database(place: &Place) -> Vec<Heap> {
    match place.database {
        Database::Sqlite => {
            let mut heaps = vec![Heap::new("the rows", &rows(place))];
            for file in place.files() {
                let name = file.file_name().expect("a name").to_string_lossy().into_owned();
                // The raw file too: freed pages and the write-ahead log hold what rows no longer do.
                if name.contains(".db") {
                    heaps.push(Heap::new(&name, &std::fs::read(&file).expect("a file")));
                }
            }
            assert!(heaps.len() > 1, "no database file in the data directory");
            heaps
        }
        #[cfg(feature = "postgres")]
        Database::Postgres => {
            let dumped = countersign_tests::postgres::program("pg_dump").arg(place.url()).output();
            let dumped = dumped.expect("pg_dump runs");
            assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
            vec![Heap::new("pg_dump", &dumped.stdout)]
        }
    }
}

/// Every value of every row: what stands on several pages of the file is in one piece here.
fn rows(place: &Place) -> Vec<u8> {
    use rusqlite::types::ValueRef;

    let path = place.url().trim_start_matches("sqlite://");
    let connection = rusqlite::Connection::open(path).expect("the database");
    let mut tables =
        connection.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").expect("the tables");
    let names: Vec<String> = tables
        .query_map([], |row| row.get(0))
        .expect("the tables")
        .map(|name| name.expect("a name"))
        .collect();
    let mut bytes = Vec::new();
    for name in names {
        let mut select = connection.prepare(&format!("SELECT * FROM \"{name}\"")).expect("a table");
        let columns = select.column_count();
        let mut rows = select.query([]).expect("rows");
        while let Some(row) = rows.next().expect("a row") {
            for column in 0..columns {
                match row.get_ref(column).expect("a value") {
                    ValueRef::Null => {}
                    ValueRef::Integer(number) => bytes.extend(number.to_string().bytes()),
                    ValueRef::Real(number) => bytes.extend(number.to_string().bytes()),
                    ValueRef::Text(value) | ValueRef::Blob(value) => bytes.extend(value),
                }
                bytes.push(b'\n');
            }
        }
    }
    bytes
}

async fn s12_no_secret_is_left_in_the_database_or_the_logs(place: Arc<Place>) {
    let remains = journey(&place).await;
    let log = &remains.ran.stderr;
    assert!(log.contains("TRACE"), "a search of logs that are shut shows nothing: {log}");
    let logs = [
        Heap::new("standard error", log.as_bytes()),
        Heap::new("standard output", remains.ran.stdout.as_bytes()),
    ];
    let database = heaps_of_the_database(&place);
    let mut found = Vec::new();
    for heap in logs.iter().chain(&database) {
        found.extend(remains.secrets.iter().flat_map(|secret| heap.find(secret)));
    }
    for heap in &database {
        found.extend(remains.personal.iter().flat_map(|secret| heap.find(secret)));
    }
    assert_eq!(found, Vec::<String>::new());
}

async fn s12_the_search_finds_what_is_really_in_the_database(place: Arc<Place>) {
    journey(&place).await;
    let planted = Secret::new("planted", PLANTED);
    let heaps = heaps_of_the_database(&place);
    assert!(heaps.iter().all(|heap| heap.len() > 1_000));
    let found: Vec<String> = heaps.iter().flat_map(|heap| heap.find(&planted)).collect();
    assert!(!found.is_empty(), "an agreement's name is not sealed, so the search must find it");
}
