//! What a verification finds: where, which field, and a sentence that a person can act on. What is
//! recorded may be personal, so a finding never quotes it.

use std::collections::BTreeMap;
use std::fmt;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::{Beside, Problem};
use crate::ledger::leaf::Leaf;

/// So many findings are kept, the first by position; all are counted.
pub const FINDINGS_MAX: usize = 100;

/// Types and ids are cut off after so many characters; those that the program writes are shorter.
const SHOWN_CHARS_MAX: usize = 80;

/// Something that is not as the ledger recorded it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// What.
    pub problem: Problem,
}

/// The entry or the event that a finding is about, as far as it is known.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// The position in the ledger.
    pub position: Option<u64>,
    /// What happened.
    pub event_type: Option<String>,
    /// The stream, as `type/id`.
    pub stream: Option<String>,
    /// The place in the stream.
    pub sequence: Option<u64>,
}

impl Finding {
    /// One about the ledger as a whole.
    #[must_use]
    pub fn of_ledger(problem: Problem) -> Self {
        Self { place: Place::default(), problem }
    }

    /// One about a position of which nothing else is known.
    #[must_use]
    pub fn at(position: u64, problem: Problem) -> Self {
        Self { place: Place::at(position), problem }
    }

    /// The position in the ledger.
    #[must_use]
    pub const fn position(&self) -> Option<u64> {
        self.place.position
    }

    /// Which field is not as it was recorded, or which part of the ledger.
    #[must_use]
    pub const fn field(&self) -> &str {
        self.problem.field()
    }
}

impl Place {
    pub(super) fn at(position: u64) -> Self {
        Self { position: Some(position), ..Self::default() }
    }

    pub(super) fn of(position: u64, leaf: &Leaf) -> Self {
        let stream = (leaf.stream_type.as_str(), leaf.stream_id.as_str());
        Self::named(position, &leaf.event_type, stream, leaf.sequence)
    }

    pub(super) fn named(
        position: u64,
        event_type: &str,
        (stream_type, stream_id): (&str, &str),
        sequence: u64,
    ) -> Self {
        Self {
            position: Some(position),
            event_type: Some(shown(event_type)),
            stream: Some(stream(stream_type, stream_id)),
            sequence: Some(sequence),
        }
    }

    /// An event that has no position.
    pub(super) fn event(
        event_type: Option<&str>,
        (stream_type, stream_id): (&str, &str),
        sequence: u64,
    ) -> Self {
        Self {
            position: None,
            event_type: event_type.map(shown),
            stream: Some(stream(stream_type, stream_id)),
            sequence: Some(sequence),
        }
    }

    pub(super) fn beside(position: u64, beside: &Beside<'_>) -> Self {
        Self {
            position: Some(position),
            event_type: None,
            stream: Some(stream(beside.stream_type, beside.stream_id)),
            sequence: Some(beside.sequence),
        }
    }
}

/// Such as `position 17: the payload is not what was recorded (TwoFactorDisabled, user/…/3)`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { position, event_type, stream, sequence } = &self.place;
        if let Some(position) = position {
            write!(f, "position {position}: ")?;
        }
        write!(f, "{}", self.problem)?;
        let Some(stream) = stream else { return Ok(()) };
        f.write_str(" (")?;
        if let Some(event_type) = event_type {
            write!(f, "{event_type}, ")?;
        }
        f.write_str(stream)?;
        if let Some(sequence) = sequence {
            write!(f, "/{sequence}")?;
        }
        f.write_str(")")
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Finding", 5)?;
        object.serialize_field("position", &self.place.position)?;
        object.serialize_field("stream", &self.place.stream)?;
        object.serialize_field("sequence", &self.place.sequence)?;
        object.serialize_field("field", self.field())?;
        object.serialize_field("problem", &self.problem.to_string())?;
        object.end()
    }
}

/// The first findings by position, and the number of all.
#[derive(Debug, Default)]
pub(super) struct Findings {
    first: BTreeMap<(u64, u64), Finding>,
    total: u64,
}

impl Findings {
    pub(super) fn add(&mut self, finding: Finding) {
        self.first.insert((order(&finding.place), self.total), finding);
        if self.first.len() > FINDINGS_MAX {
            self.first.pop_last();
        }
        self.total += 1;
    }

    /// Whether a finding at this position would be kept; if not it is counted.
    pub(super) fn keeps_or_counts(&mut self, position: u64) -> bool {
        let full = self.first.len() >= FINDINGS_MAX;
        let kept = !full
            || self.first.last_key_value().is_some_and(|((last, _), _)| order(&Place::at(position)) < *last);
        self.total += u64::from(!kept);
        kept
    }

    pub(super) fn into_parts(self) -> (Vec<Finding>, u64) {
        (self.first.into_values().collect(), self.total)
    }
}

/// What is of the whole ledger comes first, and events that have no position come last.
const fn order(place: &Place) -> u64 {
    match (place.position, &place.stream) {
        (Some(position), _) => position.saturating_add(1),
        (None, None) => 0,
        (None, Some(_)) => u64::MAX,
    }
}

fn stream(stream_type: &str, stream_id: &str) -> String {
    format!("{}/{}", shown(stream_type), shown(stream_id))
}

/// Such a text as a terminal can be shown, whoever wrote it.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect()
}
