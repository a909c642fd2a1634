//! What follows from rules in time: alert states.
