//! How fast read models are replayed, beside plain copies of the same rows.
//!
//! Somebody registers and signs in four times, which are ten events; that stream is then copied by SQL until there
//! are so many events. Every rebuild starts from an empty read model, so that every row is written.
//!
//! `cargo run --release -p countersign --example replay_rate DATABASE-URL [EVENTS]`, on an empty database.

#![expect(clippy::print_stdout, reason = "the figures are the result")]

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, anyhow};
use countersign::app::App;
use countersign::execute::Plan;
use countersign::request::Request;
use countersign::vault::Purpose;
use countersign::{Clock, Config, entropy};
use countersign_domain::ids::{PasswordId, SessionId, UserId};
use countersign_domain::sealed::TokenDigest;
use countersign_domain::user::command::Register;
use countersign_domain::user::session::NewSession;
use countersign_domain::user::sign_in::{SignIn, SignInAttempt};
use countersign_domain::user::{User, UserCommand};
use countersign_projections::replay::{Model, rebuild, verify_replay};
use countersign_projections::table::{Change, EMAIL_CLAIMS};

/// Each rebuild is done so often.
const ROUNDS: usize = 3;

/// No statement may take longer than a request.
const PART_ENTRIES: i64 = 50_000;
const PART_STREAMS: i64 = 5_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let directory = tempfile::tempdir()?;
    let database = arguments.next().context("the address of an empty database")?;
    let events: i64 = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let app = App::open(Config::new(database, directory.path().to_owned()), Clock::system()).await?;
    fill(&app, events).await?;
    let size = app.ledger.store.state().await?.context("a ledger")?.size();
    rebuild(&app.database, &Model::ALL, |_, _| {}).await?;
    println!("{size} events; events/s of {ROUNDS} rounds");
    for _ in 0..ROUNDS {
        let copied = copy(&app, "audit_trail_v1").await?;
        println!("plain SQL, copying the trail's rows: {:.0}", rate(size, copied));
        let folded = [Model::Snapshots, Model::LoginCheck, Model::ApiKeys, Model::Webhooks];
        for models in [&folded[1..2], &folded, &[Model::AuditTrail], &[Model::Coverage]] {
            for model in models {
                empty(&app, *model).await?;
            }
            let started = Instant::now();
            let rebuilt = rebuild(&app.database, models, |_, _| {}).await?;
            let rows: u64 = rebuilt.replaced.iter().map(|(_, rows)| rows).sum();
            let names: Vec<&str> = models.iter().map(|model| model.name()).collect();
            let rate = rate(size, started.elapsed().as_secs_f64());
            println!("replay {}: {rate:.0} ({rows} rows)", names.join(" "));
        }
        let started = Instant::now();
        rebuild(&app.database, &Model::ALL, |_, _| {}).await?;
        println!(
            "replay of all read models, where nothing differs: {:.0}",
            rate(size, started.elapsed().as_secs_f64())
        );
        let started = Instant::now();
        let report = verify_replay(&app.database, &Model::ALL, |_, _| {}).await?;
        anyhow::ensure!(report.holds(), "{report}");
        println!("replay --verify, all read models: {:.0}", rate(size, started.elapsed().as_secs_f64()));
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    println!("memory at its peak: {peak}");
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(events: u64, seconds: f64) -> f64 {
    events as f64 / seconds
}

/// Seconds that a copy of a table took, which is removed again.
async fn copy(app: &App, table: &str) -> anyhow::Result<f64> {
    app.database.write("DROP TABLE IF EXISTS plain_copy", &[]).await?;
    app.database.write(&format!("CREATE TABLE plain_copy (LIKE {table} INCLUDING ALL)"), &[]).await?;
    let started = Instant::now();
    in_parts(
        app,
        &format!("INSERT INTO plain_copy SELECT * FROM {table} WHERE position >= $1 AND position < $2"),
    )
    .await?;
    let seconds = started.elapsed().as_secs_f64();
    app.database.write("DROP TABLE plain_copy", &[]).await?;
    Ok(seconds)
}

/// A statement over positions, a part at a time.
async fn in_parts(app: &App, sql: &str) -> anyhow::Result<()> {
    let size = i64::try_from(app.ledger.store.state().await?.context("a ledger")?.size())?;
    for from in (0..size).step_by(usize::try_from(PART_ENTRIES)?) {
        app.database.write(sql, &[from.into(), (from + PART_ENTRIES).into()]).await?;
    }
    Ok(())
}

async fn empty(app: &App, model: Model) -> anyhow::Result<()> {
    let tables: &[&str] = match model {
        Model::Snapshots => &["snapshots"],
        Model::LoginCheck => &["login_check_users", "login_check_links", "login_check_agreements"],
        Model::ApiKeys => &["api_keys"],
        Model::Webhooks => &["webhooks"],
        Model::AuditTrail => &["audit_trail_v1"],
        Model::Coverage => &["coverage_v2", "coverage_members_v2", "coverage_two_factor_v2"],
    };
    for table in tables {
        app.database.write(&format!("TRUNCATE {table}"), &[]).await?;
    }
    Ok(())
}

/// One stream, copied until there are so many events, all with a place in the ledger.
async fn fill(app: &Arc<App>, events: i64) -> anyhow::Result<()> {
    let (id, password_id) = register(app).await?;
    for _ in 0..4 {
        sign_in(app, id, password_id).await?;
    }
    app.ledger.sequence_all(app.clock.now()).await?;
    let streams = events / 10;
    let params = |from: i64, to: i64| [from.into(), to.into(), id.to_string().into()];
    for from in (1..streams).step_by(usize::try_from(PART_STREAMS)?) {
        let to = streams.min(from + PART_STREAMS);
        let copied = "SELECT e.aggregate_type, lpad(to_hex(n), 8, '0') || '-0000-4000-8000-000000000000' AS aggregate_id, \
            e.sequence, e.event_type, e.event_version, replace(e.payload::text, $3, lpad(to_hex(n), 8, '0') || \
            '-0000-4000-8000-000000000000')::json AS payload, e.metadata, e.recorded_at, e.user_id, n \
            FROM generate_series($1::bigint, $2::bigint - 1) AS n, events e WHERE e.aggregate_id = $3";
        let sql = format!(
            "INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, \
             recorded_at, user_id) SELECT aggregate_type, aggregate_id, sequence, event_type, event_version, payload, \
             metadata, recorded_at, aggregate_id FROM ({copied}) AS copied"
        );
        app.database.write(&sql, &params(from, to)).await?;
        let sql = "INSERT INTO ledger_entries SELECT n * 10 + e.sequence - 1, e.aggregate_type, e.aggregate_id, e.sequence, \
            replace(leaf, {id_in_leaf}, e.event_id), l.leaf_hash FROM generate_series($1::bigint, $2::bigint - 1) AS n \
            JOIN events e ON e.aggregate_type = 'user' \
            AND e.aggregate_id = lpad(to_hex(n), 8, '0') || '-0000-4000-8000-000000000000' \
            JOIN ledger_entries l ON l.position < 100 AND l.aggregate_id = $3 AND l.sequence = e.sequence";
        app.database.write(sql, &params(from, to)).await?;
    }
    // What is replayed needs neither a tree nor signatures.
    app.database.write("UPDATE ledger_state SET size = $1, frontier = $2", &frontier(streams * 10)).await?;
    let checkpoints = "UPDATE projection_checkpoints SET position = $1";
    app.database.write(checkpoints, &[(streams * 10).into()]).await?;
    for table in ["events", "ledger_entries"] {
        app.database.write(&format!("ANALYZE {table}"), &[]).await?;
    }
    Ok(())
}

/// A right edge of the right length: nothing here looks at its hashes.
fn frontier(size: i64) -> [countersign_projections::table::Value; 2] {
    let hash = countersign_projections::ledger::tree::Hash::from_bytes([0; 32]).to_string();
    let hashes = vec![hash; usize::try_from(size.count_ones()).unwrap_or_default()];
    [size.into(), hashes.join(" ").into()]
}

/// Somebody who registered with a password: two events.
async fn register(app: &App) -> anyhow::Result<(UserId, PasswordId)> {
    let now = app.clock.now();
    let (user_id, password_id) =
        (UserId::from_uuid(entropy::id(now)?), PasswordId::from_uuid(entropy::id(now)?));
    let (key, key_row) = app.vault.new_data_key(user_id.as_uuid(), now)?;
    let claim = Change::Insert(&EMAIL_CLAIMS, vec!["digest".into(), user_id.to_string().into()]);
    let email = key.seal(Purpose::Email, "", b"ada@example.com")?;
    let display_name = key.seal(Purpose::DisplayName, "", b"Ada")?;
    app.execute::<User>(&Request::operator("replay".to_owned()), user_id, None, |_, moment| {
        let (email, display_name) = (email.clone(), display_name.clone());
        let at = moment.at;
        let command = Register { user_id, email, display_name, password_id: Some(password_id), at };
        let mut plan = Plan::new(UserCommand::Register(command), key.clone());
        plan.changes = vec![claim.clone(), key_row.clone()];
        let password = key.vault_row(Purpose::PasswordHash, password_id.as_uuid(), b"$argon2id$", at)?;
        plan.secrets.push((password_id.as_uuid(), password));
        Ok(plan)
    })
    .await
    .map_err(|problem| anyhow!(problem.for_operator()))?;
    Ok((user_id, password_id))
}

/// A sign-in with the password alone: two events.
async fn sign_in(app: &App, id: UserId, password_id: PasswordId) -> anyhow::Result<()> {
    let request = Request::operator("replay".to_owned());
    let session_id = SessionId::from_uuid(entropy::id(app.clock.now())?);
    app.execute_on_user(&request, id, |_, moment, key| {
        let token = || TokenDigest::from_hex(session_id.as_uuid().simple().to_string());
        let attempt = SignInAttempt {
            challenge: token(),
            enrolment_token: token(),
            agreement_id: None,
            required_by: Vec::new(),
            at: moment.at,
        };
        let session = NewSession { session_id, token: token() };
        Ok(Plan::new(UserCommand::SignIn(SignIn { password_id, attempt, session }), key))
    })
    .await
    .map_err(|problem| anyhow!(problem.for_operator()))?;
    Ok(())
}
