//! Tokens → syntax tree, by precedence climbing.
//!
//! The parser is our own because messages need places, which the syntax tree of the promql-parser crate does not have; that crate
//! is the oracle of a test instead. Types are checked by [`super::check`] as each node is made.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ast::{
    Aggregate, AggregateOp, AtModifier, Binary, BinaryOp, Cardinality, Expr, Grouping, Matching,
    Node, NodeKind, Number, SIGN_PRECEDENCE, Subquery, TimeShift, VectorSelector,
};
use super::lex::{Token, tokens};
use super::suggest::closest;
use super::{ExprError, Span, check, functions};
use crate::labels::METRIC_NAME;
use crate::{MatchOp, Matcher, Nanos, Timestamp};

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
        let reserved = [
            "and",
            "or",
            "unless",
            "atan2",
            "bool",
            "by",
            "without",
            "on",
            "ignoring",
            "group_left",
            "group_right",
            "offset",
        ];
        if reserved.contains(&lower.as_str()) && *self.peek_after() != Token::OpenBrace {
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
        let args = self.arguments(name)?;
        let span = start.to(self.last_span());
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
            args.push(self.expression(0)?);
            if !self.take_if(&Token::Comma) && *self.peek() != Token::Close {
                return Err(self.unexpected("an operator, `,` or `)`"));
            }
        }
        Ok(args)
    }

    fn selector(&mut self, name: Option<Arc<str>>) -> Parsed<Node> {
        let start = self.span();
        if name.is_some() {
            self.take();
        }
        let mut alternatives = vec![Vec::new()];
        let mut quoted_name: Option<String> = None;
        if self.take_if(&Token::OpenBrace) {
            while !self.take_if(&Token::CloseBrace) {
                if self.is_keyword("or")
                    && !matches!(
                        self.peek_after(),
                        Token::Equals
                            | Token::Matches
                            | Token::MatchesNot
                            | Token::Op(BinaryOp::Ne)
                    )
                {
                    if alternatives.last().is_some_and(Vec::is_empty) {
                        return Err(self.unexpected("a matcher"));
                    }
                    self.take();
                    alternatives.push(Vec::new());
                    continue;
                }
                let matcher = self.matcher(&name, &mut quoted_name)?;
                if let Some(last) = alternatives.last_mut() {
                    last.push(matcher);
                }
                let ends = *self.peek() == Token::CloseBrace || self.is_keyword("or");
                if !self.take_if(&Token::Comma) && !ends {
                    return Err(self.unexpected("`,` or `}`"));
                }
            }
            if alternatives.len() > 1 && alternatives.iter().any(Vec::is_empty) {
                return Err(self.error(
                    self.last_span(),
                    "parse error: expected a matcher after `or`",
                ));
            }
        }
        let span = start.to(self.last_span());
        if let Some(name) = &name {
            for list in &mut alternatives {
                list.insert(0, Matcher::equal(METRIC_NAME, name));
            }
        }
        let says_nothing = |list: &Vec<Matcher>| list.iter().all(|m| m.accepts(""));
        if alternatives.iter().any(says_nothing) {
            return Err(self.error(
                span,
                "vector selector must contain at least one non-empty matcher",
            ));
        }
        self.node(
            NodeKind::Selector(VectorSelector {
                name,
                alternatives,
                when: TimeShift::default(),
            }),
            span,
        )
    }

    fn matcher(
        &mut self,
        name: &Option<Arc<str>>,
        quoted_name: &mut Option<String>,
    ) -> Parsed<Matcher> {
        let span = self.span();
        let label = match self.peek().clone() {
            Token::Word(label) if !label.contains(':') => label,
            Token::Text(label) => {
                if !matches!(
                    self.peek_after(),
                    Token::Equals | Token::Matches | Token::MatchesNot | Token::Op(BinaryOp::Ne)
                ) {
                    if let Some(other) = name.as_deref().or(quoted_name.as_deref()) {
                        return Err(self.error(
                            span,
                            format!("metric name must not be set twice: {other:?} or {label:?}"),
                        ));
                    }
                    self.take();
                    *quoted_name = Some(label.clone());
                    return Ok(Matcher::equal(METRIC_NAME, &label));
                }
                label
            }
            _ => return Err(self.unexpected("a label name or `}`")),
        };
        self.take();
        let op = match self.peek() {
            Token::Equals => MatchOp::Equal,
            Token::Op(BinaryOp::Ne) => MatchOp::NotEqual,
            Token::Matches => MatchOp::Regex,
            Token::MatchesNot => MatchOp::NotRegex,
            _ => return Err(self.unexpected("one of `=`, `!=`, `=~`, `!~`")),
        };
        self.take();
        let value_span = self.span();
        let Token::Text(value) = self.peek().clone() else {
            return Err(self.unexpected("a value in quotes"));
        };
        self.take();
        if label == METRIC_NAME
            && op == MatchOp::Equal
            && let Some(other) = name.as_deref()
        {
            return Err(self.error(
                span.to(value_span),
                format!("metric name must not be set twice: {other:?} or {value:?}"),
            ));
        }
        Matcher::new(&label, op, &value)
            .map_err(|_| self.error(value_span, format!("invalid regular expression {value:?}")))
    }

    /// `[range]`, `[range:step]`, `offset` and `@` behind an expression.
    fn followed(&mut self, mut node: Node) -> Parsed<Node> {
        let mut offset_set = false;
        loop {
            if *self.peek() == Token::OpenBracket {
                if offset_set && matches!(node.kind, NodeKind::Selector(_)) {
                    self.range_after_shift(&node)?;
                }
                node = self.bracketed(node)?;
                offset_set = false;
            } else if self.is_keyword("offset") {
                let span = self.span();
                self.take();
                let offset = self.offset()?;
                if offset_set {
                    return Err(self.error(span, "offset may not be set multiple times"));
                }
                offset_set = true;
                self.shift(&mut node, span, "offset", |when| when.offset = offset)?;
            } else if *self.peek() == Token::At {
                let span = self.span();
                self.take();
                let at = self.at_time()?;
                let again = matches!(&node.kind, NodeKind::Selector(s) | NodeKind::Range { selector: s, .. } if s.when.at.is_some())
                    || matches!(&node.kind, NodeKind::Subquery(s) if s.when.at.is_some());
                if again {
                    return Err(self.error(span, "@ <timestamp> may not be set multiple times"));
                }
                self.shift(&mut node, span, "@", |when| when.at = Some(at))?;
            } else if let Some(word @ ("anchored" | "smoothed")) = self.keyword().as_deref()
                && !matches!(node.kind, NodeKind::Number(_) | NodeKind::Text(_))
            {
                return Err(
                    self.error_here(format!("unsupported feature: range modifier `{word}`"))
                );
            } else {
                return Ok(node);
            }
        }
    }

    /// An offset in front of `[range]` is an error, in front of `[range:step]` it is not.
    fn range_after_shift(&self, node: &Node) -> Parsed<()> {
        let close = self.tokens[self.next..]
            .iter()
            .position(|(t, _)| *t == Token::CloseBracket);
        let inside = &self.tokens[self.next..self.next + close.unwrap_or(0)];
        if inside.iter().any(|(t, _)| *t == Token::Colon) {
            return Ok(());
        }
        Err(self.error(node.span, "no offset modifiers allowed before range"))
    }

    fn shift(
        &mut self,
        node: &mut Node,
        modifier: Span,
        word: &str,
        change: impl FnOnce(&mut TimeShift),
    ) -> Parsed<()> {
        let when = match &mut node.kind {
            NodeKind::Selector(s) | NodeKind::Range { selector: s, .. } => &mut s.when,
            NodeKind::Subquery(s) => &mut s.when,
            _ => {
                return Err(self.error(
                    modifier,
                    format!("{word} modifier must be preceded by an instant vector selector or range vector selector or a subquery"),
                ));
            }
        };
        change(when);
        node.span = node.span.to(self.last_span());
        Ok(())
    }

    fn bracketed(&mut self, node: Node) -> Parsed<Node> {
        let open = self.span();
        self.take();
        let range = self.positive_duration()?;
        if self.take_if(&Token::CloseBracket) {
            let span = node.span.to(self.last_span());
            return match node.kind {
                NodeKind::Selector(selector) => {
                    if selector.when.at.is_some() {
                        return Err(self.error(node.span, "no @ modifiers allowed before range"));
                    }
                    self.node(NodeKind::Range { selector, range }, span)
                }
                _ => Err(self
                    .error(
                        open.to(self.last_span()),
                        "ranges only allowed for vector selectors",
                    )
                    .with_help(Some(format!("a subquery has a colon: `[{range}:]`")))),
            };
        }
        self.expect(&Token::Colon, "`]` or `:`")?;
        let step = if *self.peek() == Token::CloseBracket {
            None
        } else {
            Some(self.positive_duration()?)
        };
        self.expect(&Token::CloseBracket, "`]`")?;
        let span = node.span.to(self.last_span());
        self.node(
            NodeKind::Subquery(Subquery {
                expr: Box::new(node),
                range,
                step,
                when: TimeShift::default(),
            }),
            span,
        )
    }

    fn positive_duration(&mut self) -> Parsed<Nanos> {
        let span = self.span();
        let duration = self.duration()?;
        if duration.0 <= 0 {
            return Err(self.error(span, "duration must be greater than 0"));
        }
        match self.peek() {
            Token::CloseBracket | Token::Colon => Ok(duration),
            Token::Op(_) => Err(self.unsupported_duration()),
            _ => Err(self.unexpected("`]` or `:`")),
        }
    }

    fn unsupported_duration(&self) -> ExprError {
        self.error_here("unsupported feature: duration expressions")
    }

    fn duration(&mut self) -> Parsed<Nanos> {
        let duration = match *self.peek() {
            Token::Duration(duration) => duration,
            Token::Number(seconds) if seconds.abs() < 9.0e9 => {
                #[allow(clippy::cast_possible_truncation)] // Checked against the range.
                Nanos((seconds * 1e9).round() as i64)
            }
            Token::Open | Token::Op(_) => return Err(self.unsupported_duration()),
            Token::Word(ref word)
                if *self.peek_after() == Token::Open
                    && ["step", "range", "min_of", "max_of", "min", "max"]
                        .contains(&word.as_str()) =>
            {
                return Err(self.unsupported_duration());
            }
            _ => return Err(self.unexpected("a duration like `5m`")),
        };
        self.take();
        Ok(duration)
    }

    fn offset(&mut self) -> Parsed<Nanos> {
        let mut sign = 1;
        if let Token::Op(op @ (BinaryOp::Add | BinaryOp::Sub)) = *self.peek() {
            sign = if op == BinaryOp::Sub { -1 } else { 1 };
            self.take();
        }
        Ok(Nanos(sign * self.duration()?.0))
    }

    fn at_time(&mut self) -> Parsed<AtModifier> {
        let span = self.span();
        if let Some(word @ ("start" | "end")) = self.keyword().as_deref() {
            let at = if word == "start" {
                AtModifier::Start
            } else {
                AtModifier::End
            };
            self.take();
            self.expect(&Token::Open, "`(`")?;
            self.expect(&Token::Close, "`)`")?;
            return Ok(at);
        }
        let seconds = self.signed_number()?;
        // Prometheus keeps milliseconds.
        let ms = (seconds * 1e3).round();
        if !(ms.abs() < 9.2e12) {
            let span = span.to(self.last_span());
            return Err(self.error(
                span,
                format!("timestamp out of bounds for @ modifier: {seconds}"),
            ));
        }
        #[allow(clippy::cast_possible_truncation)] // Checked against the range.
        Ok(AtModifier::Time(Timestamp(ms as i64 * 1_000_000)))
    }
}
