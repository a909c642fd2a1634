//! A stretch of a recording as a case for `promtool test rules`: the smallest that still shows what it is about.
//!
//! promtool knows samples at `0, i, 2i …` and evaluations at whole multiples of the evaluation interval, both from time zero on. Real
//! samples lie anywhere. Time is therefore cut into cells of `2i`, where `2i` divides the evaluation interval and every range, offset and
//! step of the rules; the newest sample of a cell stands in its middle. So each evaluation and each window sees exactly the samples that it
//! saw in the recording, and no sample ever lies on the edge of a window, where Prometheus 2 and 3 differ; the steps of a subquery do, so its range is a millisecond shorter in
//! the case. What moves is the time of a
//! sample inside of its cell, by less than `i`; [`Case::moved_most`] says by how much. A cell with two samples keeps the newer one, and
//! cells are made narrower until none has two, as far as that goes.
//!
//! Every case is run through this crate's own evaluator before it is given away: it is only a case when the alerts come out as they did in
//! the recording, at the same evaluations.

mod case;
mod cut;
mod grid;
mod notation;
mod portable;
mod subject;
mod write;

pub use case::Case;
pub use cut::cut;
pub use subject::Subject;

/// Why there is no case.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CutError {
    /// promtool cannot say what the rule or the recording says.
    #[error("{rule}: promtool cannot express {what}")]
    Inexpressible {
        /// Which rule.
        rule: String,
        /// What.
        what: String,
    },
    /// The alerts do not come out the same on promtool's grid of samples.
    #[error(
        "the case does not show on promtool's grid of samples: expected {expected}, found {found}"
    )]
    Lost {
        /// What the recording shows.
        expected: String,
        /// What the best attempt shows.
        found: String,
    },
    /// The data cannot be read, or a rule cannot be evaluated.
    #[error(transparent)]
    Core(#[from] crate::Error),
}
