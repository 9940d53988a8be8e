//! How C2SP tlog-tiles cuts the tree: a tile holds up to 256 neighbouring hashes of the tree's
//! levels 0, 8, 16, …; the levels between are computed from them. A full tile never changes.

use std::fmt;
use std::str::FromStr;

use super::checkpoint::parse_number;
use super::tree::{Hash, Subtree, TreeError, check_size, node_hash};

/// How many hashes a full tile has.
pub const TILE_WIDTH: u16 = 256;

/// The tree's levels from one level of tiles to the next.
const TILE_HEIGHT: u8 = 8;

/// No tree is so large that it has tiles above this level.
const LEVEL_MAX: u8 = 7;

/// Why something is not a tile, or not what a tile was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TileError {
    /// No tree of any size has this tile.
    #[error("no tree has a tile at level {level}, index {index}, of {width} hashes")]
    NoSuchTile {
        /// The level of tiles.
        level: u8,
        /// The tile's place in its level.
        index: u64,
        /// How many hashes it would have.
        width: u16,
    },
    /// The text is not the path of a tile.
    #[error("not the path of a tile")]
    Path,
    /// The bytes are not as many hashes as the tile has.
    #[error("a tile of {expected} hashes does not have {found} bytes")]
    Length {
        /// How many hashes the tile has.
        expected: u16,
        /// How many bytes there were.
        found: usize,
    },
    /// The tree is too small for what was asked of it, or larger than any.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The tree of this size does not hold the subtree.
    #[error("a tree of {size} leaves does not hold subtree {index} at level {level}")]
    BeyondTree {
        /// The subtree's height.
        level: u8,
        /// The subtree's place.
        index: u64,
        /// The tree's size.
        size: u64,
    },
}

/// Which tile, and how many hashes of it there are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tile {
    level: u8,
    index: u64,
    width: u16,
}

impl Tile {
    /// A tile of `width` hashes, 256 when it is full.
    ///
    /// # Errors
    /// No tree has it.
    pub fn new(level: u8, index: u64, width: u16) -> Result<Self, TileError> {
        let no_such = TileError::NoSuchTile { level, index, width };
        if level > LEVEL_MAX || width == 0 || width > TILE_WIDTH {
            return Err(no_such);
        }
        let leaves = u128::from(index) * u128::from(TILE_WIDTH) + u128::from(width);
        // A shift would lose what is too much, and take the tile for one of a small tree.
        let leaves = leaves.checked_mul(1_u128 << (level * TILE_HEIGHT));
        let size = leaves.and_then(|leaves| u64::try_from(leaves).ok());
        let size = size.filter(|size| check_size(*size).is_ok());
        size.map(|_| Self { level, index, width }).ok_or(no_such)
    }

    /// The tile of these leaves' hashes, and the place of the first in it, as a tree of `size`
    /// leaves has it.
    ///
    /// # Errors
    /// The tree does not hold the subtree.
    pub fn holding(subtree: Subtree, size: u64) -> Result<(Self, u16), TileError> {
        check_size(size)?;
        let Subtree { level, index } = subtree;
        let beyond = TileError::BeyondTree { level, index, size };
        let held = size.checked_shr(u32::from(level)).unwrap_or(0);
        if index >= held {
            return Err(beyond);
        }
        let (tile_level, inner) = (level / TILE_HEIGHT, level % TILE_HEIGHT);
        // Below the size, so nothing is shifted out.
        let first = index << inner;
        let tile = Self::of_level(tile_level, first / u64::from(TILE_WIDTH), size).ok_or(beyond)?;
        let place = u16::try_from(first % u64::from(TILE_WIDTH)).map_err(|_| beyond)?;
        Ok((tile, place))
    }

    /// The tile as a tree of `size` leaves has it, if it has.
    fn of_level(level: u8, index: u64, size: u64) -> Option<Self> {
        let hashes = size.checked_shr(u32::from(level) * u32::from(TILE_HEIGHT))?;
        let here = hashes.checked_sub(index.checked_mul(u64::from(TILE_WIDTH))?)?;
        let width = u16::try_from(here.min(u64::from(TILE_WIDTH))).ok().filter(|width| *width > 0)?;
        Some(Self { level, index, width })
    }

    /// The level of tiles; level 0 holds leaf hashes.
    #[must_use]
    pub const fn level(self) -> u8 {
        self.level
    }

    /// The place in its level.
    #[must_use]
    pub const fn index(self) -> u64 {
        self.index
    }

    /// How many hashes it has.
    #[must_use]
    pub const fn width(self) -> u16 {
        self.width
    }

    /// Whether it will never change.
    #[must_use]
    pub const fn is_full(self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The subtrees whose hashes it holds, in order.
    pub fn subtrees(self) -> impl Iterator<Item = Subtree> {
        let (level, first) = (self.level * TILE_HEIGHT, self.index * u64::from(TILE_WIDTH));
        (first..first + u64::from(self.width)).map(move |index| Subtree { level, index })
    }

    /// The path of the bundle with this tile's leaves. Only tiles of level 0 have one.
    #[must_use]
    pub fn entries_path(self) -> Option<String> {
        (self.level == 0).then(|| format!("tile/entries/{}", self.place()))
    }

    /// Its index in groups of three digits, all but the last after an `x`, and its width if partial.
    fn place(self) -> String {
        let mut place = format!("{:03}", self.index % 1000);
        let mut rest = self.index / 1000;
        while rest > 0 {
            place = format!("x{:03}/{place}", rest % 1000);
            rest /= 1000;
        }
        if self.is_full() { place } else { format!("{place}.p/{}", self.width) }
    }

    /// Reads a tile's stored bytes: its hashes, one after another.
    ///
    /// # Errors
    /// They are too few or too many.
    pub fn hashes(self, bytes: &[u8]) -> Result<Vec<Hash>, TileError> {
        let (hashes, rest) = bytes.as_chunks::<32>();
        if hashes.len() != usize::from(self.width) || !rest.is_empty() {
            return Err(TileError::Length { expected: self.width, found: bytes.len() });
        }
        Ok(hashes.iter().copied().map(Hash::from_bytes).collect())
    }
}

/// The path under which tlog-tiles publishes the tile: such as `tile/0/x001/234.p/17`.
impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/{}/{}", self.level, self.place())
    }
}

impl FromStr for Tile {
    type Err = TileError;

    fn from_str(path: &str) -> Result<Self, TileError> {
        let (level, place) =
            path.strip_prefix("tile/").and_then(|rest| rest.split_once('/')).ok_or(TileError::Path)?;
        let level = parse_number(level).and_then(|level| u8::try_from(level).ok()).ok_or(TileError::Path)?;
        let (groups, width) =
            place.split_once(".p/").map_or((place, None), |(groups, width)| (groups, Some(width)));
        let width = width.map_or(Some(TILE_WIDTH), |width| u16::try_from(parse_number(width)?).ok());
        let digits: String = groups.chars().filter(char::is_ascii_digit).collect();
        let index = digits.parse().map_err(|_| TileError::Path)?;
        let tile = Self::new(level, index, width.ok_or(TileError::Path)?)?;
        // There is one spelling of each path, and this one may not be it.
        if tile.to_string() == path { Ok(tile) } else { Err(TileError::Path) }
    }
}

/// The tiles that are new or wider in a tree of `to` leaves than in one of `from`, lower levels first.
///
/// # Errors
/// The tree would have shrunk, or is larger than any.
pub fn growth(from: u64, to: u64) -> Result<Vec<Tile>, TileError> {
    check_size(to)?;
    if from > to {
        return Err(TreeError::Shrunk { from, to }.into());
    }
    let mut tiles = Vec::new();
    for level in 0..=LEVEL_MAX {
        let shift = u32::from(level) * u32::from(TILE_HEIGHT);
        let (old, new) = (from >> shift, to >> shift);
        if old < new {
            let touched = old / u64::from(TILE_WIDTH)..new.div_ceil(u64::from(TILE_WIDTH));
            tiles.extend(touched.filter_map(|index| Tile::of_level(level, index, to)));
        }
    }
    Ok(tiles)
}

/// The hash that a full tile is in the tile above it.
#[must_use]
pub fn full_tile_hash(hashes: &[Hash]) -> Option<Hash> {
    if hashes.len() == usize::from(TILE_WIDTH) { pair_up(hashes) } else { None }
}

/// The hash of a full subtree, read from the tile that a tree of `size` leaves holds it in.
///
/// # Errors
/// The tree does not hold it, the tile has too few hashes, or what `read` fails with.
pub fn subtree_hash<E: From<TileError>>(
    subtree: Subtree,
    size: u64,
    read: impl FnOnce(Tile) -> Result<Vec<Hash>, E>,
) -> Result<Hash, E> {
    let (tile, place) = Tile::holding(subtree, size)?;
    let hashes = read(tile)?;
    let (first, count) = (usize::from(place), 1 << (subtree.level % TILE_HEIGHT));
    let part = hashes.get(first..).and_then(|rest| rest.get(..count)).and_then(pair_up);
    let short = TileError::Length { expected: tile.width, found: hashes.len() * 32 };
    part.ok_or_else(|| short.into())
}

/// The root over a power of two of hashes.
fn pair_up(hashes: &[Hash]) -> Option<Hash> {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(*left, *right)).collect();
    }
    row.pop()
}

#[cfg(test)]
mod tests;
