//! People with two-factor, prepared through the program's own API.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::Context;
use countersign::Clock;
use totp_rs::{Builder, Secret, Totp};

use crate::client::{Answer, Connection, request};
use crate::load::{Work, run_all};
use crate::sequencer::Beside;
use crate::work::each;

/// Preparing is not measured: as many clients as the program answers fastest.
const CLIENTS: usize = 32;

const STEP_S: u64 = 30;

/// Somebody with an authenticator.
#[derive(Default)]
pub(crate) struct Person {
    pub(crate) id: OnceLock<String>,
    enrolment: OnceLock<(String, Totp)>,
    /// The step of the last code that was sent: none is accepted twice.
    step: AtomicU64,
    challenge: Mutex<String>,
}

/// Where the program answers, and the key it is asked with.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) key: String,
    /// What runs beside the routes there: everything, but where that is what is measured.
    pub(crate) beside: Beside,
}

impl Target {
    pub(crate) fn new(address: SocketAddr, key: String) -> Self {
        Self { addresses: vec![address], key, beside: Beside::Everything }
    }

    /// The id of the key, which the key itself tells.
    pub(crate) fn key_id(&self) -> String {
        countersign::token::PresentedToken::parse(&self.key)
            .map(|key| key.owner.to_string())
            .unwrap_or_default()
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<String> {
        let address = self.addresses.first().context("no address")?;
        let mut bytes = Vec::new();
        request(&mut bytes, &format!("GET {path}"), &self.key, "");
        let mut connection = Connection::open(*address).await?;
        Ok(String::from_utf8(connection.send(&bytes).await?.expect(200)?.to_vec())?)
    }

    /// Posts something, and reads what is answered.
    pub(crate) async fn post(
        &self,
        path: &str,
        body: &str,
        status: u16,
    ) -> anyhow::Result<serde_json::Value> {
        let address = self.addresses.first().context("no address")?;
        let mut bytes = Vec::new();
        request(&mut bytes, &format!("POST {path}"), &self.key, body);
        let mut connection = Connection::open(*address).await?;
        Ok(serde_json::from_slice(connection.send(&bytes).await?.expect(status)?)?)
    }

    /// Until all that was written has its place in the ledger, the trail and coverage, as far as these are kept.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        if self.beside == Beside::Nothing {
            return Ok(());
        }
        loop {
            let metrics = self.get("/metrics").await?;
            let figure = |name: &str| -> Option<u64> {
                let after = |line: &'_ str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
                metrics.lines().find_map(after)
            };
            let entries = figure("countersign_ledger_entries").context("no figure of the ledger")?;
            let is_there = |name: &&str| figure(&format!("countersign_{name}")) == Some(entries);
            let follow = self.beside.followers().iter().all(is_there);
            if follow && figure("countersign_ledger_pending_events") == Some(0) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Events that wait for their place: what a round left to do.
    pub(crate) async fn pending(&self) -> anyhow::Result<u64> {
        let metrics = self.get("/metrics").await?;
        let line = metrics.lines().find_map(|line| line.strip_prefix("countersign_ledger_pending_events "));
        Ok(line.context("no figure of what waits")?.parse()?)
    }
}

/// The step of a code that is shown now.
fn current_step() -> u64 {
    u64::try_from(Clock::system().now().timestamp()).unwrap_or_default() / STEP_S
}

impl Person {
    /// The next code that the program takes: of this step, or of the next if this one's is spent.
    fn code(&self) -> String {
        let step = current_step().max(self.step.load(Ordering::Relaxed) + 1);
        self.step.store(step, Ordering::Relaxed);
        self.digits(step)
    }

    fn digits(&self, step: u64) -> String {
        self.enrolment.get().map(|(_, totp)| totp.generate(step * STEP_S).to_string()).unwrap_or_default()
    }

    /// Whether the last code has the digits of one that may have been used a moment before: twice in a million times.
    fn repeats_digits(&self) -> bool {
        let step = self.step.load(Ordering::Relaxed);
        let given = self.digits(step);
        [1, 2].into_iter().any(|before| self.digits(step.saturating_sub(before)) == given)
    }

    fn is_ready(&self) -> bool {
        self.step.load(Ordering::Relaxed) <= current_step()
    }

    pub(crate) fn id(&self) -> &str {
        self.id.get().map(String::as_str).unwrap_or_default()
    }

    fn challenge(&self) -> String {
        self.challenge.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Everybody, and whose turn it is.
pub(crate) struct People {
    pub(crate) all: Vec<Arc<Person>>,
    next: usize,
}

impl People {
    /// So many people, registered without a password, enrolled and confirmed.
    pub(crate) async fn prepare(target: &Target, count: usize) -> anyhow::Result<Self> {
        let all: Vec<Arc<Person>> = (0..count).map(|_| Arc::default()).collect();
        for pass in [register, enrol, confirm] {
            run_all(&target.addresses, CLIENTS, pass(&target.key, &all)).await?;
        }
        target.settle().await?;
        Ok(Self::of(all))
    }

    /// Some of them.
    pub(crate) const fn of(all: Vec<Arc<Person>>) -> Self {
        Self { all, next: 0 }
    }

    /// The first so many, and the others.
    pub(crate) fn split(&self, at: usize) -> (Self, Self) {
        let (first, second) = self.all.split_at(at.min(self.all.len()));
        (Self::of(first.to_vec()), Self::of(second.to_vec()))
    }

    /// Opens a challenge for each of the next people, whose codes can be given.
    pub(crate) async fn challenge(
        &mut self,
        target: &Target,
        count: usize,
    ) -> anyhow::Result<Vec<Arc<Person>>> {
        let count = count.min(self.all.len());
        let mut chosen = Vec::with_capacity(count);
        for _ in 0..count {
            let person = self.all.get(self.next % self.all.len()).cloned().context("nobody")?;
            self.next += 1;
            while !person.is_ready() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            chosen.push(person);
        }
        run_all(&target.addresses, CLIENTS, open_challenge(&target.key, &chosen)).await?;
        target.settle().await?;
        Ok(chosen)
    }
}

fn keep(person: &Person, answer: &Answer<'_>) -> anyhow::Result<()> {
    answer.expect(201)?;
    // Nobody is registered twice.
    let _ = person.id.set(answer.text("id")?);
    Ok(())
}

fn register(key: &str, people: &[Arc<Person>]) -> Arc<dyn Work> {
    let (key, people, count) = (key.to_owned(), people.to_vec(), people.len());
    let make = move |which: usize, into: &mut Vec<u8>| {
        let body = format!(r#"{{"email":"person-{which}@example.com","display_name":"Person {which}"}}"#);
        request(into, "POST /v1/users", &key, &body);
    };
    each(count, make, move |which, answer| keep(people.get(which).context("nobody")?, answer))
}

fn enrol(key: &str, people: &[Arc<Person>]) -> Arc<dyn Work> {
    let (key, asked, kept, count) = (key.to_owned(), people.to_vec(), people.to_vec(), people.len());
    let make = move |which: usize, into: &mut Vec<u8>| {
        let id = asked.get(which).map(|person| person.id()).unwrap_or_default();
        request(into, &format!("POST /v1/users/{id}/two-factor/enrolments"), &key, "{}");
    };
    let take = move |which: usize, answer: &Answer<'_>| {
        answer.expect(201)?;
        let alphabet = base32::Alphabet::Rfc4648 { padding: false };
        let secret =
            base32::decode(alphabet, &answer.text("secret")?).context("a secret that is no base32")?;
        let totp = Builder::new().with_secret(Secret::from(secret.as_slice())).build_noncompliant();
        let _ = kept.get(which).context("nobody")?.enrolment.set((answer.text("enrolment_id")?, totp));
        Ok(())
    };
    each(count, make, take)
}

fn confirm(key: &str, people: &[Arc<Person>]) -> Arc<dyn Work> {
    let (key, people, count) = (key.to_owned(), people.to_vec(), people.len());
    let make = move |which: usize, into: &mut Vec<u8>| {
        let Some(person) = people.get(which) else { return };
        let enrolment = person.enrolment.get().map(|(id, _)| id.as_str()).unwrap_or_default();
        let line = format!("POST /v1/users/{}/two-factor/enrolments/{enrolment}/confirm", person.id());
        request(into, &line, &key, &format!(r#"{{"code":"{}"}}"#, person.code()));
    };
    each(count, make, |_, answer| answer.expect(200).map(drop))
}

fn open_challenge(key: &str, people: &[Arc<Person>]) -> Arc<dyn Work> {
    let (key, asked, kept, count) = (key.to_owned(), people.to_vec(), people.to_vec(), people.len());
    let make = move |which: usize, into: &mut Vec<u8>| {
        let id = asked.get(which).map(|person| person.id()).unwrap_or_default();
        request(into, "POST /v1/challenges", &key, &format!(r#"{{"user_id":"{id}"}}"#));
    };
    let take = move |which: usize, answer: &Answer<'_>| {
        answer.expect(201)?;
        let id = answer.text("challenge_id")?;
        *kept.get(which).context("nobody")?.challenge.lock().unwrap_or_else(PoisonError::into_inner) = id;
        Ok(())
    };
    each(count, make, take)
}

/// What is measured: the second factor of each of these people, whose challenges are open.
pub(crate) fn verify(key: &str, people: &[Arc<Person>]) -> Arc<dyn Work> {
    let (key, asked, judged, count) = (key.to_owned(), people.to_vec(), people.to_vec(), people.len());
    let make = move |which: usize, into: &mut Vec<u8>| {
        let Some(person) = asked.get(which) else { return };
        let line = format!("POST /v1/logins/{}/verify", person.challenge());
        request(into, &line, &key, &format!(r#"{{"code":"{}"}}"#, person.code()));
    };
    let take = move |which: usize, answer: &Answer<'_>| {
        // Used digits are rightly refused, also where they are those of the next code.
        if answer.status == 401
            && answer.text("reason").is_ok_and(|reason| reason == "already_used")
            && judged.get(which).is_some_and(|person| person.repeats_digits())
        {
            return Ok(());
        }
        answer.expect(200).map(drop)
    };
    each(count, make, take)
}

/// The question at sign-in, about each of these people again and again.
pub(crate) fn login_check(key: &str, ids: Vec<String>) -> Arc<dyn Work> {
    let (key, count) = (key.to_owned(), ids.len());
    let make = move |which: usize, into: &mut Vec<u8>| {
        let id = ids.get(which).map(String::as_str).unwrap_or_default();
        request(into, "POST /v1/login-checks", &key, &format!(r#"{{"user_id":"{id}"}}"#));
    };
    crate::work::round_and_round(count, make, |_, answer| answer.expect(200).map(drop))
}
