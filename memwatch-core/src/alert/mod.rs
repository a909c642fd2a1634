//! What follows in time from what rules find: states, alerts, and what is sent.
//!
//! Everything here is pure: `now` is an argument, so that a backtest and a live evaluation run the same code.

mod fired;
mod notifications;
pub mod payload;
mod rule_state;
mod send;
mod state;
mod time_interval;
mod timeline;

pub use fired::{FiredAlert, HandOver};
pub use notifications::{
    GroupBy, Inhibit, Integration, IntegrationKind, Notifications, Receiver, Route, Silence,
    parse_matcher, parse_matchers,
};
pub use rule_state::{ActiveAlert, Event, RuleState, StepError, Transition, alert_labels};
pub use send::{
    End, Evaluations, RESEND_DELAY, ends_at, hand_overs, needs_sending, restored_active_at,
};
pub use state::{AlertState, Hold, RESOLVED_RETENTION};
pub use time_interval::{NamedInterval, TimeInterval};
pub use timeline::{
    Delivery, LostResolve, Message, Muted, Reason, Refusal, Suppressed, Timeline, Untold, Wait,
    simulate,
};
