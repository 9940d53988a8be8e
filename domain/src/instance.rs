//! What belongs to the installation rather than to a person or an agreement.
//!
//! An API key, a webhook and a reader of the audit trail have a stream each, and the ledger has
//! one; [`InstanceId`](crate::ids::InstanceId) says how each is named. A stream only ever holds
//! events of its own kind. Each idea has one file with its state, its commands, how it decides,
//! and its tests: [`api_key`], [`webhook`], [`audit_reader`], [`ledger`].
//!
//! The state is bounded: however long a stream grows, its snapshot does not.

pub mod api_key;
pub mod audit_reader;
pub mod ledger;
pub mod webhook;

use serde::{Deserialize, Serialize};
use strum::{EnumDiscriminants, EnumIter, EnumString, IntoStaticStr, VariantNames};
use uuid::Uuid;

use crate::Timestamp;
use crate::ids::{ApiKeyId, WebhookId};
use crate::sealed::{Sealed, TokenDigest};
pub use api_key::{ApiKey, IssueApiKey, RevokeApiKey, Scope, UnknownScope};
pub use audit_reader::{
    AuditFilter, AuditReader, AuditRoute, ExportFormat, RecordAuditExport, RecordAuditRead,
};
pub use ledger::{AdoptLedger, AdoptedTree};
pub use webhook::{DeleteWebhook, RegisterWebhook, Webhook};

/// One stream of the installation, folded from its events.
// A snapshot that was written before there was more than API keys still reads.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Instance {
    api_key: Option<ApiKey>,
    webhook: Option<Webhook>,
    audit_reader: AuditReader,
    latest_at: Option<Timestamp>,
}

/// What can be asked.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each variant holds the command of its name, documented there")]
pub enum InstanceCommand {
    IssueApiKey(IssueApiKey),
    RevokeApiKey(RevokeApiKey),
    RegisterWebhook(RegisterWebhook),
    DeleteWebhook(DeleteWebhook),
    RecordAuditRead(RecordAuditRead),
    RecordAuditExport(RecordAuditExport),
    AdoptLedger(AdoptLedger),
}

/// What can happen. Secrets live in the vault; events name them by id.
#[derive(
    Clone, PartialEq, Eq, Debug, Serialize, Deserialize, EnumDiscriminants, IntoStaticStr, VariantNames,
)]
#[strum_discriminants(
    name(InstanceEventKind),
    derive(EnumIter, EnumString, IntoStaticStr),
    doc = "What kind of event it is, without what it says."
)]
#[expect(missing_docs, reason = "the fields are those of the commands; each variant says what happened")]
pub enum InstanceEvent {
    /// An API key was issued.
    ApiKeyIssued {
        id: ApiKeyId,
        name: String,
        scopes: Vec<Scope>,
        token: TokenDigest,
        expires_at: Option<Timestamp>,
        at: Timestamp,
    },
    /// An API key was revoked.
    ApiKeyRevoked { id: ApiKeyId, name: String, at: Timestamp },
    /// From now on entries of the audit trail are sent there, all of them if no types are named.
    WebhookRegistered { id: WebhookId, url: Sealed, types: Vec<String>, secret: Uuid, at: Timestamp },
    /// Nothing more is sent there.
    WebhookDeleted { id: WebhookId, at: Timestamp },
    /// The audit trail was read; read in the same way again, it is recorded ten minutes later.
    AuditRead { filter: AuditFilter, at: Timestamp },
    /// The audit trail was exported, out of a ledger of so many entries.
    AuditExported {
        format: ExportFormat,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        entries_below: u64,
        at: Timestamp,
    },
    /// An operator went on from a restored database, whose ledger is not the one last signed.
    LedgerAdopted {
        lost: Option<AdoptedTree>,
        kept: AdoptedTree,
        requeued: u64,
        reason: String,
        at: Timestamp,
    },
}

impl InstanceEvent {
    /// The name under which it is stored and searched.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.into()
    }

    /// When it happened.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        match self {
            Self::ApiKeyIssued { at, .. }
            | Self::ApiKeyRevoked { at, .. }
            | Self::WebhookRegistered { at, .. }
            | Self::WebhookDeleted { at, .. }
            | Self::AuditRead { at, .. }
            | Self::AuditExported { at, .. }
            | Self::LedgerAdopted { at, .. } => *at,
        }
    }
}

impl InstanceEventKind {
    /// Its fields that are sealed under the installation's key. Readers see them opened, or not at all.
    #[must_use]
    pub const fn sealed_fields(self) -> &'static [&'static str] {
        match self {
            Self::WebhookRegistered => &["url"],
            Self::ApiKeyIssued
            | Self::ApiKeyRevoked
            | Self::WebhookDeleted
            | Self::AuditRead
            | Self::AuditExported
            | Self::LedgerAdopted => &[],
        }
    }

    /// Its fields that are digests of tokens: nothing that anybody should read.
    #[must_use]
    pub const fn digest_fields(self) -> &'static [&'static str] {
        match self {
            Self::ApiKeyIssued => &["token"],
            Self::ApiKeyRevoked
            | Self::WebhookRegistered
            | Self::WebhookDeleted
            | Self::AuditRead
            | Self::AuditExported
            | Self::LedgerAdopted => &[],
        }
    }
}

/// Why nothing happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InstanceRefusal {
    /// That id is in use.
    #[error("this API key exists already")]
    AlreadyIssued,
    /// There is no such key.
    #[error("there is no such API key")]
    NotIssued,
    /// That id is in use, or was.
    #[error("this webhook exists already")]
    AlreadyRegistered,
    /// There is no such webhook, or none any more.
    #[error("there is no such webhook")]
    NotRegistered,
}

impl Instance {
    /// The API key, if this stream is one's.
    #[must_use]
    pub const fn api_key(&self) -> Option<&ApiKey> {
        self.api_key.as_ref()
    }

    /// The webhook, if this stream is one's; also after it was deleted.
    #[must_use]
    pub const fn webhook(&self) -> Option<&Webhook> {
        self.webhook.as_ref()
    }

    /// When the latest event was recorded.
    #[must_use]
    pub const fn latest_at(&self) -> Option<Timestamp> {
        self.latest_at
    }

    /// The vault rows that this state names. A row lives in the vault exactly as long as the
    /// state names it.
    #[must_use]
    pub fn vault_rows(&self) -> Vec<Uuid> {
        let registered = self.webhook.iter().filter(|webhook| webhook.is_registered());
        registered.map(|webhook| webhook.secret).collect()
    }

    /// Decides what a command brings about. It changes nothing: the events do, once applied.
    ///
    /// # Errors
    /// An [`InstanceRefusal`] says why nothing happens.
    pub fn decide(&self, command: InstanceCommand) -> Result<Vec<InstanceEvent>, InstanceRefusal> {
        match command {
            InstanceCommand::IssueApiKey(command) => self.issue_api_key(command),
            InstanceCommand::RevokeApiKey(command) => self.revoke_api_key(&command),
            InstanceCommand::RegisterWebhook(command) => self.register_webhook(command),
            InstanceCommand::DeleteWebhook(command) => self.delete_webhook(&command),
            InstanceCommand::RecordAuditRead(command) => Ok(self.record_audit_read(command)),
            InstanceCommand::RecordAuditExport(command) => Ok(vec![command.into()]),
            InstanceCommand::AdoptLedger(command) => Ok(vec![command.into()]),
        }
    }

    /// Folds one event into the state.
    pub fn apply(&mut self, event: &InstanceEvent) {
        self.latest_at = Some(event.at());
        match event {
            InstanceEvent::ApiKeyIssued { .. } | InstanceEvent::ApiKeyRevoked { .. } => {
                self.apply_to_api_key(event);
            }
            InstanceEvent::WebhookRegistered { .. } | InstanceEvent::WebhookDeleted { .. } => {
                self.apply_to_webhook(event);
            }
            InstanceEvent::AuditRead { filter, at } => self.audit_reader.remember(filter, *at),
            // Each of these is recorded every time, so none has to be remembered.
            InstanceEvent::AuditExported { .. } | InstanceEvent::LedgerAdopted { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_from_when_there_were_only_api_keys_still_reads() {
        let read: Instance = serde_json::from_str(r#"{"api_key":null,"latest_at":null}"#).unwrap();
        assert_eq!(read, Instance::default());
    }
}
