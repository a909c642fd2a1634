//! The small samples of `testdata/`.
