//! The pages as a browser without a script sees them: links, forms, cookies and redirects.

use std::collections::BTreeMap;

use reqwest::{Method, header};
use scraper::{ElementRef, Html, Selector};

use crate::{Answer, TestApp};

/// Nobody is sent on more often.
const REDIRECTS_MAX: usize = 8;

/// Somebody with a browser.
pub struct Visitor {
    app: TestApp,
    /// What the browser keeps, by name.
    pub cookies: BTreeMap<String, String>,
    /// Says which languages the person likes.
    pub languages: String,
    /// The page in the window.
    pub page: Shown,
}

/// A page in the window.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Its address; another host's with all that belongs to it.
    pub address: String,
    /// Its status; 0 for a page of another host, which is not loaded.
    pub status: u16,
    /// Its header fields, one to a line.
    pub headers: String,
    /// What was sent.
    pub html: String,
}

impl Visitor {
    /// A browser that has never been here.
    pub fn of(app: &TestApp) -> Self {
        Self {
            app: app.clone(),
            cookies: BTreeMap::new(),
            languages: "en".to_owned(),
            page: Shown::default(),
        }
    }

    /// Opens an address, and goes where it leads.
    pub async fn open(&mut self, address: &str) -> &Shown {
        self.go(Method::GET, address.to_owned(), None).await
    }

    /// Follows the link with this text.
    ///
    /// # Panics
    /// When the page has none.
    pub async fn follow(&mut self, text: &str) -> &Shown {
        let address =
            self.page.link(text).unwrap_or_else(|| panic!("no link {text:?} in {}", self.page.text()));
        self.go(Method::GET, address, None).await
    }

    /// Fills in the form that has this button, and presses it. What is not named stays as the page has it.
    ///
    /// # Panics
    /// When the page has no such form, or not these fields.
    pub async fn press(&mut self, button: &str, typed: &[(&str, &str)]) -> &Shown {
        let (address, fields) = self.page.filled_in(button, typed);
        let body = form_body(&fields);
        self.go(Method::POST, address, Some(body)).await
    }

    /// Sends a form that the page does not have.
    pub async fn send(&mut self, address: &str, fields: &[(&str, &str)]) -> &Shown {
        let body = form_body(fields);
        self.go(Method::POST, address.to_owned(), Some(body)).await
    }

    /// Connects the authenticator app whose key the page shows, with its first code; the key.
    ///
    /// # Panics
    /// When the page shows none.
    pub async fn connect_app(&mut self) -> String {
        assert_eq!(self.page.one("h1"), "Connect your authenticator app");
        let secret = self.page.key();
        let code = self.app.code(&secret);
        self.press("Continue", &[("code", &code)]).await;
        secret
    }

    async fn go(&mut self, method: Method, address: String, form: Option<String>) -> &Shown {
        let (mut method, mut address, mut form) = (method, address, form);
        for _ in 0..REDIRECTS_MAX {
            if !address.starts_with('/') {
                self.page = Shown { address, ..Shown::default() };
                return &self.page;
            }
            let cookies: Vec<String> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let mut request = self
                .app
                .request(method, &address)
                .header("cookie", &cookies.join("; "))
                .header("accept", "text/html")
                .header("accept-language", &self.languages);
            if let Some(form) = form.take() {
                request = request.bytes("application/x-www-form-urlencoded", form);
            }
            let answer = request.send().await;
            self.keep_cookies(&answer);
            match answer.status {
                303 => (method, address) = (Method::GET, answer.header("location").to_owned()),
                _ => {
                    self.page = Shown::of(address, &answer);
                    return &self.page;
                }
            }
        }
        panic!("sent on {REDIRECTS_MAX} times, at last to {address}");
    }

    fn keep_cookies(&mut self, answer: &Answer) {
        for cookie in answer.headers.get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().expect("a cookie is text");
            let (name, rest) = cookie.split_once('=').expect("a cookie has a name");
            let value = rest.split(';').next().unwrap_or_default();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

fn form_body(fields: &[(impl AsRef<str>, impl AsRef<str>)]) -> String {
    let mut url = reqwest::Url::parse("http://form/").expect("an address");
    url.query_pairs_mut().extend_pairs(fields.iter().map(|(name, value)| (name.as_ref(), value.as_ref())));
    url.query().unwrap_or_default().to_owned()
}

fn all<'h>(html: &'h Html, selector: &str) -> Vec<ElementRef<'h>> {
    let selector = Selector::parse(selector).expect("a selector");
    html.select(&selector).collect()
}

fn text_of(element: ElementRef<'_>) -> String {
    element.text().collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Shown {
    fn of(address: String, answer: &Answer) -> Self {
        let headers = answer.headers.iter();
        let headers: Vec<String> =
            headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap_or_default())).collect();
        Self { address, status: answer.status, headers: headers.join("\n"), html: answer.text.clone() }
    }

    /// The first of what is chosen, as text.
    ///
    /// # Panics
    /// When there is none.
    pub fn one(&self, selector: &str) -> String {
        let html = Html::parse_document(&self.html);
        let found = all(&html, selector);
        text_of(
            *found.first().unwrap_or_else(|| panic!("no {selector} on {}: {}", self.address, self.text())),
        )
    }

    /// Whether there is any.
    pub fn has(&self, selector: &str) -> bool {
        !all(&Html::parse_document(&self.html), selector).is_empty()
    }

    /// What the page says, all of it.
    pub fn text(&self) -> String {
        let html = Html::parse_document(&self.html);
        all(&html, "body").into_iter().map(text_of).collect()
    }

    /// The key to type into an authenticator app, without the gaps between its groups.
    pub fn key(&self) -> String {
        self.one(".key").split_whitespace().collect()
    }

    /// What a form of this page is bound by.
    ///
    /// # Panics
    /// When the page has no form.
    pub fn form_token(&self) -> String {
        let html = Html::parse_document(&self.html);
        let field = all(&html, "input[name=form_token]");
        let field = field.first().unwrap_or_else(|| panic!("no form on {}", self.address));
        field.value().attr("value").unwrap_or_default().to_owned()
    }

    /// What is wrong with a field.
    pub fn fault(&self, field: &str) -> String {
        self.one(&format!("#{field}-fault"))
    }

    fn link(&self, text: &str) -> Option<String> {
        let html = Html::parse_document(&self.html);
        let link = all(&html, "a[href]").into_iter().find(|link| text_of(*link) == text);
        link.and_then(|link| link.value().attr("href").map(str::to_owned))
    }

    /// Where the form with this button goes, and what it sends.
    fn filled_in(&self, button: &str, typed: &[(&str, &str)]) -> (String, Vec<(String, String)>) {
        let html = Html::parse_document(&self.html);
        let forms = all(&html, "form[method=post]");
        let buttons = Selector::parse("button[type=submit]").expect("a selector");
        let pressed = forms.iter().find_map(|form| {
            let button = form.select(&buttons).find(|other| text_of(*other) == button)?;
            Some((*form, button))
        });
        let (form, pressed) = pressed.unwrap_or_else(|| panic!("no button {button:?} in {}", self.text()));
        let inputs = Selector::parse("input[name], select[name], textarea[name]").expect("a selector");
        let mut missing: Vec<&str> = typed.iter().map(|(name, _)| *name).collect();
        let mut fields = Vec::new();
        for input in form.select(&inputs) {
            let name = input.value().attr("name").unwrap_or_default();
            let ticked = input.value().attr("checked").is_some();
            let is_box = matches!(input.value().attr("type"), Some("checkbox" | "radio"));
            let value = match typed.iter().find(|(other, _)| *other == name) {
                Some((_, value)) => Some((*value).to_owned()),
                None if is_box && !ticked => None,
                None => Some(input.value().attr("value").unwrap_or_default().to_owned()),
            };
            missing.retain(|other| *other != name);
            fields.extend(value.map(|value| (name.to_owned(), value)));
        }
        assert!(missing.is_empty(), "no fields {missing:?} in {}", self.html);
        if let Some(name) = pressed.value().attr("name") {
            fields.push((name.to_owned(), pressed.value().attr("value").unwrap_or_default().to_owned()));
        }
        (form.value().attr("action").unwrap_or(&self.address).to_owned(), fields)
    }
}
