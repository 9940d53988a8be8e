//! Sign-ins that were completed with the password alone while two-factor was required of the person and due.
//! The product refuses them, so there must be none.

use std::collections::BTreeSet;

use countersign_domain::ids::{AgreementId, UserId};
use countersign_domain::requirement::Standing;
use countersign_domain::user::{LoginMethod, UserEvent};
use countersign_projections::login_check::Link;
use countersign_projections::replay::policy::{LedgerPart, LinkHistory, Policy};
use countersign_projections::replay::required::RequiredPerson;
use countersign_projections::replay::streams::Moment;

use super::question::Question;
use super::report::{Cell, Column, Findings, Row, Rows, column};
use super::required::person_required;
use super::words::{counted, period};
use crate::app::App;
use crate::problem::Problem;
use crate::rest::audit::entry::StoredEntry;
use crate::rest::audit::pages::Reading;

const COLUMNS: &[Column] = &[
    column("position", "Entry"),
    column("at", "When"),
    column("person", "Person"),
    column("required_by", "Required by"),
    column("required_since", "Required since"),
    column("problem", "What was found"),
];

/// A sign-in with the password alone.
struct SignIn {
    user_id: UserId,
    position: u64,
    at: countersign_domain::Timestamp,
}

impl App {
    /// A row for each such sign-in.
    pub(super) async fn sign_ins_with_the_password_alone(
        &self,
        question: &Question,
        moment: Moment,
    ) -> Result<Findings, Problem> {
        let asked = question.asked;
        // Each is judged at its own place, so nothing is cut at a moment.
        let part = LedgerPart { size: moment.size, recorded_by: None };
        let policy = Policy::read(&self.database, part).await?;
        let mut reading = Reading::of(asked.from, asked.to, part.size).of_types(vec!["LoginSucceeded"]);
        let (mut rows, mut looked_at) = (Rows::default(), 0);
        while policy.ever_required() {
            let page = self.next_stored(&mut reading).await?;
            if page.is_empty() {
                break;
            }
            let mut sign_ins = Vec::new();
            for entry in &page {
                match Told::of(entry) {
                    Told::PasswordAlone(sign_in) => sign_ins.push(sign_in),
                    Told::Other => {}
                    Told::Nothing => rows.push(unreadable(entry))?,
                }
            }
            looked_at += sign_ins.len();
            self.take_in(&sign_ins, &policy, (asked.agreement, part), &mut rows).await?;
        }
        let holds = rows.len() == 0;
        let summary = format!(
            "{}{}.",
            counted(
                rows.len(),
                [
                    "Nobody signed in with the password alone while two-factor was due",
                    "sign-in was completed with the password alone while two-factor was due, or cannot be judged",
                    "sign-ins were completed with the password alone while two-factor was due, or cannot be judged",
                ]
            ),
            period(asked.from, asked.to)
        );
        let looked_at = counted(
            looked_at,
            [
                "No sign-in with the password alone had to be looked at.",
                "sign-in with the password alone was compared with what was required at its place in the ledger.",
                "sign-ins with the password alone were compared with what was required at their places in the ledger.",
            ],
        );
        Ok(Findings { holds: Some(holds), proved: vec![looked_at], ..Findings::new(COLUMNS, rows, summary) })
    }

    async fn take_in(
        &self,
        sign_ins: &[SignIn],
        policy: &Policy,
        (agreement, part): (Option<AgreementId>, LedgerPart),
        rows: &mut Rows,
    ) -> Result<(), Problem> {
        let people: BTreeSet<UserId> = sign_ins.iter().map(|sign_in| sign_in.user_id).collect();
        let history = LinkHistory::of(&self.database, &people, part).await?;
        let found: Vec<(&SignIn, RequiredPerson)> = sign_ins
            .iter()
            .filter_map(|sign_in| {
                let links = history.links(sign_in.user_id, policy, sign_in.position);
                let person = sign_in.although_due(&links)?;
                let meant = agreement.is_none_or(|id| links.iter().any(|link| reaches(id, link)));
                meant.then_some((sign_in, person))
            })
            .collect();
        let names = self.names_for(found.iter().map(|(_, person)| person)).await?;
        for (sign_in, person) in found {
            let row = Row::default()
                .with("position", Cell::Position(sign_in.position))
                .with("at", Cell::Time(sign_in.at));
            rows.push(row.followed_by(person_required(&person, &names)))?;
        }
        Ok(())
    }
}

/// Whether somebody with this link is linked to an agreement, or to one that it administers.
fn reaches(agreement: AgreementId, link: &Link) -> bool {
    link.agreement_id == agreement || link.administrator_id == Some(agreement)
}

/// What the entry of a sign-in tells.
enum Told {
    PasswordAlone(SignIn),
    /// A second factor, or nothing about one.
    Other,
    /// Its event is gone or does not read.
    Nothing,
}

impl Told {
    fn of(entry: &StoredEntry) -> Self {
        match entry.event() {
            Some(UserEvent::LoginSucceeded { method: LoginMethod::Password, at, .. }) => {
                let user_id = entry.user_id.as_deref().and_then(|id| id.parse().ok());
                let position = u64::try_from(entry.position).ok();
                let sign_in =
                    user_id.zip(position).map(|(user_id, position)| SignIn { user_id, position, at });
                sign_in.map_or(Self::Nothing, Self::PasswordAlone)
            }
            Some(UserEvent::LoginSucceeded { .. }) => Self::Other,
            // Whatever it is, it is not the sign-in that the trail and the ledger tell of.
            Some(_) | None => Self::Nothing,
        }
    }
}

fn unreadable(entry: &StoredEntry) -> Row {
    let position = u64::try_from(entry.position).unwrap_or_default();
    let problem =
        "The event is gone or does not read, so nobody can say how the person signed in; see integrity.";
    Row::default()
        .with("position", Cell::Position(position))
        .with("at", Cell::Time(entry.recorded_at))
        .with("problem", Cell::Text(problem.to_owned()))
}

impl SignIn {
    /// The person as they were just before, if it was due that they had two-factor.
    fn although_due(&self, links: &[Link]) -> Option<RequiredPerson> {
        let person = RequiredPerson::with_links(self.user_id, links, self.at)?;
        (person.standing == Standing::Due).then_some(person)
    }
}
