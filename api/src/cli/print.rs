//! The only place that prints.

use std::io::Write;

/// A result, on standard output.
///
/// # Errors
/// When nobody reads standard output any more.
pub(super) fn result(text: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout().lock(), "{text}")
}

/// A part of a long result, as it is.
///
/// # Errors
/// As for [`result`].
pub(super) fn piece(bytes: &[u8]) -> std::io::Result<()> {
    std::io::stdout().lock().write_all(bytes)
}

/// Something to know, on standard error. That nobody reads it changes nothing.
pub(super) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// What went wrong, in one line on standard error. Whatever it quotes, it does not steer the terminal.
pub(super) fn error(text: &str) {
    note(&in_one_line(text));
}

fn in_one_line(text: &str) -> String {
    let harmless = |character: char| match character {
        '\n' => ' ',
        control if control.is_control() => char::REPLACEMENT_CHARACTER,
        other => other,
    };
    text.chars().map(harmless).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_that_does_not_steer_the_terminal() {
        assert_eq!(in_one_line("one\ntwo \u{1b}[2J\r\u{9b}æ"), "one two \u{fffd}[2J\u{fffd}\u{fffd}æ");
    }
}
