//! Reading coverage: what was required, and due, at the end of each day.

use chrono::{Days, NaiveDate, NaiveTime, TimeDelta};
use countersign_domain::Timestamp;
use countersign_domain::ids::AgreementId;
use serde::Serialize;

use super::COVERAGE;
use crate::database::{Database, DatabaseError, Row};

/// How an agreement was at the end of a day.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CoverageDay {
    /// The day, in UTC.
    pub date: NaiveDate,
    /// How many people were linked to it.
    pub members: i64,
    /// How many of them had two-factor.
    pub with_two_factor: i64,
    /// How many of the members were superusers.
    pub superusers: i64,
    /// How many of these had two-factor.
    pub superusers_with_two_factor: i64,
    /// How many members it, or the agreement that administers it, required to have it.
    pub required: i64,
    /// How many of these had not, although it was due.
    pub overdue: i64,
}

/// A row as it is stored.
struct Stored {
    day: String,
    members: i64,
    with_two_factor: i64,
    superusers: i64,
    superusers_with_two_factor: i64,
    requirement: Requirement,
    administered_by: Option<String>,
}

/// What an agreement required.
#[derive(Clone, Copy, Default)]
struct Requirement {
    enforced: bool,
    deadline: Option<Timestamp>,
    closed: bool,
}

/// The days from `from` to before `to`, from the one on which the agreement was opened, up to the one of
/// `now`, which is as it is by then.
///
/// # Errors
/// When the database does not answer.
pub async fn days(
    database: &Database,
    id: AgreementId,
    (from, to): (NaiveDate, NaiveDate),
    now: Timestamp,
) -> Result<Vec<CoverageDay>, DatabaseError> {
    let own = rows_of(database, &id.to_string(), from, to).await?;
    let mut administrators: Vec<(String, Vec<Stored>)> = Vec::new();
    for by in own.iter().filter_map(|row| row.administered_by.as_ref()) {
        if administrators.iter().all(|(known, _)| known != by) {
            administrators.push((by.clone(), rows_of(database, by, from, to).await?));
        }
    }
    let mut days = Vec::new();
    for date in from.iter_days().take_while(|date| *date < to && *date <= now.date_naive()) {
        let day = date.to_string();
        let Some(row) = at(&own, &day) else { continue };
        let by = row.administered_by.as_ref();
        let administrator = by
            .and_then(|by| administrators.iter().find(|(known, _)| known == by))
            .and_then(|(_, rows)| at(rows, &day))
            .map(|row| row.requirement)
            .unwrap_or_default();
        let end = end_of(date).min(now);
        let requirements = [row.requirement, administrator];
        let requirements =
            requirements.iter().filter(|it| it.enforced && !it.closed && !row.requirement.closed);
        let due = requirements.clone().any(|it| it.deadline.is_none_or(|deadline| deadline <= end));
        let required = if requirements.count() == 0 { 0 } else { row.members };
        let overdue = if due { row.members - row.with_two_factor } else { 0 };
        days.push(CoverageDay {
            date,
            members: row.members,
            with_two_factor: row.with_two_factor,
            superusers: row.superusers,
            superusers_with_two_factor: row.superusers_with_two_factor,
            required,
            overdue,
        });
    }
    Ok(days)
}

/// The last moment of a day.
fn end_of(date: NaiveDate) -> Timestamp {
    let next = date.checked_add_days(Days::new(1)).unwrap_or(date);
    next.and_time(NaiveTime::MIN).and_utc() - TimeDelta::microseconds(1)
}

/// The latest row up to a day.
fn at<'r>(rows: &'r [Stored], day: &str) -> Option<&'r Stored> {
    rows.iter().rev().find(|row| row.day.as_str() <= day)
}

/// The rows of some days, and the one before them.
async fn rows_of(
    database: &Database,
    id: &str,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<Vec<Stored>, DatabaseError> {
    let table = COVERAGE.name;
    let sql = format!(
        "SELECT day, members, with_two_factor, superusers, superusers_with_two_factor, enforced, deadline, \
         administered_by, closed FROM {table} \
         WHERE agreement_id = $1 AND day < $2 AND day >= coalesce((SELECT max(d.day) FROM {table} d \
         WHERE d.agreement_id = $1 AND d.day <= $3), $3) ORDER BY day"
    );
    let params = [id.into(), to.to_string().into(), from.to_string().into()];
    database.scan(&sql, &params).await?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Stored, DatabaseError> {
    Ok(Stored {
        day: row.get("day")?,
        members: row.get("members")?,
        with_two_factor: row.get("with_two_factor")?,
        superusers: row.get("superusers")?,
        superusers_with_two_factor: row.get("superusers_with_two_factor")?,
        requirement: Requirement {
            enforced: row.get("enforced")?,
            deadline: row.get("deadline")?,
            closed: row.get("closed")?,
        },
        administered_by: row.get("administered_by")?,
    })
}
