use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;

use super::super::testing::{Stored, VKEY, test_leaf};
use super::super::tree::MAX_SIZE;
use super::*;

const RECEIPT_OF_4: &str = "c2sp.org/tlog-proof@v1\nindex 4\n\
    0e/yExo3mdPt+nPQpmAV7suZM4c539f/vHsL9HHH620=\n\
    +hpvJxFpmjUIA/5hkZtBHSvJgKS0EuD4tHtEBBz2Y8c=\n\
    nsix2myXQ8EemPmm0Nx8XCNDIjiZVx54RyQ43LmsQdM=\n\n\
    audit.example.com/log1\n7\nMS3Jx+ldkyhrHmBwxQnYxnZCPTHChPuL4vtoz0SaInE=\n\n\
    — audit.example.com/log1 zxj+Kh9h7bVzrqezjg4i4hYgPbUKFQwR6SubHiacS7KiKL0z6PIjn3QhEOyoMexDCRrf1KyJEwLj8KBTqDxmFQAp6wQ=\n";

fn flipped(hash: Hash, bit: usize) -> Hash {
    let mut bytes = *hash.as_bytes();
    bytes[bit / 8 % 32] ^= 1 << (bit % 8);
    Hash::from_bytes(bytes)
}

/// The same proof with one bit of one hash changed, one hash less, and one more.
fn spoilt(proof: &[Hash], bit: usize) -> Vec<Vec<Hash>> {
    let mut all = vec![[proof, &[empty_root()]].concat(), [&[empty_root()], proof].concat()];
    for place in 0..proof.len() {
        let mut other = proof.to_vec();
        other[place] = flipped(other[place], bit + place);
        all.push(other);
        all.push([&proof[..place], &proof[place + 1..]].concat());
    }
    all
}

#[test]
fn every_leaf_of_every_tree_is_proved_and_nothing_else_is() {
    let stored = Stored::of(200);
    for size in 1..=200 {
        let root = stored.root(size);
        for index in 0..size {
            let (leaf, bit) =
                (leaf_hash(&test_leaf(index)), usize::try_from(index * 7 + size).unwrap() % 256);
            let proof = stored.hashes(&inclusion(index, size).unwrap());
            assert_eq!(verify_inclusion(leaf, index, size, root, &proof), Ok(()), "{index} of {size}");
            for other in [flipped(leaf, bit), root] {
                assert!(other == leaf || verify_inclusion(other, index, size, root, &proof).is_err());
            }
            let other_root = flipped(root, bit);
            assert_eq!(verify_inclusion(leaf, index, size, other_root, &proof), Err(ProofError::Root));
            for other in [index ^ 1, index ^ (1 << (bit % 9)), index ^ (1 << 63)] {
                assert!(verify_inclusion(leaf, other, size, root, &proof).is_err(), "{index} of {size}");
            }
            // A few kinds of damage in turn, and all of them at the right edge; the property below does the rest.
            let damaged = spoilt(&proof, bit);
            let kinds = if index + 3 > size { damaged.len() } else { 4 };
            let start = bit % damaged.len();
            for other in damaged.iter().cycle().skip(start).take(kinds) {
                assert!(verify_inclusion(leaf, index, size, root, other).is_err(), "{index} of {size}");
            }
        }
    }
}

#[test]
fn a_proof_proves_for_the_size_it_was_made_for() {
    let stored = Stored::of(201);
    for size in 1..=200 {
        for index in [0, size / 2, size - 1] {
            let proof = stored.hashes(&inclusion(index, size).unwrap());
            let leaf = leaf_hash(&test_leaf(index));
            // With the root of its own size, each other size leads elsewhere or has another length,
            // except where both trees share the path; with the other root it never proves.
            assert!(verify_inclusion(leaf, index, size + 1, stored.root(size + 1), &proof).is_err());
            if size > 1 && index < size - 1 {
                assert!(verify_inclusion(leaf, index, size - 1, stored.root(size - 1), &proof).is_err());
            }
        }
    }
}

#[test]
fn every_growth_is_proved_and_nothing_else_is() {
    let stored = Stored::of(100);
    let roots: Vec<Hash> = (0..=100).map(|size| stored.root(size)).collect();
    for to in 0..=100 {
        for from in 0..=to {
            let [old, new] = [from, to].map(|size| (size, roots[usize::try_from(size).unwrap()]));
            let bit = usize::try_from(from * 3 + to).unwrap();
            let proof = stored.hashes(&consistency(from, to).unwrap());
            assert_eq!(verify_consistency(old, new, &proof), Ok(()), "{from} to {to}");
            assert!(verify_consistency((from, flipped(old.1, bit)), new, &proof).is_err());
            // From nothing anything may have grown; otherwise the later root counts.
            if from > 0 {
                assert!(verify_consistency(old, (to, flipped(new.1, bit)), &proof).is_err());
            }
            for other in spoilt(&proof, bit) {
                assert!(verify_consistency(old, new, &other).is_err(), "{from} to {to}");
            }
            if from > 1 {
                let earlier = (from - 1, old.1);
                assert!(verify_consistency(earlier, new, &proof).is_err(), "{from} to {to}");
            }
        }
    }
}

#[test]
fn proofs_agree_with_ct_merkle() {
    let (stored, mut theirs) = (Stored::of(130), MemoryBackedTree::<Sha256, Vec<u8>>::new());
    let bytes = |hashes: Vec<Hash>| -> Vec<u8> { hashes.iter().flat_map(|hash| *hash.as_bytes()).collect() };
    for size in 1..=130_u64 {
        theirs.push(test_leaf(size - 1));
        for index in 0..size {
            let ours = bytes(stored.hashes(&inclusion(index, size).unwrap()));
            let place = usize::try_from(index).unwrap();
            assert_eq!(theirs.prove_inclusion(place).as_bytes(), ours, "{index} of {size}");
        }
        for from in 1..size {
            let ours = bytes(stored.hashes(&consistency(from, size).unwrap()));
            let additions = usize::try_from(size - from).unwrap();
            assert_eq!(theirs.prove_consistency(additions).as_bytes(), ours, "{from} to {size}");
        }
    }
}

#[test]
fn what_no_tree_can_have_is_a_typed_error() {
    let (hash, beyond) =
        (empty_root(), |index, size| ProofError::Tree(TreeError::BeyondTree { index, size }));
    for (index, size) in [(0, 0), (7, 7), (8, 7), (u64::MAX, 7), (MAX_SIZE, MAX_SIZE)] {
        assert_eq!(inclusion(index, size), Err(beyond(index, size)));
        assert_eq!(verify_inclusion(hash, index, size, hash, &[]), Err(beyond(index, size)));
    }
    let shrunk = ProofError::Tree(TreeError::Shrunk { from: 8, to: 7 });
    assert_eq!(consistency(8, 7), Err(shrunk.clone()));
    assert_eq!(verify_consistency((8, hash), (7, hash), &[]), Err(shrunk));
    let too_large = ProofError::Tree(TreeError::TooLarge(u64::MAX));
    assert_eq!(inclusion(0, u64::MAX), Err(too_large.clone()));
    assert_eq!(consistency(0, u64::MAX), Err(too_large.clone()));
    assert_eq!(verify_inclusion(hash, 0, u64::MAX, hash, &[hash; 64]), Err(too_large.clone()));
    assert_eq!(verify_consistency((1, hash), (u64::MAX, hash), &[]), Err(too_large));
    let other = leaf_hash(b"");
    assert_eq!(verify_consistency((0, other), (7, hash), &[]), Err(ProofError::EarlierRoot));
    assert_eq!(verify_consistency((7, other), (7, hash), &[]), Err(ProofError::Root));
    assert_eq!(verify_consistency((7, hash), (7, hash), &[hash]), Err(ProofError::Length));
    assert_eq!(verify_consistency((3, hash), (7, hash), &[]), Err(ProofError::Length));
}

fn receipt_of_4() -> Receipt {
    let stored = Stored::of(7);
    let checkpoint = RECEIPT_OF_4.split_once("\n\n").unwrap().1.to_owned();
    Receipt { extra: None, index: 4, hashes: stored.hashes(&inclusion(4, 7).unwrap()), checkpoint }
}

#[test]
fn the_receipt_of_the_test_vector_is_written_read_and_verified() {
    let verifier: Verifier = VKEY.parse().unwrap();
    assert_eq!(receipt_of_4().to_string(), RECEIPT_OF_4);
    let receipt: Receipt = RECEIPT_OF_4.parse().unwrap();
    assert_eq!(receipt, receipt_of_4());
    assert_eq!(receipt.verify(&verifier, &test_leaf(4)).unwrap().size, 7);
    assert_eq!(receipt.verify(&verifier, &test_leaf(5)), Err(ProofError::Root));
    let with_extra = Receipt { extra: Some(b"any".to_vec()), ..receipt };
    assert_eq!(with_extra.to_string().parse(), Ok(with_extra));
}

#[test]
fn every_flipped_bit_of_a_receipt_is_noticed() {
    let verifier: Verifier = VKEY.parse().unwrap();
    for place in 0..RECEIPT_OF_4.len() * 8 {
        let mut text = RECEIPT_OF_4.as_bytes().to_vec();
        text[place / 8] ^= 1 << (place % 8);
        let Ok(text) = String::from_utf8(text) else { continue };
        let read = text.parse::<Receipt>().and_then(|receipt| receipt.verify(&verifier, &test_leaf(4)));
        assert!(read.is_err(), "bit {place}");
    }
}

#[test]
fn malformed_receipts_are_refused() {
    let hash = format!("{}\n", empty_root());
    for text in [
        String::new(),
        "\n\n".to_owned(),
        RECEIPT_OF_4.replace("@v1", "@v2"),
        RECEIPT_OF_4.replace("index 4", "index 04"),
        RECEIPT_OF_4.replace("index 4", "index -4"),
        RECEIPT_OF_4.replace("index 4\n", ""),
        RECEIPT_OF_4.replace("index 4", "extra !\nindex 4"),
        RECEIPT_OF_4.replacen("620=", "620", 1),
        RECEIPT_OF_4.replacen("index 4\n", &format!("index 4\n{}", hash.repeat(65)), 1),
        RECEIPT_OF_4.replace('\n', "\r\n"),
    ] {
        assert!(matches!(text.parse::<Receipt>(), Err(ProofError::Malformed(_))), "{text}");
    }
}

proptest! {
    #[test]
    fn any_changed_bit_breaks_an_inclusion_proof(size in 1_u64..200, index in any::<u64>(), bit in any::<usize>()) {
        let (stored, index) = (Stored::of(size), index % size);
        let (leaf, root) = (test_leaf(index), stored.root(size));
        let proof = stored.hashes(&inclusion(index, size).unwrap());
        let mut other_leaf = leaf.clone();
        let place = bit % (leaf.len() * 8);
        other_leaf[place / 8] ^= 1 << (place % 8);
        prop_assert!(verify_inclusion(leaf_hash(&other_leaf), index, size, root, &proof).is_err());
        prop_assert!(verify_inclusion(leaf_hash(&leaf), index, size, flipped(root, bit), &proof).is_err());
        prop_assert!(verify_inclusion(leaf_hash(&leaf), index ^ (1 << (bit % 64)), size, root, &proof).is_err());
        for other in spoilt(&proof, bit % 256) {
            prop_assert!(verify_inclusion(leaf_hash(&leaf), index, size, root, &other).is_err());
        }
    }

    #[test]
    fn arbitrary_proofs_never_panic(
        from in any::<u64>(), to in any::<u64>(), hashes in prop::collection::vec(any::<[u8; 32]>(), 0..70),
    ) {
        let (hashes, root): (Vec<Hash>, Hash) = (hashes.into_iter().map(Hash::from_bytes).collect(), leaf_hash(b""));
        prop_assert!(verify_inclusion(root, from, to, root, &hashes).is_err() || to == 1);
        drop(verify_consistency((from, root), (to, root), &hashes));
        drop((inclusion(from, to), consistency(from, to)));
    }

    #[test]
    fn arbitrary_receipts_never_panic(text in any::<String>(), lines in "(c2sp.org/tlog-proof@v1\n)?(index [0-9]{1,21}\n)?([A-Za-z+/]{43}=\n){0,3}\n.{0,20}") {
        let verifier: Verifier = VKEY.parse().unwrap();
        for text in [text, lines] {
            let read = text.parse::<Receipt>().and_then(|receipt| receipt.verify(&verifier, b""));
            prop_assert!(read.is_err());
        }
    }
}
