//! Two-factor: the authenticators and the emergency code of a user, and how they are judged.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::ids::{AuthenticatorId, RecoveryCodeId};
use crate::requirement::Requirement;
use crate::sealed::{Sealed, TokenDigest};
use crate::user::proof::{Proof, Proven};
use crate::user::recovery_code::IssuedRecoveryCode;
use crate::user::throttle::FailureCounter;
use crate::user::{AuthenticatorRemovalReason, Factor, User, UserEvent, UserRefusal};

/// A person can have so many authenticators, the disabled ones included.
pub const AUTHENTICATORS_MAX: usize = 10;

/// The second factors of a user.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TwoFactor {
    pub(super) enabled_at: Option<Timestamp>,
    pub(super) authenticators: Vec<Authenticator>,
    pub(super) recovery_code: Option<IssuedRecoveryCode>,
    pub(super) codes: FailureCounter,
    pub(super) recovery_codes: FailureCounter,
}

/// One registration of an authenticator app. Its secret is the vault row of the same id.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Authenticator {
    /// Names the vault row that holds the secret.
    pub id: AuthenticatorId,
    /// What the person calls it, sealed.
    pub label: Sealed,
    /// When its first code was given.
    pub added_at: Timestamp,
    /// When a code of it was last accepted after that.
    pub last_used_at: Option<Timestamp>,
    /// Codes of this time step and of all before it are spent (RFC 6238 §5.2).
    pub last_step: u64,
    /// Disabled after too many failures, until bound anew.
    pub disabled: bool,
}

impl TwoFactor {
    /// Whether two-factor is on.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        self.enabled_at.is_some()
    }

    /// Since when it is on.
    #[must_use]
    pub const fn enabled_at(&self) -> Option<Timestamp> {
        self.enabled_at
    }

    /// All authenticators, the disabled ones included.
    #[must_use]
    pub fn authenticators(&self) -> &[Authenticator] {
        &self.authenticators
    }

    /// Whether a code can be accepted at all, locks aside.
    #[must_use]
    pub fn has_usable_authenticator(&self) -> bool {
        self.authenticators.iter().any(|authenticator| !authenticator.disabled)
    }

    /// The emergency code, if there is one.
    #[must_use]
    pub const fn recovery_code(&self) -> Option<&IssuedRecoveryCode> {
        self.recovery_code.as_ref()
    }

    /// The failures of one factor.
    #[must_use]
    pub const fn failures(&self, factor: Factor) -> &FailureCounter {
        match factor {
            Factor::Totp => &self.codes,
            Factor::RecoveryCode => &self.recovery_codes,
        }
    }

    const fn failures_mut(&mut self, factor: Factor) -> &mut FailureCounter {
        match factor {
            Factor::Totp => &mut self.codes,
            Factor::RecoveryCode => &mut self.recovery_codes,
        }
    }

    pub(super) fn apply(&mut self, event: &UserEvent) {
        match event {
            UserEvent::AuthenticatorAdded { authenticator_id, label, step, at, .. } => {
                self.authenticators.push(Authenticator {
                    id: *authenticator_id,
                    label: label.clone(),
                    added_at: *at,
                    last_used_at: None,
                    last_step: *step,
                    disabled: false,
                });
                self.codes.reset();
            }
            UserEvent::TwoFactorEnabled { at } => self.enabled_at = Some(*at),
            UserEvent::RecoveryCodeIssued { recovery_code_id, .. } => {
                self.recovery_code = Some(IssuedRecoveryCode { id: *recovery_code_id, saved: false });
            }
            UserEvent::RecoveryCodeSaved { .. } => {
                if let Some(issued) = &mut self.recovery_code {
                    issued.saved = true;
                }
            }
            UserEvent::RecoveryCodeUsed { .. } => {
                self.recovery_code = None;
                self.codes.reset();
                self.recovery_codes.reset();
            }
            UserEvent::SecondFactorPassed { authenticator_id, step, at } => {
                if let Some(authenticator) = self.find_mut(*authenticator_id) {
                    authenticator.last_step = *step;
                    authenticator.last_used_at = Some(*at);
                }
                self.codes.reset();
                self.recovery_codes.reset();
            }
            UserEvent::SecondFactorFailed { factor, .. } => self.failures_mut(*factor).failed(),
            UserEvent::SecondFactorRefused { factor, .. } => self.failures_mut(*factor).refused(),
            UserEvent::SecondFactorLocked { factor, until, .. } => self.failures_mut(*factor).locked(*until),
            UserEvent::AuthenticatorDisabled { authenticator_id, .. } => {
                if let Some(authenticator) = self.find_mut(*authenticator_id) {
                    authenticator.disabled = true;
                }
            }
            UserEvent::AuthenticatorRemoved { authenticator_id, .. } => {
                self.authenticators.retain(|authenticator| authenticator.id != *authenticator_id);
            }
            UserEvent::TwoFactorDisabled { .. }
            | UserEvent::TwoFactorReset { .. }
            | UserEvent::UserErased { .. } => *self = Self::default(),
            UserEvent::UserRegistered { .. }
            | UserEvent::PasswordSet { .. }
            | UserEvent::PasswordFailed { .. }
            | UserEvent::EnrolmentDemanded { .. }
            | UserEvent::TwoFactorEnrolmentStarted { .. }
            | UserEvent::TwoFactorEnrolmentFailed { .. }
            | UserEvent::LoginChallenged { .. }
            | UserEvent::LoginSucceeded { .. }
            | UserEvent::SessionStarted { .. }
            | UserEvent::SessionEnded { .. }
            | UserEvent::RoleGranted { .. }
            | UserEvent::RoleRevoked { .. } => {}
        }
    }

    fn find_mut(&mut self, id: AuthenticatorId) -> Option<&mut Authenticator> {
        self.authenticators.iter_mut().find(|authenticator| authenticator.id == id)
    }
}

/// Turning two-factor off: refused while any agreement requires it, whoever asks.
#[derive(Clone, Debug)]
pub struct DisableTwoFactor {
    /// What the person showed.
    pub proof: Proof,
    /// Looked up by the caller in the same moment: an empty list permits.
    pub required_by: Vec<Requirement>,
    /// Now.
    pub at: Timestamp,
}

/// Removing one authenticator. With the last one, two-factor goes off.
#[derive(Clone, Debug)]
pub struct RemoveAuthenticator {
    /// Which one.
    pub authenticator_id: AuthenticatorId,
    /// What the person showed.
    pub proof: Proof,
    /// Looked up by the caller in the same moment; it matters for the last authenticator.
    pub required_by: Vec<Requirement>,
    /// Now.
    pub at: Timestamp,
}

/// A new emergency code in place of the old one.
#[derive(Clone, Debug)]
pub struct IssueRecoveryCode {
    /// Names the vault row of the new code.
    pub recovery_code_id: RecoveryCodeId,
    /// What the person showed.
    pub proof: Proof,
    /// Now.
    pub at: Timestamp,
}

/// The person says that the emergency code is stored safely.
#[derive(Clone, Debug)]
pub struct SaveRecoveryCode {
    /// Now.
    pub at: Timestamp,
}

/// An operator's reset for somebody who lost everything.
#[derive(Clone, Debug)]
pub struct ResetTwoFactor {
    /// The digest of the one-time pass that the next enrolment must give.
    pub pass: TokenDigest,
    /// Why, for the record, sealed.
    pub reason: Sealed,
    /// Now.
    pub at: Timestamp,
}

impl User {
    pub(super) fn disable_two_factor(
        &self,
        command: &DisableTwoFactor,
    ) -> Result<Vec<UserEvent>, UserRefusal> {
        self.enabled_two_factor()?;
        not_required(&command.required_by)?;
        Ok(match self.prove(&command.proof, command.at)? {
            Proven::Passed(spent) => spent.then_void([UserEvent::TwoFactorDisabled { at: command.at }]),
            Proven::Failed(events) => events,
        })
    }

    pub(super) fn remove_authenticator(
        &self,
        command: &RemoveAuthenticator,
    ) -> Result<Vec<UserEvent>, UserRefusal> {
        self.registered()?;
        let others = self
            .two_factor
            .authenticators
            .iter()
            .filter(|authenticator| authenticator.id != command.authenticator_id)
            .count();
        if others == self.two_factor.authenticators.len() {
            return Err(UserRefusal::AuthenticatorNotFound);
        }
        let is_last = others == 0;
        if is_last {
            not_required(&command.required_by)?;
        }
        let at = command.at;
        let removed = UserEvent::AuthenticatorRemoved {
            authenticator_id: command.authenticator_id,
            reason: AuthenticatorRemovalReason::Requested,
            at,
        };
        Ok(match self.prove(&command.proof, at)? {
            Proven::Passed(spent) if is_last => {
                spent.then_void([removed, UserEvent::TwoFactorDisabled { at }])
            }
            Proven::Passed(spent) => spent.then([removed]),
            Proven::Failed(events) => events,
        })
    }

    pub(super) fn issue_recovery_code(
        &self,
        command: &IssueRecoveryCode,
    ) -> Result<Vec<UserEvent>, UserRefusal> {
        let two_factor = self.enabled_two_factor()?;
        let issued = UserEvent::RecoveryCodeIssued {
            recovery_code_id: command.recovery_code_id,
            replaces: two_factor.recovery_code.as_ref().map(|issued| issued.id),
            at: command.at,
        };
        Ok(match self.prove(&command.proof, command.at)? {
            Proven::Passed(spent) => spent.then_void([issued]),
            Proven::Failed(events) => events,
        })
    }

    pub(super) fn save_recovery_code(
        &self,
        command: &SaveRecoveryCode,
    ) -> Result<Vec<UserEvent>, UserRefusal> {
        match &self.enabled_two_factor()?.recovery_code {
            Some(issued) if !issued.saved => {
                Ok(vec![UserEvent::RecoveryCodeSaved { recovery_code_id: issued.id, at: command.at }])
            }
            Some(_) | None => Ok(Vec::new()),
        }
    }

    pub(super) fn reset_two_factor(&self, command: &ResetTwoFactor) -> Result<Vec<UserEvent>, UserRefusal> {
        self.registered()?;
        let reset = UserEvent::TwoFactorReset {
            pass: command.pass.clone(),
            reason: command.reason.clone(),
            at: command.at,
        };
        let ended = self.end_sessions(|_| true, crate::user::SessionEndReason::TwoFactorReset, command.at);
        Ok(std::iter::once(reset).chain(ended).collect())
    }

    pub(super) fn enabled_two_factor(&self) -> Result<&TwoFactor, UserRefusal> {
        self.registered()?;
        if self.two_factor.is_enabled() {
            Ok(&self.two_factor)
        } else {
            Err(UserRefusal::TwoFactorNotEnabled)
        }
    }
}

fn not_required(required_by: &[Requirement]) -> Result<(), UserRefusal> {
    if required_by.is_empty() {
        Ok(())
    } else {
        Err(UserRefusal::TwoFactorRequired { required_by: required_by.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use crate::user::UserCommand;

    #[test]
    fn an_enforced_user_keeps_two_factor() {
        given(enrolled_user())
            .when(UserCommand::DisableTwoFactor(DisableTwoFactor {
                proof: proof_with(code_at_step(200)),
                required_by: vec![requirement()],
                at: at_minute(100),
            }))
            .refused(&UserRefusal::TwoFactorRequired { required_by: vec![requirement()] });
    }

    #[test]
    fn two_factor_goes_off_with_password_and_code() {
        given(enrolled_user())
            .when(disable(proof_with(code_at_step(200))))
            .then([second_factor_passed(200, 100), UserEvent::TwoFactorDisabled { at: at_minute(100) }]);
    }

    #[test]
    fn the_emergency_code_that_turns_two_factor_off_is_not_replaced() {
        given(enrolled_user()).when(disable(proof_with(right_recovery_code()))).then([
            UserEvent::RecoveryCodeUsed { recovery_code_id: recovery_code_id(1), at: at_minute(100) },
            UserEvent::TwoFactorDisabled { at: at_minute(100) },
        ]);
    }

    #[test]
    fn removing_the_last_authenticator_turns_two_factor_off_so_enforcement_forbids_it() {
        let remove = |required_by| {
            UserCommand::RemoveAuthenticator(RemoveAuthenticator {
                authenticator_id: authenticator_id(1),
                proof: proof_with(code_at_step(200)),
                required_by,
                at: at_minute(100),
            })
        };
        given(enrolled_user())
            .when(remove(vec![requirement()]))
            .refused(&UserRefusal::TwoFactorRequired { required_by: vec![requirement()] });
        given(enrolled_user()).when(remove(vec![])).then([
            second_factor_passed(200, 100),
            UserEvent::AuthenticatorRemoved {
                authenticator_id: authenticator_id(1),
                reason: AuthenticatorRemovalReason::Requested,
                at: at_minute(100),
            },
            UserEvent::TwoFactorDisabled { at: at_minute(100) },
        ]);
    }

    #[test]
    fn a_new_emergency_code_voids_the_old_one() {
        given(enrolled_user())
            .when(UserCommand::IssueRecoveryCode(IssueRecoveryCode {
                recovery_code_id: recovery_code_id(2),
                proof: proof_with(code_at_step(200)),
                at: at_minute(100),
            }))
            .then([
                second_factor_passed(200, 100),
                UserEvent::RecoveryCodeIssued {
                    recovery_code_id: recovery_code_id(2),
                    replaces: Some(recovery_code_id(1)),
                    at: at_minute(100),
                },
            ]);
    }

    fn disable(proof: Proof) -> UserCommand {
        UserCommand::DisableTwoFactor(DisableTwoFactor { proof, required_by: vec![], at: at_minute(100) })
    }
}
