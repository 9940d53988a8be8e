//! One-time codes: RFC 6238 with 30 s steps, 6 digits, SHA-1 and a skew of one step either way.

use std::fmt;
use std::str::FromStr;

use totp_rs::{Builder, Secret, Totp};
use zeroize::Zeroizing;

use crate::Timestamp;

/// The length of a shared secret: 160 bits, as RFC 4226 recommends.
pub const SECRET_BYTES: usize = 20;
/// Seconds in a time step.
pub const STEP_S: u64 = 30;

/// A code is right so many steps before and after its own.
const SKEW_STEPS: u16 = 1;

/// The time step for which a code is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MatchedStep {
    /// It.
    pub step: u64,
    /// An earlier one that has the same digits, while these may still be accepted for it; or the step itself. Two given
    /// steps share their digits once in a million times.
    pub same_since: u64,
}

/// The secret that the server shares with one authenticator.
pub struct TotpSecret(Zeroizing<[u8; SECRET_BYTES]>);

impl TotpSecret {
    /// Wraps bytes drawn from the operating system's generator.
    #[must_use]
    pub fn from_bytes(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Wraps bytes read back from the vault; none when the length is wrong.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_bytes)
    }

    /// The bytes, for sealing.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// Unpadded base32, as people type it into their app.
    #[must_use]
    pub fn to_base32(&self) -> Zeroizing<String> {
        Zeroizing::new(base32::encode(base32::Alphabet::Rfc4648 { padding: false }, self.expose()))
    }

    /// The time step for which this code is right, within one step of `now`; the first, should there be several.
    #[must_use]
    pub fn matched_step(&self, code: &Code, now: Timestamp) -> Option<MatchedStep> {
        let now_s = u64::try_from(now.timestamp()).ok()?;
        let totp = self.totp("", "");
        let step = totp.check(&code.0, now_s)?;
        let digits = |step: u64| totp.generate(step * STEP_S);
        let (shown, mut before) = (digits(step), step.saturating_sub(2 * u64::from(SKEW_STEPS))..step);
        let same_since = before.find(|earlier| digits(*earlier) == shown).unwrap_or(step);
        Some(MatchedStep { step, same_since })
    }

    /// The `otpauth://` address that the QR code shows.
    ///
    /// The label cannot hold a colon (it separates issuer and account), so colons become blanks.
    #[must_use]
    pub fn otpauth_uri(&self, issuer: &str, account: &str) -> Zeroizing<String> {
        let issuer = issuer.replace(':', " ");
        let account = account.replace(':', " ");
        // Only an empty account or a colon can fail, and an e-mail address is never empty.
        Zeroizing::new(self.totp(&issuer, &account).to_url().unwrap_or_default())
    }

    fn totp(&self, issuer: &str, account: &str) -> Totp {
        Builder::new()
            .with_secret(Secret::from(self.expose()))
            .with_step_duration(STEP_S)
            .with_skew(SKEW_STEPS)
            .with_issuer((!issuer.is_empty()).then_some(issuer))
            .with_account_name(account)
            .build_noncompliant()
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret")
    }
}

/// Six digits that somebody typed.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(Zeroizing<String>);

impl FromStr for Code {
    type Err = NotACode;

    /// Blanks are forgiven: apps show the code as two groups of three.
    fn from_str(text: &str) -> Result<Self, NotACode> {
        let digits: String = text.chars().filter(|character| !character.is_whitespace()).collect();
        let right = digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit());
        if right { Ok(Self(Zeroizing::new(digits))) } else { Err(NotACode) }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code")
    }
}

/// What was typed is not six digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a code has six digits")]
pub struct NotACode;

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    const RFC_SECRET: &[u8; SECRET_BYTES] = b"12345678901234567890";

    fn at_second(second: i64) -> Timestamp {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn matched_step(code: &str, second: i64) -> Option<MatchedStep> {
        TotpSecret::from_bytes(*RFC_SECRET).matched_step(&code.parse().unwrap(), at_second(second))
    }

    fn matched(code: &str, second: i64) -> Option<u64> {
        let MatchedStep { step, same_since } = matched_step(code, second)?;
        assert_eq!(same_since, step);
        Some(step)
    }

    /// RFC 6238 appendix B gives eight digits; the last six are the six-digit code.
    #[test]
    fn s02_rfc_6238_appendix_b() {
        let vectors = [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ];
        for (second, eight_digits) in vectors {
            let step = u64::try_from(second).unwrap() / STEP_S;
            assert_eq!(matched(&eight_digits[2..], second), Some(step), "at {second}");
        }
    }

    /// RFC 4226 appendix D: the counter is the time step.
    #[test]
    fn s02_rfc_4226_appendix_d() {
        let codes = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871",
            "520489",
        ];
        for (counter, code) in (0_u64..).zip(codes) {
            let second = i64::try_from(counter * STEP_S).unwrap();
            assert_eq!(matched(code, second), Some(counter), "counter {counter}");
        }
    }

    #[test]
    fn s02_skew_is_one_step_either_way() {
        let step_1 = "287082";
        assert_eq!(matched(step_1, 0), Some(1), "one step early");
        assert_eq!(matched(step_1, 89), Some(1), "one step late");
        assert_eq!(matched(step_1, 90), None, "two steps late");
    }

    /// The steps 910,737 and 910,738 share their digits, and so do 153,567 and 153,569.
    #[test]
    fn s01_a_step_tells_the_earlier_one_with_the_same_digits() {
        for (code, now, told) in [
            ("911617", 910_735, None),
            ("911617", 910_736, Some((910_737, 910_737))),
            ("911617", 910_738, Some((910_737, 910_737))),
            ("911617", 910_739, Some((910_738, 910_737))),
            ("911617", 910_740, None),
            ("468457", 153_568, Some((153_567, 153_567))),
            ("468457", 153_569, Some((153_569, 153_567))),
            ("468457", 153_570, Some((153_569, 153_567))),
        ] {
            let told = told.map(|(step, same_since)| MatchedStep { step, same_since });
            let second = i64::try_from(now * STEP_S).unwrap();
            assert_eq!(matched_step(code, second), told, "{code} at step {now}");
        }
    }

    #[test]
    fn s02_the_address_names_issuer_account_and_secret() {
        let secret = TotpSecret::from_bytes(*RFC_SECRET);
        assert_eq!(
            secret.otpauth_uri("Nordlys: A/S", "kari@example.com").as_str(),
            "otpauth://totp/Nordlys%20%20A%2FS:kari%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=Nordlys%20%20A%2FS"
        );
    }

    #[test]
    fn a_code_is_six_digits_and_blanks_are_forgiven() {
        assert_eq!("123 456".parse::<Code>(), "123456".parse::<Code>());
        for wrong in ["", "12345", "1234567", "12345a", "١٢٣٤٥٦"] {
            assert_eq!(wrong.parse::<Code>(), Err(NotACode), "{wrong}");
        }
    }
}
