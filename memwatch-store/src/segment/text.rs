//! A text column, however it is held.

use arrow::array::{Array, AsArray, StringArray};
use arrow::datatypes::Int32Type;

/// A text column: plain or by dictionary.
pub(crate) struct TextColumn<'a> {
    /// For a dictionary, the value's number in each row.
    numbers: Option<&'a [i32]>,
    values: &'a StringArray,
    column: &'a dyn Array,
}

impl<'a> TextColumn<'a> {
    /// `None` when it is not text.
    pub(crate) fn new(column: &'a dyn Array) -> Option<TextColumn<'a>> {
        if let Some(values) = column.as_string_opt::<i32>() {
            return Some(TextColumn {
                numbers: None,
                values,
                column,
            });
        }
        let dictionary = column.as_dictionary_opt::<Int32Type>()?;
        let values = dictionary.values().as_string_opt::<i32>()?;
        Some(TextColumn {
            numbers: Some(dictionary.keys().values()),
            values,
            column,
        })
    }

    /// The value of a row; empty for NULL.
    pub(crate) fn value(&self, row: usize) -> &'a str {
        if self.column.is_null(row) {
            return "";
        }
        match self.numbers {
            None => self.values.value(row),
            Some(numbers) => usize::try_from(numbers[row]).map_or("", |n| self.values.value(n)),
        }
    }

    /// Whether two rows hold the same text.
    pub(crate) fn same(&self, a: usize, b: usize) -> bool {
        self.numbers.is_some_and(|n| n[a] == n[b]) || self.value(a) == self.value(b)
    }
}
