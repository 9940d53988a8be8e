//! How far long work is: a bar on a terminal, a line now and then elsewhere. Both on standard error.

use std::fmt::Write;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::print;

/// Elsewhere than on a terminal a line is printed no more often.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Tells how much of the work is done.
pub(super) struct Progress {
    what: &'static str,
    bar: Option<ProgressBar>,
    told_at: Instant,
}

impl Progress {
    /// Of work that goes through entries.
    pub(super) fn of(what: &'static str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(0);
            let template = "{prefix} {wide_bar} {human_pos}/{human_len} {rate} {eta}";
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.with_key("rate", write_rate));
            bar.set_prefix(what);
            bar
        });
        Self { what, bar, told_at: Instant::now() }
    }

    /// So many of so many.
    pub(super) fn tell(&mut self, done: u64, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
        } else if self.told_at.elapsed() >= LINE_EVERY {
            print::note(&format!("{}: {done} of {total}", self.what));
            self.told_at = Instant::now();
        }
    }

    /// Leaves nothing on the terminal.
    pub(super) fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Whole entries a second.
fn write_rate(state: &ProgressState, out: &mut dyn Write) {
    // A bar that cannot be drawn is no reason to stop the work.
    let _ = write!(out, "{:.0}/s", state.per_sec());
}
