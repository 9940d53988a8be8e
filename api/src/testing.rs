//! What several unit tests begin with.

use std::path::Path;
use std::sync::Arc;

use chrono::DateTime;
use countersign_domain::agreement::command::{OpenAgreement, ToggleEnforcement};
use countersign_domain::agreement::{Agreement, AgreementCommand, AgreementKind};
use countersign_domain::context::Actor;
use countersign_domain::ids::AgreementId;
use uuid::Uuid;

use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::execute::Plan;
use crate::request::Request;

/// An app on an embedded database in this directory, with a clock that moves when it is told to.
pub(crate) async fn app_in(directory: &Path) -> Arc<App> {
    app_on(Config::embedded_database(directory), directory).await
}

/// The same on any database, with its keys in this directory.
pub(crate) async fn app_on(database: String, directory: &Path) -> Arc<App> {
    let config = Config::new(database, directory.to_owned());
    let clock = Clock::manual(DateTime::from_timestamp(1_900_000_000, 0).unwrap());
    App::open(config, clock).await.unwrap()
}

/// Opens the agreement of these tests.
pub(crate) async fn open_agreement(app: &App) {
    run(app, || {
        AgreementCommand::Open(OpenAgreement {
            agreement_id: agreement_id(),
            number: "7".to_owned(),
            name: "Nordlys".to_owned(),
            kind: AgreementKind::Standard,
            administered_by: None,
            at: app.clock.now(),
        })
    })
    .await;
}

/// Ticks its enforcement, or takes the tick away.
pub(crate) async fn toggle_enforcement(app: &App, enforced: bool) {
    run(app, || {
        let (deadline, reason, by, at) = (None, None, Actor::operator(), app.clock.now());
        AgreementCommand::ToggleEnforcement(ToggleEnforcement { enforced, deadline, reason, by, at })
    })
    .await;
}

async fn run(app: &App, command: impl Fn() -> AgreementCommand + Send + Sync) {
    let request = Request::operator("test".to_owned());
    let done = app.execute::<Agreement>(&request, agreement_id(), None, |_, _| {
        Ok(Plan::new(command(), app.vault.instance_key().clone()))
    });
    done.await.map(drop).unwrap();
}

fn agreement_id() -> AgreementId {
    AgreementId::from_uuid(Uuid::from_u128(7))
}
