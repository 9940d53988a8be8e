//! Every refusal of the domain and every failure below it, mapped to what callers are told.

use chrono::TimeDelta;
use countersign_domain::Timestamp;
use countersign_domain::agreement::AgreementRefusal;
use countersign_domain::instance::InstanceRefusal;
use countersign_domain::requirement::Requirement;
use countersign_domain::user::UserRefusal;
use countersign_projections::database::DatabaseError;
use countersign_projections::ledger::store::LedgerError;
use countersign_projections::ledger::verify::stored::StoredError;
use countersign_projections::replay::ReplayError;
use cqrs_es::AggregateError;

use super::{Problem, ProblemCode};
use crate::erasure::already_erased;
use crate::event_store::journal::AppendError;
use crate::vault::VaultError;

impl From<UserRefusal> for Problem {
    fn from(refusal: UserRefusal) -> Self {
        let (code, detail) = match refusal {
            UserRefusal::NotRegistered => return Self::not_found("user"),
            UserRefusal::AuthenticatorNotFound => return Self::not_found("authenticator"),
            UserRefusal::EnrolmentNotFound => return Self::not_found("enrolment"),
            UserRefusal::SessionNotFound => return Self::not_found("session"),
            UserRefusal::AlreadyErased { at } => return already_erased(at),
            UserRefusal::StillLinked => {
                return busy("The person was linked to another agreement meanwhile; try again.");
            }
            UserRefusal::AlreadyRegistered => return Self::internal("a fresh user id is in use"),
            UserRefusal::PasswordChanged => {
                return busy("The password changed meanwhile; nothing was judged.");
            }
            UserRefusal::TwoFactorRequired { required_by } => return two_factor_required(&required_by),
            UserRefusal::PasswordAlreadySet => {
                (ProblemCode::Forbidden, "This person has a password, which only they can change.")
            }
            UserRefusal::StepUpRequired => (
                ProblemCode::StepUpRequired,
                "Give the password, and once two-factor is on also a code or the emergency code.",
            ),
            UserRefusal::Locked { until } => return locked(until),
            UserRefusal::TwoFactorNotEnabled => {
                (ProblemCode::TwoFactorNotEnabled, "This person has not turned two-factor authentication on.")
            }
            UserRefusal::TooManyAuthenticators => (
                ProblemCode::TooManyAuthenticators,
                "Remove an authenticator first, or replace them all with the new one.",
            ),
            UserRefusal::EnrolmentExpired => {
                (ProblemCode::EnrolmentExpired, "This enrolment has ended. Start again for a new QR code.")
            }
            UserRefusal::PassRequired => (
                ProblemCode::PassRequired,
                "Two-factor was reset by an operator. Give the pass that they handed over.",
            ),
            UserRefusal::ChallengeExpired => {
                (ProblemCode::ChallengeExpired, "This login challenge has ended. Sign in again.")
            }
        };
        Self::new(code, detail)
    }
}

/// What a wrong password and an unknown e-mail address are told, alike.
pub const WRONG_CREDENTIALS: &str = "The e-mail address or the password is wrong.";

/// What everybody is told when nothing could be judged in time.
#[must_use]
pub fn busy(detail: &str) -> Problem {
    Problem::new(ProblemCode::Busy, detail).retry_after(TimeDelta::zero())
}

/// What is told while a second factor is not judged: for a time, or until it is bound anew.
#[must_use]
pub fn locked(until: Option<Timestamp>) -> Problem {
    match until {
        Some(_) => {
            let detail = "Too many wrong codes. Wait, or use the emergency code.";
            Problem::new(ProblemCode::Locked, detail).until(until)
        }
        None => {
            let detail = "After too many wrong codes your authenticators are disabled. \
                          Use the emergency code, and add an authenticator anew.";
            Problem::new(ProblemCode::WrongCode, detail)
        }
    }
}

fn two_factor_required(required_by: &[Requirement]) -> Problem {
    let names: Vec<&str> = required_by.iter().map(|requirement| requirement.name.as_str()).collect();
    let detail = format!("Two-factor authentication stays on: {} requires it.", names.join(", "));
    Problem::new(ProblemCode::TwoFactorRequired, detail)
        .with_member("required_by", serde_json::to_value(required_by).unwrap_or_default())
}

impl From<AgreementRefusal> for Problem {
    fn from(refusal: AgreementRefusal) -> Self {
        let code = match refusal {
            AgreementRefusal::NotOpened => return Self::not_found("agreement"),
            AgreementRefusal::AdministratorNotFound => return Self::not_found("administrator agreement"),
            AgreementRefusal::UserNotFound | AgreementRefusal::NotLinked => return Self::not_found("user"),
            AgreementRefusal::AlreadyOpened => return Self::internal("a fresh agreement id is in use"),
            AgreementRefusal::Closed => ProblemCode::AgreementClosed,
            AgreementRefusal::NotAnAdministrator => ProblemCode::NotAnAdministrator,
            AgreementRefusal::AdministratorCannotBeAdministered => {
                ProblemCode::AdministratorCannotBeAdministered
            }
            AgreementRefusal::StillAdministers => ProblemCode::StillAdministers,
            AgreementRefusal::LastSuperuser => ProblemCode::LastSuperuser,
            AgreementRefusal::TooManySuperusers => ProblemCode::TooManySuperusers,
            AgreementRefusal::OwnPromotion => ProblemCode::Forbidden,
        };
        Self::new(code, sentence(&refusal.to_string()))
    }
}

impl From<InstanceRefusal> for Problem {
    fn from(refusal: InstanceRefusal) -> Self {
        match refusal {
            InstanceRefusal::AlreadyIssued => Self::internal("a fresh API key id is in use"),
            InstanceRefusal::NotIssued => Self::not_found("API key"),
            InstanceRefusal::AlreadyRegistered => Self::internal("a fresh webhook id is in use"),
            InstanceRefusal::NotRegistered => Self::not_found("webhook"),
        }
    }
}

fn sentence(words: &str) -> String {
    let mut characters = words.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", characters.as_str())
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Database(error) => error.into(),
            LedgerError::Stopping => busy("The program is stopping."),
            LedgerError::Tree(_)
            | LedgerError::Tile(_)
            | LedgerError::Checkpoint(_)
            | LedgerError::Proof(_)
            | LedgerError::NotThere
            | LedgerError::Corrupt(_) => Self::internal(error.to_string()),
        }
    }
}

impl From<ReplayError> for Problem {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Database(error) => error.into(),
            ReplayError::Ledger(error) => error.into(),
            ReplayError::NotThere
            | ReplayError::Temporary(_)
            | ReplayError::Unreadable(_)
            | ReplayError::Incomplete { .. }
            | ReplayError::Poisoned { .. }
            | ReplayError::TakenOver
            | ReplayError::Unplaced { .. } => Problem::internal(error.to_string()),
        }
    }
}

impl From<StoredError> for Problem {
    fn from(error: StoredError) -> Self {
        match error {
            StoredError::Database(error) => error.into(),
            StoredError::Entries { .. }
            | StoredError::Temporary(_)
            | StoredError::NotThere
            | StoredError::Stopped => Self::internal(error.to_string()),
        }
    }
}

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Self {
        match &error {
            DatabaseError::Unavailable(_) => unavailable(&error.to_string()),
            DatabaseError::Busy => {
                busy("Too many requests are waiting for the database; nothing was judged.")
            }
            DatabaseError::Constraint { .. }
            | DatabaseError::Encoding { .. }
            | DatabaseError::Newer { .. }
            | DatabaseError::Migration { .. }
            | DatabaseError::Corrupt(_)
            | DatabaseError::Query(_) => Self::internal(error.to_string()),
        }
    }
}

impl From<VaultError> for Problem {
    /// Whose data key is gone was erased; anything else that does not open is our fault.
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::KeyGone => Self::not_found("user"),
            VaultError::OtherMasterKey { .. } | VaultError::DoesNotOpen { .. } | VaultError::NoEntropy(_) => {
                Self::internal(error.to_string())
            }
        }
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Taken { constraint } if constraint == "email_claims_pkey" => {
                Self::new(ProblemCode::EmailTaken, "Somebody is registered with this e-mail address.")
            }
            AppendError::Taken { constraint } if constraint == "agreement_number_claims_pkey" => {
                Self::new(ProblemCode::NumberTaken, "Another agreement has this number.")
            }
            AppendError::Taken { constraint } => Self::internal(format!("{constraint} was violated")),
            AppendError::Conflict | AppendError::Busy => {
                busy("Too many requests are changing the same thing; nothing was judged.")
            }
            AppendError::Unavailable(reason) => unavailable(&reason),
            AppendError::Database(error) => error.into(),
        }
    }
}

impl<R> From<AggregateError<R>> for Problem
where
    R: std::error::Error + Into<Self>,
{
    fn from(error: AggregateError<R>) -> Self {
        match error {
            AggregateError::UserError(refusal) => refusal.into(),
            AggregateError::AggregateConflict => AppendError::Conflict.into(),
            AggregateError::DatabaseConnectionError(error) => match error.downcast::<AppendError>() {
                Ok(error) => (*error).into(),
                Err(error) => match error.downcast::<DatabaseError>() {
                    Ok(error) => (*error).into(),
                    Err(error) => Self::internal(error.to_string()),
                },
            },
            AggregateError::DeserializationError(error) | AggregateError::UnexpectedError(error) => {
                Self::internal(error.to_string())
            }
        }
    }
}

fn unavailable(reason: &str) -> Problem {
    Problem::new(
        ProblemCode::Unavailable,
        "The database does not answer. Look whether it took effect, then try again.",
    )
    .retry_after(TimeDelta::seconds(1))
    .because(reason)
}
