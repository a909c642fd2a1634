//! Whether alerts were right: against labelled incidents, by the firing edge.
//!
//! An alert hits an incident `[s, e]` when it **fires** in `[s − L, e + grace]`; one that was firing already before does not, so a rule
//! that always fires catches nothing. An alert that could hit several takes the earliest that its rule has not hit yet. The first hit of a
//! rule is true, its later ones of the same incident are duplicates and count on neither side of precision. Alerts in `unlabelled`
//! stretches count for nothing; alerts in `benign` stretches are false. Points are never counted, and nothing is adjusted afterwards.

mod chance;
mod fatigue;
mod figures;
mod matching;
mod reference;
mod scored;
mod timing;

pub use figures::Score;
pub use matching::AlertVerdict;
pub use reference::Reference;
pub use scored::{Detection, IncidentOutcome, Scored};
pub use timing::LeadTime;

pub(super) use figures::{f_measure, share};
pub(super) use matching::{Matching, Truth, Whereabouts, firings};
pub(super) use reference::of_threshold;
pub(super) use scored::{ScoredRule, score};
