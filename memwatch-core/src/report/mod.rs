//! What to show of a backtest, as data: a page of signals for each service, and strips of characters for a terminal.
//!
//! Nothing here knows HTML or terminals. A long recording has more samples than a picture has points, so signals are kept as the least
//! and the greatest value of each bucket of time: a peak of one sample is still there, at its height.

mod axis;
mod deciding;
mod page;
mod rules;
mod signals;
mod strip;

pub use axis::{Axis, Envelope};
pub use deciding::{Deciding, deciding};
pub use page::{Line, Page, Pages, Panel, Role, Unit};
pub use strip::{Strip, bar, marks, spark};
