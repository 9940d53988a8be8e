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
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
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
use crate::problem::Problem;
use crate::problem::refusals::busy;
use crate::request::Request;
use crate::rest::{Params, Problems, Shared};

/// What to export.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Export {
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
/// those below that position. An export that breaks off was not finished: its last chunk is missing.
#[utoipa::path(
    get, path = "/v1/audit/export", tag = "audit", security(("bearer" = [])), params(Export),
    responses((status = 200, body = String, content_type = "application/x-ndjson"), Problems)
)]
pub async fn export(
    State(app): Shared,
    request: Request,
    Params(Export { format, from, to }): Params<Export>,
) -> Result<Response, Problem> {
    check_period(from, to)?;
    let place = Arc::clone(&app.listeners).try_acquire_owned();
    let place = place.map_err(|_| busy("Too many exports and streams are under way on this node."))?;
    let size = catch_up::position::<AuditTrail>(&app.database).await?;
    let recorded = format.recorded();
    app.record_audit_export(&request, |at| RecordAuditExport {
        format: recorded,
        from,
        to,
        entries_below: size,
        at,
    })
    .await?;
    let name = format!("attachment; filename=\"audit-trail.{}\"", format.file_extension());
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(format.content_type())),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_str(&name).map_err(|_| Problem::internal("a file name"))?,
        ),
        (HeaderName::from_static("countersign-ledger-size"), HeaderValue::from(size)),
    ];
    let body = Body::from_stream(pages(app, format, Reading::of(from, to, size), place));
    Ok((headers, body).into_response())
}

/// The export in pieces, each a page of entries.
fn pages(
    app: Arc<App>,
    format: Format,
    reading: Reading,
    place: OwnedSemaphorePermit,
) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> {
    let head = stream::iter([Ok(Bytes::from_static(format.head()))]);
    let pages = stream::try_unfold((app, reading, place), move |(app, mut reading, place)| async move {
        let page = app.next_page(&mut reading).await.map_err(|problem| broken(&problem.for_operator()))?;
        if page.is_empty() {
            return Ok(None);
        }
        let mut piece = Vec::new();
        for entry in &page {
            format.write(entry, &mut piece).map_err(|error| broken(&error.to_string()))?;
        }
        Ok(Some((Bytes::from(piece), (app, reading, place))))
    });
    futures::StreamExt::chain(head, pages)
}

/// The connection is cut, which is how whoever reads learns that the rest is missing.
fn broken(reason: &str) -> std::io::Error {
    tracing::error!(reason, "an export broke off");
    std::io::Error::other("the export broke off")
}

/// How exported entries are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, EnumIter, EnumString, IntoStaticStr, ToSchema)]
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

/// An entry that could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExportError {
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
