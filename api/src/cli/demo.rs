//! The whole journey, walked through the program's own HTTP API: registering, turning two-factor
//! on, signing in with it, the emergency code, enforcement, and what the trail says of it all.

use std::cell::{Cell, RefCell};
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use chrono::TimeDelta;
use countersign_domain::Timestamp;
use countersign_projections::ledger::checkpoint::{Checkpoint, Verifier};
use countersign_projections::ledger::proof::Receipt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use totp_rs::{Builder, Secret};

use super::{ToldToStop, print};
use crate::clock::Clock;
use crate::config::Config;
use crate::entropy;
use crate::operator;
use crate::server::Server;
use crate::tls;

const PASSWORD: &str = "tidlig sne over fjorden";
const EVERYTHING: &[&str] = &[
    "users:read",
    "users:write",
    "agreements:read",
    "agreements:write",
    "login",
    "audit:read",
    "webhooks:write",
];

/// Walks the journey, then keeps serving, or stops.
pub(super) async fn run(exit: bool) -> anyhow::Result<()> {
    let mut stop = ToldToStop::listen()?;
    let directory = TemporaryDirectory::make()?;
    let mut config = Config::new(Config::embedded_database(&directory.0), directory.0.clone());
    config.listen = ([127, 0, 0, 1], 0).into();
    let server = Server::start(config, Clock::system()).await?;
    let key = operator::issue_api_key(server.app(), "demo", EVERYTHING, None).await?;
    let demo = Demo {
        base: format!("http://{}", server.address()),
        key: key.as_str().to_owned(),
        client: tls::plain_http_client()?.build()?,
        clock: Clock::system(),
        steps: Cell::new(0),
        written: RefCell::default(),
    };
    let walked = demo.walk().await;
    if walked.is_ok() && !exit {
        print::result(&format!("\nStill serving on {}. Stop with Ctrl-C.", demo.base))?;
        print::result(&format!("API key with every scope: {}", demo.key))?;
        stop.wait().await;
    }
    server.stop().await;
    walked
}

/// A directory that goes with the demo.
struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    fn make() -> anyhow::Result<Self> {
        let id = entropy::id(Clock::system().now())?;
        let path = std::env::temp_dir().join(format!("countersign-demo-{id}"));
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_dir_all(path) {
        print::note(&format!("{} could not be removed: {error}", path.display()));
    }
}

struct Demo {
    base: String,
    key: String,
    client: reqwest::Client,
    clock: Clock,
    steps: Cell<u32>,
    /// Where the last write stands.
    written: RefCell<String>,
}

/// A person of the demo, with what they hold.
struct Person {
    id: String,
    email: &'static str,
    secret: String,
    recovery_code: String,
}

impl Demo {
    async fn walk(&self) -> anyhow::Result<()> {
        print::result("Countersign demo: the whole journey on an embedded database.")?;
        let (office, shop) = self.agreements().await?;
        let mut kari = self.person("Kari Nordmann", "kari@nordlys.example").await?;
        let mut ola = self.person("Ola Hansen", "ola@fjordcafe.example").await?;
        self.put(&format!("/v1/agreements/{office}/users/{}", kari.id), &json!({"role": "superuser"}))
            .await?;
        self.put(&format!("/v1/agreements/{shop}/users/{}", ola.id), &json!({"role": "user"})).await?;
        self.step("Kari is superuser of the administrator agreement; Ola is linked to Fjordcafé, which it administers.")?;
        self.turn_on(&mut kari).await?;
        let session = self.sign_in_with_code(&mut kari).await?;
        self.sign_in_with_emergency_code(&mut kari).await?;
        self.enforce(&office, &shop, &kari, &session, &ola).await?;
        self.enrol_at_sign_in(&mut ola).await?;
        self.cannot_turn_off(&ola).await?;
        self.untick(&office, &session).await?;
        self.turn_off(&ola).await?;
        self.trail(&office).await?;
        print::result("\nEvery step held.")?;
        Ok(())
    }

    fn step(&self, text: &str) -> anyhow::Result<()> {
        let number = self.steps.get() + 1;
        self.steps.set(number);
        let time = self.clock.now().format("%H:%M:%S");
        print::result(&format!("\n{number:>2}. [{time}] {text}"))?;
        Ok(())
    }

    async fn agreements(&self) -> anyhow::Result<(String, String)> {
        let office = json!({"number": "1001", "name": "Nordlys Regnskab", "kind": "administrator"});
        let office = text(&self.post("/v1/agreements", &office, 201).await?, "id")?;
        let shop =
            json!({"number": "2002", "name": "Fjordcafé", "kind": "standard", "administered_by": office});
        let shop = text(&self.post("/v1/agreements", &shop, 201).await?, "id")?;
        self.step("Nordlys Regnskab, an administrator agreement, administers Fjordcafé.")?;
        Ok((office, shop))
    }

    async fn person(&self, name: &str, email: &'static str) -> anyhow::Result<Person> {
        let body = json!({"email": email, "display_name": name, "password": PASSWORD});
        let registered = self.post("/v1/users", &body, 201).await?;
        self.step(&format!("{name} has an account: {email}."))?;
        let id = text(&registered, "id")?;
        Ok(Person { id, email, secret: String::new(), recovery_code: String::new() })
    }

    async fn turn_on(&self, person: &mut Person) -> anyhow::Result<()> {
        let path = format!("/v1/users/{}/two-factor/enrolments", person.id);
        let body = json!({"password": PASSWORD, "label": "Kari's phone"});
        let enrolment = self.post(&path, &body, 201).await?;
        person.secret = text(&enrolment, "secret")?;
        self.step("Kari gives her password and scans the QR code with her authenticator app,")?;
        print::result(&qr_for_terminal(&text(&enrolment, "otpauth_uri")?)?)?;
        print::result(&format!("    or types the key: {}", grouped(&person.secret)))?;
        let path = format!("{path}/{}/confirm", text(&enrolment, "enrolment_id")?);
        let code = code(&person.secret, self.clock.now())?;
        let confirmed = self.post(&path, &json!({"code": code}), 200).await?;
        person.recovery_code = text(&confirmed, "recovery_code")?;
        self.step(&format!("She enters the code {code}: two-factor is on."))?;
        self.step(&format!("Her emergency code, shown this once: {}", person.recovery_code))?;
        let path = format!("/v1/users/{}/two-factor/recovery-code/saved", person.id);
        self.post(&path, &json!({}), 204).await?;
        print::result("    She stores it in a safe place, and says so.")?;
        Ok(())
    }

    async fn sign_in_with_code(&self, person: &mut Person) -> anyhow::Result<String> {
        let challenge_id = self.challenge(person).await?;
        self.step("She signs in: the password leads to a login challenge.")?;
        // The step that confirmed the app is spent, so she waits for her app's next code; half a
        // minute of skew lets the demo take it at once.
        let code = code(&person.secret, self.clock.now() + TimeDelta::seconds(30))?;
        let path = format!("/v1/logins/{challenge_id}/verify");
        let complete = self.post(&path, &json!({"code": code}), 200).await?;
        self.step(&format!("She enters the next code {code}, and is signed in."))?;
        let again = self.challenge(person).await?;
        let refused = self.post(&format!("/v1/logins/{again}/verify"), &json!({"code": code}), 401).await?;
        self.step(&format!("The same code again is refused: {}", text(&refused, "detail")?))?;
        text(member(&complete, "session")?, "token")
    }

    async fn sign_in_with_emergency_code(&self, person: &mut Person) -> anyhow::Result<()> {
        let challenge_id = self.challenge(person).await?;
        let path = format!("/v1/logins/{challenge_id}/verify");
        let complete = self.post(&path, &json!({"recovery_code": person.recovery_code}), 200).await?;
        let used = std::mem::replace(&mut person.recovery_code, text(&complete, "recovery_code")?);
        self.step(&format!(
            "Without her phone, the emergency code signs her in, and is replaced by {}.",
            person.recovery_code
        ))?;
        let again = self.challenge(person).await?;
        self.post(&format!("/v1/logins/{again}/verify"), &json!({"recovery_code": used}), 401).await?;
        print::result("    The used one is refused from now on.")?;
        Ok(())
    }

    async fn challenge(&self, person: &Person) -> anyhow::Result<String> {
        let body = json!({"email": person.email, "password": PASSWORD});
        let challenge = self.post("/v1/logins", &body, 202).await?;
        ensure!(text(&challenge, "status")? == "challenge", "the sign-in is not challenged");
        text(&challenge, "challenge_id")
    }

    async fn enforce(
        &self,
        office: &str,
        shop: &str,
        admin: &Person,
        session: &str,
        member_of_shop: &Person,
    ) -> anyhow::Result<()> {
        let before = self.decision(member_of_shop).await?;
        ensure!(before == "password_only", "Ola needs a second step already");
        let path = format!("/v1/agreements/{office}/enforcement");
        let preview = self.call(Method::GET, session, &format!("{path}/preview"), None, 200).await?;
        let body = json!({"enforced": true, "reason": "client data"});
        let enforced = self.call(Method::PUT, session, &path, Some(&body), 200).await?;
        let reached = member(&enforced, "affected_users")?;
        ensure!(reached == member(&preview, "affected_users")?, "the preview was wrong");
        self.step(&format!(
                "Kari ticks \u{201c}Enforce two-factor authentication\u{201d}: it reaches {} people, {} without two-factor yet.",
                reached, member(&enforced, "without_two_factor")?
            ),
        )?;
        let check = self.login_check(member_of_shop).await?;
        ensure!(text(&check, "decision")? == "enrol", "enforcement does not reach Ola");
        let requirement = member(&check, "required_by")?.get(0).context("nobody requires it of Ola")?;
        ensure!(
            text(requirement, "agreement_id")? == office && text(requirement, "via")? == shop,
            "the wrong one requires it"
        );
        self.step(&format!(
            "The very next login check of Ola says: enrol, required by {}, via Fjordcafé.",
            text(requirement, "name")?
        ))?;
        ensure!(self.decision(admin).await? == "challenge", "Kari is not challenged");
        Ok(())
    }

    async fn login_check(&self, person: &Person) -> anyhow::Result<Value> {
        self.post("/v1/login-checks", &json!({"email": person.email}), 200).await
    }

    async fn decision(&self, person: &Person) -> anyhow::Result<String> {
        text(&self.login_check(person).await?, "decision")
    }

    async fn enrol_at_sign_in(&self, person: &mut Person) -> anyhow::Result<()> {
        let body = json!({"email": person.email, "password": PASSWORD});
        let demanded = self.post("/v1/logins", &body, 202).await?;
        ensure!(text(&demanded, "status")? == "enrolment_required", "Ola signs in without a second factor");
        let token = text(&demanded, "enrolment_token")?;
        let path = format!("/v1/users/{}/two-factor/enrolments", person.id);
        let enrolment = self.call(Method::POST, &token, &path, Some(&json!({})), 201).await?;
        person.secret = text(&enrolment, "secret")?;
        let path = format!("{path}/{}/confirm", text(&enrolment, "enrolment_id")?);
        let body = json!({"code": code(&person.secret, self.clock.now())?});
        let confirmed = self.call(Method::POST, &token, &path, Some(&body), 200).await?;
        person.recovery_code = text(&confirmed, "recovery_code")?;
        member(&confirmed, "session")?;
        self.step("Ola signs in, is led to set up two-factor, and is signed in with his first code.")
    }

    async fn cannot_turn_off(&self, person: &Person) -> anyhow::Result<()> {
        let path = format!("/v1/users/{}/two-factor/disable", person.id);
        let body = json!({"password": PASSWORD, "recovery_code": person.recovery_code});
        let refused = self.post(&path, &body, 409).await?;
        ensure!(text(&refused, "code")? == "two-factor-required", "refused for another reason");
        self.step(&format!("Ola cannot turn it off: {}", text(&refused, "detail")?))
    }

    async fn untick(&self, office: &str, session: &str) -> anyhow::Result<()> {
        let path = format!("/v1/agreements/{office}/enforcement");
        self.call(Method::PUT, session, &path, Some(&json!({"enforced": false})), 200).await?;
        self.step("Kari unticks enforcement again. Nobody loses two-factor by that.")
    }

    async fn turn_off(&self, person: &Person) -> anyhow::Result<()> {
        ensure!(self.decision(person).await? == "challenge", "unticking took two-factor away");
        let path = format!("/v1/users/{}/two-factor/disable", person.id);
        let body = json!({"password": PASSWORD, "recovery_code": person.recovery_code});
        self.post(&path, &body, 204).await?;
        ensure!(self.decision(person).await? == "password_only", "two-factor is still on");
        self.step("Now Ola may turn it off, with his password and the emergency code.")
    }

    async fn trail(&self, office: &str) -> anyhow::Result<()> {
        let last = self.written.borrow().replace('/', "%2F");
        let path = format!("/v1/audit/entries?limit=500&after_write={last}");
        let page = self.call(Method::GET, &self.key, &path, None, 200).await?;
        let entries = member(&page, "items")?.as_array().context("the trail is no list")?;
        self.step(&format!("The audit trail has {} entries; the newest first:", entries.len()))?;
        for entry in entries.iter().take(12) {
            print::result(&format!("    {}  {}", text(entry, "recorded_at")?, text(entry, "summary")?))?;
        }
        let path = format!("/v1/audit/entries?agreement={office}&type=EnforcementToggled");
        let toggles = self.call(Method::GET, &self.key, &path, None, 200).await?;
        let toggles = member(&toggles, "items")?.as_array().context("the toggles are no list")?;
        ensure!(toggles.len() == 2, "the trail misses a toggle");
        let tick = toggles.last().context("the trail misses the tick")?;
        self.prove(member(tick, "position")?).await
    }

    async fn prove(&self, position: &Value) -> anyhow::Result<()> {
        let key = self.fetch("/v1/audit/key").await?;
        let verifier: Verifier = key.trim_end().parse()?;
        let path = format!("/v1/audit/entries/{position}");
        let entry = self.call(Method::GET, &self.key, &path, None, 200).await?;
        let receipt: Receipt = self.fetch(&format!("{path}/proof")).await?.parse()?;
        let leaf = text(&entry, "leaf")?;
        let checkpoint = receipt.verify(&verifier, leaf.as_bytes())?;
        let forged = leaf.replacen("EnforcementToggled", "EnforcementToggleD", 1);
        ensure!(receipt.verify(&verifier, forged.as_bytes()).is_err(), "a forged entry has a proof");
        let Checkpoint { origin, size, root, .. } = checkpoint;
        self.step(&format!(
            "The tick is entry {position}, and a proof shows it in the signed ledger {origin}: {size} entries, root {root}"
        ))
    }

    async fn fetch(&self, path: &str) -> anyhow::Result<String> {
        let response = self.client.get(format!("{}{path}", self.base)).bearer_auth(&self.key).send().await?;
        ensure!(response.status() == StatusCode::OK, "{path} answered {}", response.status());
        Ok(response.text().await?)
    }

    async fn post(&self, path: &str, body: &Value, status: u16) -> anyhow::Result<Value> {
        self.call(Method::POST, &self.key, path, Some(body), status).await
    }

    async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(Method::PUT, &self.key, path, Some(body), 204).await
    }

    async fn call(
        &self,
        method: Method,
        token: &str,
        path: &str,
        body: Option<&Value>,
        status: u16,
    ) -> anyhow::Result<Value> {
        let request = self.client.request(method.clone(), format!("{}{path}", self.base)).bearer_auth(token);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let response = request.send().await.with_context(|| format!("{method} {path} was not answered"))?;
        let answered = response.status();
        if let Some(written) = response.headers().get("countersign-write") {
            self.written.replace(written.to_str()?.to_owned());
        }
        let text = response.text().await?;
        if answered != StatusCode::from_u16(status)? {
            bail!("{method} {path} answered {answered}, not {status}: {text}");
        }
        if text.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(&text)?) }
    }
}

fn text(value: &Value, name: &str) -> anyhow::Result<String> {
    member(value, name)?.as_str().map(str::to_owned).with_context(|| format!("{name} is no text"))
}

fn member<'v>(value: &'v Value, name: &str) -> anyhow::Result<&'v Value> {
    value.get(name).with_context(|| format!("the answer has no {name}"))
}

/// What an authenticator app shows at that moment.
fn code(secret: &str, at: Timestamp) -> anyhow::Result<String> {
    let secret = Secret::try_from_base32(secret).map_err(|error| anyhow::anyhow!("{error}"))?;
    let totp = Builder::new().with_secret(secret).build().map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(totp.generate(u64::try_from(at.timestamp())?).to_string())
}

fn qr_for_terminal(text: &str) -> anyhow::Result<String> {
    use qrcode::render::unicode::Dense1x2;
    // Light on dark, as most terminals are: the quiet zone is drawn too.
    let code = qrcode::QrCode::with_error_correction_level(text, qrcode::EcLevel::L)?;
    let drawn = code.render::<Dense1x2>().dark_color(Dense1x2::Dark).light_color(Dense1x2::Light).build();
    Ok(drawn.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n"))
}

fn grouped(secret: &str) -> String {
    let characters: Vec<char> = secret.chars().collect();
    let groups: Vec<String> = characters.chunks(4).map(|group| group.iter().collect()).collect();
    groups.join(" ")
}
