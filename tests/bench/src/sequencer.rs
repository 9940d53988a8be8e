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
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What may run beside the routes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Beside {
    Off,
    Sequencer,
    On,
}

#[derive(Default)]
struct Running {
    keeper: Option<Keeper>,
    following: Option<Following>,
}

/// Followers that can be stopped while the keeper goes on.
struct Following {
    followers: Followers,
    told: JoinHandle<()>,
}

impl Following {
    fn start(app: &Arc<App>, mut sizes: watch::Receiver<Option<u64>>) -> Self {
        let (tell, followed) = watch::channel(*sizes.borrow_and_update());
        let told = tokio::spawn(async move {
            while sizes.changed().await.is_ok() {
                tell.send_replace(*sizes.borrow_and_update());
            }
        });
        Self { followers: Followers::start(app, &followed), told }
    }

    async fn stop(self) {
        self.told.abort();
        self.followers.finish().await;
    }
}

struct Switch {
    app: Arc<App>,
    running: Mutex<Running>,
}

/// Serves it.
pub(crate) async fn run(database: String, data_dir: PathBuf) -> anyhow::Result<()> {
    let app = App::open(Config::new(database, data_dir), Clock::system()).await?;
    let switch = Arc::new(Switch { app: Arc::clone(&app), running: Mutex::default() });
    let control = Router::new().route("/bench/ledger/{beside}", post(turn)).with_state(switch);
    crate::listening::serve(router(app).merge(control)).await
}

/// What is to run goes on if it does already, as in life.
async fn turn(
    State(switch): State<Arc<Switch>>,
    Path(beside): Path<Beside>,
) -> Result<StatusCode, StatusCode> {
    let mut running = switch.running.lock().await;
    if beside != Beside::On
        && let Some(following) = running.following.take()
    {
        following.stop().await;
    }
    match (beside, &mut running.keeper) {
        (Beside::Off, keeper) => {
            if let Some(keeper) = keeper.take() {
                keeper.stop().await;
            }
        }
        (Beside::Sequencer | Beside::On, Some(_)) => {}
        (Beside::Sequencer | Beside::On, keeper @ None) => {
            let before = looked_to(&switch.app).await?;
            *keeper = Some(Keeper::start(Arc::clone(&switch.app)));
            // One that starts looks back once, through all of the last hour.
            while looked_to(&switch.app).await? <= before {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }
    let Running { keeper, following } = &mut *running;
    if let (Beside::On, Some(keeper), None) = (beside, keeper, &following) {
        *following = Some(Following::start(&switch.app, keeper.sizes()));
    }
    Ok(StatusCode::NO_CONTENT)
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
