//! From where the queue is read.
//!
//! Rows that are done with stay in PostgreSQL's index until they are vacuumed away, and going past them would cost
//! more than the turn. So most turns begin where something may still wait. What was numbered before that and is
//! committed late is found by the turns that begin with the very first row.

use super::Held;

/// One turn in so many begins with the very first row.
pub(super) const FROM_FIRST_EVERY: u32 = 8;

/// How far the queue is done with.
pub(super) struct Queue {
    /// Up to here nothing waited when a turn last began with the first row.
    done_to: i64,
    /// The last row that was ever seen.
    seen: i64,
    /// What that was then: whatever was numbered by then has had all turns since to be committed.
    seen_then: i64,
    turns_since: u32,
    passed: Option<Passed>,
}

/// Rows of which all were held when they were last looked at.
struct Passed {
    last: i64,
    held: Held,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            done_to: i64::MIN,
            seen: i64::MIN,
            seen_then: i64::MIN,
            turns_since: FROM_FIRST_EVERY,
            passed: None,
        }
    }
}

impl Queue {
    /// The row behind which the next page begins.
    pub(super) const fn start_after(&self) -> i64 {
        match &self.passed {
            Some(passed) => passed.last,
            None if self.is_from_first() => i64::MIN,
            None => self.done_to,
        }
    }

    /// Whether the next page may begin behind a row that was numbered early and committed late.
    pub(super) const fn may_pass_a_late_one(&self) -> bool {
        self.passed.is_none() && !self.is_from_first()
    }

    /// Begins with the very first row next.
    pub(super) const fn begin_with_first(&mut self) {
        self.turns_since = FROM_FIRST_EVERY;
    }

    /// Goes on behind this row: up to there all are held.
    pub(super) fn pass_over(&mut self, last: i64, held: Held) {
        let passed = self.passed.get_or_insert_with(|| Passed { last, held: Held::default() });
        passed.last = last;
        passed.held.add(held);
    }

    /// What was passed over.
    pub(super) fn passed_over(&self) -> Held {
        self.passed.as_ref().map(|passed| passed.held.clone()).unwrap_or_default()
    }

    /// Passes over nothing any more.
    pub(super) fn begin_anew(&mut self) {
        self.passed = None;
    }

    /// Notes which rows that page has first and last.
    pub(super) fn note_page(&mut self, found: Option<(i64, i64)>) {
        if self.passed.is_some() {
            return;
        }
        let from_first = self.is_from_first();
        if let Some((_, last)) = found {
            self.seen = self.seen.max(last);
        }
        if from_first {
            let first = found.map_or(i64::MAX, |(first, _)| first);
            self.done_to = self.seen_then.min(first.saturating_sub(1));
            self.seen_then = self.seen;
            self.turns_since = 0;
        }
        self.turns_since += 1;
    }

    const fn is_from_first(&self) -> bool {
        self.turns_since >= FROM_FIRST_EVERY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns until the next that begins with the first row, which finds these.
    fn next_from_first(queue: &mut Queue, found: Option<(i64, i64)>) {
        while !queue.is_from_first() {
            queue.note_page(None);
        }
        queue.note_page(found);
    }

    #[test]
    fn turns_begin_before_what_waits_and_behind_what_was_seen_long_ago() {
        let mut queue = Queue::default();
        assert_eq!(queue.start_after(), i64::MIN);
        queue.note_page(Some((1, 10)));
        // What was numbered before 10 may not be committed yet.
        for _ in 1..FROM_FIRST_EVERY {
            assert_eq!(queue.start_after(), i64::MIN);
            queue.note_page(Some((11, 20)));
        }
        next_from_first(&mut queue, Some((21, 30)));
        assert_eq!(queue.start_after(), 10);
        next_from_first(&mut queue, None);
        assert_eq!(queue.start_after(), 30);
        // One that was late, or is held.
        next_from_first(&mut queue, Some((5, 40)));
        assert_eq!(queue.start_after(), 4);
    }

    #[test]
    fn one_turn_in_so_many_begins_with_the_first_row() {
        let mut queue = Queue::default();
        next_from_first(&mut queue, Some((1, 10)));
        next_from_first(&mut queue, Some((11, 20)));
        for turn in 1..3 * FROM_FIRST_EVERY {
            assert_eq!(queue.start_after() == i64::MIN, turn % FROM_FIRST_EVERY == 0, "{turn}");
            queue.note_page(None);
        }
    }

    #[test]
    fn pages_that_are_all_held_are_passed_over_until_the_queue_ends() {
        let mut queue = Queue::default();
        queue.note_page(Some((5, 10)));
        queue.pass_over(10, Held::default());
        for page in [Some((11, 20)), None] {
            assert_eq!(queue.start_after(), 10);
            queue.note_page(page);
        }
        queue.begin_anew();
        next_from_first(&mut queue, Some((5, 10)));
        assert_eq!(queue.start_after(), 4);
    }
}
