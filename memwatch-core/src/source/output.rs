//! What every source hands over with: the sink, and places for what is rejected.

use crate::record::RecordSink;
use crate::source::{Context, MAX_LINE_BYTES, Rejection};
use crate::{Place, Result};

/// The sink of one input, and what is known of the input.
pub(crate) struct Output<'a> {
    pub(crate) context: &'a Context,
    pub(crate) sink: &'a mut dyn RecordSink,
}

impl Output<'_> {
    /// Rejects a field of a line, or with an empty `field` the line.
    pub(crate) fn reject(
        &mut self,
        line: u64,
        field: impl Into<String>,
        expected: impl Into<String>,
        found: impl AsRef<[u8]>,
    ) -> Result<()> {
        let place = Place {
            input: self.context.input.clone(),
            line,
        };
        self.sink.reject(Rejection {
            place,
            field: field.into(),
            expected: expected.into(),
            found: shortened(found.as_ref()),
        })
    }

    /// Rejects a line for its length.
    pub(crate) fn reject_length(&mut self, line: u64) -> Result<()> {
        let limit = MAX_LINE_BYTES >> 20;
        self.reject(
            line,
            "",
            format!("a line of at most {limit} MiB"),
            "a longer one",
        )
    }

    /// Rejects a line that does not say whose it is.
    pub(crate) fn reject_identity(&mut self, line: u64) -> Result<()> {
        let expected =
            "a service and an instance, in the line or given with --service and --instance";
        self.reject(line, "service", expected, "neither")
    }
}

/// At most 80 characters, on one line.
pub(crate) fn shortened(found: &[u8]) -> String {
    const MAX: usize = 80;
    let text = String::from_utf8_lossy(&found[..found.len().min(4 * MAX)]);
    let text = text.trim();
    let mut short: String = text
        .chars()
        .take(MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if short.len() < text.len() || found.len() > 4 * MAX {
        short.push('…');
    }
    short
}
