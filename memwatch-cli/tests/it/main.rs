//! The command line from outside: one module per subject.

mod recorder;
