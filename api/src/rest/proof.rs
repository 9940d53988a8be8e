//! Proving to be there: the password, then the second factor, flat in the body of whatever is
//! asked for.

use countersign_domain::ids::UserId;
use countersign_domain::user::proof::{Asker, PasswordShown, Proof};
use countersign_domain::user::{User, UserRefusal};
use serde::Deserialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::app::App;
use crate::credentials::{JudgedPassword, wrong_credentials};
use crate::event_store::Loaded;
use crate::execute::{Done, Moment, Plan};
use crate::problem::Problem;
use crate::request::Request;
use crate::second_factor::{Typed, failed_attempt};
use crate::vault::DataKey;

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
        if proof.has_wrong_password() {
            return Err(wrong_credentials().recorded_as(&done.written));
        }
        failed_attempt(&done)?;
        if let Some(judged) = &proof.password {
            self.settle_password(judged).await;
        }
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
        let key = loaded.data_key(&self.vault)?;
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
}
