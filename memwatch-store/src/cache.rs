//! What was read and verified before: footers, checksums.

/// Shared by all snapshots of a store.
#[derive(Default)]
pub(crate) struct Cache {}
