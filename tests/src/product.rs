//! The only lines of the harness that know the product's Rust interface.

use std::path::Path;

use chrono::{DateTime, Utc};
pub(crate) use countersign::{Clock, Server};
use countersign::{Config, operator};

/// A clock that stands still until a test moves it.
pub(crate) fn manual_clock(at: DateTime<Utc>) -> Clock {
    Clock::manual(at)
}

/// Sets a clock made by [`manual_clock`], back too.
pub(crate) fn set_clock(clock: &Clock, at: DateTime<Utc>) {
    clock.set(at);
}

fn config(database_url: &str, data_dir: &Path) -> Config {
    let mut config = Config::new(database_url.to_owned(), data_dir.to_owned());
    config.listen = "127.0.0.1:0".parse().expect("an address");
    config
}

/// Starts a node on a free port.
pub(crate) async fn start(database_url: &str, data_dir: &Path, clock: &Clock) -> Server {
    match Server::start(config(database_url, data_dir), clock.clone()).await {
        Ok(server) => server,
        Err(error) => panic!("the product did not start on {database_url}: {error}"),
    }
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
    match operator::create_api_key(&config(database_url, data_dir), clock, name, scopes).await {
        Ok(key) => key,
        Err(error) => panic!("no API key {name}: {error}"),
    }
}
