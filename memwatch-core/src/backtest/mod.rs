//! Were the alerts right: replay over history, outcome and score.
