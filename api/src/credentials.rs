//! Judging passwords: whose hash, under the throttle, counted, and recorded when wrong.

#[cfg(test)]
mod tests;

use std::convert::Infallible;

use countersign_domain::ids::{PasswordId, UserId};
use countersign_domain::user::proof::{PasswordShown, RecordPasswordFailure};
use countersign_domain::user::{User, UserCommand, UserEvent};
use countersign_projections::database::Row;
use zeroize::Zeroizing;

use crate::app::App;
use crate::email::Email;
use crate::entropy;
use crate::execute::{Done, Plan};
use crate::passwords::{LENGTH_MAX_BYTES, PasswordVerdict};
use crate::problem::refusals::WRONG_CREDENTIALS;
use crate::problem::{Problem, ProblemCode};
use crate::request::Request;
use crate::throttle::Attempt;
use crate::vault::{Purpose, WrappedKey};

/// Whose password is to be judged, and against what.
pub struct Credentials {
    /// Whose.
    pub user_id: UserId,
    email_digest: String,
    password: Option<(PasswordId, Zeroizing<String>)>,
}

/// A password that was judged and counted.
pub struct JudgedPassword {
    /// What the command is told of it.
    pub shown: PasswordShown,
    attempt: Attempt,
    /// Failures that no event has recorded yet, this one included.
    failures: u64,
}

impl App {
    /// Judges a password under the throttle, and counts it.
    ///
    /// # Errors
    /// `throttled` before anything is judged.
    pub async fn judge_password(
        &self,
        request: &Request,
        credentials: &Credentials,
        password: Zeroizing<String>,
    ) -> Result<JudgedPassword, Problem> {
        let attempt =
            self.count_password_attempt(&credentials.email_digest, request.address.as_deref()).await?;
        let verdict = self.verdict(credentials, password).await?;
        let (shown, failures) = match verdict {
            Some(password_id) => (PasswordShown::Right(password_id), 0),
            None => {
                let failures = self.password_was_wrong(&attempt).await?;
                // The event counts this one itself, and takes the others along.
                (PasswordShown::Wrong { unrecorded: failures.saturating_sub(1) }, failures)
            }
        };
        Ok(JudgedPassword { shown, attempt, failures })
    }

    /// What the password was for went through: what was counted of this pair is forgotten. Not
    /// before, or a right password could be told from a wrong one without end. That it fails
    /// must not take back what is committed; the count ends by itself.
    pub async fn settle_password(&self, judged: &JudgedPassword) {
        match judged.shown {
            PasswordShown::Right(_) => {
                if let Err(problem) = self.password_was_right(&judged.attempt).await {
                    tracing::warn!(reason = problem.for_operator(), "a count of wrong passwords stays");
                }
            }
            PasswordShown::Wrong { .. } | PasswordShown::Nothing => {}
        }
    }

    /// Once an event has recorded it, it waits no longer to be recorded.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn recorded_if_failed(
        &self,
        judged: &JudgedPassword,
        done: &Done<User>,
    ) -> Result<(), Problem> {
        if done.events.iter().any(|event| matches!(event, UserEvent::PasswordFailed { .. })) {
            self.password_failures_recorded(&judged.attempt, judged.failures).await?;
        }
        Ok(())
    }

    /// Which hash the password matches, if it does. Hashes it anew where the parameters changed.
    async fn verdict(
        &self,
        credentials: &Credentials,
        password: Zeroizing<String>,
    ) -> Result<Option<PasswordId>, Problem> {
        let (id, phc) = match &credentials.password {
            Some((id, phc)) => (Some(*id), Some(phc.clone())),
            None => (None, None),
        };
        // Longer ones were never accepted; hashing them would only cost.
        let password =
            if password.len() > LENGTH_MAX_BYTES { Zeroizing::new(String::new()) } else { password };
        match (self.passwords.judge(password.clone(), phc).await?, id) {
            (PasswordVerdict::Right { outdated: false }, Some(id)) => Ok(Some(id)),
            (PasswordVerdict::Right { outdated: true }, Some(id)) => {
                self.rehash(credentials.user_id, id, password).await?;
                Ok(Some(id))
            }
            (PasswordVerdict::Right { .. } | PasswordVerdict::Wrong, _) => Ok(None),
        }
    }

    async fn rehash(
        &self,
        user_id: UserId,
        id: PasswordId,
        password: Zeroizing<String>,
    ) -> Result<(), Problem> {
        let phc = self.passwords.hash(password).await?;
        let loaded = self.store.load::<User>(user_id, None).await?;
        let key = loaded.data_key(&self.vault)?;
        let sealed = key.seal(Purpose::PasswordHash, &id.to_string(), phc.as_bytes())?;
        self.database
            .write(
                "UPDATE vault SET sealed = $2 WHERE row_id = $1",
                &[id.to_string().into(), sealed.as_str().to_owned().into()],
            )
            .await?;
        Ok(())
    }

    /// Puts a wrong password at sign-in on record.
    ///
    /// # Errors
    /// Always: `wrong-credentials`, or what kept it from being recorded.
    pub async fn wrong_password(
        &self,
        request: &Request,
        user_id: UserId,
        unrecorded: u64,
        judged: &JudgedPassword,
    ) -> Result<Infallible, Problem> {
        let done = self
            .execute_on_user(request, user_id, |_, moment, key| {
                let command = RecordPasswordFailure { unrecorded, at: moment.at };
                Ok(Plan::new(UserCommand::RecordPasswordFailure(command), key))
            })
            .await?;
        if done.events.is_empty() {
            // Enough of them are on record for this hour.
            self.take_as_long_as_recording(judged).await?;
        } else {
            self.recorded_if_failed(judged, &done).await?;
        }
        // Not where it is recorded: an unknown address has no record, and must not look otherwise.
        Err(wrong_credentials())
    }

    /// A wrong password of nobody: the same work as for somebody, so that it takes as long.
    ///
    /// # Errors
    /// Always: `wrong-credentials`, `throttled`, or `busy`.
    pub async fn wrong_password_of_nobody(
        &self,
        request: &Request,
        email: &Email,
        password: Zeroizing<String>,
    ) -> Result<Infallible, Problem> {
        let nobody = Credentials {
            user_id: UserId::from_uuid(entropy::id(self.clock.now())?),
            email_digest: self.vault.email_digest(&email.normalised()),
            password: None,
        };
        let judged = self.judge_password(request, &nobody, password).await?;
        self.store.load::<User>(nobody.user_id, None).await?;
        self.take_as_long_as_recording(&judged).await?;
        Err(wrong_credentials())
    }

    /// A write in place of the append that a recorded failure takes, and the one after it.
    async fn take_as_long_as_recording(&self, judged: &JudgedPassword) -> Result<(), Problem> {
        self.password_failures_recorded(&judged.attempt, 0).await?;
        self.password_failures_recorded(&judged.attempt, 0).await
    }

    /// The credentials of a user.
    ///
    /// # Errors
    /// When the database does not answer or the vault does not open.
    pub async fn credentials_of(&self, user_id: UserId) -> Result<Option<Credentials>, Problem> {
        let rows = self.database.read(CREDENTIALS_BY_USER, &[user_id.to_string().into()]).await?;
        rows.first().map(|row| self.credentials(row)).transpose()
    }

    /// The credentials of whoever is registered with an e-mail address.
    ///
    /// # Errors
    /// When the database does not answer or the vault does not open.
    pub async fn credentials_for(&self, email: &Email) -> Result<Option<Credentials>, Problem> {
        let digest = self.vault.email_digest(&email.normalised());
        let rows = self.database.read(CREDENTIALS_BY_EMAIL, &[digest.into()]).await?;
        rows.first().map(|row| self.credentials(row)).transpose()
    }

    fn credentials(&self, row: &Row) -> Result<Credentials, Problem> {
        let user_id: String = row.get("user_id")?;
        let user_id: UserId = user_id.parse().map_err(|_| Problem::internal("a stored user id is no id"))?;
        let key = self.vault.data_key(user_id.as_uuid(), WrappedKey::from_row(row)?.as_ref())?;
        let email = key.open_text(Purpose::Email, "", &row.get::<String>("email")?)?;
        let email_digest = self.vault.email_digest(&Email::parse("email", &email)?.normalised());
        let password_id: Option<String> = row.get("row_id")?;
        let sealed: Option<String> = row.get("sealed")?;
        let password = match (password_id, sealed) {
            (Some(id), Some(sealed)) => {
                let phc = Zeroizing::new(key.open_text(Purpose::PasswordHash, &id, &sealed)?);
                let id = id.parse().map_err(|_| Problem::internal("a stored password id is no id"))?;
                Some((PasswordId::from_uuid(id), phc))
            }
            (None, _) | (_, None) => None,
        };
        Ok(Credentials { user_id, email_digest, password })
    }
}

macro_rules! credentials {
    ($from:literal) => {
        concat!(
            "SELECT u.user_id, u.email, k.key_id, k.wrapped, k.master_key_id, v.row_id, v.sealed FROM ",
            $from,
            " JOIN data_keys k ON k.owner_id = u.user_id \
             LEFT JOIN vault v ON v.user_id = u.user_id AND v.kind = 'password_hash' WHERE "
        )
    };
}

const CREDENTIALS_BY_USER: &str = concat!(credentials!("login_check_users u"), "u.user_id = $1");
const CREDENTIALS_BY_EMAIL: &str = concat!(
    credentials!("email_claims c JOIN login_check_users u ON u.user_id = c.user_id"),
    "c.digest = $1"
);

/// What a wrong password and an unknown e-mail address are told, alike.
#[must_use]
pub fn wrong_credentials() -> Problem {
    Problem::new(ProblemCode::WrongCredentials, WRONG_CREDENTIALS)
}
