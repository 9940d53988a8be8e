//! Entries as the list of entries shows them, one JSON object a line.

use super::line::write_json;
use super::{EntryView, ExportError};

pub(super) fn write(entry: &EntryView, out: &mut Vec<u8>) -> Result<(), ExportError> {
    write_json(entry, out)?;
    out.push(b'\n');
    Ok(())
}
