//! Whom an event is about. Searches find it by a column that no leaf holds, since the event itself says it.

use countersign_domain::agreement::AgreementEvent;
use countersign_domain::versions::{StoredEvent, UnreadableEvent, read_event};

/// The person that an event of a stream is about, if it is about one.
///
/// # Errors
/// The event would say it, and does not read.
pub(crate) fn user_of(
    (stream_type, stream_id): (&str, &str),
    event: StoredEvent<'_>,
) -> Result<Option<String>, UnreadableEvent> {
    Ok(match stream_type {
        "user" => Some(stream_id.to_owned()),
        "agreement" => read_event::<AgreementEvent>(event)?.user_id().map(|id| id.to_string()),
        _ => None,
    })
}
