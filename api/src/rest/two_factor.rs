//! Two-factor: adding authenticators, the emergency code, removing and turning off.

use std::io::Cursor;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use countersign_domain::ids::{AuthenticatorId, EnrolmentId, UserId};
use countersign_domain::user::enrolment::{ConfirmEnrolment, ENROLMENT_LIFETIME, StartEnrolment};
use countersign_domain::user::session::NewSession;
use countersign_domain::user::totp::{SECRET_BYTES, TotpSecret};
use countersign_domain::user::two_factor::{
    DisableTwoFactor, IssueRecoveryCode, RemoveAuthenticator, SaveRecoveryCode,
};
use countersign_domain::user::{User, UserCommand, UserEvent, UserRefusal};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::logins::SessionView;
use super::proof::{ProofBody, Proven};
use super::users::{Opener, TwoFactorView};
use super::{Body, OneId, OptionalBody, Problems, Shared, TwoIds, Written, path_id};
use crate::app::App;
use crate::entropy;
use crate::execute::{Done, Moment, Plan};
use crate::problem::{Problem, ProblemCode};
use crate::request::{Caller, Request};
use crate::second_factor::{FreshRecoveryCode, typed_code};
use crate::text::one_line_field;
use crate::token::{DrawnToken, PresentedToken, TokenKind, session_id_of};
use crate::vault::{DataKey, Purpose};

const LABEL_CHARACTERS_MAX: usize = 100;
const QR_PIXELS_MIN: u32 = 240;

/// An authenticator to be, with the proof flat beside.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEnrolment {
    /// The password; not with an enrolment token, nor where there is none.
    #[schema(value_type = Option<String>)]
    pub(crate) password: Option<Zeroizing<String>>,
    /// A six-digit code, once two-factor is on.
    #[schema(value_type = Option<String>)]
    pub(crate) code: Option<Zeroizing<String>>,
    /// The emergency code, instead of a six-digit code.
    #[schema(value_type = Option<String>)]
    pub(crate) recovery_code: Option<Zeroizing<String>>,
    /// What the person calls it; "Authenticator" if it is not given.
    pub(crate) label: Option<String>,
    /// Whether the other authenticators give way to it once it is confirmed.
    #[serde(default)]
    pub(crate) replace: bool,
    /// The one-time pass, for a person whose two-factor an operator reset.
    #[schema(value_type = Option<String>)]
    pub(crate) pass: Option<Zeroizing<String>>,
}

/// An authenticator to scan or type, and then to confirm.
#[derive(Serialize, ToSchema)]
pub struct EnrolmentView {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub(crate) enrolment_id: EnrolmentId,
    /// The secret: unpadded base32 of 160 bits.
    pub(crate) secret: String,
    /// What the QR code says.
    pub(crate) otpauth_uri: String,
    /// The QR code, as a PNG data URI.
    pub(crate) qr_png: String,
    /// Until when it can be confirmed.
    pub(crate) expires_at: DateTime<Utc>,
    /// Where an emergency code was the proof: the one that replaces it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recovery_code: Option<String>,
}

/// Offers an authenticator. Nothing changes until it is confirmed.
#[utoipa::path(
    post, path = "/v1/users/{user_id}/two-factor/enrolments", tag = "two-factor", security(("bearer" = [])),
    params(("user_id" = uuid::Uuid, Path)),
    request_body = NewEnrolment,
    responses((status = 201, body = EnrolmentView), Problems)
)]
pub async fn start_enrolment(
    State(app): Shared,
    request: Request,
    Path(user_id): OneId,
    OptionalBody(body): OptionalBody<NewEnrolment>,
) -> Result<Response, Problem> {
    let Written { written, answer } = app.start_enrolment(&request, path_id(&user_id, "user")?, body).await?;
    Ok(Written { written, answer: (StatusCode::CREATED, Json(answer)) }.into_response())
}

impl App {
    /// Offers an authenticator.
    pub(crate) async fn start_enrolment(
        &self,
        request: &Request,
        user_id: UserId,
        body: NewEnrolment,
    ) -> Result<Written<EnrolmentView>, Problem> {
        let label = body.label.as_deref().unwrap_or("Authenticator");
        let label = one_line_field("label", label, LABEL_CHARACTERS_MAX)?;
        let started_by = request.starter()?;
        let now = self.clock.now();
        let enrolment_id = EnrolmentId::from_uuid(entropy::id(now)?);
        let authenticator_id = AuthenticatorId::from_uuid(entropy::id(now)?);
        let secret = TotpSecret::from_bytes(entropy::bytes::<SECRET_BYTES>()?);
        let pass = body.pass.as_deref().map(|pass| match PresentedToken::parse(pass) {
            Some(pass) if pass.kind == TokenKind::Pass => Ok(pass.digest),
            Some(_) | None => Err(Problem::from(UserRefusal::PassRequired)),
        });
        let pass = pass.transpose()?;
        let plan = |key: &DataKey, proof, at| -> Result<Plan<User>, Problem> {
            let command = StartEnrolment {
                enrolment_id,
                authenticator_id,
                label: key.seal(Purpose::Label, "", label.as_bytes())?,
                replace: body.replace,
                started_by: started_by.clone(),
                proof,
                pass: pass.clone(),
                at,
            };
            let mut plan = Plan::new(UserCommand::StartEnrolment(command), key.clone());
            let row_id = authenticator_id.as_uuid();
            plan.secrets.push((row_id, key.vault_row(Purpose::TotpSecret, row_id, secret.expose(), at)?));
            Ok(plan)
        };
        let (done, recovery_code) = match &request.caller {
            Caller::Enrolment { .. } => {
                let without_proof = |_: &_, moment: Moment, key| plan(&key, None, moment.at);
                (self.execute_on_user(request, user_id, without_proof).await?, None)
            }
            Caller::Nobody
            | Caller::Operator
            | Caller::SignInPage
            | Caller::ApiKey { .. }
            | Caller::Session { .. } => {
                let proof =
                    ProofBody { password: body.password, code: body.code, recovery_code: body.recovery_code };
                let with_proof =
                    |_: &_, moment: Moment, key: &DataKey, proof| plan(key, Some(proof), moment.at);
                let proven = self.execute_with_proof(request, user_id, &proof, with_proof).await?;
                (proven.done, proven.recovery_code)
            }
        };
        let otpauth_uri = otpauth_uri(self, &done, &secret)?;
        let expires_at = done.moment.at + ENROLMENT_LIFETIME;
        let mut view = EnrolmentView::of(enrolment_id, &secret, &otpauth_uri, expires_at)?;
        view.recovery_code = recovery_code;
        Ok(Written { written: done.written, answer: view })
    }
}

impl App {
    /// An authenticator that waits to be confirmed, for whoever started it.
    pub(crate) async fn pending_enrolment(
        &self,
        request: &Request,
        user_id: UserId,
        enrolment_id: EnrolmentId,
    ) -> Result<EnrolmentView, Problem> {
        let started_by = request.starter()?;
        let loaded = self.store.load::<User>(user_id, None).await?;
        let moment = self.moment(loaded.state.latest_at());
        let pending = loaded.state.pending_enrolment(enrolment_id, &started_by, moment.at)?;
        let key = loaded.data_key(&self.vault)?;
        let secret = loaded.totp_secret(&key, pending.authenticator_id.as_uuid())?;
        let profile = loaded.state.profile().ok_or(UserRefusal::NotRegistered)?;
        let email = key.open_text(Purpose::Email, "", profile.email.as_str())?;
        let otpauth_uri = secret.otpauth_uri(&self.config.issuer, &email);
        EnrolmentView::of(enrolment_id, &secret, &otpauth_uri, pending.expires_at)
    }
}

impl EnrolmentView {
    fn of(
        enrolment_id: EnrolmentId,
        secret: &TotpSecret,
        otpauth_uri: &str,
        expires_at: DateTime<Utc>,
    ) -> Result<Self, Problem> {
        Ok(Self {
            enrolment_id,
            secret: secret.to_base32().as_str().to_owned(),
            qr_png: qr_png(otpauth_uri)?,
            otpauth_uri: otpauth_uri.to_owned(),
            expires_at,
            recovery_code: None,
        })
    }
}

/// What the QR code says: the account's e-mail address, opened with the key that sealed it.
fn otpauth_uri(app: &App, done: &Done<User>, secret: &TotpSecret) -> Result<Zeroizing<String>, Problem> {
    let profile = done.state.profile().ok_or(UserRefusal::NotRegistered)?;
    let email = done.key.open_text(Purpose::Email, "", profile.email.as_str())?;
    Ok(secret.otpauth_uri(&app.config.issuer, &email))
}

/// Draws the QR code; its modules are whole pixels, so that it stays sharp.
fn qr_png(text: &str) -> Result<String, Problem> {
    let internal = |error: &dyn std::fmt::Display| Problem::internal(format!("no QR code: {error}"));
    let code = qrcode::QrCode::with_error_correction_level(text, qrcode::EcLevel::M)
        .map_err(|error| internal(&error))?;
    let image = code.render::<image::Luma<u8>>().min_dimensions(QR_PIXELS_MIN, QR_PIXELS_MIN).build();
    let mut png = Cursor::new(Vec::new());
    image.write_to(&mut png, image::ImageFormat::Png).map_err(|error| internal(&error))?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(png.into_inner())))
}

/// The first code of an authenticator.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// The six digits that the app shows.
    #[schema(value_type = String)]
    code: Zeroizing<String>,
}

/// An authenticator that was confirmed.
#[derive(Serialize, ToSchema)]
pub struct Confirmed {
    /// The emergency code, when two-factor went on. It is shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recovery_code: Option<String>,
    /// The second factors now.
    pub(crate) two_factor: TwoFactorView,
    /// With an enrolment token: the session that the sign-in led to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<SessionView>,
}

/// Confirms an authenticator with its first code.
#[utoipa::path(
    post, path = "/v1/users/{user_id}/two-factor/enrolments/{enrolment_id}/confirm", tag = "two-factor",
    security(("bearer" = [])),
    params(("user_id" = uuid::Uuid, Path), ("enrolment_id" = uuid::Uuid, Path)),
    request_body = Confirmation,
    responses((status = 200, body = Confirmed), Problems)
)]
pub async fn confirm_enrolment(
    State(app): Shared,
    request: Request,
    Path((user_id, enrolment_id)): TwoIds,
    Body(body): Body<Confirmation>,
) -> Result<Response, Problem> {
    let (user_id, enrolment_id) = (path_id(&user_id, "user")?, path_id(&enrolment_id, "enrolment")?);
    let Written { written, answer } =
        app.confirm_enrolment(&request, user_id, enrolment_id, &body.code).await?;
    Ok(Written { written, answer: Json(answer) }.into_response())
}

impl App {
    /// Confirms an authenticator with its first code.
    pub(crate) async fn confirm_enrolment(
        &self,
        request: &Request,
        user_id: UserId,
        enrolment_id: EnrolmentId,
        code: &str,
    ) -> Result<Written<Confirmed>, Problem> {
        let code = typed_code(code)?;
        let started_by = request.starter()?;
        let fresh = FreshRecoveryCode::draw(self)?;
        let token = DrawnToken::draw(TokenKind::Session, user_id.as_uuid())?;
        let session = NewSession { session_id: session_id_of(&token.digest), token: token.digest.clone() };
        let done = self
            .execute_on_user(request, user_id, |loaded, moment, key| {
                let pending = loaded.state.pending_enrolment(enrolment_id, &started_by, moment.at)?;
                let row_id = pending.authenticator_id.as_uuid();
                let secret = loaded.totp_secret(&key, row_id)?;
                let command = ConfirmEnrolment {
                    enrolment_id,
                    started_by: started_by.clone(),
                    matched_step: secret.matched_step(&code, moment.now).map(|matched| matched.step),
                    recovery_code_id: fresh.id,
                    session: session.clone(),
                    at: moment.at,
                };
                let recovery_code = fresh.row(self, user_id, &key, moment)?;
                let mut plan = Plan::new(UserCommand::ConfirmEnrolment(command), key);
                plan.secrets.push(recovery_code);
                Ok(plan)
            })
            .await?;
        if let Some(UserEvent::TwoFactorEnrolmentFailed { .. }) = done.events.first() {
            let detail = "That is not the code the app shows. Check that the app has the right time, and try the next one.";
            return Err(Problem::new(ProblemCode::WrongConfirmationCode, detail).recorded_as(&done.written));
        }
        let view = Confirmed {
            recovery_code: fresh.if_issued(&done.events),
            two_factor: TwoFactorView::of(done.state.two_factor(), &Opener::With(done.key.clone()))?,
            session: SessionView::if_started(&done, user_id, &token),
        };
        Ok(Written { written: done.written, answer: view })
    }
}

/// Records that the person says that the emergency code is stored safely.
#[utoipa::path(
    post, path = "/v1/users/{user_id}/two-factor/recovery-code/saved", tag = "two-factor",
    security(("bearer" = [])),
    params(("user_id" = uuid::Uuid, Path)),
    responses((status = 204), Problems)
)]
pub async fn recovery_code_saved(
    State(app): Shared,
    request: Request,
    Path(user_id): OneId,
) -> Result<Response, Problem> {
    Ok(Written::nothing(app.save_recovery_code(&request, path_id(&user_id, "user")?).await?))
}

/// A new emergency code. It is shown this once.
#[derive(Serialize, ToSchema)]
pub struct NewRecoveryCode {
    /// `XXXX-XXXX-XXXX-XXXX-XXXX`.
    pub(crate) recovery_code: String,
}

/// Gives a new emergency code; the one before is void.
#[utoipa::path(
    post, path = "/v1/users/{user_id}/two-factor/recovery-code", tag = "two-factor",
    security(("bearer" = [])),
    params(("user_id" = uuid::Uuid, Path)),
    request_body = ProofBody,
    responses((status = 200, body = NewRecoveryCode), Problems)
)]
pub async fn new_recovery_code(
    State(app): Shared,
    request: Request,
    Path(user_id): OneId,
    OptionalBody(body): OptionalBody<ProofBody>,
) -> Result<Response, Problem> {
    let Written { written, answer } =
        app.new_recovery_code(&request, path_id(&user_id, "user")?, &body).await?;
    Ok(Written { written, answer: Json(answer) }.into_response())
}

/// Removes an authenticator. With the last one, two-factor goes off.
#[utoipa::path(
    delete, path = "/v1/users/{user_id}/two-factor/authenticators/{authenticator_id}", tag = "two-factor",
    security(("bearer" = [])),
    params(("user_id" = uuid::Uuid, Path), ("authenticator_id" = uuid::Uuid, Path)),
    request_body = ProofBody,
    responses(
        (status = 200, description = "An emergency code was the proof", body = NewRecoveryCode),
        (status = 204),
        Problems
    )
)]
pub async fn remove_authenticator(
    State(app): Shared,
    request: Request,
    Path((user_id, authenticator_id)): TwoIds,
    OptionalBody(body): OptionalBody<ProofBody>,
) -> Result<Response, Problem> {
    let (user_id, authenticator_id) =
        (path_id(&user_id, "user")?, path_id(&authenticator_id, "authenticator")?);
    Ok(after_proof(app.remove_authenticator(&request, user_id, authenticator_id, &body).await?))
}

/// Turns two-factor off, unless an agreement requires it.
#[utoipa::path(
    post, path = "/v1/users/{user_id}/two-factor/disable", tag = "two-factor", security(("bearer" = [])),
    params(("user_id" = uuid::Uuid, Path)),
    request_body = ProofBody,
    responses((status = 204), Problems)
)]
pub async fn disable(
    State(app): Shared,
    request: Request,
    Path(user_id): OneId,
    OptionalBody(body): OptionalBody<ProofBody>,
) -> Result<Response, Problem> {
    Ok(after_proof(app.disable_two_factor(&request, path_id(&user_id, "user")?, &body).await?))
}

impl App {
    /// Records that the emergency code is stored safely; where that stands.
    pub(crate) async fn save_recovery_code(
        &self,
        request: &Request,
        user_id: UserId,
    ) -> Result<String, Problem> {
        let done = self
            .execute_on_user(request, user_id, |_, moment, key| {
                let command = SaveRecoveryCode { at: moment.at };
                Ok(Plan::new(UserCommand::SaveRecoveryCode(command), key))
            })
            .await?;
        Ok(done.written)
    }

    /// Gives a new emergency code.
    pub(crate) async fn new_recovery_code(
        &self,
        request: &Request,
        user_id: UserId,
        proof: &ProofBody,
    ) -> Result<Written<NewRecoveryCode>, Problem> {
        let fresh = FreshRecoveryCode::draw(self)?;
        let proven = self
            .execute_with_proof(request, user_id, proof, |_, moment, key, proof| {
                let command = IssueRecoveryCode { recovery_code_id: fresh.id, proof, at: moment.at };
                let mut plan = Plan::new(UserCommand::IssueRecoveryCode(command), key.clone());
                plan.secrets.push(fresh.row(self, user_id, key, moment)?);
                Ok(plan)
            })
            .await?;
        let recovery_code = fresh
            .if_issued(&proven.done.events)
            .ok_or_else(|| Problem::internal("a proof passed and no emergency code was issued"))?;
        Ok(Written { written: proven.done.written, answer: NewRecoveryCode { recovery_code } })
    }

    /// Removes an authenticator; with the last one, two-factor goes off.
    pub(crate) async fn remove_authenticator(
        &self,
        request: &Request,
        user_id: UserId,
        authenticator_id: AuthenticatorId,
        proof: &ProofBody,
    ) -> Result<Proven, Problem> {
        self.execute_with_proof(request, user_id, proof, |loaded, moment, key, proof| {
            let required_by = loaded.required_by();
            let command = RemoveAuthenticator { authenticator_id, proof, required_by, at: moment.at };
            Ok(Plan::new(UserCommand::RemoveAuthenticator(command), key.clone()))
        })
        .await
    }

    /// Turns two-factor off.
    pub(crate) async fn disable_two_factor(
        &self,
        request: &Request,
        user_id: UserId,
        proof: &ProofBody,
    ) -> Result<Proven, Problem> {
        self.execute_with_proof(request, user_id, proof, |loaded, moment, key, proof| {
            let command = DisableTwoFactor { proof, required_by: loaded.required_by(), at: moment.at };
            Ok(Plan::new(UserCommand::DisableTwoFactor(command), key.clone()))
        })
        .await
    }
}

/// Nothing to say, unless an emergency code was the proof and another took its place.
#[must_use]
pub fn after_proof(proven: Proven) -> Response {
    let written = proven.done.written;
    match proven.recovery_code {
        Some(recovery_code) => {
            Written { written, answer: Json(NewRecoveryCode { recovery_code }) }.into_response()
        }
        None => Written::nothing(written),
    }
}
