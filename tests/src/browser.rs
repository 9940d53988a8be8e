//! A real Chromium, driven through chromedriver, that looks at pages as a person does.
//!
//! Things are found by what they are called: the text of a button, the label of a field. Nothing
//! sleeps: what is not there yet is waited for, up to a bound. A test ends with
//! [`Browser::finish`], which fails it if the console has an error or a warning, if a page broke
//! its Content-Security-Policy, or if anything was asked of another server.
//!
//! Reading order: [`opening`], [`page`], [`keyboard`], [`accessible`], then [`watch`].

pub mod accessible;
mod command;
mod driver;
pub mod keyboard;
pub mod opening;
pub mod page;
pub mod watch;

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use fantoccini::Client;

use driver::Driver;
use opening::Opening;
use watch::Complaint;

/// Names the directory that pictures go to; without it none are taken.
const SCREENSHOTS: &str = "COUNTERSIGN_SCREENSHOTS";

/// One window of a browser with a profile of its own.
#[must_use = "a test ends with `finish`"]
pub struct Browser {
    client: Client,
    base: String,
    /// The statuses that pages are expected to answer with.
    expected: Mutex<Vec<u16>>,
    is_finished: bool,
    driver: Driver,
}

impl Browser {
    /// A browser that visits the server with this base of its URLs, and no other.
    pub fn visiting(base: &str) -> Opening {
        Opening::of(base)
    }

    fn new(client: Client, driver: Driver, base: String) -> Self {
        Self { client, base, expected: Mutex::default(), is_finished: false, driver }
    }

    /// Says that one page will answer with this status, as a form does that was not accepted. The
    /// browser reports that as an error; only this one report is none then, and it must come.
    pub fn expects_status(&self, status: u16) {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).push(status);
    }

    fn expected(&self) -> Vec<u16> {
        std::mem::take(&mut *self.expected.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes a picture of the window into the directory that `COUNTERSIGN_SCREENSHOTS` names, from
    /// the top of the repository; without it nothing is written.
    pub async fn screenshot(&self, name: &str) {
        if let Some(directory) = std::env::var_os(SCREENSHOTS).filter(|value| !value.is_empty()) {
            let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
            self.screenshot_into(&top.join(directory), name).await;
        }
    }

    /// Writes a picture of the window.
    ///
    /// # Panics
    /// When it cannot be written.
    pub async fn screenshot_into(&self, directory: &Path, name: &str) {
        let png = self.client.screenshot().await.expect("a picture");
        std::fs::create_dir_all(directory).expect("the directory for pictures");
        std::fs::write(directory.join(format!("{name}.png")), png).expect("the picture is written");
    }

    /// Closes the browser, and fails the test if anything happened that must not go unnoticed.
    ///
    /// # Panics
    /// When something did.
    pub async fn finish(self) {
        let complaints = self.close().await;
        let told: Vec<String> = complaints.iter().map(ToString::to_string).collect();
        assert!(complaints.is_empty(), "the browser complains\n{}", told.join("\n"));
    }

    /// Closes the browser, and returns what [`Browser::finish`] would fail of.
    pub async fn close(mut self) -> Vec<Complaint> {
        let complaints = self.complaints().await;
        self.is_finished = true;
        self.client.clone().close().await.expect("the browser closes");
        complaints
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A test that has failed already has said why.
        let may_end = self.is_finished || std::thread::panicking();
        assert!(may_end, "a test that opens a browser ends with `finish`, which looks at what went wrong");
    }
}
