//! Which logs a verifier believes: a C2SP tlog-policy. Logs only; a policy that asks for witnesses is
//! refused, since passing it over would accept what it was written to refuse.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use crate::ledger::checkpoint::{Checkpoint, CheckpointError, Verifier};

/// A longer policy is refused unread, and so is one of more logs.
const POLICY_BYTES_MAX: usize = 1 << 16;
const LOGS_MAX: usize = 100;

/// Why a text is not a policy.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PolicyError {
    /// It is longer than any policy.
    #[error("the policy is longer than {POLICY_BYTES_MAX} bytes")]
    TooLong,
    /// A line is not one of a policy.
    #[error("line {line} of the policy: {problem}")]
    Line {
        /// Which line, counted from one.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A line's key is not a verifier key.
    #[error("line {line} of the policy: {error}")]
    Key {
        /// Which line, counted from one.
        line: usize,
        /// Why.
        error: CheckpointError,
    },
    /// It does not say how many witnesses it asks for.
    #[error("the policy has no line `quorum none`")]
    NoQuorum,
    /// It believes nobody.
    #[error("the policy has no line `log KEY`")]
    NoLog,
}

/// The logs that are believed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    logs: Vec<Verifier>,
}

impl Policy {
    /// One log and no witnesses.
    #[must_use]
    pub fn of(log: Verifier) -> Self {
        Self { logs: vec![log] }
    }

    /// The keys of the logs.
    #[must_use]
    pub fn logs(&self) -> &[Verifier] {
        &self.logs
    }

    /// Reads a checkpoint that one of the logs has signed.
    ///
    /// # Errors
    /// None of them has.
    pub fn verify(&self, note: &[u8]) -> Result<Checkpoint, CheckpointError> {
        let mut refusal = None;
        for log in &self.logs {
            match log.verify(note) {
                Ok(checkpoint) => return Ok(checkpoint),
                Err(error) => {
                    // Any other error says more than that this log has not signed.
                    let says_more = !matches!(error, CheckpointError::Unsigned(_));
                    if says_more || refusal.is_none() {
                        refusal = Some(error);
                    }
                }
            }
        }
        Err(refusal.unwrap_or(CheckpointError::Malformed("the policy names no log")))
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for log in &self.logs {
            writeln!(f, "log {log}")?;
        }
        f.write_str("quorum none\n")
    }
}

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        if text.len() > POLICY_BYTES_MAX {
            return Err(PolicyError::TooLong);
        }
        let (mut logs, mut keys, mut quorum) = (Vec::new(), HashSet::new(), false);
        for (line, text) in (1..).zip(text.split('\n')) {
            let problem = |problem| PolicyError::Line { line, problem };
            if text.contains(|c: char| c.is_ascii_control() && c != '\t') {
                return Err(problem("a control character"));
            }
            let mut words = text.split([' ', '\t']).filter(|word| !word.is_empty());
            match words.next() {
                None => {}
                Some(comment) if comment.starts_with('#') => {}
                Some("log") => {
                    let log = words.next().ok_or(problem("a log without its key"))?;
                    let log: Verifier = log.parse().map_err(|error| PolicyError::Key { line, error })?;
                    // An address may follow, which nobody asks here.
                    if words.nth(1).is_some() {
                        return Err(problem("more than a key and an address"));
                    }
                    if !keys.insert(public_key(&log)) {
                        return Err(problem("a key that another line has too"));
                    }
                    logs.push(log);
                    if logs.len() > LOGS_MAX {
                        return Err(problem("too many logs"));
                    }
                }
                Some("quorum") if quorum => return Err(problem("a second quorum")),
                Some("quorum") => {
                    if words.next() != Some("none") || words.next().is_some() {
                        return Err(problem("only `quorum none` is supported: cosignatures are not checked"));
                    }
                    quorum = true;
                }
                Some("witness" | "group") => {
                    return Err(problem("witnesses are not supported: cosignatures are not checked"));
                }
                Some(_) => return Err(problem("it begins with none of log, quorum and #")),
            }
        }
        match (quorum, logs.is_empty()) {
            (false, _) => Err(PolicyError::NoQuorum),
            (true, true) => Err(PolicyError::NoLog),
            (true, false) => Ok(Self { logs }),
        }
    }
}

/// The key itself, without its name.
fn public_key(log: &Verifier) -> Option<String> {
    log.to_string().rsplit_once('+').map(|(_, key)| key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::testing::VKEY;

    fn problem(text: &str) -> String {
        text.parse::<Policy>().unwrap_err().to_string()
    }

    #[test]
    fn a_policy_lists_logs() {
        let text =
            format!("# ours\n\n \t# since 2030\n\tlog  {VKEY} https://audit.example.com/\nquorum none \n");
        let policy: Policy = text.parse().unwrap();
        assert_eq!(policy, Policy::of(VKEY.parse().unwrap()));
        assert_eq!(policy.to_string(), format!("log {VKEY}\nquorum none\n"));
        assert_eq!(policy.to_string().parse::<Policy>().unwrap(), policy);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let log = format!("log {VKEY}\nquorum none\n");
        assert_eq!(problem("quorum none"), "the policy has no line `log KEY`");
        assert_eq!(problem(&format!("log {VKEY}")), "the policy has no line `quorum none`");
        for (more, says) in [
            ("witness w x+1+y", "line 3 of the policy: witnesses are not supported"),
            ("group g any w", "line 3 of the policy: witnesses are not supported"),
            ("quorum none", "line 3 of the policy: a second quorum"),
            ("Log x", "line 3 of the policy: it begins with none of"),
            ("log", "line 3 of the policy: a log without its key"),
            ("log x", "line 3 of the policy: not a verifier key"),
            (&format!("log {VKEY}"), "line 3 of the policy: a key that another line has too"),
            (&format!("log {VKEY} a b"), "line 3 of the policy: more than a key and an address"),
            ("# \r", "line 3 of the policy: a control character"),
        ] {
            let found = problem(&format!("{log}{more}"));
            assert!(found.starts_with(says), "{found}");
        }
        assert!(problem(&format!("log {VKEY}\nquorum w")).contains("only `quorum none` is supported"));
        assert_eq!(problem(&"#".repeat(70_000)), PolicyError::TooLong.to_string());
    }
}
