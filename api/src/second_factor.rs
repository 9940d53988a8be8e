//! A second factor as it was typed: read, compared with the vault, and told when it failed.

use countersign_domain::ids::{RecoveryCodeId, UserId};
use countersign_domain::user::judging::{CodeMatch, Shown};
use countersign_domain::user::recovery_code::{ENTROPY_BYTES, RecoveryCode};
use countersign_domain::user::totp::Code;
use countersign_domain::user::{FailureReason, User, UserEvent};
use countersign_projections::table::Change;
use uuid::Uuid;

use crate::app::App;
use crate::entropy;
use crate::event_store::Loaded;
use crate::execute::{Done, Moment};
use crate::problem::refusals::locked;
use crate::problem::{Problem, ProblemCode};
use crate::vault::{DataKey, Purpose, VaultError};

/// A second factor as it was typed.
#[derive(Clone)]
pub enum Typed {
    /// A six-digit code.
    Code(Code),
    /// An emergency code, and the one that takes its place if it is accepted.
    RecoveryCode(RecoveryCode, FreshRecoveryCode),
}

/// An emergency code that was just drawn and is shown only if it is issued.
#[derive(Clone)]
pub struct FreshRecoveryCode {
    /// Names its vault row.
    pub id: RecoveryCodeId,
    code: RecoveryCode,
}

impl FreshRecoveryCode {
    /// Draws one.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn draw(app: &App) -> Result<Self, Problem> {
        let entropy = entropy::bytes::<ENTROPY_BYTES>()?;
        let id = RecoveryCodeId::from_uuid(entropy::id(app.clock.now())?);
        Ok(Self { id, code: RecoveryCode::from_entropy(entropy) })
    }

    /// The vault row of its digest.
    ///
    /// # Errors
    /// When nothing can be sealed.
    pub fn row(
        &self,
        app: &App,
        user_id: UserId,
        key: &DataKey,
        moment: Moment,
    ) -> Result<(Uuid, Change), VaultError> {
        let digest = app.vault.recovery_code_digest(user_id, &self.code);
        let row_id = self.id.as_uuid();
        Ok((row_id, key.vault_row(Purpose::RecoveryCodeDigest, row_id, digest.as_bytes(), moment.at)?))
    }

    /// The code as its owner sees it, if these events issue it.
    #[must_use]
    pub fn if_issued(&self, events: &[UserEvent]) -> Option<String> {
        let issued = events.iter().any(|event| {
            matches!(event, UserEvent::RecoveryCodeIssued { recovery_code_id, .. } if *recovery_code_id == self.id)
        });
        issued.then(|| self.code.grouped().as_str().to_owned())
    }
}

impl Typed {
    /// Reads what was typed as one or the other.
    ///
    /// # Errors
    /// `invalid-field` for both at once, or for what cannot be a code at all: that is not judged.
    pub fn read(app: &App, code: Option<&str>, recovery_code: Option<&str>) -> Result<Option<Self>, Problem> {
        match (code, recovery_code) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => {
                Err(Problem::invalid_field("code", "Give a code or the emergency code, not both."))
            }
            (Some(code), None) => Ok(Some(Self::Code(typed_code(code)?))),
            (None, Some(code)) => {
                let code = code.parse().map_err(|_| {
                    Problem::invalid_field(
                        "recovery_code",
                        "An emergency code has twenty letters and digits, in five groups of four.",
                    )
                })?;
                Ok(Some(Self::RecoveryCode(code, FreshRecoveryCode::draw(app)?)))
            }
        }
    }

    /// Compares it with the user's vault.
    ///
    /// # Errors
    /// When the vault does not open.
    pub fn compare(
        &self,
        app: &App,
        loaded: &Loaded<User>,
        key: &DataKey,
        moment: Moment,
    ) -> Result<Shown, Problem> {
        let two_factor = loaded.state.two_factor();
        match self {
            Self::Code(code) => {
                let mut matches = Vec::new();
                for authenticator in two_factor.authenticators() {
                    let row_id = authenticator.id.as_uuid();
                    let secret = loaded.totp_secret(key, row_id)?;
                    matches.extend(
                        secret
                            .matched_step(code, moment.now)
                            .map(|matched| CodeMatch { authenticator_id: authenticator.id, matched }),
                    );
                }
                Ok(Shown::Code { matches })
            }
            Self::RecoveryCode(code, fresh) => {
                let digest = app.vault.recovery_code_digest(loaded.id, code);
                let mut matches = None;
                if let Some(issued) = two_factor.recovery_code() {
                    let stored = loaded.open(key, Purpose::RecoveryCodeDigest, issued.id.as_uuid())?;
                    matches = stored.filter(|stored| digest.equals(stored)).map(|_| issued.id);
                }
                Ok(Shown::RecoveryCode { matches, replacement: fresh.id })
            }
        }
    }

    /// The emergency code that takes the place of this one.
    #[must_use]
    pub const fn replacement(&self) -> Option<&FreshRecoveryCode> {
        match self {
            Self::Code(_) => None,
            Self::RecoveryCode(_, fresh) => Some(fresh),
        }
    }
}

/// Reads six digits.
///
/// # Errors
/// `invalid-field` for what cannot be a code at all: that is not judged.
pub fn typed_code(text: &str) -> Result<Code, Problem> {
    text.parse().map_err(|_| {
        Problem::invalid_field("code", "A code has six digits, as your authenticator app shows them.")
    })
}

/// What the person is told when the committed events say that an attempt failed.
///
/// # Errors
/// `wrong-code` or `locked`.
pub fn failed_attempt(done: &Done<User>) -> Result<(), Problem> {
    match done.events.iter().find_map(|event| failure(event, done)) {
        Some(problem) => Err(problem.recorded_as(&done.written)),
        None => Ok(()),
    }
}

fn failure(event: &UserEvent, done: &Done<User>) -> Option<Problem> {
    if let UserEvent::SecondFactorRefused { factor, .. } = event {
        let until = done.state.two_factor().failures(*factor).locked_at(done.moment.at);
        return Some(locked(until).counted_from(done.moment.now));
    }
    if let UserEvent::SecondFactorFailed { reason, .. } = event {
        let (name, detail) = match reason {
            FailureReason::Wrong => {
                ("wrong", "That code is not right. Check it, or wait for the next one in your app.")
            }
            FailureReason::AlreadyUsed => {
                ("already_used", "That code has been used already. Wait for the next one in your app.")
            }
        };
        return Some(Problem::new(ProblemCode::WrongCode, detail).with_member("reason", name.into()));
    }
    None
}
