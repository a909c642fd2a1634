//! Tokens → syntax tree, by precedence climbing.
//!
//! The parser is our own because messages need places, which the syntax tree of the promql-parser crate does not have; that crate
//! is the oracle of a test instead. Types are checked by [`super::check`] as each node is made.

mod selector;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ast::{
    Aggregate, AggregateOp, Binary, BinaryOp, Cardinality, Expr, Grouping, Matching, Node,
    NodeKind, Number, SIGN_PRECEDENCE, VectorSelector,
};
use super::lex::{Token, tokens};
use super::{ExprError, Span, check, functions};
use crate::suggest::closest;

/// How many nodes may lie on a way from the outermost expression to a number or selector. Deeper ones are nobody's rule, and
/// evaluating them could overflow the stack of a thread.
pub const MAX_DEPTH: usize = 128;

type Parsed<T> = Result<T, ExprError>;

/// Parses and type-checks an expression without parameters.
///
/// ```
/// # use memwatch_core::expr;
/// let rule = expr::parse("rate(allocs_total[1m]) > 500k").unwrap();
/// assert_eq!(rule.to_string(), "rate(allocs_total[1m]) > 500000");
/// ```
///
/// # Errors
/// When it is not PromQL, with the place.
pub fn parse(text: &str) -> Parsed<Expr> {
    parse_with(text, &BTreeMap::new())
}

/// As [`parse`], with values for the parameters that the expression names as `$name`.
///
/// ```
/// # use memwatch_core::expr;
/// let params = [("factor".to_owned(), 2.5)].into();
/// let rule = expr::parse_with("growth(go_memstats_pause_total_ns[1m]) > $factor", &params).unwrap();
/// assert_eq!(rule.params(), params);
/// ```
///
/// # Errors
/// When it is not PromQL, or a parameter is not in `params`; with the place.
pub fn parse_with(text: &str, params: &BTreeMap<String, f64>) -> Parsed<Expr> {
    let text: Arc<str> = text.into();
    let tokens = tokens(&text)?;
    let mut parser = Parser {
        text,
        tokens,
        next: 0,
        nesting: 0,
        params,
    };
    if *parser.peek() == Token::End {
        return Err(parser.error_here("no expression found in input"));
    }
    let root = parser.expression(0)?;
    if *parser.peek() != Token::End {
        return Err(parser.unexpected("an operator or the end"));
    }
    Ok(Expr {
        text: parser.text,
        root: Arc::new(root),
    })
}

struct Parser<'p> {
    text: Arc<str>,
    tokens: Vec<(Token, Span)>,
    next: usize,
    nesting: usize,
    params: &'p BTreeMap<String, f64>,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.next].0
    }

    fn peek_after(&self) -> &Token {
        &self.tokens[(self.next + 1).min(self.tokens.len() - 1)].0
    }

    fn span(&self) -> Span {
        self.tokens[self.next].1
    }

    /// The place of the token taken last.
    fn last_span(&self) -> Span {
        self.tokens[self.next.saturating_sub(1)].1
    }

    fn take(&mut self) -> Token {
        let token = self.tokens[self.next].0.clone();
        if self.next + 1 < self.tokens.len() {
            self.next += 1;
        }
        token
    }

    fn take_if(&mut self, token: &Token) -> bool {
        let is = self.peek() == token;
        if is {
            self.take();
        }
        is
    }

    fn expect(&mut self, token: &Token, what: &str) -> Parsed<()> {
        if self.take_if(token) {
            Ok(())
        } else {
            Err(self.unexpected(what))
        }
    }

    /// The next token in small letters, if it is a word: keywords are written in any case.
    fn keyword(&self) -> Option<String> {
        match self.peek() {
            Token::Word(word) => Some(word.to_lowercase()),
            _ => None,
        }
    }

    fn is_keyword(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(found) if found.eq_ignore_ascii_case(word))
    }

    fn error(&self, span: Span, message: impl Into<String>) -> ExprError {
        ExprError::new(&self.text, span, message)
    }

    fn error_here(&self, message: impl Into<String>) -> ExprError {
        self.error(self.span(), message)
    }

    fn unexpected(&self, expected: &str) -> ExprError {
        let span = self.span();
        let found = match self.peek() {
            Token::End => "end of input".to_owned(),
            _ => format!("`{}`", &self.text[span.start..span.end]),
        };
        self.error(
            span,
            format!("parse error: unexpected {found}, expected {expected}"),
        )
    }

    fn node(&self, kind: NodeKind, span: Span) -> Parsed<Node> {
        check::kind(&self.text, &kind, span)?;
        let node = Node::new(kind, span);
        if node.depth > MAX_DEPTH {
            return Err(self.too_deep(span));
        }
        Ok(node)
    }

    fn too_deep(&self, span: Span) -> ExprError {
        self.error(
            span,
            format!("the expression is nested deeper than {MAX_DEPTH} levels"),
        )
        .with_help(Some("split it with recording rules".to_owned()))
    }

    fn expression(&mut self, least: u8) -> Parsed<Node> {
        self.nesting += 1;
        if self.nesting > MAX_DEPTH {
            return Err(self.too_deep(self.span()));
        }
        let mut lhs = self.signed()?;
        while let Some(op) = self.binary_op() {
            if op.precedence() < least {
                break;
            }
            lhs = self.binary(lhs, op)?;
        }
        self.nesting -= 1;
        Ok(lhs)
    }

    fn binary_op(&self) -> Option<BinaryOp> {
        match self.peek() {
            Token::Op(op) => Some(*op),
            Token::Word(word) => [
                BinaryOp::And,
                BinaryOp::Or,
                BinaryOp::Unless,
                BinaryOp::Atan2,
            ]
            .into_iter()
            .find(|op| word.eq_ignore_ascii_case(op.as_str())),
            _ => None,
        }
    }

    fn binary(&mut self, lhs: Node, op: BinaryOp) -> Parsed<Node> {
        self.take();
        let modifiers_start = self.span();
        let returns_bool = self.is_keyword("bool");
        if returns_bool {
            self.take();
        }
        let matching = self.matching(op)?;
        let modifiers = modifiers_start.to(self.last_span());
        // All but the power group to the left.
        let least = op.precedence() + u8::from(op != BinaryOp::Pow);
        let rhs = self.expression(least)?;
        let span = lhs.span.to(rhs.span);
        let binary = Binary {
            op,
            lhs,
            rhs,
            returns_bool,
            matching,
        };
        check::binary(&self.text, &binary, modifiers)?;
        self.node(NodeKind::Binary(Box::new(binary)), span)
    }

    fn matching(&mut self, op: BinaryOp) -> Parsed<Matching> {
        let mut matching = Matching::default();
        if op.is_set() {
            matching.cardinality = Cardinality::ManyToMany;
        }
        match self.keyword().as_deref() {
            Some("on") if *self.peek_after() == Token::Open => {
                self.take();
                matching.labels = Some(Grouping::Only(self.label_names()?));
            }
            Some("ignoring") if *self.peek_after() == Token::Open => {
                self.take();
                matching.labels = Some(Grouping::Except(self.label_names()?));
            }
            _ => {}
        }
        if matching.labels.is_some()
            && let Some(word @ ("group_left" | "group_right")) = self.keyword().as_deref()
        {
            if op.is_set() {
                return Err(self.error_here(format!("no grouping allowed for \"{op}\" operation")));
            }
            self.take();
            let labels = if *self.peek() == Token::Open {
                self.label_names()?
            } else {
                Vec::new()
            };
            matching.cardinality = if word == "group_left" {
                Cardinality::ManyToOne(labels)
            } else {
                Cardinality::OneToMany(labels)
            };
        }
        while let Some(word @ ("fill" | "fill_left" | "fill_right")) = self.keyword().as_deref() {
            if *self.peek_after() != Token::Open {
                break;
            }
            let word = word.to_owned();
            self.take();
            self.take();
            let value = self.signed_number()?;
            self.expect(&Token::Close, "`)`")?;
            if word != "fill_right" {
                matching.fill_left = Some(value);
            }
            if word != "fill_left" {
                matching.fill_right = Some(value);
            }
        }
        Ok(matching)
    }

    fn signed_number(&mut self) -> Parsed<f64> {
        let mut sign = 1.0;
        while let Token::Op(op @ (BinaryOp::Add | BinaryOp::Sub)) = *self.peek() {
            if op == BinaryOp::Sub {
                sign = -sign;
            }
            self.take();
        }
        let value = match self.peek().clone() {
            Token::Number(value) => value,
            Token::Duration(d) => d.as_seconds(),
            Token::Word(word) if word.eq_ignore_ascii_case("inf") => f64::INFINITY,
            Token::Word(word) if word.eq_ignore_ascii_case("nan") => f64::NAN,
            _ => return Err(self.unexpected("a number")),
        };
        self.take();
        Ok(sign * value)
    }

    fn label_names(&mut self) -> Parsed<Vec<Arc<str>>> {
        self.expect(&Token::Open, "`(`")?;
        let mut names: Vec<Arc<str>> = Vec::new();
        while !self.take_if(&Token::Close) {
            match self.peek().clone() {
                Token::Word(name) if !name.contains(':') => names.push(name.into()),
                Token::Text(name) if !name.is_empty() => names.push(name.into()),
                _ => return Err(self.unexpected("a label name or `)`")),
            }
            self.take();
            if !self.take_if(&Token::Comma) && *self.peek() != Token::Close {
                return Err(self.unexpected("`,` or `)`"));
            }
        }
        Ok(names)
    }

    fn signed(&mut self) -> Parsed<Node> {
        let start = self.span();
        let Token::Op(op @ (BinaryOp::Add | BinaryOp::Sub)) = *self.peek() else {
            let primary = self.primary()?;
            return self.followed(primary);
        };
        self.take();
        let inner = self.expression(SIGN_PRECEDENCE)?;
        let span = start.to(inner.span);
        check::sign(&self.text, &inner)?;
        match (op, inner.kind) {
            (BinaryOp::Sub, NodeKind::Number(Number { value, param: None })) => {
                let number = Number {
                    value: -value,
                    param: None,
                };
                self.node(NodeKind::Number(number), span)
            }
            (BinaryOp::Sub, kind) => {
                let inner = Node::new(kind, inner.span);
                self.node(NodeKind::Negate(Box::new(inner)), span)
            }
            (_, kind) => self.node(kind, span),
        }
    }

    fn primary(&mut self) -> Parsed<Node> {
        let span = self.span();
        let number = |value| NodeKind::Number(Number { value, param: None });
        let kind = match self.peek().clone() {
            Token::Number(value) => number(value),
            Token::Duration(duration) => number(duration.as_seconds()),
            Token::Text(text) => NodeKind::Text(text),
            Token::BrokenText(text) => {
                return Err(self.error(span, format!("invalid UTF-8 in string {text}")));
            }
            Token::Param(name) => self.param(&name)?,
            Token::Open => {
                self.take();
                let inner = self.expression(0)?;
                self.expect(&Token::Close, "an operator or `)`")?;
                let span = span.to(self.last_span());
                return self.node(NodeKind::Paren(Box::new(inner)), span);
            }
            Token::OpenBrace => return self.selector(None),
            Token::Word(word) => return self.word(&word),
            _ => return Err(self.unexpected("an expression")),
        };
        self.take();
        self.node(kind, span)
    }

    fn param(&self, name: &str) -> Parsed<NodeKind> {
        match self.params.get(name) {
            Some(value) => Ok(NodeKind::Number(Number {
                value: *value,
                param: Some(name.into()),
            })),
            None => {
                let near = closest(name, self.params.keys().map(String::as_str));
                let help = match near {
                    Some(near) => format!("did you mean `${near}`?"),
                    None if self.params.is_empty() => "no parameters are given".to_owned(),
                    None => {
                        let all: Vec<String> =
                            self.params.keys().map(|k| format!("`${k}`")).collect();
                        format!("given are {}", all.join(", "))
                    }
                };
                Err(self
                    .error_here(format!("unknown parameter `${name}`"))
                    .with_help(Some(help)))
            }
        }
    }

    /// What begins with a word: an aggregation, a call, a number with a name, or a selector.
    fn word(&mut self, word: &str) -> Parsed<Node> {
        let span = self.span();
        let called = *self.peek_after() == Token::Open;
        let lower = word.to_lowercase();
        let aggregate = AggregateOp::ALL.iter().find(|op| op.as_str() == lower);
        if let Some(op) = aggregate {
            let modified = matches!(self.peek_after(), Token::Word(next)
                if next.eq_ignore_ascii_case("by") || next.eq_ignore_ascii_case("without"));
            if called || modified {
                return self.aggregate(*op);
            }
        }
        if matches!(lower.as_str(), "inf" | "nan")
            && !called
            && *self.peek_after() != Token::OpenBrace
        {
            self.take();
            let value = if lower == "inf" {
                f64::INFINITY
            } else {
                f64::NAN
            };
            return self.node(NodeKind::Number(Number { value, param: None }), span);
        }
        if called {
            return self.call(word);
        }
        // Prometheus takes some of its keywords for names of metrics too; here only where nothing follows that they would belong to.
        let named = *self.peek_after() == Token::OpenBrace || !begins_operand(self.peek_after());
        let reserved = match lower.as_str() {
            "atan2" | "bool" | "on" | "ignoring" | "group_left" | "group_right" => true,
            "and" | "or" | "unless" | "by" | "without" | "offset" => !named,
            _ => false,
        };
        if reserved {
            return Err(self.unexpected("an expression"));
        }
        self.selector(Some(word.into()))
    }

    fn aggregate(&mut self, op: AggregateOp) -> Parsed<Node> {
        let start = self.span();
        self.take();
        let mut grouping = self.aggregate_grouping()?;
        let args = self.arguments(&op.to_string())?;
        if grouping.is_none() {
            grouping = self.aggregate_grouping()?;
        }
        let span = start.to(self.last_span());
        let wanted = 1 + usize::from(op.param_type().is_some());
        let count = args.len();
        let message = match count {
            0 => Some("no arguments for aggregate expression provided".to_owned()),
            n if n != wanted => Some(format!(
                "wrong number of arguments for aggregate expression provided, expected {wanted}, got {n}"
            )),
            _ => None,
        };
        if let Some(message) = message {
            return Err(self.error(span, message));
        }
        let mut args = args.into_iter();
        let param = if wanted == 2 { args.next() } else { None };
        match args.next() {
            Some(expr) => self.node(
                NodeKind::Aggregate(Box::new(Aggregate {
                    op,
                    param,
                    expr,
                    grouping,
                })),
                span,
            ),
            None => unreachable!("as many arguments as wanted"),
        }
    }

    fn aggregate_grouping(&mut self) -> Parsed<Option<Grouping>> {
        match self.keyword().as_deref() {
            Some("by") => {
                self.take();
                Ok(Some(Grouping::Only(self.label_names()?)))
            }
            Some("without") => {
                self.take();
                Ok(Some(Grouping::Except(self.label_names()?)))
            }
            _ => Ok(None),
        }
    }

    fn call(&mut self, name: &str) -> Parsed<Node> {
        let start = self.span();
        let Some(function) = functions::find(name) else {
            let known = functions::all().map(|f| f.name);
            let words = AggregateOp::ALL.iter().map(|op| op.as_str());
            let help =
                closest(name, known.chain(words)).map(|near| format!("did you mean `{near}`?"));
            return Err(self
                .error_here(format!("unknown function with name {name:?}"))
                .with_help(help.or_else(|| functions::renamed(name))));
        };
        if let Some(feature) = function.unsupported() {
            return Err(self.error_here(format!(
                "unsupported feature: {feature} (function {name:?})"
            )));
        }
        self.take();
        let mut args = self.arguments(name)?;
        let span = start.to(self.last_span());
        if function.name == "info" && args.len() == 1 {
            args.push(Node::new(
                NodeKind::Selector(VectorSelector::of_metric(functions::TARGET_INFO)),
                span,
            ));
        }
        self.node(NodeKind::Call { function, args }, span)
    }

    fn arguments(&mut self, of: &str) -> Parsed<Vec<Node>> {
        self.expect(&Token::Open, "`(`")?;
        let mut args = Vec::new();
        while !self.take_if(&Token::Close) {
            // The name of a label as a text that Prometheus would find fault with only when evaluating.
            if let (Token::BrokenText(text), "label_replace" | "label_join" | "count_values") =
                (self.peek(), of)
            {
                return Err(self.error_here(format!("invalid label name {text}")));
            }
            args.push(if of == "info" && args.len() == 1 {
                self.info_selector()?
            } else {
                self.expression(0)?
            });
            if !self.take_if(&Token::Comma) {
                if *self.peek() != Token::Close {
                    return Err(self.unexpected("an operator, `,` or `)`"));
                }
            } else if *self.peek() == Token::Close {
                return Err(self.error_here("trailing commas not allowed in function call args"));
            }
        }
        Ok(args)
    }
}

/// Whether an expression may begin like this.
fn begins_operand(token: &Token) -> bool {
    let between = ["and", "or", "unless", "atan2", "offset"];
    if let Token::Word(word) = token {
        return !between.iter().any(|op| word.eq_ignore_ascii_case(op));
    }
    matches!(
        token,
        Token::Number(_)
            | Token::Duration(_)
            | Token::Text(_)
            | Token::Param(_)
            | Token::Open
            | Token::OpenBrace
    )
}
