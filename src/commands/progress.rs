//! Progress on stderr, and Ctrl-C.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::digest::Step;

/// One line on stderr, shown only on a terminal.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar }
    }

    /// Names a step of unknown length.
    pub(super) fn step(&self, message: &str) {
        self.bar.unset_length();
        self.bar.set_style(ProgressStyle::default_spinner());
        self.bar.set_message(message.to_owned());
    }

    /// What the digest says of itself.
    pub(super) fn hear(&self, step: Step) {
        match step {
            Step::Begin(name) => self.step(name),
            Step::Rows(done, total) => {
                // Each step that begins takes the length away.
                if self.bar.length() != Some(total) {
                    self.start(&self.bar.message(), total as usize);
                }
                self.bar.set_position(done);
            }
        }
    }

    /// A step of known length.
    pub(super) fn start(&self, message: &str, length: usize) {
        let style = ProgressStyle::with_template("{msg} [{bar:40}] {human_pos}/{human_len} {per_sec}, {eta} left");
        if let Ok(style) = style {
            self.bar.set_style(style.progress_chars("=> "));
        }
        self.bar.reset();
        self.bar.set_length(length as u64);
        self.bar.set_message(message.to_owned());
    }

    /// Some of it is done.
    pub(super) fn advance(&self, by: usize) {
        self.bar.inc(by as u64);
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// A flag that Ctrl-C sets. A second Ctrl-C is left to the system where no handler could be set.
pub(super) fn interrupted() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&flag);
    // Without a handler Ctrl-C ends the program at once, and no report is half written either.
    let _ = ctrlc::set_handler(move || raised.store(true, Ordering::Relaxed));
    flag
}
