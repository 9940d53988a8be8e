//! The pages, in a real Chromium. `COUNTERSIGN_SCREENSHOTS=docs/pages tests/run pages::` writes the
//! pictures of them.

mod agreement;
mod everybody;
mod guide;
mod notices;
mod served;
mod sign_in;
mod walk;
mod window;
