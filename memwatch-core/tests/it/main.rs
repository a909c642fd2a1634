//! The core from outside: sources on small samples and on real recordings, shipped rules, documents.

#![allow(clippy::disallowed_methods)] // Tests read files and look at the environment.

mod alert_generator;
mod corpus;
mod docs;
mod fuzz;
mod rule_pack;
mod testdata;
