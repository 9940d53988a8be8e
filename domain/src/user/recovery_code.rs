//! The emergency code: 100 random bits that a person writes down, good for one use.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::ids::RecoveryCodeId;

/// The random bytes that a code is drawn from: 20 symbols of 5 bits use 100 of these 104 bits.
pub const ENTROPY_BYTES: usize = 13;
const SYMBOLS: usize = 20;
const GROUP: usize = 4;
/// Crockford's alphabet: no I, L, O or U, so that no symbol is mistaken for another.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// An emergency code in the clear, on its way to or from a person.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryCode(Zeroizing<String>);

impl RecoveryCode {
    /// Makes a code of random bytes.
    #[must_use]
    pub fn from_entropy(entropy: [u8; ENTROPY_BYTES]) -> Self {
        let entropy = Zeroizing::new(entropy);
        let bits = entropy.iter().fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
        let symbol = |index: usize| {
            let five_bits = (bits >> (5 * index)) & 0b1_1111;
            usize::try_from(five_bits)
                .ok()
                .and_then(|index| ALPHABET.get(index))
                .copied()
                .map_or('0', char::from)
        };
        Self(Zeroizing::new((0..SYMBOLS).map(symbol).collect()))
    }

    /// The twenty symbols without dashes: what is digested and compared.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// `XXXX-XXXX-XXXX-XXXX-XXXX`, as it is shown to its owner.
    #[must_use]
    pub fn grouped(&self) -> Zeroizing<String> {
        let mut grouped = Zeroizing::new(String::with_capacity(SYMBOLS + SYMBOLS / GROUP));
        for (index, symbol) in self.0.chars().enumerate() {
            if index > 0 && index % GROUP == 0 {
                grouped.push('-');
            }
            grouped.push(symbol);
        }
        grouped
    }
}

impl FromStr for RecoveryCode {
    type Err = NotARecoveryCode;

    /// Case, dashes and blanks are forgiven, and the letters that Crockford's alphabet leaves
    /// out because they look like digits.
    fn from_str(text: &str) -> Result<Self, NotARecoveryCode> {
        let mut symbols = Zeroizing::new(String::with_capacity(SYMBOLS));
        for character in text.chars().filter(|character| *character != '-' && !character.is_whitespace()) {
            let symbol = match character.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            let known = u8::try_from(symbol).is_ok_and(|byte| ALPHABET.contains(&byte));
            if !known || symbols.len() == SYMBOLS {
                return Err(NotARecoveryCode);
            }
            symbols.push(symbol);
        }
        if symbols.len() == SYMBOLS { Ok(Self(symbols)) } else { Err(NotARecoveryCode) }
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode")
    }
}

/// What was typed is not an emergency code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an emergency code has twenty letters and digits")]
pub struct NotARecoveryCode;

/// The one emergency code that a user with two-factor has. Its digest is in the vault.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IssuedRecoveryCode {
    /// Names the vault row.
    pub id: RecoveryCodeId,
    /// Whether the person says that it is stored safely.
    pub saved: bool,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn s07_the_code_has_five_groups_of_four() {
        let code = RecoveryCode::from_entropy([0x5a; ENTROPY_BYTES]);
        let groups: Vec<String> = code.grouped().split('-').map(str::to_owned).collect();
        assert_eq!(groups.len(), 5);
        assert!(groups.iter().all(|group| group.len() == 4), "{groups:?}");
    }

    #[test]
    fn s07_what_looks_alike_is_forgiven() {
        let written: RecoveryCode = "0011-ABCD-EFGH-JKMN-PQRS".parse().unwrap();
        assert_eq!("oOil abcd efgh jkmn pqrs".parse::<RecoveryCode>().unwrap(), written);
    }

    #[test]
    fn anything_else_is_not_a_code() {
        for wrong in ["", "0011-ABCD-EFGH-JKMN-PQR", "0011-ABCD-EFGH-JKMN-PQRST", "0011-ABCD-EFGH-JKMN-PQRU"]
        {
            assert_eq!(wrong.parse::<RecoveryCode>(), Err(NotARecoveryCode), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn s07_what_is_shown_reads_back(entropy: [u8; ENTROPY_BYTES]) {
            let code = RecoveryCode::from_entropy(entropy);
            prop_assert_eq!(code.grouped().parse::<RecoveryCode>().unwrap(), code);
        }

        #[test]
        fn s07_a_hundred_bits_count(entropy: [u8; ENTROPY_BYTES], bit in 0_usize..100) {
            let mut other = entropy;
            other[ENTROPY_BYTES - 1 - bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(RecoveryCode::from_entropy(entropy), RecoveryCode::from_entropy(other));
        }
    }
}
