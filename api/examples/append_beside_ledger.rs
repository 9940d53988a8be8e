//! What the ledger costs appends, and how soon an entry can be proved.
//!
//! Clients toggle enforcement on agreements of their own, as fast as they are answered, without HTTP: one
//! load and one append of one event each. Rounds without the sequencer, with it, and with the read models too take
//! turns in one run, so that their ratio says something whatever machine it is.
//!
//! `cargo run --release -p countersign --example append_beside_ledger [DATABASE-URL] [CLIENTS] [SECONDS]`

#![expect(clippy::print_stdout, reason = "the figures are the result")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use countersign::app::App;
use countersign::execute::Plan;
use countersign::ledger::{Followers, Keeper};
use countersign::request::Request;
use countersign::{Clock, Config, entropy};
use countersign_domain::agreement::command::{OpenAgreement, ToggleEnforcement};
use countersign_domain::agreement::{Agreement, AgreementCommand, AgreementKind};
use countersign_domain::context::Actor;
use countersign_domain::ids::AgreementId;

const ROUNDS: usize = 9;

/// So many agreements each client goes through. Real commands are mostly each for somebody else; a few rows
/// changed hundreds of times a second would measure how PostgreSQL prunes them.
const AGREEMENTS_PER_CLIENT: usize = 256;

/// Between two measurements of that: their own appends are not counted.
const PROBE_PAUSE: Duration = Duration::from_millis(100);

/// How exactly the time until an entry is signed is taken: asking more often would be load of its own.
const PROBE_EVERY: Duration = Duration::from_millis(10);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let directory = tempfile::tempdir()?;
    let database = arguments.next().unwrap_or_else(|| Config::embedded_database(directory.path()));
    let clients: usize = arguments.next().map_or(Ok(32), |text| text.parse())?;
    let seconds: u64 = arguments.next().map_or(Ok(8), |text| text.parse())?;
    let app = App::open(Config::new(database, directory.path().to_owned()), Clock::system()).await?;
    let agreements = open_all(&app, clients).await?;
    let (mut without, mut signed, mut followed, mut waits) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    load(&app, &agreements, Duration::from_secs(2)).await?;
    for _ in 0..ROUNDS {
        for beside in [Beside::Nothing, Beside::Sequencer, Beside::SequencerAndTrail] {
            drain(&app).await?;
            let keeper = beside.keeper(&app);
            let trail = beside.trail(&app, keeper.as_ref());
            if keeper.is_some() {
                settle(&app).await?;
            }
            let probing = keeper.is_some().then(|| tokio::spawn(probe(Arc::clone(&app))));
            let rate = load(&app, &agreements, Duration::from_secs(seconds)).await?;
            if let Some(probing) = probing {
                probing.abort();
            }
            if let Some(keeper) = keeper {
                keeper.stop().await;
            }
            if let Some(trail) = trail {
                trail.finish().await;
            }
            match beside {
                Beside::Nothing => without.push(rate),
                Beside::Sequencer => signed.push(rate),
                Beside::SequencerAndTrail => followed.push(rate),
            }
            waits.extend(WAITS.lock().await.drain(..));
        }
    }
    waits.sort_unstable();
    let quantile = |part: usize| waits.get(waits.len() * part / 100).copied().unwrap_or_default();
    // Of each round by itself: what else the machine does changes more slowly than that.
    let (signed_ratio, followed_ratio) = (ratios(&signed, &without), ratios(&followed, &without));
    let (without, signed, followed) = (median(without), median(signed), median(followed));
    println!("{clients} clients, {ROUNDS} rounds of {seconds} s each way, commands/s: median (min to max)");
    println!("without the sequencer: {without:.0?}");
    println!("with it: {signed:.0?}; ratio within a round {signed_ratio:.2?}");
    println!("with it and the audit trail: {followed:.0?}; ratio within a round {followed_ratio:.2?}");
    println!(
        "until an entry is signed, of {}: p50 {:.3?}, p99 {:.3?}, max {:.3?}",
        waits.len(),
        quantile(50),
        quantile(99),
        waits.last().copied().unwrap_or_default()
    );
    Ok(())
}

/// What runs beside the appends.
#[derive(Clone, Copy)]
enum Beside {
    Nothing,
    Sequencer,
    SequencerAndTrail,
}

impl Beside {
    fn keeper(self, app: &Arc<App>) -> Option<Keeper> {
        match self {
            Self::Nothing => None,
            Self::Sequencer | Self::SequencerAndTrail => Some(Keeper::start(Arc::clone(app))),
        }
    }

    fn trail(self, app: &Arc<App>, keeper: Option<&Keeper>) -> Option<Followers> {
        match self {
            Self::Nothing | Self::Sequencer => None,
            Self::SequencerAndTrail => keeper.map(|keeper| Followers::start(app, &keeper.sizes())),
        }
    }
}

static WAITS: tokio::sync::Mutex<Vec<Duration>> = tokio::sync::Mutex::const_new(Vec::new());

fn ratios(with: &[f64], without: &[f64]) -> (f64, f64, f64) {
    median(with.iter().zip(without).map(|(with, without)| with / without).collect())
}

fn median(mut rates: Vec<f64>) -> (f64, f64, f64) {
    rates.sort_unstable_by(f64::total_cmp);
    let at = |index: usize| rates.get(index).copied().unwrap_or(f64::NAN);
    (at(rates.len() / 2), at(0), at(rates.len() - 1))
}

fn request(app: &App) -> anyhow::Result<Request> {
    Ok(Request::operator(entropy::id(app.clock.now())?.to_string()))
}

/// The agreements of each client, opened side by side.
async fn open_all(app: &Arc<App>, clients: usize) -> anyhow::Result<Vec<Vec<AgreementId>>> {
    let mut opening = tokio::task::JoinSet::new();
    for client in 0..clients {
        let app = Arc::clone(app);
        opening.spawn(async move {
            let mut agreements = Vec::with_capacity(AGREEMENTS_PER_CLIENT);
            for number in 0..AGREEMENTS_PER_CLIENT {
                agreements.push(open(&app, client * AGREEMENTS_PER_CLIENT + number).await?);
            }
            Ok::<_, anyhow::Error>(agreements)
        });
    }
    opening.join_all().await.into_iter().collect()
}

async fn open(app: &App, number: usize) -> anyhow::Result<AgreementId> {
    let agreement_id = AgreementId::from_uuid(entropy::id(app.clock.now())?);
    let number = format!("{agreement_id}-{number}");
    app.execute::<Agreement>(&request(app)?, agreement_id, None, |_, moment| {
        let command = OpenAgreement {
            agreement_id,
            number: number.clone(),
            name: number.clone(),
            kind: AgreementKind::Standard,
            administered_by: None,
            at: moment.at,
        };
        Ok(Plan::new(AgreementCommand::Open(command), app.vault.instance_key().clone()))
    })
    .await
    .map_err(|problem| anyhow!(problem.for_operator()))?;
    Ok(agreement_id)
}

/// Where the event stands: its stream and sequence.
async fn toggle(app: &App, id: AgreementId, enforced: bool) -> anyhow::Result<String> {
    let done = app
        .execute::<Agreement>(&request(app)?, id, None, |_, moment| {
            let command = ToggleEnforcement {
                enforced,
                deadline: None,
                reason: None,
                by: Actor::operator(),
                at: moment.at,
            };
            Ok(Plan::new(AgreementCommand::ToggleEnforcement(command), app.vault.instance_key().clone()))
        })
        .await
        .map_err(|problem| anyhow!(problem.for_operator()))?;
    Ok(done.written)
}

/// Commands a second.
async fn load(app: &Arc<App>, agreements: &[Vec<AgreementId>], time: Duration) -> anyhow::Result<f64> {
    let (done, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let started = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for agreements in agreements {
        let agreements = agreements.clone();
        let (app, done, over) = (Arc::clone(app), Arc::clone(&done), Arc::clone(&over));
        clients.spawn(async move {
            // Alternating, but a load begins where the last one ended: then nothing happens once for each.
            for enforced in [true, false].into_iter().cycle() {
                for id in &agreements {
                    if over.load(Ordering::Relaxed) {
                        return Ok(());
                    }
                    toggle(&app, *id, enforced).await?;
                    done.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok::<_, anyhow::Error>(())
        });
    }
    tokio::time::sleep(time).await;
    over.store(true, Ordering::Relaxed);
    while let Some(client) = clients.join_next().await {
        client??;
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    Ok(done.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64())
}

/// Measures again and again how long it takes from the answer of a command until its entry is signed.
async fn probe(app: Arc<App>) -> anyhow::Result<()> {
    let id = open(&app, usize::MAX).await?;
    for enforced in [true, false].into_iter().cycle() {
        let written = toggle(&app, id, enforced).await?;
        let answered = Instant::now();
        let (_, sequence) = written.rsplit_once('/').context("a place")?;
        let params = [id.to_string().into(), sequence.parse::<i64>()?.into()];
        let sql = "SELECT 1 AS signed FROM events e JOIN ledger_entries l ON {entry_of_event} \
                   JOIN ledger_state s ON s.signed_size > l.position \
                   WHERE e.aggregate_type = 'agreement' AND e.aggregate_id = $1 AND e.sequence = $2";
        while app.database.read(sql, &params).await?.is_empty() {
            tokio::time::sleep(PROBE_EVERY).await;
        }
        WAITS.lock().await.push(answered.elapsed());
        tokio::time::sleep(PROBE_PAUSE).await;
    }
    Ok(())
}

/// Until the keeper has taken its look back, which it does once when it starts, through all of the last hour.
async fn settle(app: &App) -> anyhow::Result<()> {
    let started = app.clock.now() - Duration::from_secs(12);
    let state = || app.ledger.store.state();
    while state().await?.context("a ledger")?.reconciled_to < started {
        tokio::time::sleep(PROBE_EVERY).await;
    }
    Ok(())
}

async fn drain(app: &App) -> anyhow::Result<()> {
    app.ledger.sequence_all(app.clock.now()).await?;
    Ok(())
}
