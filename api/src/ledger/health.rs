//! How the ledger fares: what this node has noticed, and how far behind it is.

use std::sync::{Mutex, MutexGuard, PoisonError};

use countersign_domain::Timestamp;
use countersign_projections::ledger::store::LedgerError;

use super::Ledger;

/// An event that waits longer for its place is an alarm.
const LAG_ALARM_MS: i64 = 10_000;

/// What this node has noticed.
#[derive(Default)]
pub struct Health {
    noticed: Mutex<Noticed>,
}

/// What the task that keeps the ledger has noticed, on the node that leads.
#[derive(Clone, Default, Debug)]
pub struct Noticed {
    /// Whether this node takes the sequencer's turns.
    pub leads: bool,
    /// Turns that ended without a signature.
    pub failed_signatures: u64,
    /// Why the last one did, until one succeeds.
    pub failure: Option<String>,
    /// Events that get no place, and why.
    pub held: Vec<String>,
    /// Events that were recorded a while ago and never came to the sequencer.
    pub unsequenced: Vec<String>,
    /// The entry before which the audit trail stopped.
    pub poisoned: Option<u64>,
}

/// How far the ledger is, as any node can see it.
#[derive(Clone, Debug)]
pub struct Observed {
    /// How many entries it has.
    pub size: u64,
    /// How many of them are signed.
    pub signed_size: u64,
    /// How many events wait for their place.
    pub pending: i64,
    /// How long the oldest of them has waited.
    pub lag_ms: i64,
    /// How many entries the audit trail has taken in.
    pub trail_size: i64,
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
        if self.failure.is_some() {
            alarms.push("The ledger is not signed.".to_owned());
        }
        if !self.held.is_empty() {
            alarms.push(format!("{} events get no place in the ledger.", self.held.len()));
        }
        if !self.unsequenced.is_empty() {
            alarms.push(format!("{} events never came to the ledger.", self.unsequenced.len()));
        }
        if let Some(position) = self.poisoned {
            alarms.push(format!("The audit trail stops before entry {position}, whose event is gone."));
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
        let sql = "SELECT s.size, s.signed_size, (SELECT count(*) FROM ledger_pending) AS pending, \
                   (SELECT e.recorded_at FROM ledger_pending p JOIN events e \
                   ON e.aggregate_type = p.aggregate_type AND e.aggregate_id = p.aggregate_id \
                   AND e.sequence = p.sequence ORDER BY p.pending_id LIMIT 1) AS oldest, \
                   (SELECT max(c.position) FROM projection_checkpoints c WHERE c.projection = 'audit_trail') AS trail \
                   FROM ledger_state s";
        let rows = self.store.database().read(sql, &[]).await?;
        let row = rows.first().ok_or(LedgerError::NotThere)?;
        let oldest: Option<Timestamp> = row.get("oldest")?;
        Ok(Observed {
            size: u64::try_from(row.get::<i64>("size")?).unwrap_or_default(),
            signed_size: u64::try_from(row.get::<i64>("signed_size")?).unwrap_or_default(),
            pending: row.get("pending")?,
            lag_ms: oldest.map_or(0, |oldest| (now - oldest).num_milliseconds().max(0)),
            trail_size: row.get::<Option<i64>>("trail")?.unwrap_or_default(),
        })
    }
}
