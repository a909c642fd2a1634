//! HTML text: what comes from outside is always text, never markup.

use std::fmt::Write as _;

use crate::render::clean;

/// Text from outside as HTML text or the inside of a quoted attribute. Control characters and those that turn the direction of writing
/// become `�`.
pub fn escape(text: &str) -> String {
    let text = clean(text, true);
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A name from outside, whose direction of writing does not spill over.
pub fn name(text: &str) -> String {
    format!("<bdi>{}</bdi>", escape(text))
}

/// A cell of a table.
pub struct Cell {
    class: &'static str,
    html: String,
}

impl Cell {
    /// Text.
    pub fn text(text: &str) -> Cell {
        Cell::html(name(text))
    }

    /// Text that may be long, and breaks.
    pub fn wide(text: &str) -> Cell {
        Cell {
            class: "wide",
            html: name(text),
        }
    }

    /// A number or time.
    pub fn number(text: impl AsRef<str>) -> Cell {
        Cell {
            class: "n",
            html: escape(text.as_ref()),
        }
    }

    /// A number as markup that was made here.
    pub fn number_html(html: String) -> Cell {
        Cell { class: "n", html }
    }

    /// Markup that was made here.
    pub fn html(html: String) -> Cell {
        Cell { class: "", html }
    }

    /// Markup that was made here and may be long.
    pub fn wide_html(html: String) -> Cell {
        Cell {
            class: "wide",
            html,
        }
    }
}

/// A table. A heading that begins with `#` stands over numbers. `last` says whether the last row sums up.
pub fn table(headings: &[&str], rows: &[Vec<Cell>], last: bool) -> String {
    let mut out = String::from("<div class=\"tablewrap\"><table><thead><tr>");
    for heading in headings {
        let (class, heading) = match heading.strip_prefix('#') {
            Some(heading) => (" class=\"n\"", heading),
            None => ("", *heading),
        };
        let _ = write!(out, "<th{class} scope=\"col\">{}</th>", escape(heading));
    }
    out.push_str("</tr></thead><tbody>\n");
    for (i, row) in rows.iter().enumerate() {
        out.push_str(if last && i + 1 == rows.len() {
            "<tr class=\"sum\">"
        } else {
            "<tr>"
        });
        for cell in row {
            match cell.class {
                "" => out.push_str("<td>"),
                class => {
                    let _ = write!(out, "<td class=\"{class}\">");
                }
            }
            out.push_str(&cell.html);
            out.push_str("</td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    out
}

/// A short word in the color of what it says.
pub fn tag(kind: &str, word: &str) -> String {
    format!(
        "<span class=\"tag t-{}\">{}</span>",
        escape(kind),
        escape(word)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_is_text() {
        assert_eq!(
            escape("<script>\"x\"&'\u{1b}[31m\u{202e}"),
            "&lt;script&gt;&quot;x&quot;&amp;&#39;\u{fffd}[31m\u{fffd}"
        );
        let html = table(
            &["a", "#b"],
            &[vec![Cell::text("<i>"), Cell::number("1")]],
            true,
        );
        assert!(
            html.contains("<td><bdi>&lt;i&gt;</bdi></td><td class=\"n\">1</td>"),
            "{html}"
        );
        assert!(
            html.contains("<th class=\"n\" scope=\"col\">b</th>"),
            "{html}"
        );
    }
}
