//! Rows that are acknowledged and not yet in a segment.
//!
//! ```text
//! wal/00000000000000000042.wal    named by the first sequence number in it
//!
//! file    "memwatch" | version u32 | CRC-32C of the 12 bytes before
//! frame   length u32 | CRC-32C of the payload u32 | sequence u64 | kind u8, 3 zeros | CRC-32C of the 20 bytes before | payload
//! ```
//!
//! Numbers are little-endian, a sequence at most 2⁶³ − 1. A frame of kind 1 holds rows of one table, and its sequence is one more than that of the frame before; one
//! of kind 2 has no payload and says that everything up to its sequence was acknowledged. It is written after the sync and not synced
//! itself: where it is, a frame before it that does not read is damage; where it is not, the frame may never have been whole.
//!
//! The manifest holds the sequence up to which rows are in segments. Frames up to there are skipped, so replaying twice changes nothing,
//! and files are deleted only after the commit that made them needless is durable.

mod decode;
mod file;
mod frame;
mod replay;
mod rows;
mod writer;

/// What fuzz targets make files of.
pub(crate) mod fuzz {
    pub(crate) use super::rows::encode;

    use super::frame::{self, Kind};

    pub(crate) fn file_header() -> Vec<u8> {
        frame::file_header().to_vec()
    }

    pub(crate) fn rows(sequence: u64, payload: &[u8]) -> Vec<u8> {
        frame::frame(Kind::Rows, sequence, payload)
    }

    pub(crate) fn mark(sequence: u64) -> Vec<u8> {
        frame::frame(Kind::Mark, sequence, &[])
    }
}

pub(crate) use decode::decode;
pub(crate) use frame::SEQUENCE_MAX;
pub(crate) use replay::{OnDamage, Replayed, files, replay};
pub(crate) use rows::{Cell, Rows};
pub(crate) use writer::{WalWriter, remove_upto};
