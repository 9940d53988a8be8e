//! Readers of the audit trail: who read it, and what they asked for, is recorded too.
//!
//! A page that is reloaded must not fill the trail with itself, so the same question of the same
//! reader is recorded once in ten minutes. Whoever asks very many different ones is recorded as having
//! asked for everything, so that nobody fills it by asking. An export takes data away, so each one is recorded.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;
use crate::ids::{AgreementId, UserId, derived_uuid};
use crate::instance::{Instance, InstanceEvent};

/// For so long after it was recorded, the same question is not recorded again.
pub const READ_RECORDED_ONCE_IN: TimeDelta = TimeDelta::minutes(10);
/// So many different questions are recorded one by one in that time.
pub const READS_TOLD_APART_MAX: usize = 64;

/// What a reader of the audit trail asked for, page by page being one question. All that is given
/// must have held for an entry to be shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AuditFilter {
    /// How it was asked.
    pub route: AuditRoute,
    /// The entry at this position alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// About this user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// About this agreement, or attributed to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<AgreementId>,
    /// Done by this user or API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Uuid>,
    /// Of one of these types; of any if none is named. For evidence, the report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// Recorded at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Recorded before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
}

/// By which way the audit trail was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditRoute {
    /// A list of entries.
    Entries,
    /// One entry.
    Entry,
    /// The proof that an entry is in the ledger.
    Proof,
    /// Bundles of the ledger's leaves.
    Tiles,
    /// The stream of entries as they come.
    Stream,
    /// A person or an agreement as they were.
    AsOf,
    /// How many members of an agreement had two-factor, day by day.
    Coverage,
    /// A report for an auditor.
    Evidence,
}

impl AuditFilter {
    /// Everything that this way shows.
    #[must_use]
    pub const fn of(route: AuditRoute) -> Self {
        Self {
            route,
            position: None,
            user: None,
            agreement: None,
            actor: None,
            types: Vec::new(),
            from: None,
            to: None,
        }
    }

    /// One entry, and nothing else.
    #[must_use]
    pub fn of_entry(route: AuditRoute, position: u64) -> Self {
        Self { position: Some(position), ..Self::of(route) }
    }

    /// The same question in the form in which it is recorded and compared: types in one order.
    fn normalised(mut self) -> Self {
        self.types.sort_unstable();
        self.types.dedup();
        self
    }

    /// Tells questions apart in less room than they take.
    fn digest(&self) -> Uuid {
        // Texts, ids and times always serialise.
        derived_uuid(&serde_json::to_vec(self).unwrap_or_default())
    }
}

/// How the audit trail is exported.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// A JSON document a line.
    Ndjson,
    /// Comma-separated values.
    Csv,
    /// The Open Cybersecurity Schema Framework.
    Ocsf,
    /// The Common Event Format.
    Cef,
    /// With everything by which an auditor verifies it.
    Bundle,
}

/// Recording that the audit trail is read.
#[derive(Clone, Debug)]
pub struct RecordAuditRead {
    /// What is asked for.
    pub filter: AuditFilter,
    /// Now.
    pub at: Timestamp,
}

/// Recording that the audit trail is exported.
#[derive(Clone, Debug)]
pub struct RecordAuditExport {
    /// How.
    pub format: ExportFormat,
    /// Entries recorded at this time or later.
    pub from: Option<Timestamp>,
    /// Entries recorded before this time.
    pub to: Option<Timestamp>,
    /// The size of the ledger that it covers: no entry at this position or above is in it.
    pub entries_below: u64,
    /// Now.
    pub at: Timestamp,
}

/// What a reader asked lately.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AuditReader {
    /// The oldest first.
    recent: Vec<RecordedRead>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct RecordedRead {
    filter: Uuid,
    at: Timestamp,
}

impl RecordedRead {
    fn is_recent(&self, at: Timestamp) -> bool {
        at - self.at < READ_RECORDED_ONCE_IN
    }
}

impl AuditReader {
    fn remembers(&self, filter: &AuditFilter, at: Timestamp) -> bool {
        let digest = filter.digest();
        self.recent.iter().any(|read| read.filter == digest && read.is_recent(at))
    }

    fn asks_very_much(&self, at: Timestamp) -> bool {
        self.recent.iter().filter(|read| read.is_recent(at)).count() >= READS_TOLD_APART_MAX
    }

    pub(super) fn remember(&mut self, filter: &AuditFilter, at: Timestamp) {
        // At most so many that are told apart, and one for each way of reading.
        self.recent.retain(|read| read.is_recent(at));
        self.recent.push(RecordedRead { filter: filter.digest(), at });
    }
}

impl Instance {
    pub(super) fn record_audit_read(&self, command: RecordAuditRead) -> Vec<InstanceEvent> {
        let (mut filter, at) = (command.filter.normalised(), command.at);
        if self.audit_reader.remembers(&filter, at) {
            return Vec::new();
        }
        if self.audit_reader.asks_very_much(at) {
            filter = AuditFilter::of(filter.route);
            if self.audit_reader.remembers(&filter, at) {
                return Vec::new();
            }
        }
        vec![InstanceEvent::AuditRead { filter, at }]
    }
}

impl From<RecordAuditExport> for InstanceEvent {
    fn from(command: RecordAuditExport) -> Self {
        let RecordAuditExport { format, from, to, entries_below, at } = command;
        Self::AuditExported { format, from, to, entries_below, at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::InstanceCommand;
    use crate::testing::*;

    fn entries() -> AuditFilter {
        AuditFilter::of(AuditRoute::Entries)
    }

    fn about(number: u128) -> AuditFilter {
        AuditFilter { user: Some(user_id(number)), ..entries() }
    }

    fn of_types(types: &[&str]) -> AuditFilter {
        AuditFilter { types: types.iter().map(|name| (*name).to_owned()).collect(), ..entries() }
    }

    fn record_at(filter: AuditFilter, at: Timestamp) -> InstanceCommand {
        InstanceCommand::RecordAuditRead(RecordAuditRead { filter, at })
    }

    fn record(filter: AuditFilter, minute: i64) -> InstanceCommand {
        record_at(filter, at_minute(minute))
    }

    fn read(filter: AuditFilter, minute: i64) -> InstanceEvent {
        InstanceEvent::AuditRead { filter, at: at_minute(minute) }
    }

    #[test]
    fn s25_reading_the_trail_is_recorded_with_what_was_asked() {
        let after = given_instance([]).when(record(about(1), 0)).then([read(about(1), 0)]);
        assert_eq!(after.latest_at(), Some(at_minute(0)));
    }

    #[test]
    fn s25_the_same_question_is_recorded_once_in_ten_minutes() {
        let ten = at_minute(10);
        let just_before = ten - TimeDelta::microseconds(1);
        given_instance([read(about(1), 0)]).when(record_at(about(1), just_before)).then([]);
        given_instance([read(about(1), 0)]).when(record_at(about(1), ten)).then([read(about(1), 10)]);
    }

    #[test]
    fn what_was_not_recorded_again_does_not_prolong_the_silence() {
        let after = given_instance([read(about(1), 0)]).when(record(about(1), 9)).then([]);
        assert_eq!(after.decide(record(about(1), 10)), Ok(vec![read(about(1), 10)]));
    }

    #[test]
    fn another_question_is_recorded_whatever_makes_it_another() {
        let others = [
            entries(),
            AuditFilter { user: Some(user_id(2)), ..entries() },
            AuditFilter { position: Some(7), ..about(1) },
            AuditFilter { agreement: Some(agreement_id(1)), ..about(1) },
            AuditFilter { actor: Some(user_id(1).as_uuid()), ..about(1) },
            AuditFilter { types: vec!["UserLinked".to_owned()], ..about(1) },
            AuditFilter { from: Some(at_minute(0)), ..about(1) },
            AuditFilter { to: Some(at_minute(0)), ..about(1) },
            AuditFilter { route: AuditRoute::Stream, ..about(1) },
        ];
        for other in others {
            given_instance([read(about(1), 0)]).when(record(other.clone(), 1)).then([read(other, 1)]);
        }
    }

    #[test]
    fn types_in_another_order_are_the_same_question() {
        let asked = of_types(&["UserUnlinked", "UserLinked", "UserUnlinked"]);
        let recorded = of_types(&["UserLinked", "UserUnlinked"]);
        given_instance([]).when(record(asked.clone(), 0)).then([read(recorded.clone(), 0)]);
        given_instance([read(recorded, 0)]).when(record(asked, 1)).then([]);
    }

    #[test]
    fn s25_whoever_asks_very_much_is_recorded_as_asking_for_everything() {
        let max = u128::try_from(READS_TOLD_APART_MAX).unwrap();
        let reads: Vec<_> = (1..=max).map(|number| read(about(number), 0)).collect();
        given_instance(reads.clone()).when(record(about(1), 1)).then([]);
        let after = given_instance(reads).when(record(about(max + 1), 1)).then([read(entries(), 1)]);
        assert_eq!(after.decide(record(about(max + 2), 1)), Ok(Vec::new()));
        assert_eq!(after.decide(record(about(1), 1)), Ok(Vec::new()));
        let another_way = AuditFilter::of_entry(AuditRoute::Entry, 7);
        let recorded = read(AuditFilter::of(AuditRoute::Entry), 1);
        assert_eq!(after.decide(record(another_way, 1)), Ok(vec![recorded]));
        assert_eq!(after.audit_reader.recent.len(), READS_TOLD_APART_MAX + 1);
        assert_eq!(after.decide(record(about(1), 10)), Ok(vec![read(about(1), 10)]));
    }

    #[test]
    fn what_is_older_than_ten_minutes_is_forgotten() {
        let after = given_instance([read(about(1), 0), read(about(2), 5)])
            .when(record(about(3), 10))
            .then([read(about(3), 10)]);
        let digests: Vec<Uuid> = after.audit_reader.recent.iter().map(|read| read.filter).collect();
        assert_eq!(digests, [about(2).digest(), about(3).digest()]);
    }

    #[test]
    fn s25_every_export_is_recorded() {
        let export = || {
            InstanceCommand::RecordAuditExport(RecordAuditExport {
                format: ExportFormat::Csv,
                from: None,
                to: Some(at_minute(0)),
                entries_below: 80,
                at: at_minute(1),
            })
        };
        let exported = InstanceEvent::AuditExported {
            format: ExportFormat::Csv,
            from: None,
            to: Some(at_minute(0)),
            entries_below: 80,
            at: at_minute(1),
        };
        let after = given_instance([]).when(export()).then([exported.clone()]);
        assert_eq!(after.decide(export()), Ok(vec![exported]));
    }

    #[test]
    fn a_filter_is_stored_without_what_was_not_asked() {
        assert_eq!(serde_json::to_string(&entries()).unwrap(), r#"{"route":"entries"}"#);
        assert_eq!(serde_json::from_str::<AuditFilter>(r#"{"route":"entries"}"#).unwrap(), entries());
    }
}
