//! The ledger as a database holds it: how far it goes, and the stored hashes and leaves.

use std::collections::{HashMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_domain::Timestamp;

use super::checkpoint::{CheckpointError, Signer};
use super::proof::{self, ProofError, verify_consistency};
use super::tile::{TILE_WIDTH, Tile, TileError, subtree_hash};
use super::tree::{Frontier, Hash, Plan, TreeError, empty_root};
use crate::database::{Database, DatabaseError, Row};
use crate::table::Value;

/// Why the ledger cannot be read, or not grown.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LedgerError {
    /// The database does not answer.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// What is asked for is beyond the tree, or no tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// What is asked for has no tile.
    #[error(transparent)]
    Tile(#[from] TileError),
    /// The stored checkpoint is not what the key signed.
    #[error(
        "the checkpoint in the database is not one of this ledger: {0}. Somebody changed it; keep `ledger.head` as it is. \
         `countersign verify` says what else is not as it was; `countersign ledger adopt` goes on, on the record"
    )]
    Checkpoint(#[from] CheckpointError),
    /// The program is stopping.
    #[error("the program is stopping")]
    Stopping,
    /// What is asked for cannot be proved.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The database has no ledger yet: a server makes it at its first start.
    #[error("this database has no ledger yet; start the server once")]
    NotThere,
    /// What is stored does not fit together.
    #[error("the stored ledger does not fit together: {0}; run `countersign verify`")]
    Corrupt(String),
}

/// How far the ledger goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LedgerState {
    /// The log's name.
    pub origin: String,
    /// The key that signs its checkpoints, as a vkey line.
    pub verifier_key: String,
    /// The right edge of the tree, and so its size and root.
    pub frontier: Frontier,
    /// The latest signed checkpoint.
    pub checkpoint: String,
    /// The size that it signs.
    pub signed_size: u64,
    /// Events that were recorded before this are known to be in the ledger.
    pub reconciled_to: Timestamp,
}

impl LedgerState {
    /// How many entries the ledger has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.frontier.size()
    }
}

/// What became of a new name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Renamed {
    /// The ledger has it.
    To(Box<LedgerState>),
    /// There are entries already, signed under the old one.
    No,
}

/// One entry as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredLeaf {
    /// Its place in the ledger.
    pub position: u64,
    /// The text that is hashed.
    pub leaf: String,
}

/// One entry with the event that it is of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recorded {
    /// Its place in the ledger.
    pub position: u64,
    /// The text that is hashed.
    pub leaf: String,
    /// The event, as JSON in any spelling.
    pub payload: String,
    /// Its circumstances, as JSON in any spelling.
    pub metadata: String,
}

/// Reads the ledger of a database.
#[derive(Clone, Debug)]
pub struct LedgerStore {
    database: Database,
}

const READ_STATE: &str = "SELECT origin, verifier_key, size, frontier, checkpoint, signed_size, reconciled_to \
    FROM ledger_state";

const MAKE_STATE: &str = "INSERT INTO ledger_state (origin, verifier_key, size, frontier, checkpoint, \
    signed_size, sequenced_at, reconciled_to) VALUES ($1, $2, 0, '', $3, 0, $4, $5) ON CONFLICT (only_row) DO NOTHING";

impl LedgerStore {
    /// The ledger of this database.
    #[must_use]
    pub const fn new(database: Database) -> Self {
        Self { database }
    }

    /// The database.
    #[must_use]
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// How far the ledger goes; none before the first start.
    ///
    /// # Errors
    /// When the database does not answer, or what is stored does not fit together.
    pub async fn state(&self) -> Result<Option<LedgerState>, LedgerError> {
        self.database.read(READ_STATE, &[]).await?.first().map(read_state).transpose()
    }

    /// Makes an empty ledger of the signer's name under its key, unless there is one; what is there then.
    ///
    /// # Errors
    /// As for [`LedgerStore::state`].
    pub async fn make(&self, signer: &Signer, now: Timestamp) -> Result<LedgerState, LedgerError> {
        let verifier = signer.verifier();
        let row = [
            verifier.origin().as_str().to_owned().into(),
            verifier.to_string().into(),
            signer.sign(0, empty_root()).into(),
            now.into(),
            // Whatever happened before there was a ledger is looked at once.
            Timestamp::UNIX_EPOCH.into(),
        ];
        self.database.write(MAKE_STATE, &row).await?;
        self.state().await?.ok_or(LedgerError::NotThere)
    }

    /// Gives the ledger the signer's name, which it takes until it has an entry.
    ///
    /// # Errors
    /// As for [`LedgerStore::state`].
    pub async fn rename(&self, signer: &Signer) -> Result<Renamed, LedgerError> {
        let verifier = signer.verifier();
        let sql = "UPDATE ledger_state SET origin = $1, verifier_key = $2, checkpoint = $3 WHERE size = 0 \
                   RETURNING origin";
        let row = [
            verifier.origin().as_str().to_owned().into(),
            verifier.to_string().into(),
            signer.sign(0, empty_root()).into(),
        ];
        if self.database.write(sql, &row).await?.is_empty() {
            return Ok(Renamed::No);
        }
        Ok(Renamed::To(Box::new(self.state().await?.ok_or(LedgerError::NotThere)?)))
    }

    /// The root of the first `size` entries, put together from stored hashes of a tree that now has
    /// `of` entries.
    ///
    /// # Errors
    /// The tree is smaller, or what is stored does not fit together.
    pub async fn root(&self, size: u64, of: u64) -> Result<Hash, LedgerError> {
        let hashes = self.hashes(&Plan::root(size)?, of).await?;
        Ok(hashes.first().copied().unwrap_or_else(empty_root))
    }

    /// The frontier of the first `size` entries, put together from stored hashes of a tree that now has
    /// `of` entries.
    ///
    /// # Errors
    /// The tree is smaller, or what is stored does not fit together.
    pub async fn frontier(&self, size: u64, of: u64) -> Result<Frontier, LedgerError> {
        Ok(Frontier::from_parts(size, self.hashes(&Plan::frontier(size)?, of).await?)?)
    }

    /// The proof that the entry at `index` is in the tree of `size` entries.
    ///
    /// # Errors
    /// The tree is smaller, or what is stored does not fit together.
    pub async fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, LedgerError> {
        self.hashes(&proof::inclusion(index, size)?, size).await
    }

    /// The proof that the tree of `to` entries has grown from that of `from`.
    ///
    /// # Errors
    /// The tree is smaller, or what is stored does not fit together.
    pub async fn consistency(&self, from: u64, to: u64) -> Result<Vec<Hash>, LedgerError> {
        self.hashes(&proof::consistency(from, to)?, to).await
    }

    /// Whether a tree has grown from an earlier one. What is stored is not believed: it must prove it.
    ///
    /// # Errors
    /// When the database does not answer, or what is stored does not fit together.
    pub async fn has_grown(
        &self,
        (from, from_root): (u64, Hash),
        (to, to_root): (u64, Hash),
    ) -> Result<bool, LedgerError> {
        if from > to {
            return Ok(false);
        }
        let proof = self.consistency(from, to).await?;
        Ok(verify_consistency((from, from_root), (to, to_root), &proof).is_ok())
    }

    /// The hashes of a tile of a tree with `size` entries.
    ///
    /// # Errors
    /// What is stored does not fit together.
    pub async fn tile(&self, tile: Tile, size: u64) -> Result<Vec<Hash>, LedgerError> {
        let full_tiles = size / u64::from(TILE_WIDTH);
        // The last tile of leaves is not stored before it is full.
        if tile.level() == 0 && tile.index() >= full_tiles {
            let first = tile.index() * u64::from(TILE_WIDTH);
            return self.leaf_hashes(first, first + u64::from(tile.width())).await;
        }
        let sql = "SELECT hashes FROM ledger_tiles WHERE level = $1 AND tile_index = $2";
        let rows = self.database.read(sql, &[i64::from(tile.level()).into(), number(tile.index())?]).await?;
        let row = rows.first().ok_or_else(|| LedgerError::Corrupt(format!("{tile} is missing")))?;
        let mut hashes = decode_hashes(&row.get::<String>("hashes")?)?;
        if hashes.len() < usize::from(tile.width()) {
            return Err(LedgerError::Corrupt(format!("{tile} is too short")));
        }
        hashes.truncate(usize::from(tile.width()));
        Ok(hashes)
    }

    /// The leaves from `from` to before `to`, in order.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn leaves(&self, from: u64, to: u64) -> Result<Vec<StoredLeaf>, LedgerError> {
        let sql = "SELECT position, leaf FROM ledger_entries WHERE position >= $1 AND position < $2 \
                   ORDER BY position";
        let rows = self.database.read_bulk(sql, &[number(from)?, number(to)?]).await?;
        let read = |row: &Row| Ok(StoredLeaf { position: natural(row, "position")?, leaf: row.get("leaf")? });
        rows.iter().map(read).collect()
    }

    /// The entries from `from` to before `to` with what they are of, in order; those whose event is gone
    /// are left out.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn recorded(&self, from: u64, to: u64) -> Result<Vec<Recorded>, LedgerError> {
        let sql = "SELECT l.position, l.leaf, CAST(e.payload AS text) AS payload, CAST(e.metadata AS text) AS metadata \
                   FROM ledger_entries l JOIN events e ON e.aggregate_type = l.aggregate_type \
                   AND e.aggregate_id = l.aggregate_id AND e.sequence = l.sequence \
                   WHERE l.position >= $1 AND l.position < $2 ORDER BY l.position LIMIT $3";
        // The limit changes nothing, and keeps the planner from walking through all events.
        let params = [number(from)?, number(to)?, number(to.saturating_sub(from))?];
        let rows = self.database.read_bulk(sql, &params).await?;
        let read = |row: &Row| {
            Ok(Recorded {
                position: natural(row, "position")?,
                leaf: row.get("leaf")?,
                payload: row.get("payload")?,
                metadata: row.get("metadata")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// The stored hashes of the leaves from `from` to before `to`.
    pub(super) async fn leaf_hashes(&self, from: u64, to: u64) -> Result<Vec<Hash>, LedgerError> {
        let sql =
            "SELECT leaf_hash FROM ledger_entries WHERE position >= $1 AND position < $2 ORDER BY position";
        let rows = self.database.read(sql, &[number(from)?, number(to)?]).await?;
        if u64::try_from(rows.len()) != Ok(to.saturating_sub(from)) {
            return Err(LedgerError::Corrupt(format!("entries from {from} to {to} are not all there")));
        }
        rows.iter().map(|row| Ok(row.get::<String>("leaf_hash")?.parse()?)).collect()
    }

    /// What a plan asks for, with each tile read once.
    async fn hashes(&self, plan: &Plan, size: u64) -> Result<Vec<Hash>, LedgerError> {
        let mut wanted = HashSet::new();
        for subtree in plan.subtrees() {
            wanted.insert(Tile::holding(subtree, size)?.0);
        }
        let mut tiles = HashMap::with_capacity(wanted.len());
        for tile in wanted {
            tiles.insert(tile, self.tile(tile, size).await?);
        }
        plan.hashes(|subtree| {
            subtree_hash(subtree, size, |tile| {
                let missing = || LedgerError::Corrupt(format!("{tile} was not read"));
                tiles.get(&tile).cloned().ok_or_else(missing)
            })
        })
    }
}

fn read_state(row: &Row) -> Result<LedgerState, LedgerError> {
    let frontier: String = row.get("frontier")?;
    let hashes = frontier.split_ascii_whitespace().map(str::parse).collect::<Result<_, TreeError>>()?;
    Ok(LedgerState {
        origin: row.get("origin")?,
        verifier_key: row.get("verifier_key")?,
        frontier: Frontier::from_parts(natural(row, "size")?, hashes)?,
        checkpoint: row.get("checkpoint")?,
        signed_size: natural(row, "signed_size")?,
        // Where somebody spoiled it, nothing is known to be in the ledger, and everything is looked at again.
        reconciled_to: row.get("reconciled_to").unwrap_or(Timestamp::UNIX_EPOCH),
    })
}

/// The frontier's hashes as they are stored.
pub(super) fn frontier_text(frontier: &Frontier) -> String {
    let hashes: Vec<String> = frontier.hashes().iter().map(Hash::to_string).collect();
    hashes.join(" ")
}

/// A number that is never negative, as the databases keep it.
pub(super) fn number(natural: u64) -> Result<Value, TreeError> {
    i64::try_from(natural).map(Value::from).map_err(|_| TreeError::TooLarge(natural))
}

pub(crate) fn natural(row: &Row, column: &str) -> Result<u64, LedgerError> {
    let stored: i64 = row.get(column)?;
    u64::try_from(stored).map_err(|_| LedgerError::Corrupt(format!("{column} is {stored}")))
}

/// Hashes one after another in base64, as a row holds a tile.
pub(super) fn encode_hashes(hashes: &[Hash]) -> String {
    STANDARD.encode(hashes.iter().flat_map(Hash::as_bytes).copied().collect::<Vec<u8>>())
}

pub(super) fn decode_hashes(text: &str) -> Result<Vec<Hash>, LedgerError> {
    let malformed = || LedgerError::Corrupt("a tile does not read".to_owned());
    let bytes = STANDARD.decode(text).map_err(|_| malformed())?;
    let (hashes, rest) = bytes.as_chunks::<32>();
    if rest.is_empty() {
        Ok(hashes.iter().copied().map(Hash::from_bytes).collect())
    } else {
        Err(malformed())
    }
}
