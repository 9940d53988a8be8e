//! Which reports there are, what each takes, and what cannot be asked.

use countersign_domain::Timestamp;
use countersign_domain::ids::AgreementId;
use countersign_domain::instance::{AuditFilter, AuditRoute};
use strum::{EnumIter, EnumString, IntoEnumIterator, IntoStaticStr};

use crate::problem::{Problem, ProblemCode};
use crate::rest::audit::check_period;

/// Every report, by its name in kebab case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
#[expect(missing_docs, reason = "each report has a title that says what it tells")]
pub enum ReportName {
    EnforcementOnDate,
    Disabled,
    PolicyHistory,
    SignInsWithoutSecondFactor,
    RecoveryCodes,
    Lockouts,
    AdminActions,
    AuditReads,
    Integrity,
    Replay,
    Erasures,
}

/// What narrows a report.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Asked {
    /// About this agreement, or people linked to it.
    pub agreement: Option<AgreementId>,
    /// As things were at this moment.
    pub as_of: Option<Timestamp>,
    /// Recorded at this time or later.
    pub from: Option<Timestamp>,
    /// Recorded before this time.
    pub to: Option<Timestamp>,
}

/// A report that can be asked for.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Which one.
    pub report: ReportName,
    /// What narrows it.
    pub asked: Asked,
}

/// Which parameters a report has a use for.
struct Takes {
    agreement: bool,
    as_of: bool,
    period: bool,
}

impl ReportName {
    /// The report of this name.
    ///
    /// # Errors
    /// Says which there are.
    pub fn find(name: &str) -> Result<Self, String> {
        name.parse().map_err(|_| format!("there is no such report; there are {}", Self::names().join(", ")))
    }

    /// All names, as they are listed.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        Self::iter().map(Self::name).collect()
    }

    /// The name by which it is asked for.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// What it tells, as a heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::EnforcementOnDate => "Who had to have two-factor, and who had it",
            Self::Disabled => "Who removed or reset a second factor",
            Self::PolicyHistory => "Changes of enforcement, administration and agreements",
            Self::SignInsWithoutSecondFactor => "Sign-ins with the password alone while two-factor was due",
            Self::RecoveryCodes => "Emergency codes that were issued, stored and used",
            Self::Lockouts => "Who was locked out of a second factor",
            Self::AdminActions => "What operators, applications and superusers changed",
            Self::AuditReads => "Who read or exported the audit trail",
            Self::Integrity => "Whether the ledger is what was recorded and signed",
            Self::Replay => "Whether the events fold to the same twice",
            Self::Erasures => "Who was erased",
        }
    }

    /// Whether it goes through much of what there is, which takes long.
    #[must_use]
    pub const fn takes_long(self) -> bool {
        match self {
            Self::Integrity | Self::Replay | Self::EnforcementOnDate | Self::SignInsWithoutSecondFactor => {
                true
            }
            Self::Disabled
            | Self::PolicyHistory
            | Self::RecoveryCodes
            | Self::Lockouts
            | Self::AdminActions
            | Self::AuditReads
            | Self::Erasures => false,
        }
    }

    /// Whether it is about a moment.
    #[must_use]
    pub const fn takes_as_of(self) -> bool {
        self.takes().as_of
    }

    /// Whether it can be about one agreement alone.
    #[must_use]
    pub const fn takes_agreement(self) -> bool {
        self.takes().agreement
    }

    /// Whether it is about a period.
    #[must_use]
    pub const fn takes_period(self) -> bool {
        self.takes().period
    }

    const fn takes(self) -> Takes {
        match self {
            Self::EnforcementOnDate => Takes { agreement: true, as_of: true, period: false },
            Self::Replay => Takes { agreement: false, as_of: true, period: false },
            Self::Integrity => Takes { agreement: false, as_of: false, period: false },
            // Neither readers of the trail nor erased people belong to an agreement.
            Self::AuditReads | Self::Erasures => Takes { agreement: false, as_of: false, period: true },
            Self::Disabled
            | Self::PolicyHistory
            | Self::SignInsWithoutSecondFactor
            | Self::RecoveryCodes
            | Self::Lockouts
            | Self::AdminActions => Takes { agreement: true, as_of: false, period: true },
        }
    }
}

impl Question {
    /// A question that makes sense at this time.
    ///
    /// # Errors
    /// `malformed-request` for what the report has no use for, a period that ends before it begins, and a
    /// moment in the future.
    pub fn of(report: ReportName, asked: Asked, now: Timestamp) -> Result<Self, Problem> {
        let takes = report.takes();
        for (name, given, taken) in [
            ("agreement", asked.agreement.is_some(), takes.agreement),
            ("as_of", asked.as_of.is_some(), takes.as_of),
            ("from", asked.from.is_some(), takes.period),
            ("to", asked.to.is_some(), takes.period),
        ] {
            if given && !taken {
                let detail = format!("The report {} has no use for {name}; leave it out.", report.name());
                return Err(Problem::new(ProblemCode::MalformedRequest, detail));
            }
        }
        check_period(asked.from, asked.to)?;
        if asked.as_of.is_some_and(|as_of| as_of > now) {
            return Err(Problem::new(ProblemCode::MalformedRequest, "as_of must not be in the future."));
        }
        Ok(Self { report, asked })
    }

    /// What is asked, as it is recorded: the report stands where a list of entries names its types.
    #[must_use]
    pub fn recorded(&self) -> AuditFilter {
        AuditFilter {
            types: vec![self.report.name().to_owned()],
            agreement: self.asked.agreement,
            from: self.asked.from,
            to: self.asked.as_of.or(self.asked.to),
            ..AuditFilter::of(AuditRoute::Evidence)
        }
    }
}
