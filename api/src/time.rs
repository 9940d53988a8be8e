//! Times as callers give them: RFC 3339, and so between the years 1 and 9999, which is also what
//! both databases keep.

use chrono::{DateTime, Datelike, Utc};
use countersign_domain::Timestamp;
use countersign_projections::table::to_microseconds;
use serde::{Deserialize, Deserializer};

/// Reads a time.
///
/// # Errors
/// Says what a time must look like.
pub fn parse(text: &str) -> Result<Timestamp, &'static str> {
    let told = "a time must be RFC 3339, such as 2027-03-01T00:00:00Z";
    let at = DateTime::parse_from_rfc3339(text).map_err(|_| told)?.with_timezone(&Utc);
    if (1..=9999).contains(&at.year()) { Ok(to_microseconds(at)) } else { Err(told) }
}

/// For a field that may be missing or null.
///
/// # Errors
/// As [`parse`].
pub fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| parse(&text)).transpose().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_a_database_could_not_keep_are_refused() {
        for good in ["2027-03-01T00:00:00Z", "2027-03-01T01:00:00.5+01:00", "0001-01-01T00:00:00Z"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in
            ["", "2027-03-01", "+10000-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
