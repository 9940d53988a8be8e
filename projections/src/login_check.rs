//! The read model behind the one question that applications ask at sign-in: does this person
//! need a second step, and why?
//!
//! Its rows are written in the transaction that appends the events they come from, so no answer
//! is ever stale. Nothing here is per member of an agreement: ticking enforcement writes one row,
//! whether it reaches ten people or a hundred thousand.

use chrono::{DateTime, Utc};
use countersign_domain::Timestamp;
use countersign_domain::agreement::{Agreement, AgreementEvent, Enforcement, Role};
use countersign_domain::ids::{AgreementId, UserId};
use countersign_domain::requirement::{Requirement, Standing, standing};
use countersign_domain::user::{Factor, User};
use serde::{Deserialize, Serialize};

use crate::replay::folded::Member;
use crate::table::{Change, LOGIN_CHECK_AGREEMENTS, LOGIN_CHECK_LINKS, LOGIN_CHECK_USERS, Value};

/// A JSON array of a user's [`Link`]s, as a piece of a larger statement that knows the user's id
/// by the given expression.
#[macro_export]
macro_rules! links_of {
    ($user_id:literal) => {
        concat!(
            "(SELECT {array}{object}'agreement_id', l.agreement_id, 'role', l.role, 'linked_at', l.linked_at, \
         'number', a.number, 'name', a.name, 'closed', {boolean}a.closed{/boolean}, \
         'enforced', {boolean}a.enforced{/boolean}, 'enforced_since', a.enforced_since, \
         'deadline', a.deadline, \
         'administrator_id', adm.agreement_id, 'administered_since', a.administered_since, 'administrator_name', adm.name, \
         'administrator_enforced', {boolean}adm.enforced{/boolean}, \
         'administrator_enforced_since', adm.enforced_since, \
         'administrator_deadline', adm.deadline{/object} ORDER BY l.linked_at, l.agreement_id{/array} \
         FROM login_check_links l \
         JOIN login_check_agreements a ON a.agreement_id = l.agreement_id \
         LEFT JOIN login_check_agreements adm ON adm.agreement_id = a.administered_by AND NOT adm.closed \
         WHERE l.user_id = ",
            $user_id,
            ")"
        )
    };
}

/// One agreement that a user is linked to, with what it and its administrator require.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Link {
    /// The linked agreement.
    pub agreement_id: AgreementId,
    /// With which role.
    pub role: Role,
    /// Since when.
    pub linked_at: DateTime<Utc>,
    /// Its number.
    pub number: String,
    /// Its name.
    pub name: String,
    /// Whether it is closed, and so requires nothing.
    pub closed: bool,
    enforced: bool,
    enforced_since: Option<DateTime<Utc>>,
    deadline: Option<DateTime<Utc>>,
    /// The open agreement that administers it.
    pub administrator_id: Option<AgreementId>,
    administered_since: Option<DateTime<Utc>>,
    administrator_name: Option<String>,
    administrator_enforced: Option<bool>,
    administrator_enforced_since: Option<DateTime<Utc>>,
    administrator_deadline: Option<DateTime<Utc>>,
}

impl Link {
    /// The link of a member of an agreement that an open agreement may administer; none before it was opened.
    #[must_use]
    pub fn at(
        agreement_id: AgreementId,
        agreement: &Agreement,
        member: &Member,
        administrator: Option<(AgreementId, &Agreement)>,
    ) -> Option<Self> {
        let details = agreement.details()?;
        let enforcement = agreement.enforcement();
        let administering = administrator.map(|(_, administrator)| administrator.enforcement());
        Some(Self {
            agreement_id,
            role: member.role,
            linked_at: member.linked_at,
            number: details.number.clone(),
            name: details.name.clone(),
            closed: agreement.closed_at().is_some(),
            enforced: enforcement.enforced,
            enforced_since: enforcement.ticked_at(),
            deadline: enforcement.deadline,
            administrator_id: administrator.map(|(id, _)| id),
            administered_since: agreement.administered_since(),
            administrator_name: administrator
                .and_then(|(_, administrator)| administrator.details())
                .map(|details| details.name.clone()),
            administrator_enforced: administering.map(|enforcement| enforcement.enforced),
            administrator_enforced_since: administering.and_then(Enforcement::ticked_at),
            administrator_deadline: administering.and_then(|enforcement| enforcement.deadline),
        })
    }

    /// Since when two-factor is required through this link, if it is: since the tick, or since
    /// the link or the administration where those came later.
    #[must_use]
    pub fn required_since(&self) -> Option<Timestamp> {
        let own = self.enforced_since.filter(|_| self.enforced);
        let inherited =
            self.administrator_enforced_since.filter(|_| self.administrator_enforced == Some(true));
        let inherited =
            inherited.map(|ticked| self.administered_since.map_or(ticked, |since| since.max(ticked)));
        let ticked = own.into_iter().chain(inherited).min().filter(|_| !self.closed)?;
        Some(ticked.max(self.linked_at))
    }

    fn requirements(&self) -> impl Iterator<Item = Requirement> + '_ {
        let own = (self.enforced && !self.closed).then(|| Requirement {
            agreement_id: self.agreement_id,
            name: self.name.clone(),
            via: None,
            deadline: self.deadline,
        });
        let inherited =
            self.administrator_id.filter(|_| !self.closed && self.administrator_enforced == Some(true));
        let inherited = inherited.map(|agreement_id| Requirement {
            agreement_id,
            name: self.administrator_name.clone().unwrap_or_default(),
            via: Some(self.agreement_id),
            deadline: self.administrator_deadline,
        });
        own.into_iter().chain(inherited)
    }
}

/// Everything that requires two-factor of a user with these links, each agreement once: directly
/// where the user is linked to it, else through the first linked agreement that it administers.
#[must_use]
pub fn required_by(links: &[Link]) -> Vec<Requirement> {
    let mut all: Vec<Requirement> = links.iter().flat_map(Link::requirements).collect();
    all.sort_by_key(|requirement| requirement.via.is_some());
    let mut named: Vec<Requirement> = Vec::with_capacity(all.len());
    for requirement in all {
        if named.iter().all(|other| other.agreement_id != requirement.agreement_id) {
            named.push(requirement);
        }
    }
    named
}

/// A statement that finds facts by what is wanted and loads no stream: it answers in the shape of those that do.
#[macro_export]
macro_rules! facts_alone {
    ($facts:expr, $from:literal) => {
        concat!(
            "SELECT wanted.id AS id, wanted.subject AS subject, CAST(NULL AS bigint) AS sequence, \
             CAST(NULL AS bigint) AS snapshot_number, CAST(NULL AS text) AS leaf_hash, \
             CAST(NULL AS text) AS snapshot, CAST(NULL AS text) AS tail, CAST({object}",
            $facts,
            "{/object} AS text) AS facts FROM {wanted} ",
            $from
        )
    };
}

macro_rules! login_check {
    ($from:literal) => {
        facts_alone!(
            concat!(
                "'user_id', u.user_id, 'two_factor_enabled', {boolean}u.two_factor_enabled{/boolean}, \
                 'totp_usable', {boolean}u.totp_usable{/boolean}, \
                 'recovery_code_usable', {boolean}u.recovery_code_usable{/boolean}, \
                 'codes_locked_until', u.codes_locked_until, \
                 'recovery_code_locked_until', u.recovery_code_locked_until, \
                 'links', {json}",
                links_of!("u.user_id"),
                "{/json}"
            ),
            $from
        )
    };
}

/// Finds a [`LoginCheckUser`] by id.
pub const BY_USER_ID: &str = login_check!("JOIN login_check_users u ON u.user_id = wanted.id");

/// Finds a [`LoginCheckUser`] by the digest of the e-mail address.
pub const BY_EMAIL: &str = login_check!(
    "JOIN email_claims c ON c.digest = wanted.id JOIN login_check_users u ON u.user_id = c.user_id"
);

/// What the login check knows of a user.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct LoginCheckUser {
    /// Who it is.
    pub user_id: UserId,
    /// Whether two-factor is on.
    pub two_factor_enabled: bool,
    totp_usable: bool,
    recovery_code_usable: bool,
    codes_locked_until: Option<DateTime<Utc>>,
    recovery_code_locked_until: Option<DateTime<Utc>>,
    links: Vec<Link>,
}

/// A way to pass the second step.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A code of an authenticator.
    Totp,
    /// The emergency code.
    RecoveryCode,
}

/// What an application should do at sign-in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Nothing beyond the password.
    PasswordOnly,
    /// Ask for a second factor.
    Challenge,
    /// Have the person set up two-factor now.
    Enrol,
    /// Have the person set up two-factor, which may wait until the deadline.
    EnrolBy,
    /// Codes are locked; what `methods` names still works.
    Locked,
    /// There is no such user.
    Unknown,
}

/// The answer to the question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoginCheck {
    /// What to do.
    pub decision: Decision,
    /// What can pass the second step now.
    pub methods: Vec<Method>,
    /// Who requires two-factor.
    pub required_by: Vec<Requirement>,
    /// Until when codes are locked.
    pub locked_until: Option<Timestamp>,
}

impl LoginCheckUser {
    /// Whether the user is linked to that agreement.
    #[must_use]
    pub fn is_linked_to(&self, agreement_id: AgreementId) -> bool {
        self.links.iter().any(|link| link.agreement_id == agreement_id)
    }

    /// Answers the question at one moment; deadlines and locks are judged then and not before.
    #[must_use]
    pub fn check(&self, at: Timestamp) -> LoginCheck {
        let required_by = required_by(&self.links);
        let locked_until = self.codes_locked_until.filter(|until| at < *until);
        let recovery_locked = self.recovery_code_locked_until.is_some_and(|until| at < until);
        let methods = methods(
            self.totp_usable && locked_until.is_none(),
            self.recovery_code_usable && !recovery_locked,
        );
        let decision = if self.two_factor_enabled {
            if locked_until.is_some() { Decision::Locked } else { Decision::Challenge }
        } else {
            match standing(&required_by, at) {
                Standing::NotRequired => Decision::PasswordOnly,
                Standing::RequiredBy(_) => Decision::EnrolBy,
                Standing::Due => Decision::Enrol,
            }
        };
        LoginCheck { decision, methods, required_by, locked_until }
    }
}

/// What can pass the second step of this user now.
#[must_use]
pub fn usable_methods(user: &User, at: Timestamp) -> Vec<Method> {
    let two_factor = user.two_factor();
    let unlocked = |factor| two_factor.failures(factor).locked_at(at).is_none();
    methods(
        two_factor.has_usable_authenticator() && unlocked(Factor::Totp),
        two_factor.recovery_code().is_some() && unlocked(Factor::RecoveryCode),
    )
}

fn methods(totp: bool, recovery_code: bool) -> Vec<Method> {
    let totp = totp.then_some(Method::Totp);
    let recovery_code = recovery_code.then_some(Method::RecoveryCode);
    totp.into_iter().chain(recovery_code).collect()
}

/// The row of a user in this state; none before anybody is registered, and it goes once they are erased.
#[must_use]
pub fn user_row(user_id: UserId, user: &User) -> Option<Change> {
    if user.erased_at().is_some() {
        return Some(Change::Delete(&LOGIN_CHECK_USERS, vec![user_id.to_string().into()]));
    }
    let profile = user.profile()?;
    let two_factor = user.two_factor();
    Some(Change::Upsert(
        &LOGIN_CHECK_USERS,
        vec![
            user_id.to_string().into(),
            profile.email.as_str().to_owned().into(),
            profile.display_name.as_str().to_owned().into(),
            two_factor.is_enabled().into(),
            two_factor.has_usable_authenticator().into(),
            two_factor.recovery_code().is_some().into(),
            two_factor.failures(Factor::Totp).locked_until().into(),
            two_factor.failures(Factor::RecoveryCode).locked_until().into(),
            profile.registered_at.into(),
        ],
    ))
}

/// The row of an agreement in this state; none before it is open.
#[must_use]
pub fn agreement_row(agreement_id: AgreementId, agreement: &Agreement) -> Option<Change> {
    let details = agreement.details()?;
    let enforcement = agreement.enforcement();
    let by = enforcement.by.as_ref().and_then(|actor| serde_json::to_string(actor).ok());
    Some(Change::Upsert(
        &LOGIN_CHECK_AGREEMENTS,
        vec![
            agreement_id.to_string().into(),
            details.number.clone().into(),
            details.name.clone().into(),
            details.kind.name().to_owned().into(),
            agreement.administered_by().map(|id| id.to_string()).into(),
            agreement.administered_since().into(),
            enforcement.enforced.into(),
            enforcement.ticked_at().or(enforcement.since).into(),
            by.into(),
            enforcement.deadline.into(),
            enforcement.reason.clone().into(),
            agreement.closed_at().is_some().into(),
            details.opened_at.into(),
        ],
    ))
}

/// The change of a link row that an agreement's event brings, if it brings one. A changed role
/// keeps the moment of linking, which the caller has looked up.
#[must_use]
pub fn link_row(
    agreement_id: AgreementId,
    event: &AgreementEvent,
    linked_at: Option<Timestamp>,
) -> Option<Change> {
    let key = |user_id: &UserId| [user_id.to_string().into(), agreement_id.to_string().into()];
    let row = |user_id: &UserId, role: &Role, linked_at: Timestamp| {
        let role: Value = role.name().to_owned().into();
        Change::Upsert(&LOGIN_CHECK_LINKS, key(user_id).into_iter().chain([role, linked_at.into()]).collect())
    };
    match event {
        AgreementEvent::UserLinked { user_id, role, at } => Some(row(user_id, role, *at)),
        AgreementEvent::UserRoleChanged { user_id, role, at } => {
            Some(row(user_id, role, linked_at.unwrap_or(*at)))
        }
        AgreementEvent::UserUnlinked { user_id, .. } => {
            Some(Change::Delete(&LOGIN_CHECK_LINKS, key(user_id).to_vec()))
        }
        AgreementEvent::AgreementOpened { .. }
        | AgreementEvent::AdministrationChanged { .. }
        | AgreementEvent::EnforcementToggled { .. }
        | AgreementEvent::AgreementClosed { .. } => None,
    }
}
