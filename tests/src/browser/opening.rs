//! How a browser is opened: whose window, which language, whether scripts run.

use std::time::Duration;

use fantoccini::{
    ClientBuilder,
    wd::{Capabilities, TimeoutConfiguration},
};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;

use super::{Browser, driver::Driver};

/// How long a script of the tests may take.
const SCRIPT_MAX: Duration = Duration::from_mins(3);

/// A window.
#[derive(Clone, Copy, Debug)]
struct Window {
    width_px: u32,
    height_px: u32,
    /// Whether it is a phone's, which shows a page that does not say its width as a wide one.
    is_phone: bool,
}

/// What a browser is to be like: a wide window, light, in English, with scripts, unless it is said.
#[derive(Clone, Debug)]
#[must_use = "nothing opens before `open`"]
pub struct Opening {
    base: String,
    window: Window,
    color_scheme: &'static str,
    languages: &'static str,
    runs_scripts: bool,
}

impl Opening {
    pub(super) fn of(base: &str) -> Self {
        Self {
            base: base.to_owned(),
            window: Window { width_px: 1280, height_px: 900, is_phone: false },
            color_scheme: "light",
            languages: "en-GB,en",
            runs_scripts: true,
        }
    }

    /// On a phone.
    pub fn on_a_phone(self) -> Self {
        self.on_a_phone_of(390, 844)
    }

    /// On a phone of this size, 320 pixels wide for example.
    pub fn on_a_phone_of(mut self, width_px: u32, height_px: u32) -> Self {
        self.window = Window { width_px, height_px, is_phone: true };
        self
    }

    /// Zoomed to 200 %: the same window has half the room.
    pub fn zoomed(mut self) -> Self {
        self.window = Window { width_px: 640, height_px: 450, is_phone: false };
        self
    }

    /// For somebody who likes it dark.
    pub fn dark(mut self) -> Self {
        self.color_scheme = "dark";
        self
    }

    /// For somebody who reads Danish.
    pub fn in_danish(mut self) -> Self {
        self.languages = "da-DK,da";
        self
    }

    /// With scripts turned off.
    pub fn without_scripts(mut self) -> Self {
        self.runs_scripts = false;
        self
    }

    /// Opens it, with a profile that nobody has used.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn open(self) -> Browser {
        let driver = Driver::start();
        let capabilities = self.capabilities(&driver);
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&driver.url())
            .await
            .expect("Chromium starts");
        let browser = Browser::new(client, driver, self.base.clone());
        self.arrange(&browser).await;
        browser
    }

    fn capabilities(&self, driver: &Driver) -> Capabilities {
        let chrome = json!({
            "binary": driver.browser(),
            "args": driver.arguments(),
            "prefs": {
                "intl.accept_languages": self.languages,
                "download.default_directory": driver.downloads(),
                "credentials_enable_service": false,
                "profile.password_manager_leak_detection": false,
            },
        });
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": chrome,
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        capabilities.as_object().expect("an object").clone()
    }

    async fn arrange(&self, browser: &Browser) {
        // Judging a long page takes a while where many browsers share a processor.
        let patience = TimeoutConfiguration::new(Some(SCRIPT_MAX), None, None);
        browser.client.update_timeouts(patience).await.expect("how long scripts may take");
        // The browser's own first page is no page of the test, and neither is what it logged.
        browser.client.goto("about:blank").await.expect("an empty page");
        for log in ["browser", "performance"] {
            browser.take_log(log).await;
        }
        let Window { width_px, height_px, is_phone } = self.window;
        let window =
            json!({ "width": width_px, "height": height_px, "deviceScaleFactor": 1, "mobile": is_phone });
        browser.developer_tools("Emulation.setDeviceMetricsOverride", window).await;
        let scheme = json!({ "name": "prefers-color-scheme", "value": self.color_scheme });
        let still = json!({ "name": "prefers-reduced-motion", "value": "reduce" });
        let media = json!({ "features": [scheme, still] });
        browser.developer_tools("Emulation.setEmulatedMedia", media).await;
        if !self.runs_scripts {
            let off = json!({ "value": true });
            browser.developer_tools("Emulation.setScriptExecutionDisabled", off).await;
        }
    }
}
