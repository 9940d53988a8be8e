//! Short texts that people write: names, labels, reasons.

use std::borrow::Cow;

use crate::problem::Problem;

/// The text without blanks around it, if it is one line of 1 to so many characters.
#[must_use]
pub fn one_line(text: &str, characters_max: usize) -> Option<String> {
    let text = text.trim();
    let fits = !text.is_empty() && text.chars().count() <= characters_max;
    let one_line = !text.chars().any(|character| character.is_control() || misleads(character));
    (fits && one_line).then(|| text.to_owned())
}

/// Separators that break lines without being control characters, and marks that turn the
/// reading direction: either could make a line read as another one.
pub(crate) const fn misleads(character: char) -> bool {
    matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character could make one line look like two, or like another one: control
/// characters, line separators, and marks of the reading direction.
pub(crate) fn forges(character: char) -> bool {
    character.is_control() || misleads(character) || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}')
}

/// The text with a blank in place of each character that could forge a line.
pub(crate) fn on_one_line(text: &str) -> Cow<'_, str> {
    if text.contains(forges) { Cow::Owned(text.replace(forges, " ")) } else { Cow::Borrowed(text) }
}

/// As [`one_line`], for a field of a body.
///
/// # Errors
/// `invalid-field`, naming the field.
pub fn one_line_field(field: &str, text: &str, characters_max: usize) -> Result<String, Problem> {
    one_line(text, characters_max).ok_or_else(|| {
        Problem::invalid_field(field, format!("Give 1 to {characters_max} characters, on one line."))
    })
}
