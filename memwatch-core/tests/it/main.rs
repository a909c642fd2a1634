//! The core from outside: sources on small samples and on real recordings.

mod corpus;
mod testdata;
