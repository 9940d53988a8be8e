//! The stored hashes of the tree, which proofs are made of, against those of the entries.

use std::collections::HashMap;

use super::{StoredError, page};
use crate::database::Database;
use crate::ledger::store::{decode_hashes, encode_hashes};
use crate::ledger::tile::{TILE_WIDTH, full_tile_hash};
use crate::ledger::tree::Hash;
use crate::ledger::verify::{Finding, Problem, Verification};

/// The tiles of the entries so far: on each level the one that is not full, and those that were
/// filled since they were last compared.
#[derive(Debug, Default)]
pub(super) struct Tiles {
    levels: Vec<Level>,
}

#[derive(Debug, Default)]
struct Level {
    index: u64,
    hashes: Vec<Hash>,
    /// Their indices, which follow each other, with their hashes as they are stored.
    filled: Vec<(u64, String)>,
}

impl Tiles {
    pub(super) fn push(&mut self, leaf: Hash) {
        let (mut risen, mut level) = (Some(leaf), 0);
        while let Some(hash) = risen {
            if level == self.levels.len() {
                self.levels.push(Level::default());
            }
            risen = self.levels.get_mut(level).and_then(|level| level.push(hash));
            level += 1;
        }
    }

    /// Compares the tiles that were filled since the last time.
    pub(super) async fn compare_full(
        &mut self,
        database: &Database,
        verification: &mut Verification,
    ) -> Result<(), StoredError> {
        let sql = "SELECT tile_index, hashes FROM ledger_tiles WHERE level = $1 AND tile_index >= $2 \
                   AND tile_index <= $3";
        for (level, tiles) in self.levels.iter_mut().enumerate() {
            let (Some((first, _)), Some((last, _))) = (tiles.filled.first(), tiles.filled.last()) else {
                continue;
            };
            let params = [number(level as u64), number(*first), number(*last)].map(Into::into);
            let mut stored = HashMap::new();
            for row in page(database, sql, &params).await? {
                stored.insert(row.get::<i64>("tile_index")?, row.get::<String>("hashes")?);
            }
            for (index, hashes) in tiles.filled.drain(..) {
                if stored.get(&number(index)) != Some(&hashes) {
                    verification.report(wrong(level, index));
                }
            }
        }
        Ok(())
    }

    /// Compares the last tile of each level but the lowest, whose last tile is not stored. A server
    /// may have widened it meanwhile.
    pub(super) async fn compare_partial(
        &self,
        database: &Database,
        verification: &mut Verification,
    ) -> Result<(), StoredError> {
        let sql = "SELECT hashes FROM ledger_tiles WHERE level = $1 AND tile_index = $2";
        for (level, Level { index, hashes, .. }) in self.levels.iter().enumerate().skip(1) {
            if hashes.is_empty() {
                continue;
            }
            let rows = page(database, sql, &[number(level as u64).into(), number(*index).into()]).await?;
            let stored = rows.first().map(|row| row.get::<String>("hashes")).transpose()?;
            let stored = stored.and_then(|stored| decode_hashes(&stored).ok()).unwrap_or_default();
            if !stored.starts_with(hashes) {
                verification.report(wrong(level, *index));
            }
        }
        Ok(())
    }
}

impl Level {
    /// Takes in a hash, and answers that of the tile if it is full now.
    fn push(&mut self, hash: Hash) -> Option<Hash> {
        self.hashes.push(hash);
        if self.hashes.len() < usize::from(TILE_WIDTH) {
            return None;
        }
        let risen = full_tile_hash(&self.hashes);
        self.filled.push((self.index, encode_hashes(&self.hashes)));
        self.hashes.clear();
        self.index += 1;
        risen
    }
}

/// A finding at the first entry that the tile speaks of.
fn wrong(level: usize, index: u64) -> Finding {
    let entries = (0..=level).try_fold(index, |entries, _| entries.checked_mul(u64::from(TILE_WIDTH)));
    Finding::at(entries.unwrap_or(u64::MAX), Problem::Tile { level, index })
}

fn number(natural: u64) -> i64 {
    i64::try_from(natural).unwrap_or(i64::MAX)
}
