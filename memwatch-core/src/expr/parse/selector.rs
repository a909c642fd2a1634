//! Selectors and what stands behind an expression: `{…}`, `[range]`, `[range:step]`, `offset`, `@`.

use std::sync::Arc;

use super::super::ast::{
    AtModifier, BinaryOp, Node, NodeKind, Subquery, TimeShift, VectorSelector,
};
use super::super::functions::TARGET_INFO;
use super::super::lex::Token;
use super::super::print::number;
use super::super::{ExprError, Span};
use super::{Parsed, Parser};
use crate::labels::METRIC_NAME;
use crate::{MatchOp, Matcher, Nanos, Timestamp};

impl Parser<'_> {
    /// The second argument of `info`: labels in braces, which need not exclude series without them.
    ///
    /// What is left out is put in: without a name it is `target_info`.
    pub(super) fn info_selector(&mut self) -> Parsed<Node> {
        let start = self.span();
        if *self.peek() != Token::OpenBrace {
            let node = self.expression(0)?;
            let error = match node.kind {
                NodeKind::Selector(_) => {
                    "expected label selectors only, got vector selector instead".to_owned()
                }
                _ => format!(
                    "expected type instant vector in call to function \"info\", got {}",
                    node.value_type()
                ),
            };
            let help = "the labels stand in braces: `info(v, {label=~\".+\"})`".to_owned();
            return Err(self.error(node.span, error).with_help(Some(help)));
        }
        let mut alternatives = self.matchers(&None)?;
        let span = start.to(self.last_span());
        if alternatives.len() > 1 {
            return Err(self.error(span, "no `or` between the label selectors of info()"));
        }
        for list in &mut alternatives {
            if !list.iter().any(|m| m.name() == METRIC_NAME) {
                list.insert(0, Matcher::equal(METRIC_NAME, TARGET_INFO));
            }
        }
        let selector = VectorSelector {
            name: None,
            alternatives,
            when: TimeShift::default(),
        };
        self.node(NodeKind::Selector(selector), span)
    }

    pub(super) fn selector(&mut self, name: Option<Arc<str>>) -> Parsed<Node> {
        let start = self.span();
        if name.is_some() {
            self.take();
        }
        let mut alternatives = self.matchers(&name)?;
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

    /// What stands in braces, if they follow.
    fn matchers(&mut self, name: &Option<Arc<str>>) -> Parsed<Vec<Vec<Matcher>>> {
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
                let matcher = self.matcher(name, &mut quoted_name)?;
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
        Ok(alternatives)
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
    pub(super) fn followed(&mut self, mut node: Node) -> Parsed<Node> {
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
        if ms.is_nan() || ms.abs() >= 9.2e12 {
            let span = span.to(self.last_span());
            return Err(self.error(
                span,
                format!(
                    "timestamp out of bounds for @ modifier: {}",
                    number(seconds)
                ),
            ));
        }
        #[allow(clippy::cast_possible_truncation)] // Checked against the range.
        Ok(AtModifier::Time(Timestamp(ms as i64 * 1_000_000)))
    }
}
