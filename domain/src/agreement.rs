//! A customer account: who administers it, who its superusers are, and whether it requires
//! two-factor of everybody it reaches.
//!
//! The state holds the superusers and no other members: there can be a hundred thousand of
//! those. Whether somebody is linked is looked up in the same moment; since every link is an
//! event of this stream, an append that finds the stream unmoved finds the link unmoved too.

pub mod command;
pub mod erasure;
pub mod event;
pub mod refusal;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::context::Actor;
use crate::ids::{AgreementId, UserId};
pub use command::{Administrator, AgreementCommand};
pub use event::{AgreementEvent, AgreementEventKind};
pub use refusal::AgreementRefusal;

/// An agreement can have so many superusers.
pub const SUPERUSERS_MAX: usize = 100;

/// A customer account, folded from its events.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Agreement {
    details: Option<Details>,
    administered_by: Option<AgreementId>,
    administered_since: Option<Timestamp>,
    superusers: BTreeSet<UserId>,
    enforcement: Enforcement,
    closed_at: Option<Timestamp>,
    latest_at: Option<Timestamp>,
}

/// What an agreement is called.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Details {
    /// Its number, which no other agreement has.
    pub number: String,
    /// Its name.
    pub name: String,
    /// What kind it is, for good.
    pub kind: AgreementKind,
    /// Since when there is one.
    pub opened_at: Timestamp,
}

/// What kind of agreement it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgreementKind {
    /// It administers others, as an accountant's office does.
    Administrator,
    /// It does not.
    Standard,
}

impl AgreementKind {
    /// The name by which it is given and stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Standard => "standard",
        }
    }
}

/// What a person may do in an agreement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Edits its people and its enforcement.
    Superuser,
    /// Uses it.
    User,
}

impl Role {
    /// The name by which it is given and stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Superuser => "superuser",
            Self::User => "user",
        }
    }
}

/// "Every user linked to this agreement, or to one it administers, must have two-factor."
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Enforcement {
    /// Whether it is ticked.
    pub enforced: bool,
    /// Since when it is as it is; none while it was never touched.
    pub since: Option<Timestamp>,
    /// When it was ticked, if something else of it was changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticked_before: Option<Timestamp>,
    /// Who ticked or unticked it.
    pub by: Option<Actor>,
    /// Until when enrolment may wait.
    pub deadline: Option<Timestamp>,
    /// Why, for the record.
    pub reason: Option<String>,
}

impl Enforcement {
    /// When it was ticked, if it is.
    #[must_use]
    pub fn ticked_at(&self) -> Option<Timestamp> {
        self.ticked_before.or(self.since).filter(|_| self.enforced)
    }
}

impl Agreement {
    /// What it is called; none while nothing is open under this id.
    #[must_use]
    pub const fn details(&self) -> Option<&Details> {
        self.details.as_ref()
    }

    /// The agreement that administers it.
    #[must_use]
    pub const fn administered_by(&self) -> Option<AgreementId> {
        self.administered_by
    }

    /// Since when that agreement administers it.
    #[must_use]
    pub const fn administered_since(&self) -> Option<Timestamp> {
        self.administered_since
    }

    /// Who its superusers are.
    #[must_use]
    pub const fn superusers(&self) -> &BTreeSet<UserId> {
        &self.superusers
    }

    /// Whether and since when it requires two-factor.
    #[must_use]
    pub const fn enforcement(&self) -> &Enforcement {
        &self.enforcement
    }

    /// When it was closed. A closed agreement requires nothing and changes no more.
    #[must_use]
    pub const fn closed_at(&self) -> Option<Timestamp> {
        self.closed_at
    }

    /// When the latest event was recorded.
    #[must_use]
    pub const fn latest_at(&self) -> Option<Timestamp> {
        self.latest_at
    }

    /// Folds one event into the state.
    pub fn apply(&mut self, event: &AgreementEvent) {
        self.latest_at = Some(event.at());
        match event {
            AgreementEvent::AgreementOpened { number, name, kind, at, .. } => {
                let (number, name) = (number.clone(), name.clone());
                self.details = Some(Details { number, name, kind: *kind, opened_at: *at });
            }
            AgreementEvent::AdministrationChanged { administered_by, at } => {
                self.administered_by = *administered_by;
                self.administered_since = administered_by.map(|_| *at);
            }
            AgreementEvent::UserLinked { user_id, role, .. }
            | AgreementEvent::UserRoleChanged { user_id, role, .. } => match role {
                Role::Superuser => {
                    self.superusers.insert(*user_id);
                }
                Role::User => {
                    self.superusers.remove(user_id);
                }
            },
            AgreementEvent::UserUnlinked { user_id, .. } => {
                self.superusers.remove(user_id);
            }
            AgreementEvent::EnforcementToggled { enforced, deadline, reason, by, at } => {
                // A tick that stands, with another deadline or reason, is as old as it was.
                let ticked_before = self.enforcement.ticked_at().filter(|_| *enforced);
                self.enforcement = Enforcement {
                    enforced: *enforced,
                    since: Some(*at),
                    ticked_before,
                    by: Some(by.clone()),
                    deadline: *deadline,
                    reason: reason.clone(),
                };
            }
            AgreementEvent::AgreementClosed { at } => self.closed_at = Some(*at),
        }
    }
}
