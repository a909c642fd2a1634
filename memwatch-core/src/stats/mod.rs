//! Slices → numbers: kernels that know nothing of labels, tables or rules.

pub mod buckets;
pub mod counter;
pub mod moments;
pub mod quantile;
pub mod regression;
pub mod sliding;
pub mod sum;
