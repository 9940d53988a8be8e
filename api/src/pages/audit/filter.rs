//! Which entries are asked for: a form whose answer is an address, so that it can be shared and gone back to.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use countersign_domain::agreement::AgreementEvent;
use countersign_domain::ids::AgreementId;
use countersign_domain::instance::InstanceEvent;
use countersign_domain::user::UserEvent;
use maud::{Markup, html};
use serde::{Deserialize, Serialize};
use strum::VariantNames;

use super::entry::type_in_words;
use crate::app::App;
use crate::pages::fault::Fault;
use crate::pages::form::{Field, Kind, day, given};
use crate::pages::visit::Visit;
use crate::problem::Problem;
use crate::rest::audit::EntryFilter;

/// So many entries are on a page.
const PAGE_ENTRIES: u32 = 50;

/// What the address asks for, as it stands there.
#[derive(Clone, Default, Deserialize, Serialize)]
pub(in crate::pages) struct Asked {
    #[serde(skip_serializing_if = "is_blank")]
    user: Option<String>,
    #[serde(skip_serializing_if = "is_blank")]
    agreement: Option<String>,
    #[serde(skip_serializing_if = "is_blank")]
    r#type: Option<String>,
    #[serde(skip_serializing_if = "is_blank")]
    from: Option<String>,
    /// This day is in it.
    #[serde(skip_serializing_if = "is_blank")]
    to: Option<String>,
    #[serde(skip_serializing_if = "is_blank")]
    cursor: Option<String>,
}

/// Browsers send empty fields too.
#[expect(clippy::ref_option, reason = "serde passes a reference")]
fn is_blank(text: &Option<String>) -> bool {
    given(text.as_deref()).is_none()
}

/// From the beginning of one day to the end of another, in UTC.
pub(super) type Days = (Option<DateTime<Utc>>, Option<DateTime<Utc>>);

/// The period between two days that were typed, both of them in it.
pub(super) fn period(from: Option<&str>, to: Option<&str>) -> Result<Days, Problem> {
    let from = day("from", from)?.map(begin);
    let to = day("to", to)?.and_then(|day| day.succ_opt()).map(begin);
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        return Err(Problem::invalid_field("to", "The last day must not be before the first."));
    }
    Ok((from, to))
}

impl Asked {
    /// The same with the ids of the person and the agreement that are named in another way.
    pub(super) async fn with_ids(&self, app: &App, visit: &Visit) -> Result<Self, Problem> {
        let mut asked = self.clone();
        if let Some(user) = given(self.user.as_deref()) {
            asked.user = Some(app.user_meant(&visit.request, user).await?.to_string());
        }
        if let Some(agreement) = given(self.agreement.as_deref()) {
            asked.agreement = Some(app.agreement_meant(&visit.request, agreement).await?.to_string());
        }
        Ok(asked)
    }

    /// The same as the trail is asked, within one agreement or all.
    pub(super) fn filter(&self, of: Option<AgreementId>) -> Result<EntryFilter, Problem> {
        let unknown = |field| move |_| Problem::invalid_field(field, "It must be an id.");
        let user = given(self.user.as_deref()).map(str::parse).transpose().map_err(unknown("user"))?;
        let agreement = given(self.agreement.as_deref()).map(str::parse).transpose();
        let agreement = agreement.map_err(unknown("agreement"))?;
        let r#type: Vec<String> = given(self.r#type.as_deref()).map(str::to_owned).into_iter().collect();
        let mut known = groups().into_iter().flat_map(|(_, types)| types);
        if !r#type.iter().all(|asked| known.any(|name| name == asked)) {
            return Err(Problem::invalid_field("type", "There is no event of this type."));
        }
        let (from, to) = self.period()?;
        let cursor = given(self.cursor.as_deref()).map(str::to_owned);
        let limit = Some(PAGE_ENTRIES);
        Ok(EntryFilter {
            user,
            agreement: of.or(agreement),
            r#type,
            from,
            to,
            limit,
            cursor,
            ..EntryFilter::default()
        })
    }

    /// The period that is asked for.
    pub(super) fn period(&self) -> Result<Days, Problem> {
        period(self.from.as_deref(), self.to.as_deref())
    }

    /// Whether it asks for more than a period.
    pub(super) fn asks_beyond_period(&self) -> bool {
        [&self.user, &self.agreement, &self.r#type].into_iter().any(|text| !is_blank(text))
    }

    /// Whether it begins with the newest entry there is.
    pub(super) fn is_newest(&self) -> bool {
        is_blank(&self.cursor) && is_blank(&self.to)
    }

    /// The address of the same entries, or of those after a page.
    pub(super) fn address(&self, page: &str, cursor: Option<&str>) -> String {
        let asked = Self { cursor: cursor.map(str::to_owned), ..self.clone() };
        let query = serde_html_form::to_string(&asked).unwrap_or_default();
        if query.is_empty() { page.to_owned() } else { format!("{page}?{query}") }
    }

    /// The form, closed as long as nothing is asked for.
    pub(super) fn form(
        &self,
        visit: &Visit,
        address: &str,
        of: Option<AgreementId>,
        fault: Option<&Fault>,
    ) -> Markup {
        let words = visit.words;
        let asks = self.address("", None).len() > 1;
        let field = |name, label: &str, hint: Option<&str>, kind, value: &Option<String>| {
            let value = value.as_deref().unwrap_or_default();
            let hint = hint.map(|hint| words.say(hint));
            Field { name, label: words.say(label), hint, kind, value, fault }.markup()
        };
        html! {
            details.filters open[asks || fault.is_some()] {
                summary { (words.say("filter")) }
                form method="get" action=(address) {
                    (self.types(visit))
                    (field("from", "from-day", None, Kind::Date, &self.from))
                    (field("to", "to-day", None, Kind::Date, &self.to))
                    (field("user", "which-person", Some("which-person-hint"), Kind::Text, &self.user))
                    @if of.is_none() {
                        (field("agreement", "which-agreement", Some("which-agreement-hint"), Kind::Text, &self.agreement))
                    }
                    div.ways {
                        button type="submit" { (words.say("show-entries")) }
                        @if asks { a.button.second href=(address) { (words.say("show-all")) } }
                    }
                }
            }
        }
    }

    fn types(&self, visit: &Visit) -> Markup {
        let words = visit.words;
        let chosen = given(self.r#type.as_deref());
        html! {
            div.field {
                label for="type" { (words.say("what-happened")) }
                select #type name="type" {
                    option value="" { (words.say("anything")) }
                    @for (group, types) in groups() {
                        optgroup label=(words.say(group)) {
                            @for name in types {
                                option value=(name) selected[chosen == Some(*name)] lang="en" { (type_in_words(name)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What there is to happen: to people, to agreements, and to the installation.
fn groups() -> [(&'static str, &'static [&'static str]); 3] {
    [
        ("types-of-people", UserEvent::VARIANTS),
        ("types-of-agreements", AgreementEvent::VARIANTS),
        ("types-of-instance", InstanceEvent::VARIANTS),
    ]
}

/// The beginning of a day, in UTC.
fn begin(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Asked {
        serde_html_form::from_str(query).unwrap()
    }

    #[test]
    fn the_last_day_is_in_it() {
        let filter = asked("from=2027-03-01&to=2027-03-01&user=&type=").filter(None).unwrap();
        assert_eq!(filter.from, Some("2027-03-01T00:00:00Z".parse().unwrap()));
        assert_eq!(filter.to, Some("2027-03-02T00:00:00Z".parse().unwrap()));
        assert!(filter.user.is_none() && filter.r#type.is_empty());
    }

    #[test]
    fn what_cannot_be_asked_is_told_at_its_field() {
        let fields = [
            ("user=me", "user"),
            ("agreement=1", "agreement"),
            ("type=MoonLanded", "type"),
            ("from=yesterday", "from"),
            ("to=0000-01-01", "to"),
            ("from=2027-03-02&to=2027-03-01", "to"),
        ];
        for (query, field) in fields {
            let Err(problem) = asked(query).filter(None) else { panic!("{query}") };
            assert_eq!(problem.member("field").unwrap(), field, "{query}");
        }
    }

    #[test]
    fn the_next_page_asks_for_the_same() {
        let page = asked("user=&type=TwoFactorEnabled&cursor=one");
        assert_eq!(page.address("/audit", Some("two")), "/audit?type=TwoFactorEnabled&cursor=two");
        assert_eq!(page.address("/audit", None), "/audit?type=TwoFactorEnabled");
        assert_eq!(asked("user=").address("/audit", None), "/audit");
        assert!(!page.is_newest() && asked("from=2027-03-01").is_newest());
    }
}
