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
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Problems, Shared};
use crate::app::App;
use crate::ledger::{Leading, Noticed, Observed};
use crate::problem::Problem;
use countersign_projections::audit_trail::AuditTrail;
use countersign_projections::catch_up::Projection;
use countersign_projections::coverage::Coverage;
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
    /// How long the oldest event has waited for its place in the ledger; from ten seconds on the program
    /// is not ready.
    sequencer_lag_ms: Option<i64>,
    /// What somebody must look at, in sentences: events without a place in the ledger, and the like. They
    /// keep nobody from signing in, so they do not make the program unready.
    alarms: Vec<String>,
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
    let observed = if migrations { observe(&app).await } else { None };
    let ready = observed.as_ref().is_some_and(|observed| !observed.lags());
    let (code, status) =
        if ready { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not_ready") };
    let sequencer_lag_ms = observed.map(|observed| observed.lag_ms);
    let alarms = app.ledger.health.noticed().alarms();
    let body = Readiness { status, database, migrations, keys: true, sequencer_lag_ms, alarms };
    let mut response = (code, Json(body)).into_response();
    response.extensions_mut().insert(OwnBody);
    response
}

/// How far the ledger is; nothing when the database does not say.
async fn observe(app: &App) -> Option<Observed> {
    let observed = app.ledger.observe(app.clock.now()).await;
    observed.inspect_err(|error| tracing::warn!(%error, "how far the ledger is cannot be read")).ok()
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
    // Without the database there is nothing to say of the ledger, and the rest is said all the same.
    let observed = observe(&app).await;
    registry.register_collector(Box::new(LedgerFigures { observed, noticed: app.ledger.health.noticed() }));
    registry.register_collector(Box::new(app.webhook_figures().await));
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

#[derive(Debug)]
struct LedgerFigures {
    observed: Option<Observed>,
    noticed: Noticed,
}

impl Collector for LedgerFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let natural = |size: u64| i64::try_from(size).unwrap_or(i64::MAX);
        let count = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
        let Self { observed, noticed } = self;
        if let Some(observed) = observed {
            let Observed { size, signed_size, pending, lag_ms, trail_size, coverage_size } = *observed;
            for (name, help, value) in [
                ("ledger_entries", "Entries of the ledger", natural(size)),
                ("ledger_signed_entries", "Entries that the latest checkpoint signs", natural(signed_size)),
                ("ledger_pending_events", "Events that wait for their place in the ledger", natural(pending)),
                ("ledger_lag_milliseconds", "How long the oldest of them has waited", lag_ms),
                ("audit_trail_entries", "Entries that the audit trail has taken in", natural(trail_size)),
                ("coverage_entries", "Entries that coverage has taken in", natural(coverage_size)),
            ] {
                gauge(&mut encoder, name, help, value)?;
            }
        }
        let Leading { held, unsequenced, look_failure: _ } = &noticed.leading;
        let stops = |name: &str| {
            let following = noticed.followers.get(name);
            i64::from(following.is_some_and(|following| following.stopped_before.is_some()))
        };
        for (name, help, value) in [
            ("ledger_leader", "Whether this node takes the sequencer's turns", i64::from(noticed.leads)),
            (
                "ledger_held_events",
                "Events that get no place in the ledger, if this node leads",
                count(held.count),
            ),
            (
                "ledger_unsequenced_events",
                "Events that never came to the sequencer, if this node leads",
                count(unsequenced.len()),
            ),
            (
                "audit_trail_stopped",
                "Whether the audit trail stops before an entry that it cannot take, as far as this node tried",
                stops(AuditTrail::NAME),
            ),
            (
                "coverage_stopped",
                "Whether coverage stops before an entry that it cannot take, as far as this node tried",
                stops(Coverage::NAME),
            ),
        ] {
            gauge(&mut encoder, name, help, value)?;
        }
        let help = "Turns of the sequencer that ended without a signature";
        let failures = ConstCounter::new(noticed.failed_signatures);
        failures.encode(encoder.encode_descriptor(
            "ledger_failed_signatures",
            help,
            None,
            MetricType::Counter,
        )?)
    }
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: i64,
) -> Result<(), std::fmt::Error> {
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
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
