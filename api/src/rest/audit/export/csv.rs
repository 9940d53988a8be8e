//! Entries as rows of RFC 4180, which spreadsheets open.

use std::borrow::Cow;

use chrono::SecondsFormat;
use csv::{QuoteStyle, Terminator, WriterBuilder};

use super::line::{json, one_line};
use super::{EntryView, ExportError};

/// The names of the columns.
pub(super) const HEAD: &[u8] = b"position,event_id,recorded_at,type,user_id,agreement_id,actor_kind,\
actor_id,actor_name,on_behalf_of,address,user_agent,request_id,summary,data\r\n";

/// What a row is gathered in; a longer one takes several turns.
const ROW_BUFFER_BYTES: usize = 1024;

pub(super) fn write(entry: &EntryView, out: &mut Vec<u8>) -> Result<(), ExportError> {
    let position = entry.position.to_string();
    let recorded_at = entry.recorded_at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let data = json(&entry.data)?;
    let cells = [
        position.as_str(),
        entry.event_id.as_str(),
        recorded_at.as_str(),
        entry.event_type.as_str(),
        entry.user_id.as_deref().unwrap_or_default(),
        entry.agreement_id.as_deref().unwrap_or_default(),
        entry.actor.kind.as_str(),
        entry.actor.id.as_deref().unwrap_or_default(),
        entry.actor.name.as_deref().unwrap_or_default(),
        entry.on_behalf_of.as_ref().map(|person| person.id.as_str()).unwrap_or_default(),
        entry.address.as_deref().unwrap_or_default(),
        entry.user_agent.as_deref().unwrap_or_default(),
        entry.request_id.as_str(),
        entry.summary.as_str(),
        data.as_str(),
    ]
    .map(cell);
    let mut writer = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .quote_style(QuoteStyle::Always)
        .buffer_capacity(ROW_BUFFER_BYTES)
        .from_writer(out);
    writer.write_record(cells.iter().map(|cell| cell.as_bytes()))?;
    writer.flush().map_err(::csv::Error::from)?;
    Ok(())
}

/// A text on one line that no spreadsheet takes for a formula: the apostrophe before it says
/// that it is text. Blanks before a formula do not hide it, for some spreadsheets drop them.
fn cell(text: &str) -> Cow<'_, str> {
    let line = one_line(text);
    let steers = text.starts_with(['\t', '\r', '\n']);
    // The second four are the full-width ones.
    let signs = ['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];
    if steers || line.trim_start().starts_with(signs) { Cow::Owned(format!("'{line}")) } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_is_text() {
        for formula in
            ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\rx", "\n=1", "  =1", "\u{a0}=1", "\u{ff1d}1"]
        {
            assert!(cell(formula).starts_with('\''), "{formula:?}");
        }
        for text in ["", "Kari", "a=b", "1-1", "'=1", "{\"a\":-1}"] {
            assert_eq!(cell(text), text);
        }
    }
}
