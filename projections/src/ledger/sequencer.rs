//! Gives events their place: what waits in `ledger_pending` becomes the ledger's next entries.
//!
//! A turn reads what waits, decides which place each event gets, and moves the rows into the ledger in one
//! transaction, which begins by moving the ledger's size from where the turn found it. Two sequencers that take
//! the same turn therefore cannot both succeed, and a turn that was cut short has changed nothing. Only what is
//! committed is signed.

mod appends;
mod batch;
mod heads;
mod leaves;
mod moving;
mod queue;
mod reconcile;
mod stream;
mod sweeping;
mod tally;

use std::collections::HashSet;
use std::sync::Arc;

use countersign_domain::Timestamp;

use super::checkpoint::{Checkpoint, Signer};
use super::store::{LedgerError, LedgerState, LedgerStore, encode_hashes, frontier_text, number};
use super::tile::{self, TILE_WIDTH, Tile, full_tile_hash};
use super::tree::{Frontier, Hash};
use crate::database::{DatabaseError, Step, Transacted};
use crate::table::LEDGER_TILES;
pub use appends::{Appended, Appends, KnownLeaf};
use heads::{Head, Heads, last_entries_by_stream};
use leaves::Placed;
use queue::Queue;
use reconcile::Search;
pub use reconcile::{Looked, MISSING_NAMED_MAX};
pub use stream::StreamKey;
use sweeping::Sweeping;
use tally::Tally;

/// Where events wait for their place.
pub const QUEUE: &str = "ledger_pending";

/// So many pending rows are taken in one turn.
pub const TURN_ROWS_MAX: usize = 4_096;

/// Takes turns.
pub struct Sequencer {
    store: LedgerStore,
    signer: Arc<Signer>,
    appends: Arc<Appends>,
    /// The tree as this sequencer left it, so that it need not be checked again before it is signed.
    known: Option<Frontier>,
    /// What this sequencer signed last. Nothing that the database says replaces it.
    signed: Option<(u64, Hash)>,
    queue: Queue,
    search: Search,
    tally: Tally,
    heads: Heads,
    /// The size of the ledger when the database refused its next entries: it is gone through for that once.
    refused_at: Option<u64>,
    sweeping: Sweeping,
}

/// What a turn did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Turn {
    /// How many entries the ledger has now.
    pub size: u64,
    /// How many of them are new.
    pub taken: usize,
    /// Events that get no place, since one before them is missing or they do not read. The other
    /// streams go on.
    pub held: Held,
    /// Whether another turn would find something: more is waiting, or another sequencer was faster.
    pub again: bool,
}

/// From what a tree must have grown to be signed.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'t> {
    /// From the checkpoint that is known outside the database, if there is one, and from the stored one.
    Head(Option<&'t Checkpoint>),
    /// From the first of these alone, where somebody spoiled the stored one. For adopting it, on the record.
    HeadAlone(Option<&'t Checkpoint>),
    /// From nothing: the database is taken as it is. For adopting it, on the record.
    Database,
}

/// Events that get no place.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Held {
    /// How many, of those that were looked at.
    pub count: usize,
    /// The first of them.
    pub first: Vec<HeldEvent>,
}

/// An event that gets no place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldEvent {
    /// Its stream and sequence, as `Countersign-Write` gives them.
    pub event: String,
    /// Why not.
    pub reason: String,
}

/// So many held events are named.
const HELD_NAMED_MAX: usize = 100;

impl Held {
    fn push(&mut self, event: HeldEvent) {
        self.count += 1;
        if self.first.len() < HELD_NAMED_MAX {
            self.first.push(event);
        }
    }

    fn add(&mut self, other: Self) {
        self.count += other.count;
        let room = HELD_NAMED_MAX.saturating_sub(self.first.len());
        self.first.extend(other.first.into_iter().take(room));
    }
}

impl Sequencer {
    /// A sequencer of this ledger, on the node that appends these.
    #[must_use]
    pub fn new(store: LedgerStore, signer: Arc<Signer>, appends: Arc<Appends>) -> Self {
        Self {
            store,
            signer,
            appends,
            known: None,
            signed: None,
            queue: Queue::default(),
            search: Search::default(),
            tally: Tally::default(),
            heads: Heads::default(),
            refused_at: None,
            sweeping: Sweeping::default(),
        }
    }

    /// Takes one turn, and signs what it or a predecessor committed. Nothing is signed that has not grown
    /// from what is trusted.
    ///
    /// # Errors
    /// When the database does not answer, or the stored tree is not the one that was signed before.
    pub async fn turn(&mut self, trust: Trust<'_>, now: Timestamp) -> Result<Turn, LedgerError> {
        let state = self.store.state().await?.ok_or(LedgerError::NotThere)?;
        if self.known.as_ref() != Some(&state.frontier) {
            self.check(&state, trust).await?;
            self.heads.forget();
            self.known = Some(state.frontier.clone());
        }
        let (placed, more) = self.place_next(state.size()).await?;
        let mut turn = Turn { size: state.size(), taken: 0, held: placed.held.clone(), again: false };
        if placed.done.is_empty() {
            self.sign(&state).await?;
            return Ok(turn);
        }
        let frontier = grow(&state.frontier, &placed)?;
        let steps = self.steps(&state, &frontier, &placed, now).await?;
        turn.again = more;
        match self.store.database().transact(steps).await {
            // Another sequencer was faster: what it did is found in the next turn.
            Ok(Transacted::Undone) => {
                self.known = None;
                turn.again = true;
                return Ok(turn);
            }
            Ok(Transacted::Committed) => {}
            Err(error @ DatabaseError::Constraint { .. }) if self.refused_at != Some(state.size()) => {
                self.refused_at = Some(state.size());
                if !self.look_by_stream(&placed, state.size()).await? {
                    return Err(error.into());
                }
                turn.again = true;
                return Ok(turn);
            }
            Err(error) => return Err(error.into()),
        }
        (turn.size, turn.taken) = (frontier.size(), placed.entries.len());
        self.sweeping.note(placed.done.len(), self.store.database());
        for entry in &placed.entries {
            self.tally.add(entry.recorded_at);
        }
        for (stream, last) in placed.last_entries {
            self.heads.put(stream, last);
        }
        let signed = LedgerState { frontier, ..state };
        self.sign(&signed).await?;
        self.known = Some(signed.frontier);
        Ok(turn)
    }

    /// Looks in the ledger itself whether it has other last entries than were found by their events, since somebody
    /// removed these or changed their ids. If so, the next turn finds them.
    async fn look_by_stream(&mut self, placed: &Placed, size: u64) -> Result<bool, LedgerError> {
        let streams: HashSet<&StreamKey> = placed.entries.iter().map(|entry| &entry.stream).collect();
        let streams: Vec<_> = streams.into_iter().collect();
        let found = last_entries_by_stream(self.store.database(), &streams, size).await?;
        let mut is_mistaken = false;
        for stream in streams {
            if self.heads.get(stream) != found.get(stream).map_or(Head::None, |last| Head::Last(*last)) {
                is_mistaken = true;
                self.heads.note_unlike(stream.clone());
            }
        }
        self.heads.forget();
        Ok(is_mistaken)
    }

    /// Looks whether the ledger can be gone on from, before anything is recorded of that.
    ///
    /// # Errors
    /// As for [`Sequencer::turn`].
    pub async fn examine(&self, trust: Trust<'_>) -> Result<(), LedgerError> {
        let state = self.store.state().await?.ok_or(LedgerError::NotThere)?;
        self.check(&state, trust).await
    }

    /// Looks whether the stored tree is one that may be signed. What is stored beside it is not believed:
    /// it must prove that the tree has grown from what was signed.
    async fn check(&self, state: &LedgerState, trust: Trust<'_>) -> Result<(), LedgerError> {
        let size = state.size();
        let root = state.frontier.root();
        if self.store.root(size, size).await? != root {
            return Err(LedgerError::Corrupt("its right edge is not that of its tiles".to_owned()));
        }
        let (head, stored) = match trust {
            Trust::Head(head) => (head, Some(self.signer.verifier().verify(state.checkpoint.as_bytes())?)),
            Trust::HeadAlone(head) => (head, None),
            Trust::Database => return Ok(()),
        };
        let signed = head.into_iter().chain(&stored).map(|signed| (signed.size, signed.root));
        for signed in signed.chain(self.signed) {
            if !self.store.has_grown(signed, (size, root)).await? {
                let before = signed.0;
                let reason =
                    format!("it has not grown from the tree of {before} entries that was signed before");
                return Err(LedgerError::Corrupt(reason));
            }
        }
        Ok(())
    }

    /// Signs the tree as it is, unless the stored checkpoint does. What that signs is read from itself: the
    /// column beside it is for those who only want to know. One that somebody spoiled takes nothing with it here: the
    /// tree is one that was looked at, see [`Sequencer::check`].
    async fn sign(&mut self, state: &LedgerState) -> Result<(), LedgerError> {
        let tree = (state.size(), state.frontier.root());
        let stored = self.signer.verifier().verify(state.checkpoint.as_bytes());
        if let Err(error) = &stored {
            tracing::error!(%error, "the stored checkpoint is not one of this ledger; another takes its place");
        }
        let signs_it =
            stored.is_ok_and(|stored| (stored.size, stored.root) == tree && state.signed_size == stored.size);
        if !signs_it {
            let checkpoint = self.signer.sign(tree.0, tree.1);
            let sql = "UPDATE ledger_state SET checkpoint = $1, signed_size = $2 WHERE checkpoint = $3";
            let params = [checkpoint.into(), number(tree.0)?, state.checkpoint.clone().into()];
            // Where another sequencer has signed meanwhile, the next turn sees what.
            self.store.database().write(sql, &params).await?;
        }
        self.signed = Some(tree);
        Ok(())
    }

    async fn steps(
        &self,
        state: &LedgerState,
        frontier: &Frontier,
        placed: &Placed,
        now: Timestamp,
    ) -> Result<Vec<Step>, LedgerError> {
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
        let mut steps = vec![moved.changing(1)];
        steps.extend(moving::steps(self.store.database(), &placed.entries, &placed.done)?);
        let hashes: Vec<Hash> = placed.entries.iter().map(|entry| entry.leaf_hash).collect();
        if !hashes.is_empty() {
            steps.extend(self.tiles_step(state.size(), frontier.size(), hashes).await?);
        }
        Ok(steps)
    }

    /// The tiles that the new entries fill or widen.
    async fn tiles_step(
        &self,
        from: u64,
        to: u64,
        mut risen: Vec<Hash>,
    ) -> Result<Option<Step>, LedgerError> {
        let mut rows = Vec::new();
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
                    rows.push(vec![
                        i64::from(level).into(),
                        number(tile.index())?,
                        encode_hashes(hashes).into(),
                    ]);
                }
            }
        }
        Ok((!rows.is_empty()).then(|| Step::upsert(&LEDGER_TILES, rows)))
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

#[cfg(test)]
mod tests;
