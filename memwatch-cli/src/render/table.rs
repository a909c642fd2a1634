//! Tables for people: on a terminal, or as markdown.

use comfy_table::{Cell, CellAlignment, LineStyle, Table, TableStyle, presets};

use super::clean;

/// How a table is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Lines for people.
    Plain,
    /// `| a | b |`.
    Markdown,
}

/// A column's heading and on which side its cells stand.
#[derive(Debug, Clone)]
pub struct Column {
    /// Heading.
    pub name: String,
    /// Whether it holds numbers.
    pub numeric: bool,
}

impl Column {
    /// A column of text.
    pub fn text(name: &str) -> Column {
        Column {
            name: name.to_owned(),
            numeric: false,
        }
    }

    /// A column of numbers.
    pub fn number(name: &str) -> Column {
        Column {
            name: name.to_owned(),
            numeric: true,
        }
    }
}

/// Draws rows under headings; every cell is cleaned of control characters.
pub fn draw(columns: &[Column], rows: &[Vec<String>], style: Style) -> String {
    let mut table = Table::new();
    table.load_style(match style {
        Style::Plain => {
            TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'))
        }
        Style::Markdown => presets::ASCII_MARKDOWN,
    });
    let cell = |text: &str, column: &Column| {
        let text = clean(text, false);
        let text = match style {
            Style::Plain => text.into_owned(),
            Style::Markdown => text.replace('|', "\\|"),
        };
        Cell::new(text).set_alignment(if column.numeric {
            CellAlignment::Right
        } else {
            CellAlignment::Left
        })
    };
    table.set_header(columns.iter().map(|c| cell(&c.name, c)));
    for row in rows {
        table.add_row(row.iter().zip(columns).map(|(text, c)| cell(text, c)));
    }
    let mut text: String = table
        .to_string()
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    if text.is_empty() {
        text.push('\n');
    }
    text
}
