//! Gives events their place: what waits in `ledger_pending` becomes the ledger's next entries.
//!
//! A turn reads what waits, makes leaves of it, and stores them in one transaction that begins by moving
//! the ledger's size from where the turn found it. Two sequencers that take the same turn therefore
//! cannot both succeed, and a turn that was cut short has changed nothing. Only what is committed is
//! signed.

mod batch;
mod leaves;
mod reconcile;

use std::sync::Arc;

use countersign_domain::Timestamp;
use serde_json::json;

use super::checkpoint::{Checkpoint, Signer};
use super::store::{LedgerError, LedgerState, LedgerStore, encode_hashes, frontier_text, number};
use super::tile::{self, TILE_WIDTH, Tile, full_tile_hash};
use super::tree::{Frontier, Hash};
use crate::database::{Step, Transacted};
use crate::table::{integer, text};
use leaves::Placed;
pub use reconcile::Unsequenced;

/// So many pending rows are taken in one turn.
pub const TURN_ROWS_MAX: usize = 4_096;

/// Takes turns.
pub struct Sequencer {
    store: LedgerStore,
    signer: Arc<Signer>,
    /// The tree as this sequencer left it, so that it need not be checked again before it is signed.
    known: Option<Frontier>,
}

/// What a turn did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Turn {
    /// How many entries the ledger has now.
    pub size: u64,
    /// How many of them are new.
    pub taken: usize,
    /// Events that get no place, since one before them is missing or they do not read, and why. The
    /// other streams go on.
    pub held: Vec<String>,
    /// Whether more is waiting.
    pub more: bool,
}

impl Sequencer {
    /// A sequencer of this ledger.
    #[must_use]
    pub const fn new(store: LedgerStore, signer: Arc<Signer>) -> Self {
        Self { store, signer, known: None }
    }

    /// Takes one turn, and signs what it or a predecessor committed. `trusted` is the latest checkpoint
    /// that is known outside the database: nothing is signed that has not grown from it.
    ///
    /// # Errors
    /// When the database does not answer, or the stored tree is not the one that was signed before.
    pub async fn turn(&mut self, trusted: Option<&Checkpoint>, now: Timestamp) -> Result<Turn, LedgerError> {
        let state = self.store.state().await?.ok_or(LedgerError::NotThere)?;
        if self.known.as_ref() != Some(&state.frontier) {
            self.check(&state, trusted).await?;
            self.known = Some(state.frontier.clone());
        }
        let batch = self.read_batch().await?;
        if batch.rows.is_empty() {
            self.sign(&state).await?;
            return Ok(Turn { size: state.size(), taken: 0, held: Vec::new(), more: false });
        }
        let more = batch.more;
        let mut placed = leaves::place(state.size(), batch).await?;
        let held = std::mem::take(&mut placed.held);
        let mut turn = Turn { size: state.size(), taken: 0, held, more };
        if placed.done.is_empty() {
            self.sign(&state).await?;
            return Ok(turn);
        }
        let frontier = grow(&state.frontier, &placed)?;
        let steps = self.steps(&state, &frontier, &placed, now).await?;
        match self.store.database().transact(steps).await? {
            // Another sequencer was faster: what it did is found in the next turn.
            Transacted::Undone => {
                self.known = None;
                turn.more = true;
                return Ok(turn);
            }
            Transacted::Committed => {}
        }
        (turn.size, turn.taken) = (frontier.size(), placed.entries.len());
        let signed = LedgerState { frontier, ..state };
        self.sign(&signed).await?;
        self.known = Some(signed.frontier);
        Ok(turn)
    }

    /// Looks whether the stored tree is one that may be signed.
    async fn check(&self, state: &LedgerState, trusted: Option<&Checkpoint>) -> Result<(), LedgerError> {
        let size = state.size();
        if self.store.root(size, size).await? != state.frontier.root() {
            return Err(LedgerError::Corrupt("its right edge is not that of its tiles".to_owned()));
        }
        if let Some(trusted) = trusted {
            let before = trusted.size;
            if before > size || self.store.root(before, size).await? != trusted.root {
                let reason =
                    format!("it has not grown from the tree of {before} entries that was signed before");
                return Err(LedgerError::Corrupt(reason));
            }
        }
        Ok(())
    }

    async fn sign(&self, state: &LedgerState) -> Result<(), LedgerError> {
        if state.signed_size == state.size() {
            return Ok(());
        }
        let checkpoint = self.signer.sign(state.size(), state.frontier.root());
        let sql =
            "UPDATE ledger_state SET checkpoint = $1, signed_size = $2 WHERE signed_size < $2 AND size >= $2";
        self.store.database().write(sql, &[checkpoint.into(), number(state.size())?]).await?;
        Ok(())
    }

    async fn steps(
        &self,
        state: &LedgerState,
        frontier: &Frontier,
        placed: &Placed,
        now: Timestamp,
    ) -> Result<Vec<Step>, LedgerError> {
        let database = self.store.database();
        let moved = "UPDATE ledger_state SET size = $1, frontier = $2, sequenced_at = $3 \
                     WHERE size = $4 AND frontier = $5";
        let moved = Step::new(
            moved,
            vec![
                number(frontier.size())?,
                frontier_text(frontier).into(),
                now.into(),
                number(state.size())?,
                frontier_text(&state.frontier).into(),
            ],
        );
        let taken = format!(
            "DELETE FROM ledger_pending WHERE pending_id IN (SELECT pending_id FROM {})",
            database.given(1, &[integer("pending_id")])
        );
        let ids: Vec<_> = placed.done.iter().map(|id| json!({ "pending_id": id })).collect();
        let taken = Step::new(taken, vec![json!(ids).to_string().into()]).changing(count(placed.done.len()));
        let mut steps = vec![moved.changing(1), taken];
        if !placed.entries.is_empty() {
            steps.push(self.entries_step(placed));
            steps.extend(self.tiles_step(state.size(), frontier.size(), placed).await?);
        }
        Ok(steps)
    }

    fn entries_step(&self, placed: &Placed) -> Step {
        let columns = [
            integer("position"),
            text("aggregate_type"),
            text("aggregate_id"),
            integer("sequence"),
            text("leaf"),
            text("leaf_hash"),
        ];
        let given = self.store.database().given(1, &columns);
        let sql = format!(
            "INSERT INTO ledger_entries (position, aggregate_type, aggregate_id, sequence, leaf, leaf_hash) \
             SELECT position, aggregate_type, aggregate_id, sequence, leaf, leaf_hash FROM {given}"
        );
        let rows: Vec<_> = placed.entries.iter().map(leaves::Entry::to_json).collect();
        Step::new(sql, vec![json!(rows).to_string().into()]).changing(count(rows.len()))
    }

    /// The tiles that the new entries fill or widen.
    async fn tiles_step(&self, from: u64, to: u64, placed: &Placed) -> Result<Option<Step>, LedgerError> {
        let hashes: Vec<Hash> = placed.entries.iter().map(|entry| entry.leaf_hash).collect();
        let mut rows = Vec::new();
        let mut risen = hashes;
        // The tiles of one level come in order, and each full one is the next hash of the level above.
        for level in 0.. {
            let tiles: Vec<Tile> =
                tile::growth(from, to)?.into_iter().filter(|tile| tile.level() == level).collect();
            let Some(first) = tiles.first().copied() else { break };
            let mut level_hashes = self.there_already(first, from).await?;
            level_hashes.append(&mut risen);
            for (tile, hashes) in tiles.iter().zip(level_hashes.chunks(usize::from(TILE_WIDTH))) {
                risen.extend(full_tile_hash(hashes));
                if tile.is_full() || level > 0 {
                    rows.push(json!({
                        "level": level, "tile_index": tile.index(), "hashes": encode_hashes(hashes),
                    }));
                }
            }
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let given =
            self.store.database().given(1, &[integer("level"), integer("tile_index"), text("hashes")]);
        let sql = format!(
            "INSERT INTO ledger_tiles (level, tile_index, hashes) SELECT level, tile_index, hashes FROM {given} \
             WHERE true ON CONFLICT (level, tile_index) DO UPDATE SET hashes = excluded.hashes"
        );
        Ok(Some(Step::new(sql, vec![json!(rows).to_string().into()])))
    }

    /// The hashes that a tile had before these entries.
    async fn there_already(&self, tile: Tile, size: u64) -> Result<Vec<Hash>, LedgerError> {
        let hashes = size >> (u32::from(tile.level()) * 8);
        let width = u16::try_from(hashes.saturating_sub(tile.index() * u64::from(TILE_WIDTH)));
        match width.map(|width| Tile::new(tile.level(), tile.index(), width)) {
            Ok(Ok(before)) => self.store.tile(before, size).await,
            Ok(Err(_)) | Err(_) => Ok(Vec::new()),
        }
    }
}

fn grow(frontier: &Frontier, placed: &Placed) -> Result<Frontier, LedgerError> {
    let mut frontier = frontier.clone();
    for entry in &placed.entries {
        frontier.push(entry.leaf_hash)?;
    }
    Ok(frontier)
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
