//! Which settings of the rules would have been better: tried on a recording, chosen with care, tested on a stretch that the choice never saw.
//!
//! ```text
//! rules + ranges → variants → one replay → what each variant hit and when it was wrong → folds → choice → the untouched stretch
//! ```
//!
//! All variants are rules of one replay, so what does not depend on a setting is evaluated once. The rules that are tuned are judged
//! together: an incident is caught when any of them hits it, because that is what whoever is on call gets.

mod front;
mod held_back;
mod run;
mod search;
mod setting;
mod split;
#[cfg(test)]
mod tests;
mod track;

pub use front::{HeatMap, Point};
pub use run::{LEAST_INCIDENTS, RuleTuned, Tune, Tuned, Tuning};
pub use search::{Figures, WalkForward};
pub use setting::{Knob, Setting};

pub(super) use split::{Reach, Split, Stretch, split};
