use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::*;
use crate::database::Step;
use crate::database::Transacted;
use crate::database::testing::{FreshDatabase, fresh_databases, unlock};
use crate::ledger::tile;
use crate::table::{Column, EVENTS, LEDGER_ENTRIES, LEDGER_TILES, integer, text, timestamp, timestamp_text};

/// A ledger in a database, to be tampered with.
pub(super) struct Made {
    pub(super) fresh: FreshDatabase,
    pub(super) stored: Stored,
}

pub(super) async fn made(size: u64) -> Vec<Made> {
    let mut all = Vec::new();
    for fresh in fresh_databases().await.unwrap() {
        let entries = history(size);
        let made = Made { fresh, stored: Stored::of_leaves(entries.iter().map(Entry::hash).collect()) };
        made.fill(&entries).await;
        all.push(made);
    }
    all
}

impl Made {
    async fn fill(&self, entries: &[Entry]) {
        let size = entries.len() as u64;
        let events: Vec<Json> = entries.iter().map(event_row).collect();
        self.insert("events", EVENTS.columns, &events).await;
        let ours: Vec<Json> = entries
            .iter()
            .map(|it| {
                json!({
                    "position": it.position, "aggregate_type": it.stream_type, "aggregate_id": it.stream_id,
                    "sequence": it.sequence, "leaf": it.leaf, "leaf_hash": it.leaf_hash,
                })
            })
            .collect();
        self.insert("ledger_entries", LEDGER_ENTRIES.columns, &ours).await;
        let tiles: Vec<Json> = tile::growth(0, size)
            .unwrap()
            .into_iter()
            .filter(|tile| tile.is_full() || tile.level() > 0)
            .map(|tile| {
                let hashes: Vec<Hash> = tile.subtrees().map(|it| self.stored.subtree(it)).collect();
                json!({ "level": tile.level(), "tile_index": tile.index(), "hashes": encode_hashes(&hashes) })
            })
            .collect();
        self.insert("ledger_tiles", LEDGER_TILES.columns, &tiles).await;
        let last: BTreeMap<_, _> = entries.iter().map(|it| (&it.stream_id, it.sequence)).collect();
        let snapshots: Vec<Json> = last
            .into_iter()
            .map(|(id, last)| {
                json!({
                    "aggregate_type": "user", "aggregate_id": id, "last_sequence": last,
                    "previous_sequence": 0, "payload": {}, "current_snapshot": 1,
                })
            })
            .collect();
        self.insert("snapshots", crate::table::SNAPSHOTS.columns, &snapshots).await;
        let mut frontier = Frontier::default();
        for entry in entries {
            frontier.push(entry.hash()).unwrap();
        }
        let verifier = signer(0).verifier().clone();
        let state = json!([{
            "origin": verifier.origin().as_str(), "verifier_key": verifier.to_string(), "size": size,
            "frontier": frontier_text(&frontier), "checkpoint": self.note(size), "signed_size": size,
            "sequenced_at": "2030-03-17T17:46:40.000000Z", "reconciled_to": "2030-03-17T17:46:40.000000Z",
        }]);
        let columns = [
            text("origin"),
            text("verifier_key"),
            integer("size"),
            text("frontier"),
            text("checkpoint"),
            integer("signed_size"),
            timestamp("sequenced_at"),
            timestamp("reconciled_to"),
        ];
        self.insert("ledger_state", &columns, state.as_array().unwrap()).await;
        unlock(&self.fresh.database).await.unwrap();
    }

    async fn insert(&self, table: &str, columns: &[Column], rows: &[Json]) {
        let names: Vec<&str> = columns.iter().map(|it| it.name).collect();
        let names = names.join(", ");
        let given = self.fresh.database.given(1, columns);
        let sql = format!("INSERT INTO {table} ({names}) SELECT {names} FROM {given}");
        let step = Step::new(sql, vec![json!(rows).to_string().into()]).changing(rows.len() as u64);
        assert_eq!(self.fresh.database.transact(vec![step]).await.unwrap(), Transacted::Committed);
    }

    pub(super) fn note(&self, size: u64) -> String {
        signer(0).sign(size, self.stored.root(size))
    }

    pub(super) fn head(&self, size: u64, of: u64) -> Checkpoint {
        signer(0).verifier().verify(signer(0).sign(size, self.stored.root(of)).as_bytes()).unwrap()
    }

    pub(super) async fn run(&self, sql: &str) {
        let sql = format!("{sql} RETURNING 1 AS done");
        let rows = self.fresh.database.write(&sql, &[]).await.unwrap();
        assert!(!rows.is_empty(), "{sql}");
    }

    pub(super) async fn verify(&self, head: Option<&Checkpoint>) -> StoredReport {
        let verifier = signer(0).verifier().clone();
        verify_stored(&self.fresh.database, &verifier, head, |_, _| {}).await.unwrap()
    }

    pub(super) async fn findings(&self, head: Option<&Checkpoint>) -> Vec<(Option<u64>, String)> {
        let report = self.verify(head).await;
        assert!(!report.holds() && report.proved().is_empty());
        assert_eq!(report.findings_total, report.findings.len() as u64);
        assert!(report.to_string().starts_with("The ledger does NOT hold"));
        report.findings.iter().map(|it| (it.position(), it.field().to_owned())).collect()
    }
}

fn event_row(entry: &Entry) -> Json {
    let event = entry.event.as_ref().unwrap();
    let parsed = |text: &str| serde_json::from_str::<Json>(text).unwrap();
    json!({
        "aggregate_type": entry.stream_type, "aggregate_id": entry.stream_id, "sequence": entry.sequence,
        "event_type": event.event_type, "event_version": event.event_version,
        "payload": parsed(&event.payload), "metadata": parsed(&event.metadata),
        "event_id": event.event_id, "recorded_at": timestamp_text(event.recorded_at),
        "user_id": event.user_id, "agreement_id": event.agreement_id, "actor_id": event.actor_id,
    })
}
