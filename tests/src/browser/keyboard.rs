//! Getting along with the keyboard alone.

use fantoccini::{
    actions::{InputSource as _, KeyAction, KeyActions},
    key::Key,
};

use super::Browser;

/// More tabs than a page has stops.
const TABS_MAX: usize = 100;

impl Browser {
    /// What has the focus: its role and its name.
    pub async fn focused(&self) -> (String, String) {
        self.until("something with the focus", async || {
            let element = self.client.active_element().await?;
            Ok(Some((self.role_of(&element).await?, self.name_of(&element).await?)))
        })
        .await
    }

    /// Presses the tab key until this has the focus.
    ///
    /// # Panics
    /// When it never has.
    pub async fn tab_to(&self, name: &str) {
        let mut passed = Vec::new();
        for _ in 0..TABS_MAX {
            self.strike(Key::Tab.into()).await;
            let (_, focused) = self.focused().await;
            if focused == name {
                return;
            }
            passed.push(focused);
        }
        panic!("the tab key never comes to “{name}”, but to {passed:?}");
    }

    /// Types into what has the focus.
    pub async fn types(&self, text: &str) {
        for letter in text.chars() {
            self.strike(letter).await;
        }
    }

    /// Types into what has the focus, in a form that sends itself once that is complete.
    pub async fn types_and_goes(&self, text: &str) {
        self.going(async || self.types(text).await).await;
    }

    /// Presses the enter key, which leads to the next page.
    pub async fn enter(&self) {
        self.going(async || self.strike(Key::Enter.into()).await).await;
    }

    /// Presses the enter key, which does something on this page.
    pub async fn enter_in_place(&self) {
        self.strike(Key::Enter.into()).await;
    }

    /// Presses the space key.
    pub async fn space(&self) {
        self.strike(' ').await;
    }

    async fn strike(&self, value: char) {
        let keys = KeyActions::new("keyboard".to_owned())
            .then(KeyAction::Down { value })
            .then(KeyAction::Up { value });
        self.client.perform_actions(keys).await.expect("a key is pressed");
    }
}
