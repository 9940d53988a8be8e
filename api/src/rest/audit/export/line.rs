//! What keeps one entry on one line.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::Formatter;

use crate::text::forges;
pub(super) use crate::text::on_one_line as one_line;

/// At most so many characters of a text; the last of them tells that it was cut.
pub(super) fn bounded(text: &str, characters_max: usize) -> Cow<'_, str> {
    if text.chars().nth(characters_max).is_none() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().take(characters_max.saturating_sub(1)).chain(['\u{2026}']).collect())
}

/// Appends compact JSON in which every character that could forge a line is escaped, so that
/// texts keep their value.
pub(super) fn write_json<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> serde_json::Result<()> {
    value.serialize(&mut serde_json::Serializer::with_formatter(out, OneLine))
}

/// The same as a text.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<String> {
    let mut out = Vec::new();
    write_json(value, &mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

struct OneLine;

impl Formatter for OneLine {
    fn write_string_fragment<W: Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        for part in fragment.split_inclusive(forges) {
            // All that forges has at most four hexadecimal digits.
            match part.char_indices().next_back().filter(|(_, last)| forges(*last)) {
                Some((end, last)) => {
                    writer.write_all(part.get(..end).unwrap_or_default().as_bytes())?;
                    write!(writer, "\\u{:04x}", u32::from(last))?;
                }
                None => writer.write_all(part.as_bytes())?,
            }
        }
        Ok(())
    }
}
