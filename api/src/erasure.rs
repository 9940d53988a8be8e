//! Erasing a person: out of every agreement first, then the account goes, and the data key with it.
//!
//! The append of the erasing event takes everything along that is kept of the person by key, in its
//! one transaction: the data key, the secrets, the login-check row and the claim of the e-mail address.
//! Only the last uses of sessions stay for housekeeping; they name random ids and nobody.

use chrono::SecondsFormat;
use countersign_domain::Timestamp;
use countersign_domain::agreement::command::UnlinkUser;
use countersign_domain::agreement::erasure::UnlinkErased;
use countersign_domain::agreement::{Agreement, AgreementCommand, Role};
use countersign_domain::ids::{AgreementId, UserId};
use countersign_domain::user::erasure::EraseUser;
use countersign_domain::user::{User, UserCommand, UserRefusal};
use countersign_projections::login_check::Link;
use countersign_projections::table::{Change, EMAIL_CLAIMS};

use crate::app::App;
use crate::email::Email;
use crate::event_store::Loaded;
use crate::execute::Plan;
use crate::problem::{Problem, ProblemCode};
use crate::request::Request;
use crate::vault::Purpose;

/// What an erasure did besides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Erased {
    /// So many agreements have lost the person as a member.
    pub unlinked_from: usize,
}

impl App {
    /// Unlinks a person from every agreement and erases them, for good. Whoever was erased is only
    /// unlinked from what a run that was cut short has left.
    ///
    /// # Errors
    /// `not-found` when nobody has this id or has it any more, `last-superuser` where an agreement
    /// would be left without one: then nothing has changed.
    pub async fn erase_user(&self, request: &Request, user_id: UserId) -> Result<Erased, Problem> {
        let loaded = self.store.load::<User>(user_id, None).await?;
        if let Some(at) = loaded.state.erased_at() {
            self.unlink_erased(request, user_id).await?;
            return Err(UserRefusal::AlreadyErased { at }.into());
        }
        loaded.state.profile().ok_or_else(|| Problem::not_found(&format!("user as {user_id}")))?;
        self.leaves_superusers(&loaded).await?;
        let mut unlinked_from = 0;
        for link in open_links(&loaded) {
            unlinked_from += usize::from(self.unlink(request, link.agreement_id, user_id).await?);
        }
        self.end_account(request, user_id).await?;
        unlinked_from += self.unlink_erased(request, user_id).await?;
        Ok(Erased { unlinked_from })
    }

    /// Undoes that somebody was just linked who was erased at the same time, in their own stream;
    /// whether it was so. An erasure looks for such links too: whichever is later undoes it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn unlink_if_erased(
        &self,
        request: &Request,
        agreement_id: AgreementId,
        user_id: UserId,
    ) -> Result<bool, Problem> {
        let erased = self.store.load::<User>(user_id, None).await?.state.erased_at().is_some();
        if erased {
            self.unlink_erased_from(request, agreement_id, user_id).await?;
        }
        Ok(erased)
    }

    /// Refuses while an open agreement has nobody else who can edit it.
    async fn leaves_superusers(&self, loaded: &Loaded<User>) -> Result<(), Problem> {
        let mut only_here = Vec::new();
        for link in open_links(loaded).filter(|link| link.role == Role::Superuser) {
            let agreement = self.store.load::<Agreement>(link.agreement_id, None).await?.state;
            if agreement.superusers().iter().eq([&loaded.id]) {
                only_here.push(format!("{} ({})", link.name, link.number));
            }
        }
        if only_here.is_empty() {
            return Ok(());
        }
        let detail = format!(
            "Nothing was changed: the person is the last superuser of {}. Make somebody else superuser there first.",
            only_here.join(", ")
        );
        Err(Problem::new(ProblemCode::LastSuperuser, detail))
    }

    /// Unlinks somebody as anybody is unlinked; whether there was something to do.
    async fn unlink(
        &self,
        request: &Request,
        agreement_id: AgreementId,
        user_id: UserId,
    ) -> Result<bool, Problem> {
        let subject = Some(user_id.to_string());
        let unlinked = self
            .execute_on_agreement(request, agreement_id, subject, Some(user_id), |loaded, at| {
                let is_linked = loaded.facts.linked_as.is_some();
                AgreementCommand::UnlinkUser(UnlinkUser { user_id, is_linked, at })
            })
            .await;
        match unlinked {
            Ok(_) => Ok(true),
            // Somebody unlinked the person, or closed the agreement, at the same time.
            Err(problem)
                if matches!(problem.code(), ProblemCode::NotFound | ProblemCode::AgreementClosed) =>
            {
                Ok(false)
            }
            Err(problem) => Err(problem),
        }
    }

    async fn end_account(&self, request: &Request, user_id: UserId) -> Result<(), Problem> {
        self.execute::<User>(request, user_id, None, |loaded, moment| {
            let is_linked = open_links(loaded).next().is_some();
            let command = UserCommand::Erase(EraseUser { is_linked, at: moment.at });
            // Nothing of this event is sealed under the key that goes with it.
            let mut plan = Plan::new(command, self.vault.instance_key().clone());
            plan.changes.extend(self.email_claim(loaded)?);
            Ok(plan)
        })
        .await?;
        Ok(())
    }

    /// The claim of the person's e-mail address, which becomes free again.
    fn email_claim(&self, loaded: &Loaded<User>) -> Result<Option<Change>, Problem> {
        let Some(profile) = loaded.state.profile() else { return Ok(None) };
        let email = loaded.data_key(&self.vault)?.open_text(Purpose::Email, "", profile.email.as_str())?;
        let digest = self.vault.email_digest(&Email::parse("email", &email)?.normalised());
        Ok(Some(Change::Delete(&EMAIL_CLAIMS, vec![digest.into()])))
    }

    /// Unlinks somebody who was erased from whatever is left: closed agreements, which nobody leaves
    /// otherwise, and one that linked them in the same moment.
    async fn unlink_erased(&self, request: &Request, user_id: UserId) -> Result<usize, Problem> {
        let left = self.store.load::<User>(user_id, None).await?.facts.links;
        for link in &left {
            self.unlink_erased_from(request, link.agreement_id, user_id).await?;
        }
        Ok(left.len())
    }

    async fn unlink_erased_from(
        &self,
        request: &Request,
        agreement_id: AgreementId,
        user_id: UserId,
    ) -> Result<(), Problem> {
        let subject = Some(user_id.to_string());
        self.execute_on_agreement(request, agreement_id, subject, Some(user_id), |loaded, at| {
            let is_linked = loaded.facts.linked_as.is_some();
            AgreementCommand::UnlinkErased(UnlinkErased { user_id, is_linked, at })
        })
        .await?;
        Ok(())
    }
}

fn open_links(loaded: &Loaded<User>) -> impl Iterator<Item = &Link> {
    loaded.facts.links.iter().filter(|link| !link.closed)
}

/// What is told of somebody who was erased before.
pub(crate) fn already_erased(at: Timestamp) -> Problem {
    let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
    Problem::new(ProblemCode::NotFound, format!("This person was erased already, at {at}."))
}

#[cfg(test)]
mod tests {
    use countersign_domain::agreement::AgreementKind;
    use countersign_domain::agreement::command::{LinkUser, OpenAgreement};
    use countersign_domain::context::Actor;
    use countersign_domain::user::command::Register;
    use uuid::Uuid;

    use super::*;
    use crate::testing::app_in;

    const AGREEMENT: AgreementId = AgreementId::from_uuid(Uuid::from_u128(1));
    const USER: UserId = UserId::from_uuid(Uuid::from_u128(2));

    fn request() -> Request {
        Request::operator("test".to_owned())
    }

    async fn register(app: &App) {
        let (key, key_row) = app.vault.new_data_key(USER.as_uuid(), app.clock.now()).unwrap();
        let request = request();
        let done = app.execute::<User>(&request, USER, None, |_, moment| {
            let command = Register {
                user_id: USER,
                email: key.seal(Purpose::Email, "", b"kari@example.com")?,
                display_name: key.seal(Purpose::DisplayName, "", b"Kari")?,
                password_id: None,
                at: moment.at,
            };
            let mut plan = Plan::new(UserCommand::Register(command), key.clone());
            plan.changes.push(key_row.clone());
            Ok(plan)
        });
        done.await.map(drop).unwrap();
    }

    async fn on_agreement(app: &App, command: impl Fn(Timestamp) -> AgreementCommand) {
        let (request, subject) = (request(), Some(USER.to_string()));
        let done = app.execute_on_agreement(&request, AGREEMENT, subject, None, |_, at| command(at));
        done.await.map(drop).unwrap();
    }

    async fn open(app: &App) {
        on_agreement(app, |at| {
            AgreementCommand::Open(OpenAgreement {
                agreement_id: AGREEMENT,
                number: "1001".to_owned(),
                name: "Nordlys Regnskab".to_owned(),
                kind: AgreementKind::Standard,
                administered_by: None,
                at,
            })
        })
        .await;
    }

    /// Links them as a request does that saw the person before they were erased.
    async fn link(app: &App) {
        on_agreement(app, |at| {
            let (role, by) = (Role::Superuser, Actor::operator());
            let link = LinkUser { user_id: USER, role, linked_as: None, user_exists: true, by, at };
            AgreementCommand::LinkUser(link)
        })
        .await;
    }

    async fn superusers(app: &App) -> usize {
        app.store.load::<Agreement>(AGREEMENT, None).await.unwrap().state.superusers().len()
    }

    #[tokio::test]
    async fn s14_a_link_that_is_made_while_the_person_is_erased_is_undone_by_whichever_is_later() {
        let directory = tempfile::tempdir().unwrap();
        let app = app_in(directory.path()).await;
        register(&app).await;
        open(&app).await;
        assert!(!app.unlink_if_erased(&request(), AGREEMENT, USER).await.unwrap());
        assert_eq!(app.erase_user(&request(), USER).await.unwrap(), Erased { unlinked_from: 0 });

        link(&app).await;
        assert_eq!(superusers(&app).await, 1);
        assert!(app.unlink_if_erased(&request(), AGREEMENT, USER).await.unwrap());
        assert_eq!(superusers(&app).await, 0);

        link(&app).await;
        let again = app.erase_user(&request(), USER).await.unwrap_err();
        assert_eq!(again.for_operator(), "This person was erased already, at 2030-03-17T17:46:40Z.");
        assert_eq!(superusers(&app).await, 0);
    }

    #[tokio::test]
    async fn s14_a_link_that_comes_between_the_unlinking_and_the_erasure_keeps_the_account() {
        let directory = tempfile::tempdir().unwrap();
        let app = app_in(directory.path()).await;
        register(&app).await;
        open(&app).await;
        link(&app).await;
        let refused = app.end_account(&request(), USER).await.unwrap_err();
        assert_eq!(refused.code(), ProblemCode::Busy);
        let loaded = app.store.load::<User>(USER, None).await.unwrap();
        assert!(loaded.state.profile().is_some() && loaded.facts.key.is_some());
    }
}
