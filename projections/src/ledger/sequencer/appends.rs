//! What the sequencer's own node appended.
//!
//! A leaf is hashed where it is made. While the node leads, it remembers what it has appended by the event's id, so that
//! the sequencer reads back only which events wait, and no leaf.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use countersign_domain::Timestamp;
use countersign_domain::ids::EventId;
use tokio::sync::Notify;

use super::batch::{ListedEvent, ListedRow};
use super::{StreamKey, TURN_ROWS_MAX};
use crate::ledger::tree::Hash;

/// No more events are remembered: those of eight turns, some megabytes.
const EVENTS_MAX: usize = 8 * TURN_ROWS_MAX;

/// An event that this node appended with its leaf.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Appended {
    /// The event's id.
    pub event_id: EventId,
    /// Its stream.
    pub stream: StreamKey,
    /// Its place in the stream.
    pub sequence: u64,
    /// Its leaf.
    pub leaf: KnownLeaf,
}

/// What there is to know of a leaf to give it its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KnownLeaf {
    /// The hash of the leaf before it in its stream.
    pub prev: Option<Hash>,
    /// Its own.
    pub hash: Hash,
    /// When its event was recorded.
    pub recorded_at: Timestamp,
}

/// Between those who append and the sequencer of their node.
#[derive(Default)]
pub struct Appends {
    bell: Notify,
    remembers: AtomicBool,
    /// In the order in which they were noted.
    events: Mutex<Vec<Appended>>,
}

impl Appends {
    /// Remembers what is appended from now on. Only who leads needs to.
    pub fn remember(&self) {
        self.remembers.store(true, Ordering::Relaxed);
    }

    /// Remembers nothing, and nothing any more.
    pub fn forget(&self) {
        self.remembers.store(false, Ordering::Relaxed);
        self.events().clear();
    }

    /// Notes what is about to be appended: before it can be seen that it waits.
    pub fn note(&self, appended: Vec<Appended>) {
        if self.remembers.load(Ordering::Relaxed) {
            let mut events = self.events();
            events.extend(appended);
            keep_the_last(&mut events);
        }
    }

    /// What was noted was not appended.
    pub fn take_back(&self, event_ids: &[EventId]) {
        let mut events = self.events();
        for event_id in event_ids {
            if let Some(place) = events.iter().rposition(|event| event.event_id == *event_id) {
                events.remove(place);
            }
        }
    }

    /// Tells that something was appended.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// Waits until something is appended, or was since this was last waited for.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Whether nothing is remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.events().is_empty()
    }

    /// Tells what is remembered of the event of each of these rows: each event once, and none that the row says is
    /// another one's.
    pub(super) fn take(&self, rows: Vec<ListedRow>, mut tell: impl FnMut(i64, Option<Appended>)) {
        if rows.is_empty() {
            return;
        }
        // Whoever appends meanwhile does not wait.
        let mut events = std::mem::take(&mut *self.events());
        let places: HashMap<EventId, usize> = events.iter().map(|event| event.event_id).zip(0..).collect();
        let mut is_taken = vec![false; events.len()];
        let mut take = |listed: ListedEvent| {
            let place = *places.get(&listed.event_id)?;
            let again = std::mem::replace(is_taken.get_mut(place)?, true);
            let event = events.get(place).filter(|_| !again)?;
            (event.stream == listed.stream && event.sequence == listed.sequence).then(|| event.clone())
        };
        for ListedRow { pending_id, event } in rows {
            tell(pending_id, event.and_then(&mut take));
        }
        let mut is_taken = is_taken.into_iter();
        events.retain(|_| is_taken.next() != Some(true));
        let mut since = self.events();
        events.append(&mut since);
        keep_the_last(&mut events);
        *since = events;
    }

    fn events(&self) -> MutexGuard<'_, Vec<Appended>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first may be of appends of which nobody knows what became. If not, so much waits that its rows are read whole
/// until the sequencer comes up with them.
fn keep_the_last(events: &mut Vec<Appended>) {
    if events.len() > EVENTS_MAX {
        events.drain(..events.len() - EVENTS_MAX / 2);
    }
}

#[cfg(test)]
mod tests {
    use countersign_domain::Timestamp;

    use super::*;
    use crate::ledger::tree::leaf_hash;

    fn event_id(number: usize) -> EventId {
        format!("00000000-0000-7000-8000-{number:012}").parse().unwrap()
    }

    fn appended(number: usize) -> Appended {
        let leaf = KnownLeaf { prev: None, hash: leaf_hash(b"leaf"), recorded_at: Timestamp::UNIX_EPOCH };
        let (stream, sequence) = (StreamKey::new("user", &event_id(number).to_string()), 1);
        Appended { event_id: event_id(number), stream, sequence, leaf }
    }

    fn row(number: usize) -> ListedRow {
        let Appended { event_id, stream, sequence, .. } = appended(number);
        let event = Some(ListedEvent { event_id, stream, sequence });
        ListedRow { pending_id: i64::try_from(number).unwrap(), event }
    }

    fn taken(appends: &Appends, rows: impl IntoIterator<Item = ListedRow>) -> Vec<bool> {
        let mut taken = Vec::new();
        appends.take(rows.into_iter().collect(), |_, event| taken.push(event.is_some()));
        taken
    }

    fn remembered(appends: &Appends) -> Vec<EventId> {
        appends.events().iter().map(|event| event.event_id).collect()
    }

    fn remembering() -> Appends {
        let appends = Appends::default();
        appends.remember();
        appends
    }

    #[test]
    fn only_who_leads_remembers() {
        let appends = Appends::default();
        appends.note(vec![appended(1)]);
        assert!(appends.is_empty());
        appends.remember();
        appends.note(vec![appended(1)]);
        appends.remember();
        assert!(!appends.is_empty());
        appends.forget();
        assert!(appends.is_empty());
        appends.note(vec![appended(1)]);
        assert!(appends.is_empty());
    }

    #[test]
    fn each_event_is_handed_out_once_and_to_its_own_row() {
        let appends = remembering();
        appends.note(vec![appended(1), appended(2), appended(3), appended(4)]);
        let unread = ListedRow { pending_id: 7, event: None };
        let mut of_another_stream = row(3);
        of_another_stream.event.as_mut().unwrap().stream = StreamKey::new("agreement", "3");
        let mut later = row(4);
        later.event.as_mut().unwrap().sequence = 2;
        let rows = [row(2), row(9), unread, row(2), of_another_stream, later];
        assert_eq!(taken(&appends, rows), [true, false, false, false, false, false]);
        assert_eq!(taken(&appends, [row(1), row(2)]), [true, false]);
        assert!(appends.is_empty());
    }

    #[test]
    fn what_is_noted_while_rows_are_told_comes_behind_what_is_left() {
        let appends = remembering();
        appends.note(vec![appended(1), appended(2)]);
        appends.take(vec![row(2)], |_, _| appends.note(vec![appended(3)]));
        assert_eq!(remembered(&appends), [event_id(1), event_id(3)]);
    }

    #[test]
    fn what_was_not_appended_is_taken_back() {
        let appends = remembering();
        appends.note(vec![appended(1), appended(2), appended(3)]);
        appends.take_back(&[event_id(2), event_id(9)]);
        assert_eq!(remembered(&appends), [event_id(1), event_id(3)]);
    }

    #[test]
    fn no_more_are_remembered_than_the_bound_says_and_the_last_ones_are() {
        let appends = remembering();
        for number in 0..2 * EVENTS_MAX {
            appends.note(vec![appended(number)]);
            assert!(appends.events().len() <= EVENTS_MAX);
        }
        let remembered = remembered(&appends);
        assert!(remembered.len() >= EVENTS_MAX / 2);
        let numbers = 2 * EVENTS_MAX - remembered.len()..2 * EVENTS_MAX;
        assert_eq!(remembered, numbers.map(event_id).collect::<Vec<_>>());
        // What comes back from a look at the rows is bounded as well.
        appends.take(vec![row(0)], |_, _| {
            appends.note((0..EVENTS_MAX).map(appended).collect());
        });
        assert!(appends.events().len() <= EVENTS_MAX);
    }
}
