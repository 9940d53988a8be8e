use std::collections::HashMap;

use proptest::prelude::*;

use super::super::testing::test_leaf;
use super::super::tree::{Frontier, MAX_SIZE, leaf_hash, root};
use super::*;

type Tiles = HashMap<(u8, u64), Vec<Hash>>;

/// Stores the tiles of a growth as a sequencer does: leaf hashes below, full tiles' hashes above.
fn store(tiles: &mut Tiles, from: u64, to: u64) {
    for tile in growth(from, to).unwrap() {
        let hashes: Vec<Hash> = tile
            .subtrees()
            .map(|Subtree { level, index }| match level {
                0 => leaf_hash(&test_leaf(index)),
                _ => full_tile_hash(&tiles[&(tile.level() - 1, index)]).unwrap(),
            })
            .collect();
        assert_eq!(hashes.len(), usize::from(tile.width()));
        let before = tiles.insert((tile.level(), tile.index()), hashes.clone()).unwrap_or_default();
        assert!(hashes.starts_with(&before) && hashes.len() > before.len(), "{tile} has grown");
    }
}

#[test]
fn roots_read_through_tiles_are_those_of_the_frontier() {
    let sizes = [1, 2, 255, 256, 257, 511, 512, 513, 4095, 65_535, 65_536, 65_537];
    let (mut tiles, mut frontier, mut from) = (Tiles::new(), Frontier::default(), 0);
    for size in sizes {
        (from..size).for_each(|index| frontier.push(leaf_hash(&test_leaf(index))).unwrap());
        store(&mut tiles, from, size);
        from = size;
        let read = |subtree: Subtree| {
            subtree_hash::<TileError>(subtree, size, |tile| {
                let hashes = tiles[&(tile.level(), tile.index())].clone();
                let bytes: Vec<u8> = hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
                tile.hashes(&bytes)
            })
        };
        assert_eq!(root(size, read), Ok(frontier.root()), "{size}");
        // Every hash of the frontier by itself, and the tiles are exactly those of one growth from nothing.
        let mut start = 0;
        let levels = (0..64_u8).rev().filter(|level| size >> level & 1 == 1);
        for (level, hash) in levels.zip(frontier.hashes()) {
            assert_eq!(read(Subtree { level, index: start >> level }), Ok(*hash));
            start += 1 << level;
        }
        let at_once = growth(0, size).unwrap();
        assert_eq!(at_once.len(), tiles.len());
        assert!(at_once.iter().all(|tile| tiles[&(tile.level, tile.index)].len() == usize::from(tile.width)));
    }
}

#[test]
fn a_growth_names_what_it_completes_and_what_it_changes() {
    let paths = |from, to| -> Vec<String> { growth(from, to).unwrap().iter().map(Tile::to_string).collect() };
    assert_eq!(paths(0, 0), [""; 0]);
    assert_eq!(paths(7, 7), [""; 0]);
    assert_eq!(paths(0, 1), ["tile/0/000.p/1"]);
    assert_eq!(paths(255, 256), ["tile/0/000", "tile/1/000.p/1"]);
    assert_eq!(paths(256, 257), ["tile/0/001.p/1"]);
    assert_eq!(paths(250, 520), ["tile/0/000", "tile/0/001", "tile/0/002.p/8", "tile/1/000.p/2"]);
    assert_eq!(paths(65_535, 65_536), ["tile/0/255", "tile/1/000", "tile/2/000.p/1"]);
    assert_eq!(growth(2, 1), Err(TreeError::Shrunk { from: 2, to: 1 }.into()));
    assert_eq!(growth(2, u64::MAX), Err(TreeError::TooLarge(u64::MAX).into()));
    assert_eq!(growth(MAX_SIZE - 1, MAX_SIZE).unwrap().len(), 1);
}

#[test]
fn paths_are_those_of_tlog_tiles() {
    let tile = |level, index, width| Tile::new(level, index, width).unwrap();
    for (tile, path) in [
        (tile(0, 0, 256), "tile/0/000"),
        (tile(0, 1234, 256), "tile/0/x001/234"),
        (tile(0, 1234, 17), "tile/0/x001/234.p/17"),
        (tile(1, 1_234_067, 256), "tile/1/x001/x234/067"),
        (tile(2, 999, 255), "tile/2/999.p/255"),
        (tile(5, 1000, 1), "tile/5/x001/000.p/1"),
    ] {
        assert_eq!(tile.to_string(), path);
        assert_eq!(path.parse(), Ok(tile));
    }
    assert_eq!(tile(0, 1234, 17).entries_path().unwrap(), "tile/entries/x001/234.p/17");
    assert_eq!(tile(0, 5, 256).entries_path().unwrap(), "tile/entries/005");
    assert_eq!(tile(1, 5, 256).entries_path(), None);
}

#[test]
fn other_paths_are_refused() {
    for path in [
        "",
        "tile/0",
        "tile/0/",
        "tile/0/1",
        "tile/0/0001",
        "tile/0/x000/001",
        "tile/0/001/234",
        "tile/0/x001/x234",
        "tile/00/001",
        "tile/8/000",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/257",
        "tile/0/001.p/01",
        "tile/0/../001",
        "/tile/0/001",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tile/7/x018/x446/x744/x073/x709/x551/615",
        "tile/entries/001",
    ] {
        assert!(path.parse::<Tile>().is_err(), "{path}");
    }
}

#[test]
fn subtrees_beyond_the_tree_and_short_tiles_are_errors() {
    let beyond = |level, index, size| Err(TileError::BeyondTree { level, index, size });
    for (level, index, size) in [(0, 0, 0), (0, 7, 7), (3, 0, 7), (8, 1, 511), (64, 0, 9), (200, 0, MAX_SIZE)]
    {
        assert_eq!(Tile::holding(Subtree { level, index }, size), beyond(level, index, size));
    }
    let root = Subtree { level: 2, index: 0 };
    let short = subtree_hash::<TileError>(root, 4, |_| Ok(vec![leaf_hash(b""); 3]));
    assert_eq!(short, Err(TileError::Length { expected: 4, found: 96 }));
    let tile = Tile::new(0, 0, 2).unwrap();
    for bytes in [0, 32, 63, 65, 96] {
        assert_eq!(tile.hashes(&vec![0; bytes]), Err(TileError::Length { expected: 2, found: bytes }));
    }
    assert_eq!(full_tile_hash(&[leaf_hash(b""); 255]), None);
    // The last one is of 2^128 leaves.
    for (level, index, width) in [
        (8, 0, 1),
        (0, 0, 0),
        (0, 0, 257),
        (0, u64::MAX, 1),
        (7, 1, 1),
        (7, u64::MAX, 255),
        (7, u64::MAX, 256),
    ] {
        assert_eq!(Tile::new(level, index, width), Err(TileError::NoSuchTile { level, index, width }));
    }
}

proptest! {
    #[test]
    fn every_path_is_read_back(level in 0_u8..=7, index in 0_u64..1 << 55, width in 1_u16..=256) {
        if let Ok(tile) = Tile::new(level, index >> (8 * level).min(55), width) {
            prop_assert_eq!(tile.to_string().parse(), Ok(tile));
        }
    }

    #[test]
    fn arbitrary_text_is_a_path_in_one_spelling_or_none(path in "tile/[0-9]{1,2}/(x?[0-9]{3}/){0,3}[0-9]{1,4}(\\.p/[0-9]{1,3})?") {
        if let Ok(tile) = path.parse::<Tile>() {
            prop_assert_eq!(tile.to_string(), path);
        }
    }

    #[test]
    fn any_subtree_of_any_tree_is_in_a_tile_of_it(size in 0..=MAX_SIZE, level in 0_u8..70, index in any::<u64>()) {
        let held = size.checked_shr(u32::from(level)).unwrap_or(0);
        let index = if held > 0 { index % held } else { index };
        match Tile::holding(Subtree { level, index }, size) {
            Ok((tile, place)) => {
                prop_assert!(place + (1 << (level % 8)) <= tile.width());
                prop_assert_eq!(Tile::new(tile.level(), tile.index(), tile.width()), Ok(tile));
            }
            Err(_) => prop_assert_eq!(held, 0),
        }
    }
}
