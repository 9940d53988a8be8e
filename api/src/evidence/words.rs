//! Moments, periods and counts as people read them.

use chrono::NaiveTime;
use countersign_domain::Timestamp;

/// Such as `1 March 2027 09:12:33 UTC`.
pub(super) fn in_full(at: Timestamp) -> String {
    format!("{} {}", day(at), hour(at))
}

/// Such as `1 March 2027`.
pub(super) fn day(at: Timestamp) -> String {
    at.format("%-d %B %Y").to_string()
}

/// Such as `09:12:33 UTC`.
pub(super) fn hour(at: Timestamp) -> String {
    at.format("%H:%M:%S UTC").to_string()
}

/// A bound of a period: only the day, where it is midnight.
fn bound(at: Timestamp) -> String {
    if at.time() == NaiveTime::MIN { day(at) } else { in_full(at) }
}

/// The end of a sentence, with the blank before it.
pub(super) fn period(from: Option<Timestamp>, to: Option<Timestamp>) -> String {
    match (from, to) {
        (Some(from), Some(to)) => format!(" between {} and {}", bound(from), bound(to)),
        (Some(from), None) => format!(" since {}", bound(from)),
        (None, Some(to)) => format!(" before {}", bound(to)),
        (None, None) => " since the ledger began".to_owned(),
    }
}

/// How many, and what of them.
pub(super) fn counted(count: usize, [none, one, many]: [&str; 3]) -> String {
    match count {
        0 => none.to_owned(),
        1 => format!("1 {one}"),
        many_of_them => format!("{many_of_them} {many}"),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn moments_periods_and_counts_read_as_people_write_them() {
        let at = Timestamp::UNIX_EPOCH + TimeDelta::days(20_878);
        let later = at + TimeDelta::seconds(33_153);
        assert_eq!(in_full(later), "1 March 2027 09:12:33 UTC");
        assert_eq!(period(Some(at), Some(later)), " between 1 March 2027 and 1 March 2027 09:12:33 UTC");
        assert_eq!(period(None, Some(at)), " before 1 March 2027");
        let people = ["Nobody was erased", "person was erased", "people were erased"];
        assert_eq!(
            [0, 1, 3].map(|count| counted(count, people)),
            ["Nobody was erased", "1 person was erased", "3 people were erased"]
        );
    }
}
