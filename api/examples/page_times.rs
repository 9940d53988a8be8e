//! How long the program takes for each page, beside a page that does next to nothing.
//!
//! An administrator agreement with so many people, none of whom has two-factor but its superuser, who is an auditor
//! too. Everything runs on the embedded database in a temporary directory, and is asked over HTTP by one
//! client that keeps its connection.
//!
//! `cargo run --release -p countersign --example page_times [PEOPLE]`

#![expect(clippy::print_stdout, reason = "the figures are the result")]

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use countersign::operator::RoleChange;
use countersign::{Clock, Config, Server, operator, tls};
use reqwest::{Client, header};
use serde_json::{Value, json};
use totp_rs::{Builder, Secret};

/// Each page is asked for so often, after once that is not counted.
const ROUNDS: usize = 40;
const PASSWORD: &str = "tidlig sne over fjorden";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let people: usize = std::env::args().nth(1).map_or(Ok(1_000), |text| text.parse())?;
    let directory = tempfile::tempdir()?;
    let mut config = Config::new(Config::embedded_database(directory.path()), directory.path().to_owned());
    config.listen = "127.0.0.1:0".parse()?;
    let server = Server::start(config.clone(), Clock::system()).await?;
    let scopes = ["users:write", "agreements:write", "login"];
    let key = operator::create_api_key(&config, &Clock::system(), "page times", &scopes).await?;
    let asker = Asker {
        http: tls::plain_http_client()?.redirect(reqwest::redirect::Policy::none()).build()?,
        base: format!("http://{}", server.address()),
        key,
    };
    let (agreement, kari) = asker.fill(people).await?;
    operator::change_role(server.app(), RoleChange::Grant, &kari, "auditor").await?;
    let session = asker.sign_in(&kari).await?;
    server.app().ledger.sequence_all(server.app().clock.now()).await?;
    let pages = [
        "/healthz".to_owned(),
        "/login".to_owned(),
        "/docs".to_owned(),
        "/account".to_owned(),
        format!("/agreements/{agreement}"),
        format!("/agreements/{agreement}/enforcement?enforced=yes"),
        format!("/agreements/{agreement}/audit"),
        "/audit".to_owned(),
        "/audit/entries/20".to_owned(),
        format!("/audit/look-back?user={kari}"),
    ];
    println!("{people} people; milliseconds of {ROUNDS} rounds: median, least, most");
    for page in pages {
        let mut times = Vec::with_capacity(ROUNDS);
        asker.page(&page, &session).await?;
        for _ in 0..ROUNDS {
            times.push(asker.page(&page, &session).await?);
        }
        times.sort_unstable();
        let [least, median, most] = [0, ROUNDS / 2, ROUNDS - 1]
            .map(|index| times.get(index).copied().unwrap_or_default().as_secs_f64() * 1000.0);
        let name = page.replace(&agreement, "…").replace(&kari, "…");
        println!("{name}: {median:.1} {least:.1} {most:.1}");
    }
    server.stop().await;
    Ok(())
}

struct Asker {
    http: Client,
    base: String,
    key: String,
}

impl Asker {
    async fn post(&self, path: &str, token: &str, body: &Value) -> anyhow::Result<Value> {
        let answer =
            self.http.post(format!("{}{path}", self.base)).bearer_auth(token).json(body).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// The agreement, and its superuser.
    async fn fill(&self, people: usize) -> anyhow::Result<(String, String)> {
        let office = json!({ "number": "1", "name": "Nordlys Regnskab", "kind": "administrator" });
        let office = id(&self.post("/v1/agreements", &self.key, &office).await?, "id")?;
        let kari = json!({ "email": "kari@example.com", "display_name": "Kari", "password": PASSWORD });
        let kari = id(&self.post("/v1/users", &self.key, &kari).await?, "id")?;
        self.link(&office, &kari, "superuser").await?;
        for number in 1..people {
            let email = format!("person.{number}@example.com");
            let body = json!({ "email": email, "display_name": format!("Person {number}") });
            let person = id(&self.post("/v1/users", &self.key, &body).await?, "id")?;
            self.link(&office, &person, "user").await?;
        }
        Ok((office, kari))
    }

    async fn link(&self, agreement: &str, person: &str, role: &str) -> anyhow::Result<()> {
        let address = format!("{}/v1/agreements/{agreement}/users/{person}", self.base);
        let body = json!({ "role": role });
        self.http.put(address).bearer_auth(&self.key).json(&body).send().await?.error_for_status()?;
        Ok(())
    }

    /// Turns two-factor on as at sign-in, so that the session has passed it.
    async fn sign_in(&self, person: &str) -> anyhow::Result<String> {
        let enrolments = format!("/v1/users/{person}/two-factor/enrolments");
        let begun = self.post(&enrolments, &self.key, &json!({ "password": PASSWORD })).await?;
        let secret = id(&begun, "secret")?;
        let now = Clock::system().now().timestamp();
        let confirm = format!("{enrolments}/{}/confirm", id(&begun, "enrolment_id")?);
        self.post(&confirm, &self.key, &json!({ "code": code(&secret, now)? })).await?;
        let login = json!({ "email": "kari@example.com", "password": PASSWORD });
        let challenge = self.post("/v1/logins", &self.key, &login).await?;
        let verify = format!("/v1/logins/{}/verify", id(&challenge, "challenge_id")?);
        // A code is accepted once, and may be one step early.
        let done = self.post(&verify, &self.key, &json!({ "code": code(&secret, now + 30)? })).await?;
        id(done.get("session").context("a session")?, "token")
    }

    async fn page(&self, path: &str, session: &str) -> anyhow::Result<Duration> {
        let started = Instant::now();
        let cookie = format!("__Host-session={session}; __Host-forms=0");
        let request = self.http.get(format!("{}{path}", self.base)).header(header::COOKIE, cookie);
        let answer = request.send().await?;
        let status = answer.status();
        answer.bytes().await?;
        ensure!(status.is_success() || path == "/login", "{path}: {status}");
        Ok(started.elapsed())
    }
}

fn id(answer: &Value, field: &str) -> anyhow::Result<String> {
    let text = answer.get(field).and_then(Value::as_str);
    Ok(text.with_context(|| format!("no {field} in {answer}"))?.to_owned())
}

fn code(secret: &str, at: i64) -> anyhow::Result<String> {
    let secret = Secret::try_from_base32(secret).map_err(|error| anyhow!("{error}"))?;
    let totp = Builder::new().with_secret(secret).build().map_err(|error| anyhow!("{error}"))?;
    Ok(totp.generate(u64::try_from(at)?).to_string())
}
