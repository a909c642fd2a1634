//! Recordings → rows: files, folders, patterns and standard input, recognized from content.

mod content;
mod inputs;

pub use content::Compression;
pub use inputs::InputError;
