//! Reading the audit trail after everything that the test wrote.

use serde_json::Value;

use crate::TestApp;

/// The event types that suites look for, in one place.
pub mod types {
    /// A user was registered.
    pub const USER_REGISTERED: &str = "UserRegistered";
    /// An authenticator was confirmed, and two-factor with it.
    pub const TWO_FACTOR_ENABLED: &str = "TwoFactorEnabled";
    /// Two-factor was turned off by its owner.
    pub const TWO_FACTOR_DISABLED: &str = "TwoFactorDisabled";
    /// Two-factor was reset by an operator.
    pub const TWO_FACTOR_RESET: &str = "TwoFactorReset";
    /// An operator gave somebody a role.
    pub const ROLE_GRANTED: &str = "RoleGranted";
    /// An operator took a role away.
    pub const ROLE_REVOKED: &str = "RoleRevoked";
    /// Somebody read the audit trail.
    pub const AUDIT_READ: &str = "AuditRead";
    /// A wrong code was judged.
    pub const SECOND_FACTOR_FAILED: &str = "SecondFactorFailed";
    /// A code was not judged because codes are locked.
    pub const SECOND_FACTOR_REFUSED: &str = "SecondFactorRefused";
    /// A right code was judged.
    pub const SECOND_FACTOR_PASSED: &str = "SecondFactorPassed";
    /// An emergency code was used.
    pub const RECOVERY_CODE_USED: &str = "RecoveryCodeUsed";
    /// A session ended before its time.
    pub const SESSION_ENDED: &str = "SessionEnded";
    /// A wrong password was judged.
    pub const PASSWORD_FAILED: &str = "PasswordFailed";
    /// Somebody was erased.
    pub const USER_ERASED: &str = "UserErased";
    /// Somebody was taken out of an agreement.
    pub const USER_UNLINKED: &str = "UserUnlinked";
    /// An agreement's enforcement was changed.
    pub const ENFORCEMENT_CHANGED: &str = "EnforcementToggled";
}

impl TestApp {
    /// Entries that match a query, newest first, read with the API key.
    pub async fn entries(&self, query: &str) -> Vec<Value> {
        self.entries_as(&self.key, query).await
    }

    /// Entries that somebody may see.
    pub async fn entries_as(&self, token: &str, query: &str) -> Vec<Value> {
        self.wait_for_the_trail().await;
        let path = format!("/v1/audit/entries?limit=500&{query}");
        self.get(&path, token).await.expect(200).items()
    }

    /// How many events of a type a user has.
    pub async fn count(&self, user_id: &str, event_type: &str) -> usize {
        self.entries(&format!("user={user_id}&type={event_type}")).await.len()
    }

    /// Lets the trail catch up: with every write that this client saw answered, and then with all that
    /// nobody tells of, such as a wrong password at sign-in, whose answer must not say that it was stored.
    pub async fn wait_for_the_trail(&self) {
        for write in self.take_writes() {
            let write = write.replace('/', "%2F");
            let path = format!("/v1/audit/entries?limit=1&after_write={write}");
            self.eventually("the trail shows what was written", async || {
                let answer = self.get(&path, &self.key).await;
                // It waits for two seconds; a ledger whose database has just come back takes longer.
                let is_there = answer.status != 503;
                if is_there {
                    answer.expect(200);
                }
                is_there
            })
            .await;
        }
        self.eventually("the trail has everything", async || {
            let metrics = self.get("/metrics", crate::NOBODY).await.expect(200).text;
            let figure = |name: &str| {
                let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
                line.map(str::to_owned)
            };
            let entries = figure("countersign_ledger_entries");
            figure("countersign_ledger_pending_events").as_deref() == Some("0")
                && entries.is_some()
                && entries == figure("countersign_audit_trail_entries")
                && entries == figure("countersign_coverage_entries")
        })
        .await;
    }
}
