//! What can be configured: on the command line, in the environment, or in a file.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use secrecy::SecretString;

/// Everything that can be configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the database is: `postgres://…` or `sqlite:PATH`.
    pub database: String,
    /// Where keys, and the embedded database, are kept.
    pub data_dir: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// The master key in base64, instead of `master.key` in the data directory.
    pub master_key: Option<SecretString>,
    /// The key that signs the ledger, in base64, instead of `ledger.key` in the data directory.
    pub ledger_key: Option<SecretString>,
    /// The name of the ledger, which it keeps from its first entry on.
    pub ledger_origin: Option<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How the service is called in authenticator apps.
    pub issuer: String,
    /// The least number of characters in a password; never under 8 (NIST SP 800-63B).
    pub password_length_min: usize,
    /// So many connections are served at once.
    pub connections_max: usize,
    /// Origins that people may be sent back to after signing in or setting up two-factor: `https://app.example.com`.
    pub return_to: Vec<String>,
    /// Whether webhooks may be sent to this machine and to private networks, and without TLS.
    pub webhook_private_targets: bool,
}

impl Config {
    /// The defaults, for this database and this directory.
    #[must_use]
    pub fn new(database: String, data_dir: PathBuf) -> Self {
        Self {
            database,
            data_dir,
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            master_key: None,
            ledger_key: None,
            ledger_origin: None,
            trusted_proxies: Vec::new(),
            issuer: "Countersign".to_owned(),
            password_length_min: 15,
            connections_max: 4096,
            return_to: Vec::new(),
            webhook_private_targets: false,
        }
    }

    /// The address of the embedded database in this directory.
    #[must_use]
    pub fn embedded_database(data_dir: &std::path::Path) -> String {
        format!("sqlite:{}", data_dir.join("countersign.db").display())
    }
}
