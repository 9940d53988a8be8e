//! Entries of the trail as files for other programs: one record a line, whatever people wrote. An
//! export is read and sent page by page, so it takes no more memory however long it is.

mod cef;
mod csv;
mod line;
mod meaning;
mod ndjson;
mod ocsf;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Version, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use clap::ValueEnum;
use countersign_domain::Timestamp;
use countersign_domain::instance::{ExportFormat, RecordAuditExport};
use countersign_projections::audit_trail::AuditTrail;
use countersign_projections::catch_up;
use futures::stream;
use serde::Deserialize;
use serde_json::Value;
use strum::{EnumIter, EnumString, IntoStaticStr};
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use super::check_period;
use super::entry::EntryView;
use super::pages::Reading;
use crate::app::App;
use crate::problem::refusals::busy;
use crate::problem::{Problem, ProblemCode};
use crate::request::Request;
use crate::rest::{Params, Problems, Shared};

/// What to export, asked in a way in which the end of an export can be told from its breaking off.
pub struct Export(Asked);

/// What to export.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// How entries are written.
    #[param(inline)]
    format: Format,
    /// Recorded at this time or later.
    #[serde(default, deserialize_with = "crate::time::optional")]
    from: Option<DateTime<Utc>>,
    /// Recorded before this time.
    #[serde(default, deserialize_with = "crate::time::optional")]
    to: Option<DateTime<Utc>>,
}

/// Exports the audit trail, the oldest entry first. `Countersign-Ledger-Size` says which entries it covers:
/// those below that position. An export that breaks off was not finished: its last chunk is missing. Over
/// HTTP/1.0, which has no chunks, it is refused.
#[utoipa::path(
    get, path = "/v1/audit/export", tag = "audit", security(("bearer" = [])), params(Asked),
    responses(
        (
            status = 200,
            content(
                (String = "application/x-ndjson"),
                (String = "text/csv; charset=utf-8; header=present"),
                (String = "text/plain; charset=utf-8")
            ),
            headers(
                ("Countersign-Ledger-Size" = u64, description = "It covers the entries below this position.")
            )
        ),
        Problems
    )
)]
pub async fn export(
    State(app): Shared,
    request: Request,
    Params(Export(Asked { format, from, to })): Params<Export>,
) -> Result<Response, Problem> {
    let place = Arc::clone(&app.listeners).try_acquire_owned();
    let place = place.map_err(|_| busy("Too many exports and streams are under way on this node."))?;
    let exporting = app.begin_export(&request, format, from, to).await?;
    let name = format!("attachment; filename=\"audit-trail.{}\"", format.file_extension());
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(format.content_type())),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_str(&name).map_err(|_| Problem::internal("a file name"))?,
        ),
        (HeaderName::from_static("countersign-ledger-size"), HeaderValue::from(exporting.size)),
    ];
    Ok((headers, Body::from_stream(pieces(app, exporting, place))).into_response())
}

impl<S: Send + Sync> FromRequestParts<S> for Params<Export> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // There are no chunks before it: an export that breaks off would look like a whole one.
        if parts.version < Version::HTTP_11 {
            let detail = "Ask for an export over HTTP/1.1: over HTTP/1.0 nobody could see that it broke off. \
                          A proxy in between must speak HTTP/1.1 to this server: in nginx, proxy_http_version 1.1.";
            return Err(Problem::new(ProblemCode::MalformedRequest, detail));
        }
        let Params(asked) = Params::<Asked>::from_request_parts(parts, state).await?;
        Ok(Self(Export(asked)))
    }
}

/// The pieces of an export, as long as it has its place among those of this node.
fn pieces(
    app: Arc<App>,
    exporting: Exporting,
    place: OwnedSemaphorePermit,
) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> {
    stream::try_unfold((app, exporting, place), |(app, mut exporting, place)| async move {
        let piece = exporting.next_piece(&app).await.map_err(|error| broken(&error))?;
        Ok(piece.map(|piece| (Bytes::from(piece), (app, exporting, place))))
    })
}

/// The connection is cut, which is how whoever reads learns that the rest is missing.
fn broken(reason: &ExportError) -> std::io::Error {
    tracing::error!(%reason, "an export broke off");
    std::io::Error::other("the export broke off")
}

/// An export under way.
#[derive(Debug)]
pub(crate) struct Exporting {
    format: Format,
    reading: Reading,
    /// What comes before the first entry, until it is written.
    head: &'static [u8],
    /// It covers the entries below this position.
    pub(crate) size: u64,
    /// So many entries are written.
    pub(crate) written: u64,
}

impl App {
    /// Waits until the trail shows what is asked for, records that it is handed out, and begins to write it.
    pub(crate) async fn begin_export(
        &self,
        request: &Request,
        format: Format,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<Exporting, Problem> {
        check_period(from, to)?;
        let now = self.clock.now();
        // Nobody could see in an export that something is not in the trail yet.
        self.wait_for_what_was_recorded(to.map_or(now, |to| to.min(now))).await?;
        let size = catch_up::position::<AuditTrail>(&self.database).await?;
        let export = |at| RecordAuditExport { format: format.recorded(), from, to, entries_below: size, at };
        self.record_audit_export(request, export).await?;
        let reading = Reading::of(from, to, size);
        Ok(Exporting { format, reading, head: format.head(), size, written: 0 })
    }
}

impl Exporting {
    /// The next lines; none at the end.
    pub(crate) async fn next_piece(&mut self, app: &App) -> Result<Option<Vec<u8>>, ExportError> {
        let mut piece = std::mem::take(&mut self.head).to_vec();
        for entry in app.next_page(&mut self.reading).await.map_err(ExportError::Read)? {
            self.format.write(&entry, &mut piece)?;
            self.written += 1;
        }
        Ok((!piece.is_empty()).then_some(piece))
    }

    /// How many entries are yet to be written.
    pub(crate) async fn left(&self, app: &App) -> Result<u64, Problem> {
        app.count_entries(&self.reading).await
    }
}

/// How exported entries are written.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Deserialize, EnumIter, EnumString, IntoStaticStr, ToSchema, ValueEnum,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Format {
    /// One JSON object a line, as the list of entries shows it.
    Ndjson,
    /// RFC 4180, with a header line, safe to open in a spreadsheet.
    Csv,
    /// One event of the Open Cybersecurity Schema Framework a line, as JSON.
    Ocsf,
    /// One event of the Common Event Format a line.
    Cef,
}

/// Why an export breaks off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    /// The trail does not read.
    #[error("{}", .0.for_operator())]
    Read(Problem),
    /// What it says is no JSON.
    #[error("an entry does not write as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Its row is no CSV.
    #[error("an entry does not write as CSV: {0}")]
    Csv(#[from] ::csv::Error),
}

impl Format {
    /// As the trail names it.
    const fn recorded(self) -> ExportFormat {
        match self {
            Self::Ndjson => ExportFormat::Ndjson,
            Self::Csv => ExportFormat::Csv,
            Self::Ocsf => ExportFormat::Ocsf,
            Self::Cef => ExportFormat::Cef,
        }
    }

    /// The media type of a whole export.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson | Self::Ocsf => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Cef => "text/plain; charset=utf-8",
        }
    }

    /// How the name of an exported file ends, without the dot before it.
    pub(super) const fn file_extension(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Ocsf => "ocsf.ndjson",
            Self::Cef => "cef",
        }
    }

    /// What stands before the first entry.
    pub(super) const fn head(self) -> &'static [u8] {
        match self {
            Self::Csv => csv::HEAD,
            Self::Ndjson | Self::Ocsf | Self::Cef => b"",
        }
    }

    /// Appends one entry: exactly one line with its end, or nothing.
    ///
    /// # Errors
    /// An [`ExportError`] if the entry cannot be written; what was there before stays as it is.
    pub(super) fn write(self, entry: &EntryView, out: &mut Vec<u8>) -> Result<(), ExportError> {
        let start = out.len();
        let written = match self {
            Self::Ndjson => ndjson::write(entry, out),
            Self::Csv => csv::write(entry, out),
            Self::Ocsf => ocsf::write(entry, out),
            Self::Cef => cef::write(entry, out),
        };
        if written.is_err() {
            out.truncate(start);
        }
        written
    }
}

/// A text that an entry's event says.
fn said<'e>(entry: &'e EntryView, field: &str) -> Option<&'e str> {
    entry.data.get(field).and_then(Value::as_str)
}

/// The name of the user that an entry is about, where the entry holds it.
fn person_name(entry: &EntryView) -> Option<&str> {
    let user_id = entry.user_id.as_deref()?;
    let acted = entry.actor.kind == "user" && entry.actor.id.as_deref() == Some(user_id);
    let as_actor = entry.actor.name.as_deref().filter(|_| acted);
    let spoken_for = entry.on_behalf_of.as_ref().filter(|person| person.id == user_id);
    as_actor.or_else(|| spoken_for.map(|person| person.name.as_str())).or_else(|| said(entry, "display_name"))
}
