//! How the program speaks TLS as a client, and what it trusts.
//!
//! The cryptography is ring's, which the connection to PostgreSQL rests on too. It is handed to each
//! client: there is no default for the whole process, and a client that is built without panics.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

/// TLS 1.2 and 1.3, believing whom these certificates vouch for.
///
/// # Errors
/// When ring has none of the cipher suites of these versions, which it has.
pub fn client_config(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The certificates that this machine trusts, or the file that `SSL_CERT_FILE` names. It reads files, so
/// it must not run on the threads that answer requests.
#[must_use]
pub fn system_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "some of the system's certificates cannot be read");
    }
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        tracing::warn!("the system trusts no certificates, so no webhook can be sent over TLS");
    }
    tracing::debug!(added, ignored, "the system's certificates are read");
    roots
}

/// A client for programs on this machine, over plain HTTP: it trusts no certificate and asks no proxy.
///
/// # Errors
/// As for [`client_config`].
pub fn plain_http_client() -> Result<reqwest::ClientBuilder, rustls::Error> {
    let config = client_config(RootCertStore::empty())?;
    Ok(reqwest::Client::builder().tls_backend_preconfigured(config).no_proxy())
}
