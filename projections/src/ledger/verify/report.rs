//! How the outcome of a verification is told.

use std::fmt;

use super::Finding;

/// Writes what holds or does not, and why. `subject` is what was verified.
pub(in crate::ledger) fn show(
    f: &mut fmt::Formatter<'_>,
    subject: &str,
    proved: &[String],
    not_proved: &[String],
    (findings, total): (&[Finding], u64),
) -> fmt::Result {
    if total > 0 {
        let noun = if total == 1 { "finding" } else { "findings" };
        writeln!(f, "{subject} does NOT hold: {total} {noun}.")?;
        for finding in findings {
            writeln!(f, "  {finding}")?;
        }
        let more = total.saturating_sub(findings.len() as u64);
        return if more > 0 { writeln!(f, "  and {more} more") } else { Ok(()) };
    }
    writeln!(f, "{subject} holds. Proved:")?;
    for sentence in proved {
        writeln!(f, "  {sentence}")?;
    }
    writeln!(f, "Not proved:")?;
    for sentence in not_proved {
        writeln!(f, "  {sentence}")?;
    }
    Ok(())
}
