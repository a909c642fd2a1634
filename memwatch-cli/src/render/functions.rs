//! The functions that expressions can call, from the table that declares them.

use std::io::Write;

use memwatch_core::expr::{Function, RULE_FUNCTIONS, all_functions};
use serde::Serialize;

use super::{Output, json};

/// What memwatch adds, then PromQL's; each part by name.
fn in_order() -> (Vec<&'static Function>, Vec<&'static Function>) {
    let mut all: Vec<&Function> = all_functions().collect();
    all.sort_by_key(|f| f.name);
    all.into_iter().partition(|f| is_added(f))
}

fn is_added(function: &Function) -> bool {
    RULE_FUNCTIONS.iter().any(|f| f.name == function.name)
}

/// For people.
pub fn text(out: &mut Output) -> anyhow::Result<()> {
    let (added, promql) = in_order();
    for (title, functions) in [("Added by memwatch", added), ("PromQL", promql)] {
        writeln!(out, "{title}\n")?;
        for function in functions {
            one(out, function)?;
        }
    }
    Ok(())
}

fn one(out: &mut Output, function: &Function) -> anyhow::Result<()> {
    writeln!(out, "{} → {}", function.usage(), function.returns)?;
    writeln!(out, "    {}", function.about)?;
    for [name, expects, about] in function.options.iter().flat_map(|o| o.describe()) {
        writeln!(out, "    \"{name} = …\" ({expects}): {about}")?;
    }
    if let Some(feature) = function.unsupported() {
        writeln!(out, "    Not supported: {feature}.")?;
    }
    writeln!(out)?;
    Ok(())
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    functions: Vec<FunctionJson>,
}

#[derive(Serialize)]
struct FunctionJson {
    name: &'static str,
    usage: String,
    arguments: Vec<String>,
    optional: usize,
    repeats: bool,
    returns: String,
    about: &'static str,
    added_by_memwatch: bool,
    settings: Vec<Setting>,
    not_supported: Option<&'static str>,
}

#[derive(Serialize)]
struct Setting {
    name: &'static str,
    expects: &'static str,
    about: &'static str,
}

/// For programs.
pub fn json(out: &mut Output) -> anyhow::Result<()> {
    let (added, promql) = in_order();
    let functions = added.into_iter().chain(promql).map(|f| FunctionJson {
        name: f.name,
        usage: f.usage(),
        arguments: f.args.iter().map(ToString::to_string).collect(),
        optional: f.optional,
        repeats: f.repeats,
        returns: f.returns.to_string(),
        about: f.about,
        added_by_memwatch: is_added(f),
        settings: (f.options.iter().flat_map(|o| o.describe()))
            .map(|[name, expects, about]| Setting {
                name,
                expects,
                about,
            })
            .collect(),
        not_supported: f.unsupported(),
    });
    let document = Document {
        schema: "memwatch.functions/1",
        functions: functions.collect(),
    };
    json::document(out, &document)
}
