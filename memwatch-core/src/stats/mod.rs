//! Slices → numbers: kernels that know nothing of labels, tables or rules.

pub mod baseline;
