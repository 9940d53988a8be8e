//! What becomes of memberships when a person is erased.

use crate::Timestamp;
use crate::agreement::{Agreement, AgreementEvent, AgreementRefusal};
use crate::ids::UserId;

/// Unlinking somebody who was erased, from a closed agreement too.
#[derive(Clone, Debug)]
pub struct UnlinkErased {
    /// Whom.
    pub user_id: UserId,
    /// Whether the person is linked now. Looked up in the same moment.
    pub is_linked: bool,
    /// Now.
    pub at: Timestamp,
}

impl Agreement {
    /// Nobody is left who could be a member, or a superuser: there is nothing to refuse.
    pub(super) fn unlink_erased(
        &self,
        command: &UnlinkErased,
    ) -> Result<Vec<AgreementEvent>, AgreementRefusal> {
        self.details.as_ref().ok_or(AgreementRefusal::NotOpened)?;
        let unlinked = AgreementEvent::UserUnlinked { user_id: command.user_id, at: command.at };
        Ok(command.is_linked.then_some(unlinked).into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agreement::{AgreementCommand, AgreementKind, Role};
    use crate::testing::*;

    #[test]
    fn s14_an_erased_person_leaves_even_a_closed_agreement_and_as_its_last_superuser() {
        let unlink = |is_linked| {
            AgreementCommand::UnlinkErased(UnlinkErased { user_id: user_id(1), is_linked, at: at_minute(5) })
        };
        let opened = AgreementEvent::AgreementOpened {
            agreement_id: agreement_id(1),
            number: "1001".to_owned(),
            name: "Nordlys Regnskab".to_owned(),
            kind: AgreementKind::Standard,
            at: at_minute(0),
        };
        let closed = [
            opened,
            AgreementEvent::UserLinked { user_id: user_id(1), role: Role::Superuser, at: at_minute(1) },
            AgreementEvent::AgreementClosed { at: at_minute(2) },
        ];
        given_agreement(closed.clone())
            .when(unlink(true))
            .then([AgreementEvent::UserUnlinked { user_id: user_id(1), at: at_minute(5) }]);
        given_agreement(closed).when(unlink(false)).then([]);
        given_agreement([]).when(unlink(true)).refused(&AgreementRefusal::NotOpened);
    }
}
