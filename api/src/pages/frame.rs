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
}

/// The way to other pages.
pub(super) struct Rail {
    /// Each with its address, and whether one is there.
    pub(super) links: Vec<(String, String, bool)>,
}

impl Page {
    /// One step of something: one column, one thing to do.
    pub(super) const fn step(title: String, body: Markup) -> Self {
        Self { title, body, rail: None }
    }

    /// A page to look around on.
    pub(super) const fn wide(title: String, rail: Rail, body: Markup) -> Self {
        Self { title, body, rail: Some(rail) }
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
                        a.service href="/" { (self.service) }
                        div.about {
                            (self.languages())
                            @if self.is_signed_in() {
                                form method="post" action="/logout" {
                                    (form::token(self))
                                    button.plain type="submit" { (words.say("sign-out")) }
                                }
                            }
                        }
                    }
                    @match &page.rail {
                        None => main.step #content { (page.body) },
                        Some(rail) => div.around {
                            nav.rail aria-label=(words.say("pages")) {
                                ul {
                                    @for (address, name, here) in &rail.links {
                                        li { a href=(address) aria-current=[here.then_some("page")] { (name) } }
                                    }
                                }
                            }
                            main.wide #content { (page.body) }
                        },
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
