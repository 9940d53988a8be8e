//! What can be asked of an agreement.

use crate::Timestamp;
use crate::agreement::erasure::UnlinkErased;
use crate::agreement::{
    Agreement, AgreementEvent, AgreementKind, AgreementRefusal, Details, Role, SUPERUSERS_MAX,
};
use crate::context::Actor;
use crate::ids::{AgreementId, UserId};

/// What can be asked of an agreement.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each variant holds the command of its name, documented there")]
pub enum AgreementCommand {
    Open(OpenAgreement),
    ChangeAdministration(ChangeAdministration),
    LinkUser(LinkUser),
    UnlinkUser(UnlinkUser),
    UnlinkErased(UnlinkErased),
    ToggleEnforcement(ToggleEnforcement),
    Close(CloseAgreement),
}

/// An agreement that is to administer another, as it was found in the same moment.
#[derive(Clone, Copy, Debug)]
pub struct Administrator {
    /// Which one.
    pub agreement_id: AgreementId,
    /// Whether there is such an agreement.
    pub exists: bool,
    /// Whether it is open, and of the kind that administers.
    pub may_administer: bool,
}

/// Opening an agreement; that nobody else has its number is claimed in the same append.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are those of Details")]
pub struct OpenAgreement {
    pub agreement_id: AgreementId,
    pub number: String,
    pub name: String,
    pub kind: AgreementKind,
    pub administered_by: Option<Administrator>,
    pub at: Timestamp,
}

/// Another administrator, or none.
#[derive(Clone, Debug)]
pub struct ChangeAdministration {
    /// By whom from now on.
    pub administered_by: Option<Administrator>,
    /// Now.
    pub at: Timestamp,
}

/// Linking a person, or giving a linked one another role.
#[derive(Clone, Debug)]
pub struct LinkUser {
    /// Whom.
    pub user_id: UserId,
    /// With which role.
    pub role: Role,
    /// The role that the person has now; none when not linked. Looked up in the same moment.
    pub linked_as: Option<Role>,
    /// Whether somebody is registered under that id.
    pub user_exists: bool,
    /// Who asks.
    pub by: Actor,
    /// Now.
    pub at: Timestamp,
}

/// Unlinking a person.
#[derive(Clone, Debug)]
pub struct UnlinkUser {
    /// Whom.
    pub user_id: UserId,
    /// Whether the person is linked now. Looked up in the same moment.
    pub is_linked: bool,
    /// Now.
    pub at: Timestamp,
}

/// Ticking or unticking enforcement, or moving its deadline.
#[derive(Clone, Debug)]
pub struct ToggleEnforcement {
    /// Whether two-factor is required from now on.
    pub enforced: bool,
    /// Until when enrolment may wait.
    pub deadline: Option<Timestamp>,
    /// Why, for the record.
    pub reason: Option<String>,
    /// Who asks.
    pub by: Actor,
    /// Now.
    pub at: Timestamp,
}

/// Closing an agreement.
#[derive(Clone, Debug)]
pub struct CloseAgreement {
    /// How many it administers. Looked up in the same moment.
    pub administers_count: i64,
    /// Now.
    pub at: Timestamp,
}

impl Agreement {
    /// Decides what a command brings about. It changes nothing: the events do, once applied.
    /// What already is as asked brings nothing about, and is not an error.
    ///
    /// # Errors
    /// An [`AgreementRefusal`] says why nothing happens.
    pub fn decide(&self, command: AgreementCommand) -> Result<Vec<AgreementEvent>, AgreementRefusal> {
        match command {
            AgreementCommand::Open(command) => self.open(command),
            AgreementCommand::ChangeAdministration(command) => self.change_administration(&command),
            AgreementCommand::LinkUser(command) => self.link_user(&command),
            AgreementCommand::UnlinkUser(command) => self.unlink_user(&command),
            AgreementCommand::UnlinkErased(command) => self.unlink_erased(&command),
            AgreementCommand::ToggleEnforcement(command) => self.toggle_enforcement(command),
            AgreementCommand::Close(command) => self.close(&command),
        }
    }

    fn open(&self, command: OpenAgreement) -> Result<Vec<AgreementEvent>, AgreementRefusal> {
        if self.details.is_some() {
            return Err(AgreementRefusal::AlreadyOpened);
        }
        let administered_by = may_administer(command.administered_by, command.kind)?;
        let at = command.at;
        let opened = AgreementEvent::AgreementOpened {
            agreement_id: command.agreement_id,
            number: command.number,
            name: command.name,
            kind: command.kind,
            at,
        };
        let administered =
            administered_by.map(|by| AgreementEvent::AdministrationChanged { administered_by: Some(by), at });
        Ok(std::iter::once(opened).chain(administered).collect())
    }

    fn change_administration(
        &self,
        command: &ChangeAdministration,
    ) -> Result<Vec<AgreementEvent>, AgreementRefusal> {
        let details = self.still_open()?;
        let administered_by = may_administer(command.administered_by, details.kind)?;
        if administered_by == self.administered_by {
            return Ok(Vec::new());
        }
        Ok(vec![AgreementEvent::AdministrationChanged { administered_by, at: command.at }])
    }

    fn link_user(&self, command: &LinkUser) -> Result<Vec<AgreementEvent>, AgreementRefusal> {
        self.still_open()?;
        if !command.user_exists {
            return Err(AgreementRefusal::UserNotFound);
        }
        let (user_id, role, at) = (command.user_id, command.role, command.at);
        if command.linked_as == Some(role) {
            return Ok(Vec::new());
        }
        match role {
            Role::Superuser if command.by.is_user(user_id) => return Err(AgreementRefusal::OwnPromotion),
            Role::Superuser if self.superusers.len() >= SUPERUSERS_MAX => {
                return Err(AgreementRefusal::TooManySuperusers);
            }
            Role::Superuser => {}
            Role::User => self.keeps_a_superuser_without(user_id)?,
        }
        Ok(vec![match command.linked_as {
            Some(_) => AgreementEvent::UserRoleChanged { user_id, role, at },
            None => AgreementEvent::UserLinked { user_id, role, at },
        }])
    }

    fn unlink_user(&self, command: &UnlinkUser) -> Result<Vec<AgreementEvent>, AgreementRefusal> {
        self.still_open()?;
        if !command.is_linked {
            return Err(AgreementRefusal::NotLinked);
        }
        self.keeps_a_superuser_without(command.user_id)?;
        Ok(vec![AgreementEvent::UserUnlinked { user_id: command.user_id, at: command.at }])
    }

    fn toggle_enforcement(
        &self,
        command: ToggleEnforcement,
    ) -> Result<Vec<AgreementEvent>, AgreementRefusal> {
        self.still_open()?;
        let as_asked = self.enforcement.enforced == command.enforced
            && self.enforcement.deadline == command.deadline
            && self.enforcement.reason == command.reason;
        if as_asked {
            return Ok(Vec::new());
        }
        Ok(vec![AgreementEvent::EnforcementToggled {
            enforced: command.enforced,
            deadline: command.deadline,
            reason: command.reason,
            by: command.by,
            at: command.at,
        }])
    }

    fn close(&self, command: &CloseAgreement) -> Result<Vec<AgreementEvent>, AgreementRefusal> {
        self.details.as_ref().ok_or(AgreementRefusal::NotOpened)?;
        if self.closed_at.is_some() {
            return Ok(Vec::new());
        }
        if command.administers_count > 0 {
            return Err(AgreementRefusal::StillAdministers);
        }
        Ok(vec![AgreementEvent::AgreementClosed { at: command.at }])
    }

    fn still_open(&self) -> Result<&Details, AgreementRefusal> {
        let details = self.details.as_ref().ok_or(AgreementRefusal::NotOpened)?;
        if self.closed_at.is_some() { Err(AgreementRefusal::Closed) } else { Ok(details) }
    }

    fn keeps_a_superuser_without(&self, user_id: UserId) -> Result<(), AgreementRefusal> {
        if self.superusers.len() == 1 && self.superusers.contains(&user_id) {
            return Err(AgreementRefusal::LastSuperuser);
        }
        Ok(())
    }
}

/// One level of administration: who administers is not administered.
fn may_administer(
    administrator: Option<Administrator>,
    kind: AgreementKind,
) -> Result<Option<AgreementId>, AgreementRefusal> {
    match administrator {
        None => Ok(None),
        Some(_) if kind == AgreementKind::Administrator => {
            Err(AgreementRefusal::AdministratorCannotBeAdministered)
        }
        Some(administrator) if !administrator.exists => Err(AgreementRefusal::AdministratorNotFound),
        Some(administrator) if !administrator.may_administer => Err(AgreementRefusal::NotAnAdministrator),
        Some(administrator) => Ok(Some(administrator.agreement_id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn opened(kind: AgreementKind) -> AgreementEvent {
        AgreementEvent::AgreementOpened {
            agreement_id: agreement_id(1),
            number: "1001".to_owned(),
            name: "Nordlys Regnskab".to_owned(),
            kind,
            at: at_minute(0),
        }
    }

    fn linked(id: u128, role: Role) -> AgreementEvent {
        AgreementEvent::UserLinked { user_id: user_id(id), role, at: at_minute(1) }
    }

    fn link(id: u128, role: Role, linked_as: Option<Role>) -> AgreementCommand {
        AgreementCommand::LinkUser(LinkUser {
            user_id: user_id(id),
            role,
            linked_as,
            user_exists: true,
            by: Actor::operator(),
            at: at_minute(5),
        })
    }

    fn unlink(id: u128, is_linked: bool) -> AgreementCommand {
        AgreementCommand::UnlinkUser(UnlinkUser { user_id: user_id(id), is_linked, at: at_minute(5) })
    }

    fn administer(exists: bool, may_administer: bool) -> AgreementCommand {
        AgreementCommand::ChangeAdministration(ChangeAdministration {
            administered_by: Some(Administrator { agreement_id: agreement_id(2), exists, may_administer }),
            at: at_minute(5),
        })
    }

    #[test]
    fn there_is_one_level_of_administration() {
        given_agreement([opened(AgreementKind::Standard)]).when(administer(true, true)).then([
            AgreementEvent::AdministrationChanged {
                administered_by: Some(agreement_id(2)),
                at: at_minute(5),
            },
        ]);
        given_agreement([opened(AgreementKind::Standard)])
            .when(administer(true, false))
            .refused(&AgreementRefusal::NotAnAdministrator);
        given_agreement([opened(AgreementKind::Standard)])
            .when(administer(false, false))
            .refused(&AgreementRefusal::AdministratorNotFound);
        given_agreement([opened(AgreementKind::Administrator)])
            .when(administer(true, true))
            .refused(&AgreementRefusal::AdministratorCannotBeAdministered);
    }

    #[test]
    fn the_last_superuser_cannot_go() {
        let one = [opened(AgreementKind::Standard), linked(1, Role::Superuser), linked(2, Role::User)];
        given_agreement(one.clone()).when(unlink(1, true)).refused(&AgreementRefusal::LastSuperuser);
        given_agreement(one.clone())
            .when(link(1, Role::User, Some(Role::Superuser)))
            .refused(&AgreementRefusal::LastSuperuser);
        given_agreement(one.into_iter().chain([linked(3, Role::Superuser)]))
            .when(unlink(1, true))
            .then([AgreementEvent::UserUnlinked { user_id: user_id(1), at: at_minute(5) }]);
    }

    #[test]
    fn s26_nobody_becomes_superuser_by_their_own_doing() {
        let command = AgreementCommand::LinkUser(LinkUser {
            user_id: user_id(2),
            role: Role::Superuser,
            linked_as: Some(Role::User),
            user_exists: true,
            by: Actor::user(user_id(2)),
            at: at_minute(5),
        });
        given_agreement([opened(AgreementKind::Standard), linked(1, Role::Superuser), linked(2, Role::User)])
            .when(command)
            .refused(&AgreementRefusal::OwnPromotion);
    }

    #[test]
    fn linking_again_with_the_same_role_changes_nothing() {
        given_agreement([opened(AgreementKind::Standard), linked(2, Role::User)])
            .when(link(2, Role::User, Some(Role::User)))
            .then([]);
    }

    #[test]
    fn superusers_are_bounded() {
        let many = (1..=100).map(|id| linked(id, Role::Superuser));
        given_agreement([opened(AgreementKind::Standard)].into_iter().chain(many))
            .when(link(101, Role::Superuser, None))
            .refused(&AgreementRefusal::TooManySuperusers);
    }

    #[test]
    fn a_closed_agreement_changes_no_more() {
        let closed = [opened(AgreementKind::Standard), AgreementEvent::AgreementClosed { at: at_minute(2) }];
        given_agreement(closed.clone()).when(link(1, Role::User, None)).refused(&AgreementRefusal::Closed);
        given_agreement(closed)
            .when(AgreementCommand::Close(CloseAgreement { administers_count: 0, at: at_minute(5) }))
            .then([]);
    }

    #[test]
    fn an_agreement_that_administers_others_cannot_be_closed() {
        given_agreement([opened(AgreementKind::Administrator)])
            .when(AgreementCommand::Close(CloseAgreement { administers_count: 1, at: at_minute(5) }))
            .refused(&AgreementRefusal::StillAdministers);
    }

    #[test]
    fn enforcement_says_who_and_until_when_and_saying_it_twice_is_saying_it_once() {
        let toggle = || {
            AgreementCommand::ToggleEnforcement(ToggleEnforcement {
                enforced: true,
                deadline: Some(at_minute(90)),
                reason: Some("audit".to_owned()),
                by: Actor::user(user_id(1)),
                at: at_minute(5),
            })
        };
        let toggled = AgreementEvent::EnforcementToggled {
            enforced: true,
            deadline: Some(at_minute(90)),
            reason: Some("audit".to_owned()),
            by: Actor::user(user_id(1)),
            at: at_minute(5),
        };
        let open = [opened(AgreementKind::Administrator)];
        given_agreement(open.clone()).when(toggle()).then([toggled.clone()]);
        given_agreement(open.into_iter().chain([toggled])).when(toggle()).then([]);
    }

    #[test]
    fn a_tick_that_stands_is_as_old_as_it_was_whatever_else_is_said_of_it() {
        let toggled = |enforced, deadline, at| AgreementEvent::EnforcementToggled {
            enforced,
            deadline,
            reason: None,
            by: Actor::operator(),
            at: at_minute(at),
        };
        let mut agreement = Agreement::default();
        agreement.apply(&opened(AgreementKind::Standard));
        for (event, changed, ticked) in [
            (toggled(true, None, 10), 10, Some(10)),
            (toggled(true, Some(at_minute(90)), 20), 20, Some(10)),
            (toggled(true, None, 25), 25, Some(10)),
            (toggled(false, None, 30), 30, None),
            (toggled(true, None, 40), 40, Some(40)),
        ] {
            agreement.apply(&event);
            assert_eq!(agreement.enforcement().since, Some(at_minute(changed)));
            assert_eq!(agreement.enforcement().ticked_at(), ticked.map(at_minute));
        }
    }
}
