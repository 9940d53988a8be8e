//! The leaves of the events of one append. They are made here, where everything that they say is at
//! hand, so that the sequencer has only to give each its place.

use countersign_projections::ledger::leaf::{EventColumns, Leaf, NoLeaf};
use countersign_projections::ledger::sequencer::KnownLeaf;
use countersign_projections::ledger::tree::{Hash, leaf_hash};

use super::journal::EventRow;

/// Follows a stream from leaf to leaf.
pub(super) struct Leaves {
    stream_type: &'static str,
    stream_id: String,
    before: Before,
}

/// What comes before the next leaf of a stream.
enum Before {
    /// Nothing: the stream begins.
    Nothing,
    /// The leaf with this hash.
    Leaf(Hash),
    /// An event whose leaf is not known here. It is known to the sequencer, which then makes the leaves.
    Unknown,
}

impl Leaves {
    /// Of a stream whose last event has this sequence, and its leaf this hash, if that is known.
    pub(super) fn after(
        stream_type: &'static str,
        stream_id: &str,
        sequence: i64,
        leaf: Option<Hash>,
    ) -> Self {
        let before = match (sequence, leaf) {
            (0, _) => Before::Nothing,
            (_, Some(hash)) => Before::Leaf(hash),
            (_, None) => Before::Unknown,
        };
        Self { stream_type, stream_id: stream_id.to_owned(), before }
    }

    /// The next event's leaf, and what the sequencer needs to know of it; none if the one before is not known.
    pub(super) fn next(&mut self, event: &EventRow) -> Result<Option<(String, KnownLeaf)>, NoLeaf> {
        let (prev, is_known) = match self.before {
            Before::Nothing => (None, true),
            Before::Leaf(hash) => (Some(hash), true),
            Before::Unknown => (None, false),
        };
        let columns = EventColumns {
            stream_type: self.stream_type.into(),
            stream_id: (&self.stream_id).into(),
            sequence: event.sequence.unsigned_abs(),
            event_id: (&event.event_id).into(),
            event_type: (&event.event_type).into(),
            event_version: (&event.event_version).into(),
            agreement_id: event.agreement_id.as_deref().map(Into::into),
            recorded_at: event.recorded_at,
            payload: (&event.payload).into(),
            metadata: (&event.metadata).into(),
        };
        // One of which no leaf can be made would wait for ever, whoever is to make it.
        let leaf = Leaf::of_event(&columns, prev)?;
        if !is_known {
            return Ok(None);
        }
        let text = leaf.to_text()?;
        let hash = leaf_hash(text.as_bytes());
        self.before = Before::Leaf(hash);
        Ok(Some((text, KnownLeaf { prev, hash, recorded_at: event.recorded_at })))
    }

    /// The hash of the last leaf, if it is known.
    pub(super) const fn last(&self) -> Option<Hash> {
        match self.before {
            Before::Leaf(hash) => Some(hash),
            Before::Nothing | Before::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;
    use crate::testing::{app_in, open_agreement, toggle_enforcement};

    async fn waiting(app: &App) -> Vec<Option<String>> {
        let sql = "SELECT leaf FROM ledger_pending ORDER BY pending_id";
        let rows = app.database.read(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get("leaf").unwrap()).collect()
    }

    fn parse(leaf: Option<&String>) -> Leaf {
        Leaf::parse(leaf.unwrap().as_bytes()).unwrap()
    }

    #[tokio::test]
    async fn each_leaf_follows_the_last_one_and_a_chain_that_was_lost_is_found_in_the_ledger() {
        let directory = tempfile::tempdir().unwrap();
        let app = app_in(directory.path()).await;
        open_agreement(&app).await;
        toggle_enforcement(&app, true).await;
        let leaves = waiting(&app).await;
        let (opened, enforced) = (parse(leaves[0].as_ref()), parse(leaves[1].as_ref()));
        assert_eq!((opened.sequence, opened.prev), (1, None));
        assert_eq!((enforced.sequence, enforced.prev), (2, Some(opened.hash().unwrap())));

        // As an older version of the program leaves it: an event later than the known leaf.
        app.database.write("UPDATE snapshots SET leaf_sequence = 1", &[]).await.unwrap();
        toggle_enforcement(&app, false).await;
        assert_eq!(waiting(&app).await[2], None, "the last leaf is known to nobody yet");
        app.ledger.sequence_all(app.clock.now()).await.unwrap();
        let placed = app.ledger.store.leaves(0, 3).await.unwrap();
        assert_eq!(placed.len(), 3);
        toggle_enforcement(&app, true).await;
        let next = parse(waiting(&app).await[0].as_ref());
        assert_eq!(next.prev, Some(leaf_hash(placed[2].leaf.as_bytes())));
    }

    #[test]
    fn an_event_of_which_no_leaf_can_be_made_is_refused_also_where_the_sequencer_is_to_make_it() {
        let event = |payload: &str| EventRow {
            event_id: "00000000-0000-7000-8000-000000000001".to_owned(),
            sequence: 2,
            event_type: "AuditRead".to_owned(),
            event_version: "1".to_owned(),
            payload: payload.to_owned(),
            metadata: r#"{"actor_kind":"operator","request_id":"r"}"#.to_owned(),
            recorded_at: chrono::DateTime::UNIX_EPOCH,
            user_id: None,
            agreement_id: None,
            actor_id: None,
            leaf: None,
        };
        let mut unknown = Leaves::after("instance", "00000000-0000-7000-8000-000000000002", 1, None);
        assert!(unknown.next(&event(r#"{"AuditRead":{"position":9007199254740991}}"#)).unwrap().is_none());
        assert!(unknown.next(&event(r#"{"AuditRead":{"position":9007199254740992}}"#)).is_err());
    }
}
