//! How long a webhook that fails is left alone.

use chrono::TimeDelta;

use crate::entropy;

const SHORTEST_S: i64 = 5;
const LONGEST_S: i64 = 3_600;
const MILLISECONDS: i64 = 1_000;

/// The wait after so many failures in a row: between half of a time and the whole of it, at random, so
/// that receivers that failed together are not tried together. The time doubles, up to an hour.
pub(super) fn wait(failures: i64) -> TimeDelta {
    // Without randomness it is the longest of these.
    let drawn = entropy::bytes().map_or(u64::MAX, u64::from_le_bytes);
    wait_by(failures, drawn)
}

/// The longest wait there is.
pub(super) const fn longest() -> TimeDelta {
    TimeDelta::seconds(LONGEST_S)
}

fn wait_by(failures: i64, drawn: u64) -> TimeDelta {
    let doublings = u32::try_from(failures.clamp(1, 32)).unwrap_or(1);
    let whole_s = SHORTEST_S.saturating_mul(2_i64.saturating_pow(doublings)).min(LONGEST_S);
    let half_ms = whole_s * MILLISECONDS / 2;
    let steps = u64::try_from(half_ms).unwrap_or_default() + 1;
    TimeDelta::milliseconds(half_ms + i64::try_from(drawn % steps).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_from_five_seconds_to_an_hour() {
        let bounds = |failures| {
            let steps = [0, u64::MAX].map(|drawn| wait_by(failures, drawn));
            // The most that can be drawn is what leaves the whole time.
            let half_ms = u64::try_from(steps[0].num_milliseconds()).unwrap();
            (steps[0].num_seconds(), wait_by(failures, half_ms).num_seconds())
        };
        assert_eq!(bounds(1), (5, 10));
        assert_eq!(bounds(2), (10, 20));
        assert_eq!(bounds(3), (20, 40));
        assert_eq!(bounds(9), (1_280, 2_560));
        for failures in [10, 11, 64, 1_000, i64::MAX] {
            assert_eq!(bounds(failures), (1_800, 3_600), "{failures}");
        }
        assert_eq!(bounds(0), (5, 10));
    }

    #[test]
    fn every_wait_is_within_its_bounds_and_they_differ() {
        let waits: std::collections::BTreeSet<TimeDelta> = (0..100).map(|_| wait(20)).collect();
        assert!(waits.len() > 50, "{waits:?}");
        assert!(waits.iter().all(|wait| (TimeDelta::minutes(30)..=longest()).contains(wait)));
    }
}
