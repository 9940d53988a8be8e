//! What a person sees on a page, and does there.

use std::time::{Duration, Instant};

use fantoccini::{Locator, elements::Element, error::CmdError};
use serde_json::Value;

use super::{Browser, command::normal};

/// What is not there yet is looked for so long, and so often.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What can have each role, to be asked for its name.
const BUTTONS: &str = "button, input[type=submit], [role=button], summary";
const LINKS: &str = "a[href]";
const FIELDS: &str = "input:not([type=hidden]):not([type=submit]), textarea, select";
const HEADINGS: &str = "h1, h2, h3, h4, h5, h6";
const IMAGES: &str = "img, svg[role=img]";

impl Browser {
    /// Goes to a page of the server.
    ///
    /// # Panics
    /// When the browser gets no answer.
    pub async fn goto(&self, path: &str) {
        let url = format!("{}{path}", self.base);
        self.client.goto(&url).await.unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Goes back to the page before.
    pub async fn back(&self) {
        self.client.back().await.expect("a page before");
    }

    /// Loads the page anew.
    pub async fn reload(&self) {
        self.client.refresh().await.expect("the page again");
    }

    /// The path and the query of the page.
    pub async fn path(&self) -> String {
        let url = self.client.current_url().await.expect("an address");
        url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
    }

    /// Waits until the page is the one at this path, whatever its query.
    pub async fn arrives_at(&self, path: &str) {
        self.until(&format!("the page {path}"), async || {
            let url = self.client.current_url().await?;
            Ok((url.path() == path).then_some(()))
        })
        .await;
    }

    /// Waits until this can be read on the page.
    pub async fn sees(&self, text: &str) {
        let wanted = normal(text);
        let found = async || Ok(self.try_to_read().await?.contains(&wanted).then_some(()));
        self.until(&format!("the text “{text}”"), found).await;
    }

    /// Asserts that this cannot be read on the page. Wait for something that is there first.
    pub async fn sees_nothing_of(&self, text: &str) {
        let page = self.text().await;
        assert!(!page.contains(&normal(text)), "“{text}” can be read: {page}");
    }

    /// Waits for a heading with this text.
    pub async fn heading(&self, name: &str) {
        self.find("heading", HEADINGS, name).await;
    }

    /// Waits for a link with this text, and leaves it alone.
    pub async fn sees_link(&self, name: &str) {
        self.find("link", LINKS, name).await;
    }

    /// Waits for a button with this text, and leaves it alone.
    pub async fn sees_button(&self, name: &str) {
        self.find("button", BUTTONS, name).await;
    }

    /// Asserts that no button has this text. Wait for something that is there first.
    pub async fn sees_no_button(&self, name: &str) {
        assert!(!self.names_of(BUTTONS).await.contains(&name.to_owned()), "there is a button “{name}”");
    }

    /// Asserts that no link has this text. Wait for something that is there first.
    pub async fn sees_no_link(&self, name: &str) {
        assert!(!self.names_of(LINKS).await.contains(&name.to_owned()), "there is a link “{name}”");
    }

    /// Follows a link to the next page.
    pub async fn follow(&self, name: &str) {
        self.going(async || self.click("link", LINKS, name).await).await;
    }

    /// Follows a link to another place of this page.
    pub async fn follow_in_place(&self, name: &str) {
        self.click("link", LINKS, name).await;
    }

    /// Presses a button that leads to the next page.
    pub async fn press(&self, name: &str) {
        self.going(async || self.click("button", BUTTONS, name).await).await;
    }

    /// Presses a button that does something on this page.
    pub async fn press_in_place(&self, name: &str) {
        self.click("button", BUTTONS, name).await;
    }

    /// Puts text into a field, in place of what is there.
    pub async fn fill(&self, label: &str, text: &str) {
        let emptied = async || {
            let Some(field) = self.look(FIELDS, label).await? else { return Ok(None) };
            field.clear().await?;
            Ok(Some(field))
        };
        let field = self.until(&format!("the field “{label}”, to be filled"), emptied).await;
        // Never twice: what was typed may have led to another page already.
        field.send_keys(text).await.expect("the field takes text");
    }

    /// Puts text into a field of a form that sends itself once that is complete.
    pub async fn fill_and_go(&self, label: &str, text: &str) {
        self.going(async || self.fill(label, text).await).await;
    }

    /// Puts a day into a date field: `2027-03-01`.
    pub async fn fill_date(&self, label: &str, day: &str) {
        let field = self.find("field", FIELDS, label).await;
        let script = "arguments[0].value = arguments[1]; \
                      arguments[0].dispatchEvent(new Event('change', { bubbles: true }));";
        let field = serde_json::to_value(field).expect("a reference");
        self.client.execute(script, vec![field, day.into()]).await.expect("the day is set");
    }

    /// Chooses what a list offers.
    pub async fn choose(&self, label: &str, option: &str) {
        self.find("field", FIELDS, label).await.select_by_label(option).await.expect("it is on offer");
    }

    /// Ticks a box, or takes its tick away.
    pub async fn tick(&self, label: &str) {
        self.click("field", FIELDS, label).await;
    }

    /// Whether a box is ticked.
    pub async fn is_ticked(&self, label: &str) -> bool {
        self.find("field", FIELDS, label).await.is_selected().await.expect("a box")
    }

    /// What is in a field.
    pub async fn value_of(&self, label: &str) -> String {
        let field = self.find("field", FIELDS, label).await;
        field.prop("value").await.expect("a value").unwrap_or_default()
    }

    /// What a camera sees of a picture, as a PNG.
    pub async fn photograph(&self, name: &str) -> Vec<u8> {
        let picture = self.find("picture", IMAGES, name).await;
        // What is out of the window would be missing on the photograph.
        let script = "arguments[0].scrollIntoView({ block: 'center', behavior: 'instant' })";
        let element = serde_json::to_value(&picture).expect("a reference");
        self.client.execute(script, vec![element]).await.expect("the picture comes into the window");
        picture.screenshot().await.expect("a picture")
    }

    /// Waits for a file that was downloaded, and reads it. It is there and empty before it is whole.
    pub async fn downloaded(&self, name: &str) -> String {
        let path = self.driver.downloads().join(name);
        let whole = || std::fs::read_to_string(&path).ok().filter(|text| !text.is_empty());
        self.until(&format!("the file {name}"), async || Ok(whole())).await
    }

    /// Waits for what a page says in an alert.
    pub async fn alert(&self) -> String {
        self.said_by("alert").await
    }

    /// Waits for what a page says as a status.
    pub async fn status(&self) -> String {
        self.said_by("status").await
    }

    async fn said_by(&self, role: &str) -> String {
        let selector = format!("[role={role}]");
        self.until(&format!("something said with the role {role}"), async || {
            let Some(element) = self.client.find_all(Locator::Css(&selector)).await?.into_iter().next()
            else {
                return Ok(None);
            };
            let said = normal(&element.text().await?);
            Ok((!said.is_empty()).then_some(said))
        })
        .await
    }

    /// Everything that can be read on the page.
    pub async fn text(&self) -> String {
        self.until("a page to read", async || self.try_to_read().await.map(Some)).await
    }

    async fn try_to_read(&self) -> Result<String, CmdError> {
        let text = self.client.execute("return document.body.innerText", Vec::new()).await?;
        Ok(normal(text.as_str().unwrap_or_default()))
    }

    /// Asserts that nothing of the page is wider than the window.
    ///
    /// # Panics
    /// When something is; it names what reaches out.
    pub async fn does_not_scroll_sideways(&self) {
        let wider = self.wider_than_the_window().await;
        assert!(wider.is_empty(), "{} scrolls sideways: {wider:?}", self.path().await);
    }

    /// What makes the page scroll sideways: each element that reaches out of the window.
    pub async fn wider_than_the_window(&self) -> Vec<String> {
        self.rests().await;
        let script = "const page = document.scrollingElement; \
            if (page.scrollWidth <= page.clientWidth) return []; \
            return [...document.querySelectorAll('*')] \
                .filter(one => one.scrollWidth > page.clientWidth \
                    || one.getBoundingClientRect().right > page.clientWidth) \
                .map(one => one.outerHTML.slice(0, 120))";
        let wider = self.client.execute(script, Vec::new()).await.expect("widths");
        let wider = wider.as_array().expect("elements").iter();
        wider.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Waits until the page is there with all that belongs to it.
    pub(super) async fn rests(&self) {
        self.until("a page at rest", async || {
            let state = self.client.execute("return document.readyState", Vec::new()).await?;
            Ok((state == "complete").then_some(()))
        })
        .await;
    }

    /// Does something that leads to another page, and waits until that is there.
    pub(super) async fn going(&self, act: impl AsyncFn()) {
        let page = self.client.find(Locator::Css("html")).await.expect("a page");
        act().await;
        self.until("the next page", async || Ok(page.tag_name().await.is_err().then_some(()))).await;
        self.rests().await;
    }

    async fn click(&self, what: &str, selector: &str, name: &str) {
        self.until(&format!("the {what} “{name}”, to be clicked"), async || {
            let Some(element) = self.look(selector, name).await? else { return Ok(None) };
            element.click().await.map(Some)
        })
        .await;
    }

    /// Waits for what is called so.
    async fn find(&self, what: &str, selector: &str, name: &str) -> Element {
        self.until(&format!("the {what} “{name}”"), async || self.look(selector, name).await).await
    }

    /// The first visible element with this name, if it is there now.
    async fn look(&self, selector: &str, name: &str) -> Result<Option<Element>, CmdError> {
        for element in self.client.find_all(Locator::Css(selector)).await? {
            if self.name_of(&element).await? == name && element.is_displayed().await? {
                return Ok(Some(element));
            }
        }
        Ok(None)
    }

    async fn names_of(&self, selector: &str) -> Vec<String> {
        self.until("a page to look through", async || {
            let mut names = Vec::new();
            for element in self.client.find_all(Locator::Css(selector)).await? {
                if element.is_displayed().await? {
                    names.push(self.name_of(&element).await?);
                }
            }
            Ok(Some(names))
        })
        .await
    }

    /// Looks until there is an answer. A page that goes away meanwhile is an error, and is looked at anew.
    pub(super) async fn until<T>(
        &self,
        what: &str,
        look: impl AsyncFn() -> Result<Option<T>, CmdError>,
    ) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let looked = look().await;
            if let Ok(Some(found)) = looked {
                return found;
            }
            if Instant::now() > deadline {
                let error = looked.err().map(|error| format!(" ({error})")).unwrap_or_default();
                let page = self.try_to_read().await.unwrap_or_default();
                panic!("there never came {what}{error} at {}: {page}", self.path().await);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
