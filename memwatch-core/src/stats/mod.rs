//! Slices → numbers: kernels that know nothing of labels, tables or rules.

pub mod baseline;
pub mod buckets;
pub mod counter;
#[doc(hidden)]
pub mod fuzz;
pub mod leak;
pub mod moments;
pub mod quantile;
pub mod regression;
pub mod robust_z;
pub mod sketch;
pub mod sliding;
pub mod sum;
pub mod window;
