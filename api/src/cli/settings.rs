//! Settings: an option comes before the environment, and the environment before the file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use ipnet::IpNet;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::Global;
use crate::config::Config;

const DEFAULT_FILE: &str = "countersign.toml";
const DEFAULT_DATA_DIR: &str = "./countersign-data";

/// Every key of the file; in the environment in upper case behind `COUNTERSIGN_`.
const KEYS: &[&str] = &[
    "database",
    "data_dir",
    "listen",
    "master_key",
    "ledger_key",
    "ledger_origin",
    "trusted_proxies",
    "issuer",
    "password_length_min",
    "connections_max",
    "return_to",
    "webhook_private_targets",
];

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    database: Option<String>,
    data_dir: Option<PathBuf>,
    listen: Option<SocketAddr>,
    #[serde(default, deserialize_with = "any_text")]
    master_key: Option<String>,
    #[serde(default, deserialize_with = "any_text")]
    ledger_key: Option<String>,
    #[serde(default, deserialize_with = "any_text")]
    ledger_origin: Option<String>,
    trusted_proxies: Option<Vec<IpNet>>,
    #[serde(default, deserialize_with = "any_text")]
    issuer: Option<String>,
    password_length_min: Option<usize>,
    connections_max: Option<usize>,
    return_to: Option<Vec<String>>,
    webhook_private_targets: Option<bool>,
}

#[derive(Serialize)]
struct Options {
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ledger_origin: Option<String>,
}

/// The options of `serve` alone.
#[derive(clap::Args, Clone, Default)]
pub(crate) struct Serving {
    /// Where to listen [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// The name of the ledger, such as audit.example.com/log1; it keeps it from its first entry on
    #[arg(long, value_name = "NAME")]
    ledger_origin: Option<String>,
}

/// Reads the settings from the command line, the environment and the file.
pub(super) fn read(global: &Global, serving: Serving) -> anyhow::Result<Config> {
    let file = match &global.config {
        Some(file) => {
            anyhow::ensure!(file.is_file(), "there is no configuration file {}", file.display());
            file.as_path()
        }
        None => Path::new(DEFAULT_FILE),
    };
    let Serving { listen, ledger_origin } = serving;
    let (database, data_dir) = (global.database.clone(), global.data_dir.clone());
    let options = Options { database, data_dir, listen, ledger_origin };
    let file = if file.is_file() { Figment::from(Toml::file_exact(file)) } else { Figment::new() };
    let settings: Settings = file
        .merge(Env::prefixed("COUNTERSIGN_").only(KEYS))
        .merge(Serialized::defaults(options))
        .extract()
        .context("the settings do not read")?;
    for origin in settings.return_to.iter().flatten() {
        anyhow::ensure!(
            is_origin(origin),
            "return_to must list origins, such as https://app.example.com, and {origin:?} is none"
        );
    }
    Ok(config(settings))
}

/// A scheme, a host and a port if there is one: nothing that could say more to a browser.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| {
        let of_hosts = |character: char| character.is_ascii_alphanumeric() || "-.:[]".contains(character);
        !host.is_empty() && host.chars().all(of_hosts)
    })
}

/// Text, also where the environment's value looks like a number.
fn any_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Scalar {
        Text(String),
        Integer(i128),
        Number(f64),
        Boolean(bool),
    }
    Ok(Option::<Scalar>::deserialize(deserializer)?.map(|scalar| match scalar {
        Scalar::Text(text) => text,
        Scalar::Integer(integer) => integer.to_string(),
        Scalar::Number(number) => number.to_string(),
        Scalar::Boolean(boolean) => boolean.to_string(),
    }))
}

fn config(settings: Settings) -> Config {
    let data_dir = settings.data_dir.unwrap_or_else(|| PathBuf::from(DEFAULT_DATA_DIR));
    let database = settings.database.unwrap_or_else(|| Config::embedded_database(&data_dir));
    let default = Config::new(database, data_dir);
    Config {
        listen: settings.listen.unwrap_or(default.listen),
        master_key: settings.master_key.map(SecretString::from),
        ledger_key: settings.ledger_key.map(SecretString::from),
        ledger_origin: settings.ledger_origin,
        trusted_proxies: settings.trusted_proxies.unwrap_or_default(),
        issuer: settings.issuer.unwrap_or(default.issuer),
        password_length_min: settings.password_length_min.unwrap_or(default.password_length_min),
        connections_max: settings.connections_max.unwrap_or(default.connections_max).max(1),
        return_to: settings.return_to.unwrap_or_default(),
        webhook_private_targets: settings.webhook_private_targets.unwrap_or(default.webhook_private_targets),
        database: default.database,
        data_dir: default.data_dir,
    }
}
