//! What the ledger costs appends, and how soon an entry can be proved.
//!
//! Clients toggle enforcement on agreements of their own, as fast as they are answered, without HTTP: one
//! load and one append of one event each. Rounds without and with the sequencer and the audit trail take
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
use countersign::ledger::Keeper;
use countersign::request::Request;
use countersign::{Clock, Config, entropy};
use countersign_domain::agreement::command::{OpenAgreement, ToggleEnforcement};
use countersign_domain::agreement::{Agreement, AgreementCommand, AgreementKind};
use countersign_domain::context::Actor;
use countersign_domain::ids::AgreementId;

const ROUNDS: usize = 3;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let directory = tempfile::tempdir()?;
    let database = arguments.next().unwrap_or_else(|| Config::embedded_database(directory.path()));
    let clients: usize = arguments.next().map_or(Ok(32), |text| text.parse())?;
    let seconds: u64 = arguments.next().map_or(Ok(8), |text| text.parse())?;
    let app = App::open(Config::new(database, directory.path().to_owned()), Clock::system()).await?;
    let mut agreements = Vec::new();
    for number in 0..clients {
        agreements.push(open(&app, number).await?);
    }
    let (mut without, mut with, mut waits) = (Vec::new(), Vec::new(), Vec::new());
    load(&app, &agreements, Duration::from_secs(2)).await?;
    for _ in 0..ROUNDS {
        drain(&app).await?;
        without.push(load(&app, &agreements, Duration::from_secs(seconds)).await?);
        drain(&app).await?;
        let keeper = Keeper::start(Arc::clone(&app));
        let probing = tokio::spawn(probe(Arc::clone(&app)));
        with.push(load(&app, &agreements, Duration::from_secs(seconds)).await?);
        probing.abort();
        waits.extend(WAITS.lock().await.drain(..));
        let behind = app.ledger.observe(app.clock.now()).await?;
        println!(
            "after a round with it: {} entries, {} pending, trail {} behind",
            behind.size,
            behind.pending,
            behind.size - behind.trail_size
        );
        keeper.stop().await;
    }
    waits.sort_unstable();
    let quantile = |part: usize| waits.get(waits.len() * part / 100).copied().unwrap_or_default();
    let (without, with) = (median(without), median(with));
    println!("{clients} clients, {ROUNDS} rounds of {seconds} s each way, commands/s: median (min to max)");
    println!("without the sequencer: {without:?}");
    println!("with it: {with:?}; ratio of medians {:.3}", with.0 / without.0);
    println!(
        "until an entry is signed, of {}: p50 {:?}, p99 {:?}, max {:?}",
        waits.len(),
        quantile(50),
        quantile(99),
        waits.last().copied().unwrap_or_default()
    );
    Ok(())
}

static WAITS: tokio::sync::Mutex<Vec<Duration>> = tokio::sync::Mutex::const_new(Vec::new());

fn median(mut rates: Vec<f64>) -> (f64, f64, f64) {
    rates.sort_unstable_by(f64::total_cmp);
    let at = |index: usize| rates.get(index).copied().unwrap_or(f64::NAN);
    (at(rates.len() / 2), at(0), at(rates.len() - 1))
}

fn request(app: &App) -> anyhow::Result<Request> {
    Ok(Request::operator(entropy::id(app.clock.now())?.to_string()))
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
async fn load(app: &Arc<App>, agreements: &[AgreementId], time: Duration) -> anyhow::Result<f64> {
    let (done, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let started = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for id in agreements.iter().copied() {
        let (app, done, over) = (Arc::clone(app), Arc::clone(&done), Arc::clone(&over));
        clients.spawn(async move {
            let mut enforced = true;
            while !over.load(Ordering::Relaxed) {
                // Alternating, but every second round begins where the last one ended: then nothing happens once.
                toggle(&app, id, enforced).await?;
                enforced = !enforced;
                done.fetch_add(1, Ordering::Relaxed);
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
        let sql = "SELECT 1 AS signed FROM ledger_entries l JOIN ledger_state s ON s.signed_size > l.position \
                   WHERE l.aggregate_type = 'agreement' AND l.aggregate_id = $1 AND l.sequence = $2";
        while app.database.read(sql, &params).await?.is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        WAITS.lock().await.push(answered.elapsed());
    }
    Ok(())
}

async fn drain(app: &App) -> anyhow::Result<()> {
    app.ledger.sequence_all(app.clock.now()).await?;
    Ok(())
}
