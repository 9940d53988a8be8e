//! The only lines of the harness that know the product's Rust interface.

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use countersign::app::App;
use countersign::event_store::{EventStore, Stream};
use countersign::operator::RoleChange;
pub(crate) use countersign::{Clock, Server};
use countersign::{Config, operator};
use countersign_domain::{agreement::Agreement, instance::Instance, user::User};
use countersign_projections::database::Row;
use countersign_projections::replay::{Model, Rebuilt, ReplayReport, rebuild, verify_replay};
use cqrs_es::Aggregate;
use serde_json::Value;

/// A clock that stands still until a test moves it.
pub(crate) fn manual_clock(at: DateTime<Utc>) -> Clock {
    Clock::manual(at)
}

/// Sets a clock made by [`manual_clock`], back too.
pub(crate) fn set_clock(clock: &Clock, at: DateTime<Utc>) {
    clock.set(at);
}

/// Where a node may send webhooks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum WebhookTargets {
    /// The public internet, as nobody has configured otherwise.
    #[default]
    Public,
    /// This machine too.
    Private,
}

fn config(database_url: &str, data_dir: &Path, targets: WebhookTargets) -> Config {
    let mut config = Config::new(database_url.to_owned(), data_dir.to_owned());
    config.webhook_private_targets = match targets {
        WebhookTargets::Public => false,
        WebhookTargets::Private => true,
    };
    config.return_to = vec!["https://app.example.com".to_owned()];
    config.listen = "127.0.0.1:0".parse().expect("an address");
    config
}

/// Starts a node on a free port.
pub(crate) async fn start(
    database_url: &str,
    data_dir: &Path,
    clock: &Clock,
    targets: WebhookTargets,
) -> Server {
    match Server::start(config(database_url, data_dir, targets), clock.clone()).await {
        Ok(server) => server,
        Err(error) => panic!("the product did not start on {database_url}: {error}"),
    }
}

/// An HTTP client for programs on this machine.
pub(crate) fn http_client() -> reqwest::ClientBuilder {
    countersign::tls::plain_http_client().expect("TLS that nobody uses")
}

/// The base of a node's URLs.
pub(crate) fn base_url(server: &Server) -> String {
    format!("http://{}", server.address())
}

/// What `countersign api-key create` does.
pub(crate) async fn create_api_key(
    database_url: &str,
    data_dir: &Path,
    clock: &Clock,
    name: &str,
    scopes: &[&str],
) -> String {
    let config = config(database_url, data_dir, WebhookTargets::default());
    match operator::create_api_key(&config, clock, name, scopes).await {
        Ok(key) => key,
        Err(error) => panic!("no API key {name}: {error}"),
    }
}

/// The parts of a node that outside programs do not see.
pub(crate) fn inside(server: &Server) -> Arc<App> {
    Arc::clone(server.app())
}

/// The snapshot of a stream, and its events folded anew, both as JSON.
pub(crate) async fn snapshot_and_refold(app: &App, stream: &str, id: &str) -> (Value, Value) {
    match stream {
        "user" => both::<User>(&app.store, id.parse().expect("a user id")).await,
        "agreement" => both::<Agreement>(&app.store, id.parse().expect("an agreement id")).await,
        "instance" => both::<Instance>(&app.store, id.parse().expect("a stream id")).await,
        other => panic!("there is no stream {other}"),
    }
}

async fn both<A: Stream>(store: &EventStore, id: A::Id) -> (Value, Value) {
    let Ok(loaded) = store.load::<A>(id, None).await else { panic!("{} {id} does not load", A::TYPE) };
    let Ok(events) = cqrs_es::EventStore::<A>::load_events(store, &id.to_string()).await else {
        panic!("the events of {} {id} do not load", A::TYPE)
    };
    let mut refolded = A::default();
    for event in events {
        Aggregate::apply(&mut refolded, event.payload);
    }
    let json = |state: &A| serde_json::to_value(state).expect("a state is JSON");
    (json(&loaded.state), json(&refolded))
}

/// Every stream there is, by type and id.
pub(crate) async fn streams(app: &App) -> Vec<(String, String)> {
    let sql =
        "SELECT DISTINCT aggregate_type, aggregate_id FROM events ORDER BY aggregate_type, aggregate_id";
    let rows = app.database.read(sql, &[]).await.expect("the streams");
    let text = |row: &Row, column| row.get::<String>(column).expect("a text");
    rows.iter().map(|row| (text(row, "aggregate_type"), text(row, "aggregate_id"))).collect()
}

/// Takes all snapshots away, as if they were to be made anew.
pub(crate) async fn forget_snapshots(app: &App) {
    app.database.write("DELETE FROM snapshots", &[]).await.expect("snapshots go");
}

/// Adds a migration that this program does not know to those that were applied.
pub(crate) async fn remember_a_newer_migration(app: &App, at: DateTime<Utc>) {
    let sql = "INSERT INTO countersign_migrations (version, name, checksum, applied_at) \
               VALUES ($1, $2, $3, $4)";
    let row = [1001_i64.into(), "of_a_newer_program".into(), "unknown".into(), at.into()];
    app.database.write(sql, &row).await.expect("a migration is remembered");
}

/// What `countersign replay --verify` does.
pub(crate) async fn replay_report(app: &App) -> ReplayReport {
    verify_replay(&app.database, &Model::ALL, |_, _| {}).await.expect("a replay")
}

/// What `countersign replay` does.
pub(crate) async fn rebuild_all(app: &App) -> Rebuilt {
    rebuild(&app.database, &Model::ALL, |_, _| {}).await.expect("a replay")
}

/// What `countersign user reset-two-factor` does.
pub(crate) async fn reset_two_factor(app: &Arc<App>, user_id: &str) -> String {
    let pass = operator::reset_two_factor(app, user_id, "phone lost").await.expect("a reset");
    pass.as_str().to_owned()
}

/// What `countersign user grant` and `countersign user revoke` do.
pub(crate) async fn change_role(app: &Arc<App>, change: RoleChange, user_id: &str, role: &str) {
    operator::change_role(app, change, user_id, role).await.expect("a role is changed");
}

/// What `countersign user erase` does; whether it was not refused.
pub(crate) async fn erase(app: &Arc<App>, user_id: &str) -> bool {
    operator::erase_user(app, user_id).await.is_ok()
}

/// What `countersign api-key revoke` does to the first key that is live and has another name than this.
pub(crate) async fn revoke_key_but(app: &Arc<App>, name: &str) {
    let keys = operator::list_api_keys(app).await.expect("the keys");
    if let Some(key) = keys.iter().find(|key| key.revoked_at.is_none() && key.name != name) {
        operator::revoke_api_key(app, &key.id).await.expect("a revocation");
    }
}
