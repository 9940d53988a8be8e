//! Who must have two-factor, and by when.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::ids::AgreementId;

/// One agreement that requires two-factor of a user.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Requirement {
    /// The agreement whose tick it is.
    pub agreement_id: AgreementId,
    /// That agreement's name.
    pub name: String,
    /// The linked agreement through which it reaches the user; none when linked to it directly.
    pub via: Option<AgreementId>,
    /// Until when enrolment may wait; none means now.
    pub deadline: Option<Timestamp>,
}

/// What a user's requirements amount to at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// No agreement requires two-factor.
    NotRequired,
    /// Required, but enrolment may wait until then.
    RequiredBy(Timestamp),
    /// Required now.
    Due,
}

/// Any one agreement suffices, and the earliest deadline counts. It is recomputed from the
/// policy in force at each use, so a shortened deadline bites at once.
#[must_use]
pub fn standing(required_by: &[Requirement], at: Timestamp) -> Standing {
    if required_by.is_empty() {
        return Standing::NotRequired;
    }
    match earliest_deadline(required_by) {
        Some(deadline) if at < deadline => Standing::RequiredBy(deadline),
        Some(_) | None => Standing::Due,
    }
}

/// The deadline that binds: none when any requirement has none, since that one is due already.
#[must_use]
pub fn earliest_deadline(required_by: &[Requirement]) -> Option<Timestamp> {
    let deadlines: Option<Vec<Timestamp>> =
        required_by.iter().map(|requirement| requirement.deadline).collect();
    deadlines.and_then(|deadlines| deadlines.into_iter().min())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at_minute, requirement_with_deadline};

    #[test]
    fn nobody_requires_it() {
        assert_eq!(standing(&[], at_minute(0)), Standing::NotRequired);
    }

    #[test]
    fn the_earliest_deadline_counts() {
        let required_by =
            [requirement_with_deadline(Some(at_minute(9))), requirement_with_deadline(Some(at_minute(5)))];
        assert_eq!(standing(&required_by, at_minute(0)), Standing::RequiredBy(at_minute(5)));
        assert_eq!(standing(&required_by, at_minute(5)), Standing::Due, "a deadline is half open");
    }

    #[test]
    fn one_requirement_without_deadline_is_due_whatever_the_others_say() {
        let required_by = [requirement_with_deadline(Some(at_minute(9))), requirement_with_deadline(None)];
        assert_eq!(standing(&required_by, at_minute(0)), Standing::Due);
        assert_eq!(earliest_deadline(&required_by), None);
    }
}
