//! The documentation of the functions: for DataFusion, and as it stands in docs/functions.md.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use datafusion::logical_expr::{DocSection, Documentation};

use super::{Body, SQL_FUNCTIONS, SqlFunction};

static DOCUMENTS: LazyLock<HashMap<&'static str, Documentation>> = LazyLock::new(|| {
    let section = DocSection {
        include: true,
        label: "memwatch",
        description: None,
    };
    SQL_FUNCTIONS
        .iter()
        .map(|f| {
            let document = Documentation::builder(section.clone(), f.about, f.usage());
            (f.name, document.with_sql_example(f.example).build())
        })
        .collect()
});

/// What DataFusion is told of a function; `SHOW FUNCTIONS` shows it.
pub(crate) fn of(function: &SqlFunction) -> Option<&'static Documentation> {
    DOCUMENTS.get(function.name)
}

/// The functions in Markdown, as they stand in docs/functions.md.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::new();
    for f in SQL_FUNCTIONS {
        let form = match f.body {
            Body::Statistic(_) => "aggregate, window",
            Body::Aggregate(_) => "aggregate",
            Body::Scalar(_) => "of one row",
        };
        let _ = writeln!(
            text,
            "- `{}` ({form}): {}\n\n  ```sql\n  {}\n  ```",
            f.usage(),
            f.about,
            f.example.replace('\n', "\n  ")
        );
    }
    text
}
