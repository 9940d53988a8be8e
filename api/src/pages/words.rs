//! What pages say, in the language of whoever reads them. The sentences stand in `api/words/`.

use std::sync::LazyLock;

use axum::http::{HeaderMap, header};
use chrono::{Locale, SecondsFormat, TimeDelta};
use countersign_domain::Timestamp;
use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use fluent_langneg::{NegotiationStrategy, negotiate_languages, parse_accepted_languages};
use maud::{Markup, html};
use num_format::ToFormattedString;
use strum::{EnumIter, IntoEnumIterator};
use unic_langid::{LanguageIdentifier, langid};

/// A language that pages are written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, EnumIter)]
pub(super) enum Language {
    /// English.
    #[default]
    English,
    /// Danish.
    Danish,
}

impl Language {
    /// As `lang` attributes and addresses name it.
    #[must_use]
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Danish => "da",
        }
    }

    /// What the language calls itself.
    #[must_use]
    pub(super) const fn own_name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Danish => "Dansk",
        }
    }

    /// The language with this code.
    #[must_use]
    pub(super) fn of_code(code: &str) -> Option<Self> {
        Self::iter().find(|language| language.code() == code)
    }

    /// What the browser would like best, of those there are.
    #[must_use]
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let wanted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let wanted = parse_accepted_languages(wanted.unwrap_or_default());
        let there_are: Vec<LanguageIdentifier> = Self::iter().map(Self::identifier).collect();
        let chosen = negotiate_languages(&wanted, &there_are, None, NegotiationStrategy::Lookup);
        let code = chosen.first().map(|chosen| chosen.language.as_str().to_owned());
        code.and_then(|code| Self::of_code(&code)).unwrap_or_default()
    }

    fn identifier(self) -> LanguageIdentifier {
        match self {
            Self::English => langid!("en"),
            Self::Danish => langid!("da"),
        }
    }

    const fn source(self) -> &'static str {
        match self {
            Self::English => include_str!("../../words/en.ftl"),
            Self::Danish => include_str!("../../words/da.ftl"),
        }
    }
}

type Bundle = FluentBundle<FluentResource>;

static BUNDLES: LazyLock<Vec<(Language, Bundle)>> =
    LazyLock::new(|| Language::iter().map(|language| (language, bundle(language))).collect());

fn bundle(language: Language) -> Bundle {
    let mut bundle = FluentBundle::new_concurrent(vec![language.identifier()]);
    // Both languages are written from left to right, so nothing has to be kept apart.
    bundle.set_use_isolating(false);
    // A file with a mistake gives what of it reads; the tests allow none.
    let resource = FluentResource::try_new(language.source().to_owned()).unwrap_or_else(|(read, _)| read);
    if bundle.add_resource(resource).is_err() {
        tracing::error!(language = language.code(), "a message is there twice");
    }
    bundle
}

/// The words of one language.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Words(pub(super) Language);

impl Words {
    /// A sentence.
    #[must_use]
    pub(super) fn say(self, id: &str) -> String {
        self.format(id, None)
    }

    /// A sentence with what is named in it.
    #[must_use]
    pub(super) fn say_with<'v>(
        self,
        id: &str,
        named: impl IntoIterator<Item = (&'v str, FluentValue<'v>)>,
    ) -> String {
        self.format(id, Some(&named.into_iter().collect()))
    }

    fn format(self, id: &str, args: Option<&FluentArgs>) -> String {
        let bundle = BUNDLES.iter().find(|(language, _)| *language == self.0).map(|(_, bundle)| bundle);
        let pattern = bundle.and_then(|bundle| Some((bundle, bundle.get_message(id)?.value()?)));
        let Some((bundle, pattern)) = pattern else {
            tracing::error!(id, language = self.0.code(), "there is no such message");
            return id.to_owned();
        };
        let mut errors = Vec::new();
        let said = bundle.format_pattern(pattern, args, &mut errors);
        if !errors.is_empty() {
            tracing::error!(id, ?errors, "a message lacks what it names");
        }
        said.into_owned()
    }

    /// A day: "1 March 2027".
    #[must_use]
    pub(super) fn day(self, at: Timestamp) -> String {
        let (pattern, locale) = match self.0 {
            Language::English => ("%-d %B %Y", Locale::en_GB),
            Language::Danish => ("%-d. %B %Y", Locale::da_DK),
        };
        at.format_localized(pattern, locale).to_string()
    }

    /// A day and an hour in UTC, which the script tells in the zone of whoever reads it.
    #[must_use]
    pub(super) fn moment(self, at: Timestamp) -> Markup {
        let hour = match self.0 {
            Language::English => at.format("%H:%M UTC"),
            Language::Danish => at.format("%H.%M UTC"),
        };
        time(at, &format!("{} {hour}", self.day(at)), Some("moment"))
    }

    /// A day, as an element that says the very moment.
    #[must_use]
    pub(super) fn date(self, at: Timestamp) -> Markup {
        time(at, &self.day(at), None)
    }

    /// An hour in UTC, where the day stands above it.
    #[must_use]
    pub(super) fn hour(self, at: Timestamp) -> Markup {
        let hour = match self.0 {
            Language::English => at.format("%H:%M"),
            Language::Danish => at.format("%H.%M"),
        };
        time(at, &hour.to_string(), None)
    }

    /// A number with its thousands apart.
    #[must_use]
    pub(super) fn number(self, number: impl TryInto<i64>) -> String {
        let number: i64 = number.try_into().unwrap_or(i64::MAX);
        match self.0 {
            Language::English => number.to_formatted_string(&num_format::Locale::en),
            Language::Danish => number.to_formatted_string(&num_format::Locale::da),
        }
    }

    /// How long something lasts, in words and never too short.
    #[must_use]
    pub(super) fn span(self, span: TimeDelta) -> String {
        let seconds = span.num_seconds().max(1);
        if seconds < 60 {
            return self.say_with("seconds", [("count", seconds.into())]);
        }
        let minutes = seconds.saturating_add(59) / 60;
        if minutes < 120 {
            return self.say_with("minutes", [("count", minutes.into())]);
        }
        self.say_with("hours", [("count", (minutes.saturating_add(59) / 60).into())])
    }
}

/// A moment as an element that says it exactly.
fn time(at: Timestamp, shown: &str, told_in_own_zone: Option<&str>) -> Markup {
    let exact = at.format("%Y-%m-%d %H:%M:%S UTC").to_string();
    html! {
        time datetime=(at.to_rfc3339_opts(SecondsFormat::AutoSi, true)) title=(exact) data-tell=[told_in_own_zone] {
            (shown)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// The messages of a language, each with what it names.
    fn messages(language: Language) -> BTreeMap<String, BTreeSet<String>> {
        let mut messages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut current = String::new();
        for line in language.source().lines() {
            if let Some((id, _)) =
                line.split_once(" =").filter(|_| line.starts_with(|c: char| c.is_ascii_lowercase()))
            {
                current = id.to_owned();
                assert!(
                    messages.insert(current.clone(), BTreeSet::new()).is_none(),
                    "{current} is there twice"
                );
            }
            for named in line.split('$').skip(1) {
                let name: String =
                    named.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                messages.get_mut(&current).unwrap().insert(name);
            }
        }
        messages
    }

    fn sources() -> Vec<(std::path::PathBuf, String)> {
        let mut found = Vec::new();
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut waiting = vec![root.join("pages"), root.join("pages.rs")];
        while let Some(path) = waiting.pop() {
            if path.is_dir() {
                waiting.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            } else if !path.ends_with("words.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
        found
    }

    #[test]
    fn every_file_of_words_reads_without_a_mistake() {
        for language in Language::iter() {
            assert!(FluentResource::try_new(language.source().to_owned()).is_ok(), "{language:?}");
        }
    }

    #[test]
    fn every_language_has_the_same_messages_naming_the_same_things() {
        let english = messages(Language::English);
        assert!(english.len() > 50);
        assert_eq!(english, messages(Language::Danish));
    }

    #[test]
    fn pages_ask_only_for_messages_that_there_are_and_every_message_is_asked_for() {
        let english = messages(Language::English);
        let sources = sources();
        let mut quoted = BTreeSet::new();
        for (path, text) in &sources {
            for call in ["say(\"", "say_with(\""] {
                for asked in text.split(call).skip(1) {
                    let id = asked.split('"').next().unwrap();
                    assert!(english.contains_key(id), "{} asks for {id}", path.display());
                }
            }
            quoted.extend(text.split('"').skip(1).step_by(2).map(str::to_owned));
            quoted.extend(text.split('"').skip(2).step_by(2).map(str::to_owned));
        }
        let own = ["seconds", "minutes", "hours"].map(str::to_owned);
        let unasked: Vec<_> =
            english.keys().filter(|id| !quoted.contains(*id) && !own.contains(id)).collect();
        assert!(unasked.is_empty(), "nobody asks for {unasked:?}");
    }

    #[test]
    fn days_numbers_and_spans_are_written_in_the_language() {
        let at: Timestamp = "2027-03-01T13:05:00Z".parse().unwrap();
        let (english, danish) = (Words(Language::English), Words(Language::Danish));
        assert_eq!(
            (english.day(at), danish.day(at)),
            ("1 March 2027".to_owned(), "1. marts 2027".to_owned())
        );
        assert_eq!(
            (english.number(48_211), danish.number(48_211)),
            ("48,211".to_owned(), "48.211".to_owned())
        );
        assert_eq!(english.span(TimeDelta::seconds(1)), "1 second");
        assert_eq!(danish.span(TimeDelta::seconds(61)), "2 minutter");
        assert_eq!(english.span(TimeDelta::hours(24)), "24 hours");
        assert!(danish.moment(at).into_string().contains("1. marts 2027 13.05 UTC"));
    }

    #[test]
    fn the_browser_gets_the_language_that_it_likes_best() {
        let accepted = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_LANGUAGE, value.parse().unwrap());
            Language::accepted(&headers)
        };
        assert_eq!(accepted("da-DK,da;q=0.9,en;q=0.8"), Language::Danish);
        assert_eq!(accepted("en;q=0.9,da;q=0.3"), Language::English);
        assert_eq!(accepted("fr,da;q=0.5"), Language::Danish);
        assert_eq!(accepted("fr"), Language::English);
        assert_eq!(Language::accepted(&HeaderMap::new()), Language::English);
    }
}
