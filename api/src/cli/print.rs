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

/// What went wrong, in one line on standard error.
pub(super) fn error(text: &str) {
    let line: String =
        text.chars().map(|character| if character == '\n' { ' ' } else { character }).collect();
    note(&line);
}
