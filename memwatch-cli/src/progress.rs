//! What goes on, on standard error: a bar when somebody looks at it, nothing otherwise.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const BAR: &str =
    "{bar:24} {percent:>3}% {bytes}/{total_bytes} {bytes_per_sec} ETA {eta} {wide_msg}";
const SPINNER: &str = "{spinner} {bytes} {bytes_per_sec} {wide_msg}";

/// A bar over bytes read.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar that ends at `total_bytes`; without it, a spinner. Hidden unless standard error is a terminal.
    pub fn bytes(total_bytes: Option<u64>) -> Progress {
        let visible = std::io::stderr().is_terminal()
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let bar = ProgressBar::with_draw_target(
            total_bytes,
            if visible {
                ProgressDrawTarget::stderr_with_hz(8)
            } else {
                ProgressDrawTarget::hidden()
            },
        );
        let template = if total_bytes.is_some() { BAR } else { SPINNER };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        if visible {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Progress { bar }
    }

    /// Where it stands.
    pub fn set(&self, bytes: u64, total_bytes: Option<u64>, message: String) {
        if let Some(total) = total_bytes
            && self.bar.length() != Some(total)
        {
            self.bar.set_length(total);
            if let Ok(style) = ProgressStyle::with_template(BAR) {
                self.bar.set_style(style);
            }
        }
        self.bar.set_position(bytes);
        self.bar.set_message(message);
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
