//! Entries of the trail as files for other programs: one record a line, whatever people wrote.

mod cef;
mod csv;
mod line;
mod meaning;
mod ndjson;
mod ocsf;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_json::Value;
use strum::{EnumIter, EnumString, IntoStaticStr};
use utoipa::ToSchema;

use super::entry::EntryView;

/// How exported entries are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, EnumIter, EnumString, IntoStaticStr, ToSchema)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub(super) enum Format {
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
