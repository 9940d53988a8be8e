//! A person's account: password, second factors, sign-ins and sessions.
//!
//! Each idea has one file with its state, its commands, how it decides, and its tests:
//! [`password`], [`sign_in`], [`enrolment`], [`two_factor`], [`judging`], [`recovery_code`], [`totp`],
//! [`throttle`], [`proof`], [`session`], [`role`], [`erasure`]. What is stored is in [`event`], what is asked in
//! [`command`], what is answered when nothing happens in [`refusal`].
//!
//! The state is bounded: however long a stream grows, its snapshot does not.

pub mod command;
pub mod enrolment;
pub mod erasure;
pub mod event;
pub mod judging;
pub mod password;
pub mod proof;
#[cfg(test)]
mod properties;
pub mod recovery_code;
pub mod refusal;
pub mod role;
pub mod session;
pub mod sign_in;
pub mod throttle;
pub mod totp;
pub mod two_factor;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::ids::{EnrolmentId, PasswordId};
use crate::sealed::{Sealed, TokenDigest};
pub use command::UserCommand;
use enrolment::{Enrolment, EnrolmentToken};
pub use event::{
    AuthenticatorRemovalReason, Factor, FailureReason, LoginMethod, PasswordJudge, SessionEndReason,
    UserEvent, UserEventKind,
};
use proof::PASSWORD_FAILURES_RECORDED_PER_HOUR;
pub use refusal::UserRefusal;
pub use role::InstallationRole;
use session::Session;
use sign_in::Challenge;
use two_factor::TwoFactor;
use uuid::Uuid;

/// A person's account, folded from its events.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct User {
    profile: Option<Profile>,
    password: Option<PasswordId>,
    /// When wrong passwords were recorded; only as many as decide whether to record one more.
    password_failures: Vec<Timestamp>,
    two_factor: TwoFactor,
    enrolments: Vec<Enrolment>,
    enrolment_tokens: Vec<EnrolmentToken>,
    /// The latest that ended, to tell "ended" from "never was".
    ended_enrolments: Vec<EnrolmentId>,
    /// Set by an operator's reset, until the next enrolment is confirmed.
    reset_pass: Option<TokenDigest>,
    challenges: Vec<Challenge>,
    sessions: Vec<Session>,
    /// In their order, each once. Absent where there are none, as in snapshots from before there were any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    roles: Vec<InstallationRole>,
    latest_at: Option<Timestamp>,
    /// Absent while the person is there, so that a snapshot says nothing of it until it is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    erased_at: Option<Timestamp>,
}

/// Who the person is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Profile {
    /// The e-mail address, sealed.
    pub email: Sealed,
    /// How the person is called, sealed.
    pub display_name: Sealed,
    /// Since when there is an account.
    pub registered_at: Timestamp,
}

impl User {
    /// Who the person is; none while nobody is registered under this id, and once they were erased.
    #[must_use]
    pub const fn profile(&self) -> Option<&Profile> {
        self.profile.as_ref()
    }

    /// Names the vault row of the password's hash.
    #[must_use]
    pub const fn password(&self) -> Option<PasswordId> {
        self.password
    }

    /// The second factors.
    #[must_use]
    pub const fn two_factor(&self) -> &TwoFactor {
        &self.two_factor
    }

    /// When the latest event was recorded.
    #[must_use]
    pub const fn latest_at(&self) -> Option<Timestamp> {
        self.latest_at
    }

    /// The vault rows that this state names. A row lives in the vault exactly as long as the
    /// state names it: the append that names it first stores it, the one after which nothing
    /// names it any more removes it.
    #[must_use]
    pub fn vault_rows(&self) -> Vec<Uuid> {
        let authenticators =
            self.two_factor.authenticators.iter().map(|authenticator| authenticator.id.as_uuid());
        let offered = self.enrolments.iter().map(|enrolment| enrolment.authenticator_id.as_uuid());
        let recovery_code = self.two_factor.recovery_code.as_ref().map(|issued| issued.id.as_uuid());
        let password = self.password.map(PasswordId::as_uuid);
        authenticators.chain(offered).chain(recovery_code).chain(password).collect()
    }

    /// Folds one event into the state. [`TwoFactor`] names every event, so that a new one breaks
    /// the build there; the others pick theirs.
    pub fn apply(&mut self, event: &UserEvent) {
        self.apply_to_profile(event);
        self.two_factor.apply(event);
        self.apply_to_enrolments(event);
        self.apply_to_challenges(event);
        self.apply_to_sessions(event);
        self.apply_to_roles(event);
        self.apply_erasure(event);
        self.latest_at = Some(event.at());
    }

    fn apply_to_profile(&mut self, event: &UserEvent) {
        if let UserEvent::UserRegistered { email, display_name, at, .. } = event {
            let (email, display_name) = (email.clone(), display_name.clone());
            self.profile = Some(Profile { email, display_name, registered_at: *at });
        }
        if let UserEvent::PasswordSet { password_id, .. } = event {
            self.password = Some(*password_id);
        }
        if let UserEvent::PasswordFailed { at, .. } = event {
            if self.password_failures.len() >= PASSWORD_FAILURES_RECORDED_PER_HOUR {
                self.password_failures.remove(0);
            }
            self.password_failures.push(*at);
        }
    }

    fn registered(&self) -> Result<&Profile, UserRefusal> {
        self.profile.as_ref().ok_or(UserRefusal::NotRegistered)
    }
}
