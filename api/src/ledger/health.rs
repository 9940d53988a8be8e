//! How the ledger fares: what this node has noticed, and how far behind it is.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use countersign_domain::Timestamp;
use countersign_projections::audit_trail::AuditTrail;
use countersign_projections::catch_up;
use countersign_projections::coverage::Coverage;
use countersign_projections::ledger::sequencer::{Held, Looked, MISSING_NAMED_MAX};
use countersign_projections::ledger::store::LedgerError;

use super::Ledger;

/// An event that waits longer for its place is an alarm.
const LAG_ALARM_MS: i64 = 10_000;

/// What this node has noticed.
#[derive(Default)]
pub struct Health {
    noticed: Mutex<Noticed>,
}

/// What the task that keeps the ledger has noticed on this node.
#[derive(Clone, Default, Debug)]
pub struct Noticed {
    /// Whether this node takes the sequencer's turns.
    pub leads: bool,
    /// Turns that ended without a signature.
    pub failed_signatures: u64,
    /// What the latest round failed at, until one succeeds.
    pub failure: Option<(Stage, String)>,
    /// How the read models fare that follow the ledger, by name.
    pub followers: BTreeMap<&'static str, Following>,
    /// What only the node that leads can see.
    pub leading: Leading,
}

/// What only the node that leads can see.
#[derive(Clone, Default, Debug)]
pub struct Leading {
    /// Events that get no place.
    pub held: Held,
    /// Events that were recorded a while ago and never came to the sequencer.
    pub unsequenced: Vec<String>,
    /// Why these are not looked for, until they are. Turns go on meanwhile.
    pub look_failure: Option<String>,
}

impl Leading {
    /// Takes in what a look found to be missing; which of it is new.
    pub(super) fn notice_missing(&mut self, looked: Looked) -> Vec<String> {
        // What is held was announced.
        let is_held = |event: &String| self.held.first.iter().any(|held| held.event == *event);
        let missing: Vec<String> = looked.missing.into_iter().filter(|event| !is_held(event)).collect();
        let new: Vec<String> =
            missing.iter().filter(|event| !self.unsequenced.contains(event)).cloned().collect();
        if looked.at_the_end {
            self.unsequenced = missing;
        } else {
            // Where this look has not come to yet, what the one before found may still be missing.
            self.unsequenced.extend_from_slice(&new);
        }
        new
    }
}

/// How a read model fares that follows the ledger.
#[derive(Clone, Debug)]
pub struct Following {
    /// What people call it.
    pub title: &'static str,
    /// Why it does not follow, until it does.
    pub failure: Option<String>,
    /// The entry that it cannot take, as far as this node tried.
    pub stopped_before: Option<u64>,
}

impl Following {
    /// One that fares well.
    pub(super) const fn of(title: &'static str) -> Self {
        Self { title, failure: None, stopped_before: None }
    }
}

/// What a round of the task consists of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Finding out who leads.
    Lead,
    /// The sequencer's turn, and signing.
    Sign,
    /// Keeping the head.
    Head,
    /// Any of them, which panicked.
    Round,
}

impl Stage {
    /// What is the matter when it fails.
    const fn alarm(self) -> &'static str {
        match self {
            Self::Lead => "Who takes the sequencer's turns cannot be found out.",
            Self::Sign => "The ledger is not signed.",
            Self::Head => "The ledger has not grown from its head, or the head cannot be kept.",
            Self::Round => "The ledger is not kept, because of a fault in the program.",
        }
    }
}

/// How far the ledger is, as any node can see it.
#[derive(Clone, Debug)]
pub struct Observed {
    /// How many entries it has.
    pub size: u64,
    /// How many of them are signed.
    pub signed_size: u64,
    /// How many events wait for their place; at most 100,000 are counted.
    pub pending: u64,
    /// How long the oldest of them has waited.
    pub lag_ms: i64,
    /// How many entries the audit trail has taken in.
    pub trail_size: u64,
    /// How many entries coverage has taken in.
    pub coverage_size: u64,
}

impl Observed {
    /// Whether the sequencer is too far behind.
    #[must_use]
    pub const fn lags(&self) -> bool {
        self.lag_ms >= LAG_ALARM_MS
    }
}

impl Health {
    /// What this node has noticed.
    #[must_use]
    pub fn noticed(&self) -> Noticed {
        self.lock().clone()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Noticed> {
        self.noticed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noticed {
    /// What somebody must look at, in sentences that anybody may read; the log says more.
    #[must_use]
    pub fn alarms(&self) -> Vec<String> {
        let mut alarms = Vec::new();
        if let Some((stage, _)) = &self.failure {
            alarms.push(stage.alarm().to_owned());
        }
        for Following { title, failure, stopped_before } in self.followers.values() {
            if failure.is_some() {
                alarms.push(format!("{title} does not follow the ledger."));
            }
            if let Some(position) = stopped_before {
                alarms.push(format!("{title} stops before entry {position}, which it cannot take."));
            }
        }
        let Leading { held, unsequenced, look_failure } = &self.leading;
        if held.count > 0 {
            alarms.push(format!("Events get no place in the ledger: {}.", held.count));
        }
        if !unsequenced.is_empty() {
            let or_more = if unsequenced.len() >= MISSING_NAMED_MAX { " or more" } else { "" };
            alarms.push(format!("Events never came to the ledger: {}{or_more}.", unsequenced.len()));
        }
        if look_failure.is_some() {
            alarms.push("Events that nobody announced are not looked for.".to_owned());
        }
        alarms
    }
}

impl Ledger {
    /// How far the ledger is.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn observe(&self, now: Timestamp) -> Result<Observed, LedgerError> {
        let database = self.store.database();
        // By the index, which mostly passes over rows that were drained. The oldest of the first that wait: somebody
        // may have removed the event of the very first.
        let sql = "SELECT s.size, s.signed_size, (SELECT count(*) FROM \
                   (SELECT 1 FROM ledger_pending ORDER BY pending_id LIMIT 100000) AS counted) AS pending, \
                   (SELECT min(e.recorded_at) FROM (SELECT * FROM ledger_pending ORDER BY pending_id LIMIT 100) AS p \
                   JOIN events e ON e.aggregate_type = p.aggregate_type AND e.aggregate_id = p.aggregate_id \
                   AND e.sequence = p.sequence) AS oldest FROM ledger_state s";
        let rows = database.read(sql, &[]).await?;
        let row = rows.first().ok_or(LedgerError::NotThere)?;
        // No moment at all gets no place, and has waited longer than any other.
        let oldest = row.get("oldest").unwrap_or(Some(Timestamp::UNIX_EPOCH));
        let number = |column| row.get::<i64>(column).map(|number| u64::try_from(number).unwrap_or_default());
        Ok(Observed {
            size: number("size")?,
            signed_size: number("signed_size")?,
            pending: number("pending")?,
            lag_ms: oldest.map_or(0, |oldest| (now - oldest).num_milliseconds().max(0)),
            trail_size: catch_up::position::<AuditTrail>(database).await?,
            coverage_size: catch_up::position::<Coverage>(database).await?,
        })
    }
}

#[cfg(test)]
mod tests {
    use countersign_projections::ledger::sequencer::HeldEvent;

    use super::*;

    fn looked(missing: &[&str], at_the_end: bool) -> Looked {
        Looked { missing: missing.iter().map(ToString::to_string).collect(), at_the_end }
    }

    #[test]
    fn what_is_missing_is_told_once_and_stays_until_a_whole_look_does_not_find_it() {
        let mut leading = Leading::default();
        assert_eq!(leading.notice_missing(looked(&["user/a/1"], true)), ["user/a/1"]);
        // The next look has not come as far yet.
        assert_eq!(leading.notice_missing(looked(&[], false)), [""; 0]);
        assert_eq!(leading.notice_missing(looked(&["user/b/1"], false)), ["user/b/1"]);
        assert_eq!(leading.unsequenced, ["user/a/1", "user/b/1"]);
        assert_eq!(leading.notice_missing(looked(&["user/b/1"], true)), [""; 0]);
        assert_eq!(leading.unsequenced, ["user/b/1"]);
    }

    #[test]
    fn what_is_held_is_not_missing() {
        let event = HeldEvent { event: "user/a/2".to_owned(), reason: "event 1 is missing".to_owned() };
        let held = Held { count: 1, first: vec![event] };
        let mut leading = Leading { held, ..Leading::default() };
        assert_eq!(leading.notice_missing(looked(&["user/a/2"], true)), [""; 0]);
        assert_eq!(leading.unsequenced, [""; 0]);
    }
}
