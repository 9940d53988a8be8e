//! From where the queue is read.
//!
//! Rows that are done with stay in PostgreSQL's index until they are vacuumed away, up to a minute of them, and
//! going past them would cost more than the turn. So a turn begins before the first row that waited lately. What
//! was numbered earlier but committed later is found by the turns that begin with the very first.

/// One turn in so many reads all that waits.
pub(super) const WHOLE_EVERY: u32 = 8;

/// How far the queue is done with.
pub(super) struct Queue {
    /// Up to here nothing waited when the whole was last read.
    done_to: i64,
    /// The last row that was ever seen.
    seen: i64,
    /// What that was when the whole was last read: whatever was numbered by then and not committed has had all the
    /// turns since for it.
    seen_by_whole: i64,
    turns_since_whole: u32,
}

impl Default for Queue {
    fn default() -> Self {
        Self { done_to: i64::MIN, seen: i64::MIN, seen_by_whole: i64::MIN, turns_since_whole: WHOLE_EVERY }
    }
}

impl Queue {
    /// The row behind which the next turn begins.
    pub(super) const fn begin(&self) -> i64 {
        if self.is_whole() { i64::MIN } else { self.done_to }
    }

    /// That turn found these rows first and last.
    pub(super) fn began(&mut self, found: Option<(i64, i64)>) {
        let whole = self.is_whole();
        if let Some((_, last)) = found {
            self.seen = self.seen.max(last);
        }
        if whole {
            let first = found.map_or(i64::MAX, |(first, _)| first);
            self.done_to = self.seen_by_whole.min(first.saturating_sub(1));
            self.seen_by_whole = self.seen;
            self.turns_since_whole = 0;
        }
        self.turns_since_whole += 1;
    }

    const fn is_whole(&self) -> bool {
        self.turns_since_whole >= WHOLE_EVERY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns until the next that reads the whole, which finds these rows.
    fn next_whole(queue: &mut Queue, found: Option<(i64, i64)>) {
        while !queue.is_whole() {
            queue.began(None);
        }
        queue.began(found);
    }

    #[test]
    fn turns_begin_before_what_waits_and_behind_what_was_seen_long_ago() {
        let mut queue = Queue::default();
        assert_eq!(queue.begin(), i64::MIN);
        queue.began(Some((1, 10)));
        // What was numbered before 10 may not be committed yet.
        for _ in 1..WHOLE_EVERY {
            assert_eq!(queue.begin(), i64::MIN);
            queue.began(Some((11, 20)));
        }
        next_whole(&mut queue, Some((21, 30)));
        assert_eq!(queue.begin(), 10);
        next_whole(&mut queue, None);
        assert_eq!(queue.begin(), 30);
        // One that was late, or is held.
        next_whole(&mut queue, Some((5, 40)));
        assert_eq!(queue.begin(), 4);
    }

    #[test]
    fn one_turn_in_so_many_reads_the_whole() {
        let mut queue = Queue::default();
        next_whole(&mut queue, Some((1, 10)));
        next_whole(&mut queue, Some((11, 20)));
        for turn in 1..3 * WHOLE_EVERY {
            assert_eq!(queue.begin() == i64::MIN, turn % WHOLE_EVERY == 0, "{turn}");
            queue.began(None);
        }
    }
}
