//! What several unit tests begin with.

use std::path::Path;
use std::sync::Arc;

use chrono::DateTime;

use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;

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
