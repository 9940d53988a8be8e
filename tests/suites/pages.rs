//! The pages, in a real Chromium.

mod notices;
mod served;
mod window;
