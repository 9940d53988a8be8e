//! Whether the program is well, for those who run it.

use std::sync::LazyLock;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Problems, Shared};
use crate::problem::Problem;
use countersign_projections::database::{DatabaseError, StatementCounts};

/// That the program lives.
#[derive(Serialize, ToSchema)]
pub struct Health {
    /// `ok`.
    status: &'static str,
}

/// Says that the program lives. It asks nothing of the database.
#[utoipa::path(get, path = "/healthz", tag = "operations", responses((status = 200, body = Health)))]
pub async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether the program can serve.
#[derive(Serialize, ToSchema)]
pub struct Readiness {
    /// `ready` or `not_ready`.
    status: &'static str,
    /// Whether the database answers.
    database: bool,
    /// Whether the database is as this program knows it.
    migrations: bool,
    /// Whether the keys open what the database holds; without them the program does not start.
    keys: bool,
    /// How far the sequencer is behind; null while there is none.
    sequencer_lag_ms: Option<i64>,
}

/// Says whether the program can serve.
#[utoipa::path(
    get, path = "/readyz", tag = "operations",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness))
)]
pub async fn readyz(State(app): Shared) -> Response {
    let pending = app.database.pending_migrations().await;
    let (database, migrations) = match pending {
        Ok(pending) => (true, pending.is_empty()),
        // A newer program has only added to it: nodes of this version serve on until they are replaced.
        Err(DatabaseError::Newer { .. }) => (true, true),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            (false, false)
        }
    };
    let (code, status) =
        if migrations { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not_ready") };
    let body = Readiness { status, database, migrations, keys: true, sequencer_lag_ms: None };
    let mut response = (code, Json(body)).into_response();
    response.extensions_mut().insert(OwnBody);
    response
}

/// Marks an error response that is no problem: its body says what is the matter.
#[derive(Clone, Copy)]
pub struct OwnBody;

/// Figures for Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "operations",
    responses((status = 200, body = String, content_type = "text/plain"), Problems)
)]
pub async fn metrics(State(app): Shared) -> Result<Response, Problem> {
    let mut registry = Registry::with_prefix("countersign");
    registry.register_collector(Box::new(Statements(app.database.counters())));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)
        .map_err(|error| Problem::internal(format!("metrics cannot be written: {error}")))?;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}

#[derive(Debug)]
struct Statements(StatementCounts);

impl Collector for Statements {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "Statements sent to the database, by what they were for";
        let mut family = encoder.encode_descriptor("database_statements", help, None, MetricType::Counter)?;
        let counts = &self.0;
        for (kind, count) in
            [("load", counts.load), ("append", counts.append), ("read", counts.read), ("write", counts.write)]
        {
            ConstCounter::new(count).encode(family.encode_family(&[("kind", kind)])?)?;
        }
        Ok(())
    }
}

/// The OpenAPI 3.1 document, generated from the code.
#[utoipa::path(
    get, path = "/openapi.json", tag = "operations",
    responses((status = 200, description = "The OpenAPI document", content_type = "application/json"))
)]
pub async fn openapi() -> Response {
    static DOCUMENT: LazyLock<String> =
        LazyLock::new(|| crate::router::openapi().to_json().unwrap_or_default());
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}
