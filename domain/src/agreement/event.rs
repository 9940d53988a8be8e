//! What can happen to an agreement, in the past tense.

use serde::{Deserialize, Serialize};
use strum::{EnumDiscriminants, EnumIter, EnumString, IntoStaticStr, VariantNames};

use crate::Timestamp;
use crate::agreement::{AgreementKind, Role};
use crate::context::Actor;
use crate::ids::{AgreementId, UserId};

/// What can happen to an agreement.
#[derive(
    Clone, PartialEq, Eq, Debug, Serialize, Deserialize, EnumDiscriminants, IntoStaticStr, VariantNames,
)]
#[strum_discriminants(
    name(AgreementEventKind),
    derive(EnumIter, EnumString, IntoStaticStr),
    doc = "What kind of event it is, without what it says."
)]
#[expect(missing_docs, reason = "the fields are the words of the glossary; each variant says what happened")]
pub enum AgreementEvent {
    /// It came into being.
    AgreementOpened {
        agreement_id: AgreementId,
        number: String,
        name: String,
        kind: AgreementKind,
        at: Timestamp,
    },
    /// Another agreement administers it from now on, or none does.
    AdministrationChanged { administered_by: Option<AgreementId>, at: Timestamp },
    /// A person was linked to it.
    UserLinked { user_id: UserId, role: Role, at: Timestamp },
    /// A linked person's role changed.
    UserRoleChanged { user_id: UserId, role: Role, at: Timestamp },
    /// A person is no longer linked to it.
    UserUnlinked { user_id: UserId, at: Timestamp },
    /// Two-factor was made a requirement, or is one no more, or has another deadline.
    EnforcementToggled {
        enforced: bool,
        deadline: Option<Timestamp>,
        reason: Option<String>,
        by: Actor,
        at: Timestamp,
    },
    /// It was closed.
    AgreementClosed { at: Timestamp },
}

impl AgreementEvent {
    /// The name under which it is stored and searched.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.into()
    }

    /// When it happened.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        match self {
            Self::AgreementOpened { at, .. }
            | Self::AdministrationChanged { at, .. }
            | Self::UserLinked { at, .. }
            | Self::UserRoleChanged { at, .. }
            | Self::UserUnlinked { at, .. }
            | Self::EnforcementToggled { at, .. }
            | Self::AgreementClosed { at } => *at,
        }
    }

    /// Whom it is about besides the agreement.
    #[must_use]
    pub const fn user_id(&self) -> Option<UserId> {
        match self {
            Self::UserLinked { user_id, .. }
            | Self::UserRoleChanged { user_id, .. }
            | Self::UserUnlinked { user_id, .. } => Some(*user_id),
            Self::AgreementOpened { .. }
            | Self::AdministrationChanged { .. }
            | Self::EnforcementToggled { .. }
            | Self::AgreementClosed { .. } => None,
        }
    }
}
