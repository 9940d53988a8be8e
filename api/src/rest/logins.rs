//! Signing in: the password, the challenge, the second factor.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use countersign_domain::ids::{AgreementId, PasswordId, SessionId, UserId};
use countersign_domain::requirement::{Requirement, earliest_deadline};
use countersign_domain::user::proof::PasswordShown;
use countersign_domain::user::session::NewSession;
use countersign_domain::user::sign_in::{OpenChallenge, SignIn, SignInAttempt, VerifySecondFactor};
use countersign_domain::user::{User, UserCommand, UserEvent, UserRefusal};
use countersign_projections::login_check::{Method, usable_methods};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::users::RequirementView;
use super::{Body, OneId, Problems, Shared, Written};
use crate::app::App;
use crate::email::Email;
use crate::event_store::Loaded;
use crate::execute::{Done, Moment, Plan};
use crate::problem::Problem;
use crate::request::Request;
use crate::second_factor::{Typed, failed_attempt};
use crate::token::{DrawnToken, PresentedToken, TokenKind, session_id_of};
use crate::vault::VaultError;

/// An e-mail address and a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The e-mail address.
    pub(crate) email: String,
    /// The password.
    #[schema(value_type = String)]
    pub(crate) password: Zeroizing<String>,
    /// The agreement that the sign-in is attributed to.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub(crate) agreement_id: Option<AgreementId>,
}

/// A person whose password an application has judged itself.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewChallenge {
    /// Who signs in.
    #[schema(value_type = uuid::Uuid)]
    user_id: UserId,
    /// The agreement that the sign-in is attributed to.
    #[schema(value_type = Option<uuid::Uuid>)]
    agreement_id: Option<AgreementId>,
}

/// A second factor: a code, or the emergency code.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondFactor {
    /// A six-digit code.
    #[schema(value_type = Option<String>)]
    pub(crate) code: Option<Zeroizing<String>>,
    /// The emergency code.
    #[schema(value_type = Option<String>)]
    pub(crate) recovery_code: Option<Zeroizing<String>>,
}

/// How far a sign-in has got.
#[derive(Serialize, ToSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum LoginStatus {
    /// Signed in.
    Complete {
        /// Who.
        #[schema(value_type = uuid::Uuid)]
        user_id: UserId,
        /// The session; none where an application judged the password.
        #[serde(skip_serializing_if = "Option::is_none")]
        session: Option<SessionView>,
        /// Two-factor is required soon: how to set it up now or later.
        #[serde(skip_serializing_if = "Option::is_none")]
        enrolment: Option<EnrolmentOffer>,
        /// The emergency code that replaced the one that was used. It is shown this once.
        #[serde(skip_serializing_if = "Option::is_none")]
        recovery_code: Option<String>,
    },
    /// A second factor is needed.
    Challenge {
        /// Who signs in.
        #[schema(value_type = uuid::Uuid)]
        user_id: UserId,
        /// Names the challenge. A secret, which authorises nothing but giving the second factor.
        challenge_id: String,
        /// What can be given now: `totp`, `recovery_code`.
        #[schema(value_type = Vec<String>)]
        methods: Vec<Method>,
        /// When the challenge ends.
        expires_at: DateTime<Utc>,
    },
    /// Two-factor must be set up first.
    EnrolmentRequired {
        /// Who signs in.
        #[schema(value_type = uuid::Uuid)]
        user_id: UserId,
        /// Allows to enrol, to confirm and to say that the emergency code is saved; ten minutes.
        enrolment_token: String,
        /// Who requires it.
        required_by: Vec<RequirementView>,
        /// Since when it is due; null when it always was.
        deadline: Option<DateTime<Utc>>,
    },
}

/// A session that began.
#[derive(Serialize, ToSchema)]
pub struct SessionView {
    /// Its id, which is no secret.
    #[schema(value_type = uuid::Uuid)]
    pub(crate) id: SessionId,
    /// Whose it is.
    #[schema(value_type = uuid::Uuid)]
    pub(crate) user_id: UserId,
    /// Its bearer token, shown this once.
    pub(crate) token: String,
    /// When it ends.
    pub(crate) expires_at: DateTime<Utc>,
    /// When the second factor was passed; null for the password alone.
    pub(crate) second_factor_at: Option<DateTime<Utc>>,
}

/// Two-factor may still wait: a token to set it up with.
#[derive(Serialize, ToSchema)]
pub struct EnrolmentOffer {
    /// The enrolment token.
    pub(crate) token: String,
    /// Who requires it.
    pub(crate) required_by: Vec<RequirementView>,
    /// Until when it may wait.
    pub(crate) deadline: Option<DateTime<Utc>>,
}

impl SessionView {
    /// The session that these events began with this token, if they did.
    #[must_use]
    pub fn if_started(done: &Done<User>, user_id: UserId, token: &DrawnToken) -> Option<Self> {
        done.events.iter().find_map(|event| {
            if let UserEvent::SessionStarted { session_id, expires_at, second_factor_at, .. } = event {
                return Some(Self {
                    id: *session_id,
                    user_id,
                    token: token.text.as_str().to_owned(),
                    expires_at: *expires_at,
                    second_factor_at: *second_factor_at,
                });
            }
            None
        })
    }
}

/// The tokens that a sign-in may lead to; most are forgotten undelivered.
struct Drawn {
    session: DrawnToken,
    challenge: DrawnToken,
    enrolment: DrawnToken,
}

impl Drawn {
    fn draw(user_id: UserId) -> Result<Self, Problem> {
        let owner = user_id.as_uuid();
        Ok(Self {
            session: DrawnToken::draw(TokenKind::Session, owner)?,
            challenge: DrawnToken::draw(TokenKind::Challenge, owner)?,
            enrolment: DrawnToken::draw(TokenKind::Enrolment, owner)?,
        })
    }

    fn session(&self) -> NewSession {
        new_session(&self.session)
    }

    fn attempt(
        &self,
        agreement_id: Option<AgreementId>,
        required_by: Vec<Requirement>,
        at: DateTime<Utc>,
    ) -> SignInAttempt {
        SignInAttempt {
            challenge: self.challenge.digest.clone(),
            enrolment_token: self.enrolment.digest.clone(),
            agreement_id,
            required_by,
            at,
        }
    }
}

fn new_session(token: &DrawnToken) -> NewSession {
    NewSession { session_id: session_id_of(&token.digest), token: token.digest.clone() }
}

/// Signs in with a password; a second step may follow.
#[utoipa::path(
    post, path = "/v1/logins", tag = "sign-in", security(("bearer" = [])),
    request_body = Login,
    responses((status = 200, body = LoginStatus), (status = 202, body = LoginStatus), Problems)
)]
pub async fn sign_in(
    State(app): Shared,
    request: Request,
    Body(login): Body<Login>,
) -> Result<Response, Problem> {
    Ok(app.sign_in(&request, login).await?.into_response())
}

impl App {
    /// Signs in with a password.
    pub(crate) async fn sign_in(&self, request: &Request, login: Login) -> Result<SignedIn, Problem> {
        let email = Email::parse("email", &login.email)?;
        let Some(credentials) = self.credentials_for(&email).await? else {
            match self.wrong_password_of_nobody(request, &email, login.password).await? {}
        };
        let user_id = credentials.user_id;
        let judged = self.judge_password(request, &credentials, login.password).await?;
        let password_id = match judged.shown {
            PasswordShown::Right(password_id) => password_id,
            PasswordShown::Wrong { unrecorded } => {
                match self.wrong_password(request, user_id, unrecorded, &judged).await? {}
            }
            PasswordShown::Nothing => return Err(Problem::internal("a password was judged and is nothing")),
        };
        let drawn = Drawn::draw(user_id)?;
        let signed_in = self
            .attempt_sign_in(request, user_id, login.agreement_id, &drawn, |attempt| {
                sign_in_command(password_id, attempt, &drawn)
            })
            .await?;
        self.settle_password(&judged).await;
        Ok(signed_in)
    }
}

fn sign_in_command(password_id: PasswordId, attempt: SignInAttempt, drawn: &Drawn) -> UserCommand {
    UserCommand::SignIn(SignIn { password_id, attempt, session: drawn.session() })
}

/// Opens a challenge, for an application that judged the password itself. Recorded as such.
#[utoipa::path(
    post, path = "/v1/challenges", tag = "sign-in", security(("bearer" = [])),
    request_body = NewChallenge,
    responses((status = 201, body = LoginStatus), (status = 202, body = LoginStatus), Problems)
)]
pub async fn challenge(
    State(app): Shared,
    request: Request,
    Body(body): Body<NewChallenge>,
) -> Result<Response, Problem> {
    let drawn = Drawn::draw(body.user_id)?;
    let signed_in = app
        .attempt_sign_in(&request, body.user_id, body.agreement_id, &drawn, |attempt| {
            UserCommand::OpenChallenge(OpenChallenge { attempt })
        })
        .await?;
    Ok(signed_in.into_response())
}

/// How far a sign-in has got, with the status that says so.
pub(crate) type SignedIn = Written<(StatusCode, Json<LoginStatus>)>;

impl App {
    async fn attempt_sign_in(
        &self,
        request: &Request,
        user_id: UserId,
        agreement_id: Option<AgreementId>,
        drawn: &Drawn,
        command: impl Fn(SignInAttempt) -> UserCommand,
    ) -> Result<SignedIn, Problem> {
        let mut required_by = Vec::new();
        let done = self
            .execute_on_user(request, user_id, |loaded, moment, key| {
                linked_to(loaded, agreement_id)?;
                required_by = loaded.required_by();
                let attempt = drawn.attempt(agreement_id, required_by.clone(), moment.at);
                let mut plan = Plan::new(command(attempt), key);
                plan.agreement_id = agreement_id;
                Ok(plan)
            })
            .await?;
        let deadline = earliest_deadline(&required_by);
        let required_by: Vec<RequirementView> = required_by.into_iter().map(RequirementView::from).collect();
        let (status, answer) = match SessionView::if_started(&done, user_id, &drawn.session) {
            Some(session) => {
                let demanded =
                    done.events.iter().any(|event| matches!(event, UserEvent::EnrolmentDemanded { .. }));
                let enrolment = demanded.then(|| EnrolmentOffer {
                    token: drawn.enrolment.text.as_str().to_owned(),
                    required_by,
                    deadline,
                });
                let session = Some(session);
                (StatusCode::OK, LoginStatus::Complete { user_id, session, enrolment, recovery_code: None })
            }
            None => self.second_step(&done, user_id, drawn, required_by, deadline)?,
        };
        Ok(Written { written: done.written, answer: (status, Json(answer)) })
    }

    fn second_step(
        &self,
        done: &Done<User>,
        user_id: UserId,
        drawn: &Drawn,
        required_by: Vec<RequirementView>,
        deadline: Option<DateTime<Utc>>,
    ) -> Result<(StatusCode, LoginStatus), Problem> {
        for event in &done.events {
            if let UserEvent::LoginChallenged { expires_at, password_judged_by, .. } = event {
                use countersign_domain::user::PasswordJudge::{Application, Countersign};
                let status = match password_judged_by {
                    Application => StatusCode::CREATED,
                    Countersign => StatusCode::ACCEPTED,
                };
                let answer = LoginStatus::Challenge {
                    user_id,
                    challenge_id: drawn.challenge.text.as_str().to_owned(),
                    methods: usable_methods(&done.state, self.clock.now()),
                    expires_at: *expires_at,
                };
                return Ok((status, answer));
            }
            if let UserEvent::EnrolmentDemanded { .. } = event {
                let enrolment_token = drawn.enrolment.text.as_str().to_owned();
                let answer =
                    LoginStatus::EnrolmentRequired { user_id, enrolment_token, required_by, deadline };
                return Ok((StatusCode::ACCEPTED, answer));
            }
        }
        Err(Problem::internal("a sign-in led to neither a session nor a second step"))
    }
}

/// A sign-in can only be attributed to an agreement that the person is linked to.
fn linked_to(loaded: &Loaded<User>, agreement_id: Option<AgreementId>) -> Result<(), Problem> {
    match agreement_id {
        Some(id) if !loaded.facts.links.iter().any(|link| link.agreement_id == id) => {
            Err(Problem::not_found("agreement among those that the person is linked to"))
        }
        Some(_) | None => Ok(()),
    }
}

/// Gives the second factor. A wrong one leaves the challenge open.
#[utoipa::path(
    post, path = "/v1/logins/{challenge_id}/verify", tag = "sign-in", security(("bearer" = [])),
    params(("challenge_id" = String, Path)),
    request_body = SecondFactor,
    responses((status = 200, body = LoginStatus), Problems)
)]
pub async fn verify(
    State(app): Shared,
    request: Request,
    Path(challenge_id): OneId,
    Body(body): Body<SecondFactor>,
) -> Result<Response, Problem> {
    let Written { written, answer } = app.verify_second_factor(&request, &challenge_id, &body).await?;
    Ok(Written { written, answer: Json(answer) }.into_response())
}

impl App {
    /// Gives the second factor of a challenge.
    pub(crate) async fn verify_second_factor(
        &self,
        request: &Request,
        challenge_id: &str,
        body: &SecondFactor,
    ) -> Result<Written<LoginStatus>, Problem> {
        let typed = Typed::read(
            self,
            body.code.as_deref().map(String::as_str),
            body.recovery_code.as_deref().map(String::as_str),
        )?;
        let typed =
            typed.ok_or_else(|| Problem::invalid_field("code", "Give a code or the emergency code."))?;
        let challenge = PresentedToken::parse(challenge_id)
            .filter(|token| token.kind == TokenKind::Challenge)
            .ok_or(UserRefusal::ChallengeExpired)?;
        let user_id = UserId::from_uuid(challenge.owner);
        let token = DrawnToken::draw(TokenKind::Session, challenge.owner)?;
        let done = self
            .execute::<User>(request, user_id, None, |loaded, moment| {
                self.plan_verification(loaded, moment, &typed, &challenge, &token)
            })
            .await?;
        failed_attempt(&done)?;
        let answer = LoginStatus::Complete {
            user_id,
            session: SessionView::if_started(&done, user_id, &token),
            enrolment: None,
            recovery_code: typed.replacement().and_then(|fresh| fresh.if_issued(&done.events)),
        };
        Ok(Written { written: done.written, answer })
    }

    fn plan_verification(
        &self,
        loaded: &Loaded<User>,
        moment: Moment,
        typed: &Typed,
        challenge: &PresentedToken,
        token: &DrawnToken,
    ) -> Result<Plan<User>, Problem> {
        let key = loaded.data_key(&self.vault).map_err(|error| match error {
            // Nobody has this id, or has it any more: no challenge of theirs is open.
            VaultError::KeyGone => UserRefusal::ChallengeExpired.into(),
            VaultError::OtherMasterKey { .. } | VaultError::DoesNotOpen { .. } | VaultError::NoEntropy(_) => {
                Problem::from(error)
            }
        })?;
        let open = loaded.state.open_challenge(&challenge.digest, moment.at);
        let agreement_id = open.and_then(|open| open.agreement_id);
        let command = VerifySecondFactor {
            challenge: challenge.digest.clone(),
            shown: typed.compare(self, loaded, &key, moment)?,
            session: new_session(token),
            at: moment.at,
        };
        let replacement = typed.replacement().map(|fresh| fresh.row(self, loaded.id, &key, moment));
        let mut plan = Plan::new(UserCommand::VerifySecondFactor(command), key);
        plan.secrets.extend(replacement.transpose()?);
        plan.on_behalf_of = Some(loaded.id);
        plan.agreement_id = agreement_id;
        Ok(plan)
    }
}
