//! Proving to be there: the password, then the second factor, flat in the body of whatever is
//! asked for.

use countersign_domain::ids::{PasswordId, RecoveryCodeId, UserId};
use countersign_domain::user::proof::{Asker, PasswordShown, Proof, RecordPasswordFailure};
use countersign_domain::user::recovery_code::{ENTROPY_BYTES, RecoveryCode};
use countersign_domain::user::totp::{Code, TotpSecret};
use countersign_domain::user::two_factor::{CodeMatch, Shown};
use countersign_domain::user::{FailureReason, User, UserCommand, UserEvent, UserRefusal};
use countersign_projections::database::Row;
use countersign_projections::table::Change;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::app::App;
use crate::email::Email;
use crate::entropy;
use crate::event_store::Loaded;
use crate::execute::{Done, Moment, Plan};
use crate::passwords::{LENGTH_MAX_BYTES, PasswordVerdict};
use crate::problem::refusals::{WRONG_CREDENTIALS, locked};
use crate::problem::{Problem, ProblemCode};
use crate::request::Request;
use crate::throttle::Attempt;
use crate::vault::{DataKey, Purpose, VaultError, WrappedKey};

/// What proves that the person is there. None of it is needed within ten minutes of a second
/// factor in the same session.
#[derive(Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProofBody {
    /// The password.
    #[schema(value_type = Option<String>)]
    pub password: Option<Zeroizing<String>>,
    /// A six-digit code, once two-factor is on.
    #[schema(value_type = Option<String>)]
    pub code: Option<Zeroizing<String>>,
    /// The emergency code, instead of a six-digit code.
    #[schema(value_type = Option<String>)]
    pub recovery_code: Option<Zeroizing<String>>,
}

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
            (Some(code), None) => {
                let code = code.parse().map_err(|_| {
                    Problem::invalid_field(
                        "code",
                        "A code has six digits, as your authenticator app shows them.",
                    )
                })?;
                Ok(Some(Self::Code(code)))
            }
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
                    let secret = loaded.open(key, Purpose::TotpSecret, row_id)?;
                    let secret =
                        secret.and_then(|secret| TotpSecret::from_slice(&secret)).ok_or_else(|| {
                            Problem::internal(format!(
                                "the vault has no secret for the authenticator {row_id}"
                            ))
                        })?;
                    matches.extend(
                        secret
                            .matched_step(code, moment.now)
                            .map(|step| CodeMatch { authenticator_id: authenticator.id, step }),
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

/// What a command with a proof brought about.
pub struct Proven {
    /// The committed command.
    pub done: Done<User>,
    /// The emergency code that replaced the one that was the proof.
    pub recovery_code: Option<String>,
}

/// A proof whose password was judged; its second factor is judged with the command.
pub struct JudgedProof {
    asked_by: Asker,
    typed: Option<Typed>,
    password: Option<JudgedPassword>,
}

impl JudgedProof {
    /// Whether the command will fail for its password.
    #[must_use]
    pub fn has_wrong_password(&self) -> bool {
        self.password.as_ref().is_some_and(|judged| matches!(judged.shown, PasswordShown::Wrong { .. }))
    }

    fn password(&self) -> PasswordShown {
        self.password.as_ref().map_or(PasswordShown::Nothing, |judged| judged.shown)
    }
}

impl App {
    /// Runs a command that needs a proof.
    ///
    /// # Errors
    /// A refusal, or `wrong-credentials`, `wrong-code` or `locked` once the attempt is on record.
    pub async fn execute_with_proof(
        &self,
        request: &Request,
        user_id: UserId,
        body: &ProofBody,
        plan: impl Fn(&Loaded<User>, Moment, &DataKey, Proof) -> Result<Plan<User>, Problem>,
    ) -> Result<Proven, Problem> {
        let judged = self.judge_proof(request, user_id, body, &plan).await?;
        self.execute_judged(request, user_id, judged, plan).await
    }

    /// The first half: what is refused whatever is shown is refused before anything is judged;
    /// then the password is judged, since that is slow and must not hold the stream's turn.
    ///
    /// # Errors
    /// A refusal, or `throttled`.
    pub async fn judge_proof(
        &self,
        request: &Request,
        user_id: UserId,
        body: &ProofBody,
        plan: impl Fn(&Loaded<User>, Moment, &DataKey, Proof) -> Result<Plan<User>, Problem>,
    ) -> Result<JudgedProof, Problem> {
        let code = body.code.as_deref().map(String::as_str);
        let recovery_code = body.recovery_code.as_deref().map(String::as_str);
        let typed = Typed::read(self, code, recovery_code)?;
        let mut proof = JudgedProof { asked_by: request.asker()?, typed, password: None };
        let decide = |loaded: &Loaded<User>, moment| self.plan_with(&proof, loaded, moment, &plan);
        proof.password = self.password_shown(request, user_id, body, &decide).await?;
        Ok(proof)
    }

    /// The second half: the command, with the second factor judged in it.
    ///
    /// # Errors
    /// A refusal, or `wrong-credentials`, `wrong-code` or `locked` once the attempt is on record.
    pub async fn execute_judged(
        &self,
        request: &Request,
        user_id: UserId,
        proof: JudgedProof,
        plan: impl Fn(&Loaded<User>, Moment, &DataKey, Proof) -> Result<Plan<User>, Problem>,
    ) -> Result<Proven, Problem> {
        let decide = |loaded: &Loaded<User>, moment| self.plan_with(&proof, loaded, moment, &plan);
        let done = self.execute::<User>(request, user_id, None, decide).await?;
        if let Some(judged) = &proof.password {
            self.recorded_if_failed(judged, &done).await?;
        }
        failed_attempt(&done)?;
        let replacement = proof.typed.as_ref().and_then(Typed::replacement);
        let recovery_code = replacement.and_then(|fresh| fresh.if_issued(&done.events));
        Ok(Proven { done, recovery_code })
    }

    fn plan_with(
        &self,
        proof: &JudgedProof,
        loaded: &Loaded<User>,
        moment: Moment,
        plan: impl Fn(&Loaded<User>, Moment, &DataKey, Proof) -> Result<Plan<User>, Problem>,
    ) -> Result<Plan<User>, Problem> {
        let key = loaded.data_key(&self.vault).map_err(|_| Problem::not_found("user"))?;
        let typed = proof.typed.as_ref();
        let second_factor = typed.map(|typed| typed.compare(self, loaded, &key, moment)).transpose()?;
        let shown = Proof { asked_by: proof.asked_by, password: proof.password(), second_factor };
        let mut plan = plan(loaded, moment, &key, shown)?;
        if let Some(fresh) = typed.and_then(Typed::replacement) {
            plan.secrets.push(fresh.row(self, loaded.id, &key, moment)?);
        }
        plan.on_behalf_of = Some(loaded.id);
        Ok(plan)
    }

    /// Judges the password, unless the command would be refused or needs none.
    async fn password_shown(
        &self,
        request: &Request,
        user_id: UserId,
        body: &ProofBody,
        decide: &impl Fn(&Loaded<User>, Moment) -> Result<Plan<User>, Problem>,
    ) -> Result<Option<JudgedPassword>, Problem> {
        let loaded = self.store.load::<User>(user_id, None).await?;
        if loaded.state.profile().is_none() {
            return Err(UserRefusal::NotRegistered.into());
        }
        let moment = self.moment(loaded.state.latest_at());
        let plan = decide(&loaded, moment)?;
        match (loaded.state.decide(plan.command), &body.password) {
            (Err(UserRefusal::StepUpRequired), Some(password)) => {
                let credentials = self.credentials_of(user_id).await?;
                let credentials = credentials.ok_or_else(|| Problem::not_found("user"))?;
                self.judge_password(request, &credentials, password.clone()).await.map(Some)
            }
            (Err(refusal), _) => Err(Problem::from(refusal).counted_from(moment.now)),
            (Ok(_), _) => Ok(None),
        }
    }

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
            Some(password_id) => {
                self.password_was_right(&attempt).await?;
                (PasswordShown::Right(password_id), 0)
            }
            None => {
                let failures = self.password_was_wrong(&attempt).await?;
                // The event counts this one itself, and takes the others along.
                (PasswordShown::Wrong { unrecorded: failures.saturating_sub(1) }, failures)
            }
        };
        Ok(JudgedPassword { shown, attempt, failures })
    }

    async fn recorded_if_failed(&self, judged: &JudgedPassword, done: &Done<User>) -> Result<(), Problem> {
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
    ) -> Result<std::convert::Infallible, Problem> {
        let recorded = self
            .execute::<User>(request, user_id, None, |loaded, moment| {
                let command = RecordPasswordFailure { unrecorded, at: moment.at };
                let mut plan =
                    Plan::new(UserCommand::RecordPasswordFailure(command), loaded.data_key(&self.vault)?);
                plan.on_behalf_of = Some(user_id);
                Ok(plan)
            })
            .await;
        match recorded {
            Ok(done) => self.recorded_if_failed(judged, &done).await?,
            // Enough of them are on record for this hour.
            Err(problem) if problem.code() == ProblemCode::WrongCredentials => {
                self.take_as_long_as_recording(judged).await?;
            }
            Err(problem) => return Err(problem),
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
    ) -> Result<std::convert::Infallible, Problem> {
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
        let key = WrappedKey {
            key_id: row.get("key_id")?,
            wrapped: row.get("wrapped")?,
            master_key_id: row.get("master_key_id")?,
        };
        let key = self.vault.data_key(user_id.as_uuid(), Some(&key))?;
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

/// What the person is told when the committed events say that an attempt failed.
///
/// # Errors
/// `wrong-credentials`, `wrong-code` or `locked`.
pub fn failed_attempt(done: &Done<User>) -> Result<(), Problem> {
    match done.events.iter().find_map(|event| failure(event, done)) {
        Some(problem) => Err(problem.recorded_as(&done.written)),
        None => Ok(()),
    }
}

fn failure(event: &UserEvent, done: &Done<User>) -> Option<Problem> {
    if let UserEvent::PasswordFailed { .. } = event {
        return Some(wrong_credentials());
    }
    if let UserEvent::SecondFactorRefused { factor, .. } = event {
        let until = done.state.two_factor().failures(*factor).locked_at(done.moment.at);
        return Some(locked(until).counted_from(done.moment.now));
    }
    if let UserEvent::SecondFactorFailed { reason, .. } = event {
        let detail = match reason {
            FailureReason::Wrong => "That code is not right. Check it, or wait for the next one in your app.",
            FailureReason::AlreadyUsed => {
                "That code has been used already. Wait for the next one in your app."
            }
        };
        return Some(Problem::new(ProblemCode::WrongCode, detail));
    }
    None
}

fn wrong_credentials() -> Problem {
    Problem::new(ProblemCode::WrongCredentials, WRONG_CREDENTIALS)
}
