//! `info`: adds the labels of info metrics (`target_info`) to series of the same process.

use std::collections::{BTreeMap, HashMap};

use super::{Body, Call, Function, VECTOR};
use crate::expr::ast::{NodeKind, VectorSelector};
use crate::expr::eval::Evaluator;
use crate::expr::rows::{Row, Val};
use crate::expr::select::Pick;
use crate::labels::METRIC_NAME;
use crate::{Labels, Matcher, Result};

pub(super) static FUNCTIONS: &[Function] = &[Function::new(
    "info",
    &[VECTOR, VECTOR],
    VECTOR,
    Body::Rows(info),
    "`info(v, {label=~\".+\"})`: adds to each series the labels that `target_info` has for its `job` and `instance`; with a second argument only the labels that it names, of the info metrics that it names (`{__name__=~\".+_info\"}`), and a series for which a named label is missing is left out, unless its matcher accepts that.",
)
.optional(1)];

/// The info metric when none is named.
pub(in crate::expr) const TARGET_INFO: &str = "target_info";

/// The labels that say which process a series is of.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// What the second argument says, which the parser has made whole.
struct Wanted {
    /// Of the names of info metrics.
    names: Vec<Matcher>,
    /// Of their labels.
    data: Vec<Matcher>,
}

impl Wanted {
    fn of(selector: &VectorSelector) -> Wanted {
        let all = selector.alternatives.iter().flatten().cloned();
        let (names, data) = all.partition(|m| m.name() == METRIC_NAME);
        Wanted { names, data }
    }

    fn is_info(&self, row: &Row) -> bool {
        self.names.iter().all(|m| m.accepts(row.labels.name()))
    }

    fn wants(&self, label: &str) -> bool {
        label != METRIC_NAME
            && (self.data.is_empty() || self.data.iter().any(|m| m.name() == label))
    }
}

fn process(labels: &Labels) -> [&str; 2] {
    IDENTIFYING.map(|name| labels.get(name))
}

fn info(evaluator: &Evaluator<'_>, call: &Call<'_>) -> Result<Val> {
    let base = evaluator.vector(&call.args[0], call.steps)?;
    let NodeKind::Selector(selector) = &call.args[1].kind else {
        unreachable!("checked: a selector of labels");
    };
    let wanted = Wanted::of(selector);
    // The value of each is when it was read: of two that describe a process, the newer counts.
    let infos = evaluator.instant(selector, call.steps, Pick::Time)?;
    let mut by_process: HashMap<[&str; 2], BTreeMap<&str, Vec<&Row>>> = HashMap::new();
    for row in &infos {
        let names = by_process.entry(process(&row.labels)).or_default();
        names.entry(row.labels.name()).or_default().push(row);
    }
    let mut found: Vec<Row> = Vec::new();
    for row in base {
        if wanted.is_info(&row) {
            found.push(row);
            continue;
        }
        let names = match by_process.get(&process(&row.labels)) {
            Some(names) if process(&row.labels) != [""; 2] => Some(names),
            _ => None,
        };
        let mut enriched: HashMap<Labels, Row> = HashMap::new();
        for step in row.present.iter() {
            let mut added: BTreeMap<&str, &str> = BTreeMap::new();
            for rows in names.into_iter().flat_map(BTreeMap::values) {
                let Some(newest) = newest(evaluator, call, rows, step)? else {
                    continue;
                };
                let labels = newest.labels.iter();
                for (name, value) in labels.filter(|(n, _)| wanted.wants(n)) {
                    if !row.labels.get(name).is_empty() {
                        continue;
                    }
                    if added
                        .insert(name, value)
                        .is_some_and(|before| before != value)
                    {
                        return Err(evaluator.fail(call.span, format!("conflicting label: {name}")));
                    }
                }
            }
            if added.is_empty() && !wanted.data.iter().all(|m| m.accepts("")) {
                continue;
            }
            let labels: Labels = row.labels.iter().chain(added).collect();
            let steps = row.values.len();
            enriched
                .entry(labels)
                .or_insert_with_key(|labels| Row {
                    drop_name: row.drop_name,
                    ..Row::empty(labels.clone(), steps)
                })
                .set(step, row.values[step]);
        }
        found.extend(enriched.into_values());
    }
    found.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(Val::Vector(evaluator.joined(found, call.span)?))
}

/// The one that was read last.
fn newest<'r>(
    evaluator: &Evaluator<'_>,
    call: &Call<'_>,
    rows: &[&'r Row],
    step: usize,
) -> Result<Option<&'r Row>> {
    let mut best: Option<&Row> = None;
    for row in rows.iter().filter(|row| row.present.get(step)) {
        match best.map(|b| b.values[step]) {
            Some(at) if at == row.values[step] => {
                let message = format!(
                    "found duplicate series for info metric: existing {}, new {}",
                    best.map_or_else(String::new, |b| b.labels.to_string()),
                    row.labels
                );
                return Err(evaluator.fail(call.span, message));
            }
            Some(at) if at > row.values[step] => {}
            _ => best = Some(row),
        }
    }
    Ok(best)
}
