//! What stands around every page: its head, the way to other pages, the language, and signing out.

use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use strum::IntoEnumIterator;

use super::visit::Visit;
use super::words::Language;
use super::{assets, form};

/// A page without what stands around it.
pub(super) struct Page {
    title: String,
    body: Markup,
    rail: Option<Rail>,
    /// Whether nothing around it leads away.
    is_alone: bool,
    /// Whether it offers to sign out, though nobody was let in.
    in_session: bool,
}

/// The way to other pages.
pub(super) struct Rail {
    links: Vec<RailLink>,
    /// The pages of what is looked at, under a heading of their own.
    group: Option<(String, Vec<RailLink>)>,
}

/// An address, its name, and whether one is there.
pub(super) type RailLink = (String, String, bool);

impl Rail {
    /// The way to these pages.
    pub(super) const fn of(links: Vec<RailLink>) -> Self {
        Self { links, group: None }
    }

    /// The same, with these under a heading beneath.
    pub(super) fn with(self, heading: String, links: Vec<RailLink>) -> Self {
        Self { group: Some((heading, links)), ..self }
    }

    fn markup(&self) -> Markup {
        html! {
            ul { (listed(&self.links)) }
            @if let Some((heading, links)) = &self.group {
                p.group #rail-group { (heading) }
                ul aria-labelledby="rail-group" { (listed(links)) }
            }
        }
    }
}

fn listed(links: &[RailLink]) -> Markup {
    html! {
        @for (address, name, here) in links {
            li { a href=(address) aria-current=[here.then_some("page")] { (name) } }
        }
    }
}

impl Page {
    /// One step of something: one column, one thing to do.
    pub(super) const fn step(title: String, body: Markup) -> Self {
        Self { title, body, rail: None, is_alone: false, in_session: false }
    }

    /// A page to look around on.
    pub(super) const fn wide(title: String, rail: Rail, body: Markup) -> Self {
        Self { title, body, rail: Some(rail), is_alone: false, in_session: false }
    }

    /// The same with nothing around it that leads away: what it shows is shown this once.
    pub(super) const fn alone(mut self) -> Self {
        self.is_alone = true;
        self
    }

    /// The same for somebody who has a session, although this page knows nobody.
    pub(super) const fn in_session(mut self, in_session: bool) -> Self {
        self.in_session = in_session;
        self
    }
}

impl Visit {
    /// The page as an answer.
    pub(super) fn show(&self, page: &Page) -> Response {
        Html(self.render(page).into_string()).into_response()
    }

    /// The page as it is sent.
    pub(super) fn render(&self, page: &Page) -> Markup {
        let words = self.words;
        html! {
            (DOCTYPE)
            html lang=(words.0.code()) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (page.title) " – " (self.service) }
                    link rel="stylesheet" href=(assets::style_address());
                    link rel="icon" href="data:,";
                    script src=(assets::script_address()) defer {}
                }
                body {
                    a.skip href="#content" { (words.say("skip-to-content")) }
                    header.top {
                        @if page.is_alone {
                            span.service { (self.service) }
                        } @else {
                            a.service href="/" { (self.service) }
                            (self.about(page.in_session))
                        }
                    }
                    @match &page.rail {
                        None => main.step #content { (page.body) },
                        Some(rail) => div.around {
                            nav.rail aria-label=(words.say("pages")) {
                                (rail.markup())
                            }
                            main.wide #content { (page.body) }
                        },
                    }
                }
            }
        }
    }

    fn about(&self, in_session: bool) -> Markup {
        html! {
            div.about {
                (self.languages())
                @if in_session || self.is_signed_in() {
                    form method="post" action="/logout" {
                        (form::token(self))
                        button.plain type="submit" { (self.words.say("sign-out")) }
                    }
                }
            }
        }
    }

    /// The other languages that the page can be read in.
    fn languages(&self) -> Markup {
        let here: String = self.address.chars().take(1000).collect();
        let back = serde_html_form::to_string([("return_to", here)]).unwrap_or_default();
        html! {
            @for language in Language::iter().filter(|language| *language != self.words.0) {
                a lang=(language.code()) hreflang=(language.code()) rel="nofollow"
                    href=(format!("/language/{}?{back}", language.code())) { (language.own_name()) }
            }
        }
    }
}
