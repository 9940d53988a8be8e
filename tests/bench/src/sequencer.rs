//! The program's own routes, with a ledger that can be turned off: only here, never in the product.
//!
//! `POST /bench/ledger/off`, `…/sequencer` and `…/on` say what runs beside the routes: nothing, what makes and signs
//! the ledger, or the trail and coverage too. Whatever else runs is the same, so that rounds differ by that alone.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use chrono::{DateTime, Utc};
use countersign::app::App;
use countersign::ledger::{Followers, Keeper};
use countersign::router::router;
use countersign::{Clock, Config};
use serde::Deserialize;
use tokio::sync::Mutex;

const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What may run beside the routes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Beside {
    Off,
    Sequencer,
    On,
}

/// What runs now.
struct Switch {
    app: Arc<App>,
    running: Mutex<Option<(Keeper, Option<Followers>)>>,
}

/// Serves it.
pub(crate) async fn run(database: String, data_dir: PathBuf) -> anyhow::Result<()> {
    let app = App::open(Config::new(database, data_dir), Clock::system()).await?;
    let switch = Arc::new(Switch { app: Arc::clone(&app), running: Mutex::new(None) });
    let control = Router::new().route("/bench/ledger/{beside}", post(turn)).with_state(switch);
    crate::listening::serve(router(app).merge(control)).await
}

/// Begins anew whatever runs afterwards, and goes through the same when nothing does, so that no measurement
/// has more before it than another.
async fn turn(
    State(switch): State<Arc<Switch>>,
    Path(beside): Path<Beside>,
) -> Result<StatusCode, StatusCode> {
    let mut running = switch.running.lock().await;
    stop(running.take()).await;
    let before = looked_to(&switch.app).await?;
    let keeper = Keeper::start(Arc::clone(&switch.app));
    let followers = (beside == Beside::On).then(|| Followers::start(&switch.app, &keeper.sizes()));
    // One that starts looks back once, through all of the last hour.
    while looked_to(&switch.app).await? <= before {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    if beside == Beside::Off {
        stop(Some((keeper, followers))).await;
    } else {
        *running = Some((keeper, followers));
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn stop(running: Option<(Keeper, Option<Followers>)>) {
    if let Some((keeper, followers)) = running {
        keeper.stop().await;
        if let Some(followers) = followers {
            followers.finish().await;
        }
    }
}

/// Up to when the keeper has looked for events that are missing.
async fn looked_to(app: &App) -> Result<DateTime<Utc>, StatusCode> {
    match app.ledger.store.state().await {
        Ok(Some(state)) => Ok(state.reconciled_to),
        Ok(None) => Ok(DateTime::UNIX_EPOCH),
        Err(_) => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// Asks for it.
pub(crate) async fn ask(address: SocketAddr, beside: Beside) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    let beside = format!("{beside:?}").to_lowercase();
    crate::client::request(&mut bytes, &format!("POST /bench/ledger/{beside}"), "", "");
    let mut connection = crate::client::Connection::open(address).await?;
    connection.send(&bytes).await?.expect(204).map(drop)
}
