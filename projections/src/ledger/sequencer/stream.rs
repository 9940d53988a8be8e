//! What names a stream, held in one piece: thousands of them come and go with each turn.

use std::borrow::Cow;
use std::fmt;

use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::database::{DatabaseError, Row};

/// A stream, by its type and id.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct StreamKey(Name);

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Name {
    /// As this program names them.
    Known(&'static str, Uuid),
    /// As another one may.
    Other(String, String),
}

const TYPES: [&str; 3] = ["user", "agreement", "instance"];

impl StreamKey {
    /// The stream of this type and id.
    #[must_use]
    pub fn new(stream_type: &str, id: &str) -> Self {
        let known = TYPES.into_iter().find(|known| *known == stream_type).zip(read_id(id));
        Self(match known {
            Some((stream_type, id)) => Name::Known(stream_type, id),
            None => Name::Other(stream_type.to_owned(), id.to_owned()),
        })
    }

    pub(super) fn read(row: &mut Row) -> Result<Self, DatabaseError> {
        let (stream_type, id): (String, String) = (row.take("aggregate_type")?, row.take("aggregate_id")?);
        Ok(Self::new(&stream_type, &id))
    }

    pub(super) fn stream_type(&self) -> &str {
        match &self.0 {
            Name::Known(stream_type, _) => stream_type,
            Name::Other(stream_type, _) => stream_type,
        }
    }

    pub(super) fn id(&self) -> Cow<'_, str> {
        match &self.0 {
            Name::Known(_, id) => Cow::Owned(id.to_string()),
            Name::Other(_, id) => Cow::Borrowed(id),
        }
    }
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stream_type(), self.id())
    }
}

/// A UUID, if it is spelled as this program does: two spellings are two streams, or two events.
pub(super) fn read_id(id: &str) -> Option<Uuid> {
    let uuid = Uuid::try_parse(id).ok()?;
    let mut spelled = [0; Hyphenated::LENGTH];
    (uuid.hyphenated().encode_lower(&mut spelled) == id).then_some(uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_told_as_it_was_named() {
        let id = "0190b2d5-0000-7000-8000-00000000abcd";
        for (stream_type, id) in [
            ("user", id),
            ("agreement", id),
            ("instance", id),
            ("unheard-of", id),
            ("user", &id.to_uppercase()),
            ("user", &id.replace('-', "")),
            ("user", ""),
        ] {
            let key = StreamKey::new(stream_type, id);
            assert_eq!((key.stream_type(), &*key.id()), (stream_type, id));
            assert_eq!(key.to_string(), format!("{stream_type}/{id}"));
            assert!(key == StreamKey::new(stream_type, id) && key != StreamKey::new("another", id));
        }
        assert_ne!(StreamKey::new("user", id), StreamKey::new("user", &id.to_uppercase()));
    }
}
