//! Passwords: which are accepted, and how they are hashed (Argon2id, 19 MiB, t=2, p=1).
//!
//! Hashing takes some 20 ms of one core and 19 MiB. It never runs on the threads that answer
//! requests, and only as many at once as there are cores; a bounded number waits.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use chrono::TimeDelta;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::entropy;
use crate::problem::Problem;
use crate::problem::refusals::busy;

const ALGORITHM: Algorithm = Algorithm::Argon2id;
const VERSION: Version = Version::V0x13;
const MEMORY_KIB: u32 = 19 * 1024;
const ITERATIONS: u32 = 2;
const PARALLELISM: u32 = 1;
/// Argon2's memory in blocks of 1 KiB.
const BLOCKS: usize = MEMORY_KIB as usize;
const SALT_BYTES: usize = 16;
/// A password has at most so many bytes.
pub const LENGTH_MAX_BYTES: usize = 1024;
/// So many wait for a core; beyond it callers are told to come back.
const WAITING_MAX: usize = 256;
/// The estimator's work grows with the square of the length …
const ESTIMATED_CHARACTERS: usize = 64;
/// … and without bound with the ways to read symbols as letters ("@" or "4" for "a"), so symbols
/// are estimated as what they are. Digits are still read both ways.
const SYMBOLS_READ_AS_LETTERS: &str = "@({[<&#!|$+%/";

/// Hashes and judges passwords.
pub struct Passwords {
    length_min: usize,
    cores: Arc<Semaphore>,
    /// Who waits or hashes.
    places: Arc<Semaphore>,
    /// What hashes that are done leave to those that wait, since fresh memory has to be cleared first. What was
    /// left to somebody who then did not wait any longer stays until the next work is done.
    left: Arc<Mutex<Vec<Memory>>>,
    /// Judged in place of a hash that is not there, so that unknown users take as long as others.
    stand_in: String,
}

/// What a hash is worked out in, 19 MiB.
type Memory = Vec<Block>;

/// Hashing cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("passwords cannot be hashed: {0}")]
pub struct PasswordError(String);

/// How a password was judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PasswordVerdict {
    /// It is the password; `outdated` when its hash should be made anew.
    Right {
        /// Whether the hash has other parameters than today's.
        outdated: bool,
    },
    /// It is not, or there is none.
    Wrong,
}

impl Passwords {
    /// With this least number of characters.
    ///
    /// # Errors
    /// [`PasswordError`] when Argon2 cannot be set up.
    pub fn new(length_min: usize) -> Result<Self, PasswordError> {
        let cores = available_parallelism().map_or(1, usize::from);
        let stand_in = hash("nobody's password", &mut Memory::new())?;
        Ok(Self {
            length_min: length_min.max(8),
            cores: Arc::new(Semaphore::new(cores)),
            places: Arc::new(Semaphore::new(cores + WAITING_MAX)),
            left: Arc::default(),
            stand_in,
        })
    }

    /// Whether a new password is accepted: long enough, and not one that guessers try. No
    /// rules of composition (NIST SP 800-63B §3.1.1.2).
    ///
    /// # Errors
    /// `invalid-field` says what to do.
    pub async fn check_new(
        &self,
        field: &str,
        password: &str,
        about_the_person: &[&str],
    ) -> Result<(), Problem> {
        let length = password.chars().count();
        if length < self.length_min {
            let detail = format!("Use at least {} characters; a few words do well.", self.length_min);
            return Err(Problem::invalid_field(field, detail));
        }
        if password.len() > LENGTH_MAX_BYTES {
            return Err(Problem::invalid_field(field, format!("Use at most {LENGTH_MAX_BYTES} bytes.")));
        }
        let head = Zeroizing::new(estimated(password));
        let known: Vec<String> =
            about_the_person.iter().copied().chain(["countersign"]).map(estimated).collect();
        let score = self
            .on_a_core(move |_| {
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                zxcvbn::zxcvbn(&head, &known).score()
            })
            .await?;
        if score < zxcvbn::Score::Three {
            return Err(Problem::invalid_field(
                field,
                "This password is among the first that guessers try. Use words that belong to nobody else.",
            ));
        }
        Ok(())
    }

    /// Hashes a password, in PHC format.
    ///
    /// # Errors
    /// `busy` when too many wait.
    pub async fn hash(&self, password: Zeroizing<String>) -> Result<Zeroizing<String>, Problem> {
        let hashed = self.on_a_core(move |memory| hash(&password, memory)).await?;
        hashed.map(Zeroizing::new).map_err(|error| Problem::internal(error.to_string()))
    }

    /// Judges a password against a PHC hash; against a stand-in where there is none, so that it
    /// takes as long.
    ///
    /// # Errors
    /// `busy` when too many wait.
    pub async fn judge(
        &self,
        password: Zeroizing<String>,
        phc: Option<Zeroizing<String>>,
    ) -> Result<PasswordVerdict, Problem> {
        let nobody = phc.is_none();
        let phc = phc.unwrap_or_else(|| Zeroizing::new(self.stand_in.clone()));
        let judged = self.on_a_core(move |memory| judge(&password, &phc, memory)).await?;
        let verdict = judged.map_err(|error| Problem::internal(error.to_string()))?;
        Ok(if nobody { PasswordVerdict::Wrong } else { verdict })
    }

    /// Work that may need memory to hash in.
    async fn on_a_core<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let full =
            || busy("Too many sign-ins at once; nothing was judged.").retry_after(TimeDelta::seconds(1));
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| full())?;
        let core = Arc::clone(&self.cores).acquire_owned().await.map_err(|_| full())?;
        let (places, left) = (Arc::clone(&self.places), Arc::clone(&self.left));
        let done = tokio::task::spawn_blocking(move || {
            // Held until the work is done, also when nobody waits for it any more.
            let _held = (place, core);
            let left = || left.lock().unwrap_or_else(PoisonError::into_inner);
            let mut memory = left().pop().unwrap_or_default();
            let done = work(&mut memory);
            let somebody_waits = places.available_permits() < WAITING_MAX;
            if !somebody_waits {
                left().clear();
            } else if memory.capacity() == BLOCKS {
                left().push(memory);
            }
            done
        });
        done.await.map_err(|error| Problem::internal(error.to_string()))
    }
}

/// What the estimator is given of a password.
fn estimated(password: &str) -> String {
    let plain = |symbol| if SYMBOLS_READ_AS_LETTERS.contains(symbol) { '~' } else { symbol };
    password.chars().take(ESTIMATED_CHARACTERS).map(plain).collect()
}

fn hash(password: &str, memory: &mut Memory) -> Result<String, PasswordError> {
    let salt: [u8; SALT_BYTES] = entropy::bytes().map_err(failed)?;
    let params = Params::new(MEMORY_KIB, ITERATIONS, PARALLELISM, None).map_err(failed)?;
    let described = ParamsString::try_from(&params).map_err(failed)?;
    let argon2 = Argon2::new(ALGORITHM, VERSION, params);
    let hash = PasswordHash {
        algorithm: ALGORITHM.ident(),
        version: Some(VERSION.into()),
        params: described,
        salt: Some(Salt::new(&salt).map_err(failed)?),
        hash: Some(output(&argon2, password, &salt, memory)?),
    };
    Ok(hash.to_string())
}

/// A stored hash that cannot be judged is an error, not a wrong password: its owner could never sign in.
fn judge(password: &str, phc: &str, memory: &mut Memory) -> Result<PasswordVerdict, PasswordError> {
    let stored = PasswordHash::new(phc).map_err(failed)?;
    let (Some(salt), Some(expected)) = (&stored.salt, &stored.hash) else {
        return Err(failed("a stored hash has no salt, or no output"));
    };
    let algorithm = Algorithm::try_from(stored.algorithm.as_str()).map_err(failed)?;
    let version = stored.version.map(Version::try_from).transpose().map_err(failed)?;
    let params = Params::try_from(&stored).map_err(failed)?;
    let outdated = (algorithm, version) != (ALGORITHM, Some(VERSION))
        || (params.m_cost(), params.t_cost(), params.p_cost()) != (MEMORY_KIB, ITERATIONS, PARALLELISM);
    let found = output(&Argon2::new(algorithm, version.unwrap_or_default(), params), password, salt, memory)?;
    // The library compares in constant time.
    Ok(if found == *expected { PasswordVerdict::Right { outdated } } else { PasswordVerdict::Wrong })
}

/// What Argon2 makes of a password.
fn output(
    argon2: &Argon2<'_>,
    password: &str,
    salt: &[u8],
    memory: &mut Memory,
) -> Result<Output, PasswordError> {
    let params = argon2.params();
    let blocks = params.block_count();
    memory.try_reserve_exact(blocks.saturating_sub(memory.len())).map_err(failed)?;
    memory.resize(blocks, Block::new());
    let mut bytes = vec![0; params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN)];
    argon2.hash_password_into_with_memory(password.as_bytes(), salt, &mut bytes, memory).map_err(failed)?;
    Output::new(&bytes).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> PasswordError {
    PasswordError(error.to_string())
}

#[cfg(test)]
mod tests {
    use argon2::{PasswordHasher, PasswordVerifier};

    use super::*;
    use crate::problem::ProblemCode;

    fn secret(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    #[test]
    fn s15_the_hash_is_argon2id_with_19_mib_two_passes_and_one_lane() {
        let mut memory = Memory::new();
        let phc = hash("correct horse battery", &mut memory).unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        let mut judged = |password| judge(password, &phc, &mut memory).unwrap();
        assert_eq!(judged("correct horse battery"), PasswordVerdict::Right { outdated: false });
        assert_eq!(judged("correct horse batterx"), PasswordVerdict::Wrong);
        assert_eq!(judged("correct horse battery"), PasswordVerdict::Right { outdated: false });
    }

    #[test]
    fn s15_what_other_programs_hash_is_judged_and_what_is_hashed_here_they_can_judge() {
        let (password, mut memory) = ("correct horse battery", Memory::new());
        let ours = hash(password, &mut memory).unwrap();
        Argon2::default().verify_password(password.as_bytes(), &PasswordHash::new(&ours).unwrap()).unwrap();
        let others = [
            (Algorithm::Argon2id, Version::V0x13, (8 * 1024, 1, 1)),
            (Algorithm::Argon2id, Version::V0x13, (32 * 1024, 2, 2)),
            (Algorithm::Argon2id, Version::V0x10, (MEMORY_KIB, ITERATIONS, PARALLELISM)),
            (Algorithm::Argon2i, Version::V0x13, (MEMORY_KIB, ITERATIONS, PARALLELISM)),
        ];
        for (algorithm, version, (memory_kib, iterations, lanes)) in others {
            let other =
                Argon2::new(algorithm, version, Params::new(memory_kib, iterations, lanes, None).unwrap());
            let phc = other.hash_password_with_salt(password.as_bytes(), &[7; 16]).unwrap().to_string();
            let mut judged = |password| judge(password, &phc, &mut memory).unwrap();
            assert_eq!(judged(password), PasswordVerdict::Right { outdated: true }, "{phc}");
            assert_eq!(judged("correct horse batterx"), PasswordVerdict::Wrong, "{phc}");
            let verdict = judge(password, &ours, &mut memory).unwrap();
            assert_eq!(verdict, PasswordVerdict::Right { outdated: false }, "after {phc}");
        }
    }

    #[test]
    fn s15_a_stored_hash_that_cannot_be_judged_is_an_error_and_no_verdict() {
        let output = "A".repeat(43);
        let judged = |start: &str| {
            let stored = format!("${start}$c2FsdHNhbHQ${output}");
            judge("correct horse battery", &stored, &mut Memory::new())
        };
        judged("argon2id$v=19$m=64,t=2,p=1").unwrap();
        for start in ["scrypt$v=19$m=64,t=2,p=1", "argon2id$v=20$m=64,t=2,p=1", "argon2id$v=19$m=1,t=2,p=1"] {
            judged(start).unwrap_err();
        }
        for stored in
            ["", "letters", "$argon2id$v=19$m=64,t=2,p=1", "$argon2id$v=19$m=64,t=2,p=1$c2FsdHNhbHQ"]
        {
            judge("correct horse battery", stored, &mut Memory::new()).unwrap_err();
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn s15_memory_is_left_only_while_somebody_waits() {
        let passwords = Passwords::new(15).unwrap();
        let blocks_left = || -> Vec<usize> { passwords.left.lock().unwrap().iter().map(Vec::len).collect() };
        let all_but_one = u32::try_from(passwords.places.available_permits() - 1).unwrap();
        let others = Arc::clone(&passwords.places).acquire_many_owned(all_but_one).await.unwrap();
        for _ in 0..2 {
            passwords.hash(secret("correct horse battery")).await.unwrap();
            assert_eq!(blocks_left(), [BLOCKS]);
        }
        passwords.check_new("password", "vapor-lantern-thirteen-oak", &[]).await.unwrap();
        assert_eq!(blocks_left(), [BLOCKS]);
        drop(others);
        passwords.check_new("password", "vapor-lantern-thirteen-oak", &[]).await.unwrap();
        assert_eq!(blocks_left(), [0; 0]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn s15_short_long_and_common_passwords_are_refused() {
        let passwords = Passwords::new(15).unwrap();
        let long = "x".repeat(1025);
        let refused = ["14 characters!", &long, "kari.nordmann@example.com", "P4ssw0rdP4ssw0rd"];
        let common = ["passwordpassword", "123456789012345", "aaaaaaaaaaaaaaaaaaaa", "qwertyuiopasdfg"];
        for password in refused.into_iter().chain(common) {
            let checked = passwords.check_new("password", password, &["kari.nordmann@example.com"]).await;
            assert_eq!(
                checked.map_err(|problem| problem.code()),
                Err(ProblemCode::InvalidField),
                "{password}"
            );
        }
        for good in ["tidlig sne over fjorden", "vapor-lantern-thirteen-oak", "#%&/()=?@[]{}|<+!$"] {
            passwords.check_new("password", good, &[]).await.unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn s16_without_a_hash_a_stand_in_is_judged_and_never_right() {
        let passwords = Passwords::new(15).unwrap();
        let verdict = passwords.judge(secret("nobody's password"), None).await.unwrap();
        assert_eq!(verdict, PasswordVerdict::Wrong);
    }

    #[tokio::test]
    async fn s15_a_full_queue_says_busy() {
        let passwords = Passwords::new(15).unwrap();
        let all = u32::try_from(passwords.places.available_permits()).unwrap();
        let _taken = Arc::clone(&passwords.places).acquire_many_owned(all).await.unwrap();
        let problem = passwords.judge(secret("whatever it may be"), None).await.unwrap_err();
        assert_eq!(problem.code(), ProblemCode::Busy);
    }
}
