//! Templates of labels and annotations: the part of Go's templates that Prometheus rules use.
//!
//! Supported: text, `{{ $labels.x }}`, `{{ $value }}`, `.Labels` and `.Value`, own variables, pipelines, parentheses, `if` / `else if` /
//! `else` / `end`, `with`, trim markers, comments, and the functions of [`FUNCTIONS`](functions::FUNCTIONS). Everything else is an error
//! at load time that names it.

mod format;
mod functions;
mod lex;
mod parse;
mod value;

use crate::Labels;

use parse::{Command, Node, Operand, Pipeline};
use value::Value;

/// A parsed template.
///
/// ```
/// # use memwatch_core::{Labels, rule::template::{Data, Template}};
/// let template = Template::parse("{{ $labels.instance }}: {{ $value | humanize }}B").unwrap();
/// let labels: Labels = [("instance", "a")].into_iter().collect();
/// assert_eq!(template.expand(&Data::new(&labels, 2_500_000.0)).unwrap(), "a: 2.5MB");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    text: String,
    nodes: Vec<Node>,
    of_value: bool,
}

/// Why a template cannot be parsed or expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// What is wrong.
    pub message: String,
    /// Where in the template: a byte offset.
    pub offset: usize,
}

/// What a template is expanded with.
#[derive(Debug, Clone)]
pub struct Data<'a> {
    /// Labels of the element that the expression gave, with its name.
    pub labels: &'a Labels,
    /// Labels that the evaluator adds to everything (`external_labels` of Prometheus).
    pub external_labels: Labels,
    /// Value of the element.
    pub value: f64,
}

impl<'a> Data<'a> {
    /// An element, without external labels.
    #[must_use]
    pub fn new(labels: &'a Labels, value: f64) -> Self {
        Data {
            labels,
            external_labels: Labels::default(),
            value,
        }
    }
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// When it is not a template, or uses what is not supported.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        let nodes = parse::template(text)?;
        let of_value = nodes.iter().any(uses_value);
        Ok(Template {
            text: text.to_owned(),
            nodes,
            of_value,
        })
    }

    /// The template as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the result may change with the value: such a label makes a new alert each time.
    #[must_use]
    pub fn depends_on_value(&self) -> bool {
        self.of_value
    }

    /// The text when it has no actions at all.
    #[must_use]
    pub fn constant(&self) -> Option<&str> {
        match self.nodes.as_slice() {
            [] => Some(""),
            [Node::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The text for one element.
    ///
    /// # Errors
    /// When a function gets what it cannot take, as Prometheus finds at evaluation too.
    pub fn expand(&self, data: &Data<'_>) -> Result<String, TemplateError> {
        let mut expander = Expander {
            data,
            variables: Vec::new(),
            out: String::with_capacity(self.text.len()),
        };
        expander.nodes(&self.nodes, None)?;
        Ok(expander.out)
    }

    /// As [`Template::expand`]; a failure becomes the text that Prometheus puts into the label or annotation.
    #[must_use]
    pub fn expand_or_error(&self, data: &Data<'_>) -> String {
        self.expand(data)
            .unwrap_or_else(|e| format!("<error expanding template: {e}>"))
    }
}

struct Expander<'a, 'd> {
    data: &'a Data<'d>,
    variables: Vec<(String, Value)>,
    out: String,
}

impl Expander<'_, '_> {
    fn nodes(&mut self, nodes: &[Node], dot: Option<&Value>) -> Result<(), TemplateError> {
        let scope = self.variables.len();
        for node in nodes {
            match node {
                Node::Text(text) => self.out.push_str(text),
                Node::Output(pipeline) => {
                    let value = self.pipeline(pipeline, dot)?;
                    self.out.push_str(&value.print());
                }
                Node::Declare(name, pipeline) => {
                    let value = self.pipeline(pipeline, dot)?;
                    self.variables.push((name.clone(), value));
                }
                Node::Assign(name, pipeline) => {
                    let value = self.pipeline(pipeline, dot)?;
                    // The parser has seen the declaration.
                    if let Some(variable) = self.variables.iter_mut().rev().find(|v| v.0 == *name) {
                        variable.1 = value;
                    }
                }
                Node::If(branches, otherwise) => {
                    let mut taken = otherwise;
                    for (condition, body) in branches {
                        if self.pipeline(condition, dot)?.truth() {
                            taken = body;
                            break;
                        }
                    }
                    self.nodes(taken, dot)?;
                }
                Node::With(pipeline, body, otherwise) => {
                    let value = self.pipeline(pipeline, dot)?;
                    if value.truth() {
                        self.nodes(body, Some(&value))?;
                    } else {
                        self.nodes(otherwise, dot)?;
                    }
                }
            }
        }
        self.variables.truncate(scope);
        Ok(())
    }

    fn pipeline(&self, pipeline: &Pipeline, dot: Option<&Value>) -> Result<Value, TemplateError> {
        let mut last: Option<Value> = None;
        for command in &pipeline.0 {
            last = Some(self.command(command, dot, last)?);
        }
        Ok(last.expect("a pipeline has at least one command"))
    }

    fn command(
        &self,
        command: &Command,
        dot: Option<&Value>,
        piped: Option<Value>,
    ) -> Result<Value, TemplateError> {
        match command {
            Command::Operand(operand) => self.operand(operand, dot),
            Command::Call {
                function,
                arguments,
                offset,
            } => {
                let mut values = Vec::with_capacity(arguments.len() + 1);
                for argument in arguments {
                    values.push(self.operand(argument, dot)?);
                }
                values.extend(piped);
                let function = &functions::FUNCTIONS[*function];
                (function.call)(&values).map_err(|message| TemplateError {
                    message: format!("{}: {message}", function.name),
                    offset: *offset,
                })
            }
        }
    }

    fn operand(&self, operand: &Operand, dot: Option<&Value>) -> Result<Value, TemplateError> {
        let fail = |message: String, offset| Err(TemplateError { message, offset });
        Ok(match operand {
            Operand::Literal(value) => value.clone(),
            Operand::Labels => Value::Map(self.data.labels.clone()),
            Operand::ExternalLabels => Value::Map(self.data.external_labels.clone()),
            Operand::Value => Value::Float(self.data.value),
            Operand::Dot(offset) => match dot {
                Some(value) => value.clone(),
                None => return fail("`.` as a whole is not supported here".to_owned(), *offset),
            },
            Operand::Variable(name) => self
                .variables
                .iter()
                .rev()
                .find(|v| v.0 == *name)
                .map_or(Value::Str(String::new()), |v| v.1.clone()),
            Operand::Group(pipeline) => self.pipeline(pipeline, dot)?,
            Operand::Field(of, name, offset) => match self.operand(of, dot)? {
                Value::Map(labels) => Value::Str(labels.get(name).to_owned()),
                other => {
                    return fail(
                        format!("can't evaluate field {name} in type {}", other.go_type()),
                        *offset,
                    );
                }
            },
        })
    }
}

fn uses_value(node: &Node) -> bool {
    let all = |nodes: &[Node]| nodes.iter().any(uses_value);
    match node {
        Node::Text(_) => false,
        Node::Output(p) | Node::Declare(_, p) | Node::Assign(_, p) => pipeline_uses_value(p),
        Node::If(branches, otherwise) => {
            all(otherwise)
                || branches
                    .iter()
                    .any(|(p, b)| pipeline_uses_value(p) || all(b))
        }
        Node::With(p, body, otherwise) => pipeline_uses_value(p) || all(body) || all(otherwise),
    }
}

fn pipeline_uses_value(pipeline: &Pipeline) -> bool {
    pipeline.0.iter().any(|command| match command {
        Command::Operand(operand) => operand_uses_value(operand),
        Command::Call { arguments, .. } => arguments.iter().any(operand_uses_value),
    })
}

fn operand_uses_value(operand: &Operand) -> bool {
    match operand {
        Operand::Value => true,
        Operand::Group(pipeline) => pipeline_uses_value(pipeline),
        Operand::Field(of, _, _) => operand_uses_value(of),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str, value: f64) -> Result<String, TemplateError> {
        let labels: Labels = [
            ("__name__", "up"),
            ("instance", "db-1:9100"),
            ("severity", "P2"),
        ]
        .into_iter()
        .collect();
        Template::parse(text)?.expand(&Data {
            external_labels: [("cluster", "eu")].into_iter().collect(),
            ..Data::new(&labels, value)
        })
    }

    #[test]
    fn templates_expand() {
        let cases = [
            ("plain", "plain"),
            ("", ""),
            ("{{ $labels.instance }}", "db-1:9100"),
            ("{{.Labels.instance}}", "db-1:9100"),
            ("{{ $labels.absent }}|", "|"),
            ("{{ $value }}", "1234.5"),
            ("{{ .Value }}", "1234.5"),
            ("{{ $value | humanize }}", "1.234k"),
            ("{{ humanize $value }}", "1.234k"),
            ("{{ printf \"%.1f\" $value }}×", "1234.5×"),
            ("{{ $value | printf \"%.0f%%\" }}", "1234%"),
            ("{{ $labels.severity | toLower | printf \"%s!\" }}", "p2!"),
            (
                "{{ if gt $value 1000.0 }}big{{ else }}small{{ end }}",
                "big",
            ),
            (
                "{{ if gt $value 1e4 }}a{{ else if eq $labels.severity \"P2\" }}b{{ else }}c{{ end }}",
                "b",
            ),
            (
                "{{ if and $labels.instance (not $labels.none) }}yes{{ end }}",
                "yes",
            ),
            ("{{ if or $labels.none \"x\" }}yes{{ end }}", "yes"),
            ("a {{- \" b \" -}} c", "a b c"),
            ("a{{/* note */}}b", "ab"),
            ("a {{- /* note */ -}} b", "ab"),
            ("{{ $x := $labels.instance }}{{ $x | stripPort }}", "db-1"),
            ("{{ with $labels.severity }}[{{ . }}]{{ end }}", "[P2]"),
            (
                "{{ with $labels.none }}[{{ . }}]{{ else }}none{{ end }}",
                "none",
            ),
            (
                "{{ reReplaceAll \"(.*):.*\" \"$1\" $labels.instance }}",
                "db-1",
            ),
            ("{{ if match \"^db\" $labels.instance }}db{{ end }}", "db"),
            (
                "{{ $externalLabels.cluster }}{{ .ExternalLabels.cluster }}",
                "eueu",
            ),
            ("{{ index $labels \"instance\" }}", "db-1:9100"),
            ("{{ (printf \"%s\" $labels.severity) | title }}", "P2"),
            ("{{ `raw {{` }}", "raw {{"),
            ("{{ \"tab\\t\\u00e9\" }}", "tab\té"),
            ("{{ 3 }} {{ 2.50 }} {{ true }} {{ 0x10 }}", "3 2.5 true 16"),
            (
                "{{ $labels }}",
                "map[__name__:up instance:db-1:9100 severity:P2]",
            ),
            ("{{ -1.5 | humanize }}", "-1.5"),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, 1234.5).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let cases = [
            (
                "{{ query \"up\" }}",
                "the function `query` is not supported",
            ),
            ("{{ range $labels }}{{ end }}", "`range` is not supported"),
            ("{{ template \"x\" }}", "`template` is not supported"),
            ("{{ nonsense $value }}", "no function is called `nonsense`"),
            ("{{ humanise $value }}", "did you mean `humanize`?"),
            ("{{ $lables.x }}", "did you mean `$labels`?"),
            ("{{ .Lables.x }}", "did you mean `.Labels`?"),
            ("{{ $value", "`{{` is never closed"),
            ("{{ if $value }}", "`if` is never closed"),
            ("{{ end }}", "`end` without"),
            ("{{ else }}", "`else` without"),
            ("{{ }}", "an empty action"),
            ("{{ humanize }}", "`humanize` takes 1 argument, found 0"),
            ("{{ $value | printf }}", "the first argument of `printf`"),
            ("{{ $value | 3 }}", "only a function"),
            ("{{ \"x }}", "a string that is never closed"),
            ("{{ (humanize 1.0 }}", "`(` is never closed"),
            ("{{ $value ! }}", "`!`"),
        ];
        for (text, expected) in cases {
            let error = Template::parse(text).unwrap_err();
            assert!(error.message.contains(expected), "{text}: {error}");
            assert!(error.offset <= text.len(), "{text}");
        }
    }

    #[test]
    fn what_go_finds_at_evaluation_we_find_there() {
        let cases = [
            (
                "{{ gt $value 5 }}",
                "gt: incompatible types for comparison: float64 and int",
            ),
            (
                "{{ humanize $labels.instance }}",
                "humanize: expected a number, found \"db-1:9100\"",
            ),
            (
                "{{ reReplaceAll \"(\" \"\" \"\" }}",
                "reReplaceAll: not a regular expression: \"(\"",
            ),
            ("{{ $value.x }}", "can't evaluate field x in type float64"),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, 1.0).unwrap_err().message, expected, "{text}");
        }
        let labels = Labels::default();
        let shown = Template::parse("{{ gt $value 5 }}")
            .unwrap()
            .expand_or_error(&Data::new(&labels, 1.0));
        assert!(shown.starts_with("<error expanding template: "), "{shown}");
    }

    #[test]
    fn the_value_in_a_label_is_noticed() {
        let of_value = |text| Template::parse(text).unwrap().depends_on_value();
        assert!(of_value(
            "{{ if $labels.x }}{{ (printf \"%f\" .Value) }}{{ end }}"
        ));
        assert!(!of_value("{{ $labels.value }}"));
        assert_eq!(Template::parse("x").unwrap().constant(), Some("x"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_parses_or_errs(text in "[{}$.|()\"` a-z0-9\\-/*:=é]{0,40}") {
            if let Ok(template) = Template::parse(&text) {
                let _ = template.expand(&Data::new(&Labels::default(), 1.0));
            }
        }
    }
}
