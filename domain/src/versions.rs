//! Events are read for ever, in whatever shape they were written.
//!
//! A stored event says which version of its shape it has. When a shape changes, an upcaster from the version
//! before joins `UPCASTERS`, which gives the new shape the next number; a golden file of each version stays.
//! What is stored is never rewritten: the ledger proves it as it was written.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// An event as it is stored.
#[derive(Clone, Copy, Debug)]
pub struct StoredEvent<'e> {
    /// Its type.
    pub event_type: &'e str,
    /// The version of its shape.
    pub event_version: &'e str,
    /// `{type: {fields}}`, as JSON.
    pub payload: &'e str,
}

/// Why a stored event does not read. It never says what is in the event.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UnreadableEvent {
    /// A newer program wrote it.
    #[error("is of version {found}, and this program knows {known}")]
    Newer {
        /// The version that it has.
        found: u32,
        /// The newest one that the program knows.
        known: u32,
    },
    /// Its version is no number from 1.
    #[error("has no version")]
    NoVersion,
    /// It has not the shape of its version.
    #[error("does not read ({0:?})")]
    Payload(serde_json::error::Category),
}

/// How the fields of one version become those of the next; none if they are not of that version.
type Upcast = fn(Fields) -> Option<Fields>;

type Fields = Map<String, Value>;

/// Every change of a shape there ever was; those of one type in their order.
const UPCASTERS: &[(&str, Upcast)] = &[("AuthenticatorRemoved", removed_for_a_reason)];

/// Version 1 said whether a new authenticator took the place of the removed one, version 2 says why it went.
fn removed_for_a_reason(mut fields: Fields) -> Option<Fields> {
    let replaced = fields.remove("replaced")?.as_bool()?;
    fields.insert("reason".to_owned(), json!(if replaced { "replaced" } else { "requested" }));
    Some(fields)
}

/// The version that events of a type are written in.
#[must_use]
pub fn version_of(event_type: &str) -> u32 {
    upcasters_of(event_type).fold(1, |version, _| version + 1)
}

/// Reads an event.
///
/// # Errors
/// [`UnreadableEvent`] if it was altered, or written by a newer program.
pub fn read_event<Event: DeserializeOwned>(stored: StoredEvent<'_>) -> Result<Event, UnreadableEvent> {
    let StoredEvent { event_type, event_version, payload } = stored;
    let unreadable = |error: serde_json::Error| UnreadableEvent::Payload(error.classify());
    if older_than_known(event_type, event_version)? == 0 {
        return serde_json::from_str(payload).map_err(unreadable);
    }
    let payload = serde_json::from_str(payload).map_err(unreadable)?;
    serde_json::from_value(upcast_payload(event_type, event_version, payload)?).map_err(unreadable)
}

/// What an event says, `{type: {fields}}`, in the shape that its type has today.
///
/// # Errors
/// As for [`read_event`].
pub fn upcast_payload(
    event_type: &str,
    event_version: &str,
    payload: Value,
) -> Result<Value, UnreadableEvent> {
    match older_than_known(event_type, event_version)? {
        0 => Ok(payload),
        older => upcast(event_type, older, payload)
            .ok_or(UnreadableEvent::Payload(serde_json::error::Category::Data)),
    }
}

/// By how many versions the shape of an event is older than today's.
fn older_than_known(event_type: &str, event_version: &str) -> Result<usize, UnreadableEvent> {
    let found: u32 = event_version.parse().map_err(|_| UnreadableEvent::NoVersion)?;
    let known = version_of(event_type);
    match known.checked_sub(found) {
        _ if found == 0 => Err(UnreadableEvent::NoVersion),
        Some(older) => Ok(usize::try_from(older).unwrap_or(usize::MAX)),
        None => Err(UnreadableEvent::Newer { found, known }),
    }
}

/// Through the last so many upcasters of a type.
fn upcast(event_type: &str, versions: usize, payload: Value) -> Option<Value> {
    let Value::Object(mut envelope) = payload else { return None };
    let Value::Object(mut fields) = envelope.remove(event_type)? else { return None };
    let skipped = upcasters_of(event_type).count().checked_sub(versions)?;
    for upcast in upcasters_of(event_type).skip(skipped) {
        fields = upcast(fields)?;
    }
    envelope.insert(event_type.to_owned(), Value::Object(fields));
    Some(Value::Object(envelope))
}

fn upcasters_of(event_type: &str) -> impl Iterator<Item = Upcast> {
    UPCASTERS.iter().filter(move |(name, _)| *name == event_type).map(|(_, upcast)| *upcast)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::{AuthenticatorRemovalReason, UserEvent};

    fn removed(event_version: &str, fields: &str) -> Result<UserEvent, UnreadableEvent> {
        let payload = format!(r#"{{"AuthenticatorRemoved":{fields}}}"#);
        read_event(StoredEvent { event_type: "AuthenticatorRemoved", event_version, payload: &payload })
    }

    const ID_AND_TIME: &str =
        r#""authenticator_id":"00000000-0000-0000-0000-000000000001","at":"2030-03-17T17:46:40Z""#;

    #[test]
    fn an_older_shape_reads_as_what_it_meant() {
        for (replaced, expected) in
            [(true, AuthenticatorRemovalReason::Replaced), (false, AuthenticatorRemovalReason::Requested)]
        {
            let event = removed("1", &format!(r#"{{"replaced":{replaced},{ID_AND_TIME}}}"#)).unwrap();
            assert!(matches!(event, UserEvent::AuthenticatorRemoved { reason, .. } if reason == expected));
        }
    }

    #[test]
    fn a_shape_is_read_as_the_version_that_it_says() {
        let (old, new) = (
            format!(r#"{{"replaced":true,{ID_AND_TIME}}}"#),
            format!(r#"{{"reason":"replaced",{ID_AND_TIME}}}"#),
        );
        removed("2", &new).unwrap();
        let misread = UnreadableEvent::Payload(serde_json::error::Category::Data);
        for (version, fields) in
            [("1", new.as_str()), ("2", old.as_str()), ("1", "null"), ("1", r#"{"replaced":1}"#)]
        {
            assert_eq!(removed(version, fields).unwrap_err(), misread, "version {version} of {fields}");
        }
        assert_eq!(removed("3", &new).unwrap_err(), UnreadableEvent::Newer { found: 3, known: 2 });
        for version in ["0", "", "two", "-1", "1.0"] {
            assert_eq!(removed(version, &new).unwrap_err(), UnreadableEvent::NoVersion, "{version:?}");
        }
    }
}
