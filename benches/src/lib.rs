//! What the benchmarks measure on: a seeded generator of recordings with the shape of real ones.

pub mod generate;
