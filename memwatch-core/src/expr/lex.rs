//! Expression text → tokens with their places.
//!
//! What memwatch adds to PromQL on this level: numbers may carry `k M G T Ki Mi Gi Ti`, and `$name` stands for a parameter. Neither
//! collides with PromQL: its durations use small letters only (`5m` is five minutes, `5M` five million).

use std::sync::Arc;

use super::ast::BinaryOp;
use super::{ExprError, Span};
use crate::Nanos;

/// A token.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A name or keyword; may hold colons outside of brackets.
    Word(String),
    Number(f64),
    Duration(Nanos),
    Text(String),
    /// A quoted text whose bytes are not UTF-8, as it was written.
    BrokenText(String),
    /// `$name`
    Param(String),
    /// An operator made of signs.
    Op(BinaryOp),
    /// `=`
    Equals,
    /// `=~`
    Matches,
    /// `!~`
    MatchesNot,
    Open,
    Close,
    OpenBrace,
    CloseBrace,
    OpenBracket,
    CloseBracket,
    Comma,
    Colon,
    At,
    End,
}

/// Factors that a number may carry.
const SUFFIXES: [(&str, f64); 8] = [
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
];

/// All tokens of `text`, the last one being [`Token::End`].
pub(super) fn tokens(text: &Arc<str>) -> Result<Vec<(Token, Span)>, ExprError> {
    let mut lexer = Lexer {
        text,
        at: 0,
        brackets: 0,
    };
    let mut found = Vec::new();
    loop {
        lexer.skip_blank();
        let start = lexer.at;
        let token = lexer.token()?;
        let span = Span {
            start,
            end: lexer.at,
        };
        let end = token == Token::End;
        found.push((token, span));
        if end {
            return Ok(found);
        }
    }
}

struct Lexer<'t> {
    text: &'t Arc<str>,
    at: usize,
    brackets: usize,
}

fn is_word_start(b: u8) -> bool {
    b.is_ascii_alphabetic() || b == b'_'
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

impl Lexer<'_> {
    fn byte(&self, ahead: usize) -> u8 {
        self.text
            .as_bytes()
            .get(self.at + ahead)
            .copied()
            .unwrap_or(0)
    }

    fn error(&self, start: usize, message: impl Into<String>) -> ExprError {
        let end = self.at.max(start + 1).min(self.text.len().max(start));
        ExprError::new(self.text, Span { start, end }, message)
    }

    fn skip_blank(&mut self) {
        loop {
            match self.byte(0) {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                b'#' => {
                    let rest = &self.text[self.at..];
                    self.at += rest.find('\n').unwrap_or(rest.len());
                }
                _ => return,
            }
        }
    }

    fn token(&mut self) -> Result<Token, ExprError> {
        let start = self.at;
        if start == self.text.len() {
            return Ok(Token::End);
        }
        let (token, length) = match (self.byte(0), self.byte(1)) {
            (b'(', _) => (Token::Open, 1),
            (b')', _) => (Token::Close, 1),
            (b'{', _) => (Token::OpenBrace, 1),
            (b'}', _) => (Token::CloseBrace, 1),
            (b'[', _) => {
                self.brackets += 1;
                (Token::OpenBracket, 1)
            }
            (b']', _) => {
                self.brackets = self.brackets.saturating_sub(1);
                (Token::CloseBracket, 1)
            }
            (b',', _) => (Token::Comma, 1),
            (b'@', _) => (Token::At, 1),
            (b'+', _) => (Token::Op(BinaryOp::Add), 1),
            (b'-', _) => (Token::Op(BinaryOp::Sub), 1),
            (b'*', _) => (Token::Op(BinaryOp::Mul), 1),
            (b'/', _) => (Token::Op(BinaryOp::Div), 1),
            (b'%', _) => (Token::Op(BinaryOp::Mod), 1),
            (b'^', _) => (Token::Op(BinaryOp::Pow), 1),
            (b'=', b'=') => (Token::Op(BinaryOp::Eq), 2),
            (b'=', b'~') => (Token::Matches, 2),
            (b'=', _) => (Token::Equals, 1),
            (b'!', b'=') => (Token::Op(BinaryOp::Ne), 2),
            (b'!', b'~') => (Token::MatchesNot, 2),
            (b'<' | b'>', b'/') => {
                self.at += 2;
                return Err(self.error(
                    start,
                    "unsupported feature: trim operators of native histograms (`</`, `>/`)",
                ));
            }
            (b'>', b'=') => (Token::Op(BinaryOp::Ge), 2),
            (b'<', b'=') => (Token::Op(BinaryOp::Le), 2),
            (b'>', _) => (Token::Op(BinaryOp::Gt), 1),
            (b'<', _) => (Token::Op(BinaryOp::Lt), 1),
            (b'"' | b'\'' | b'`', _) => return self.quoted(),
            (b'$', b) if is_word_start(b) => {
                self.at += 1;
                return Ok(Token::Param(self.word(false).to_owned()));
            }
            (b'.', b) if b.is_ascii_digit() => return self.number(),
            (b, _) if b.is_ascii_digit() => return self.number(),
            (b, _) if is_word_start(b) => {
                let colons = self.brackets == 0;
                return Ok(Token::Word(self.word(colons).to_owned()));
            }
            (b':', b) if self.brackets == 0 && (is_word_start(b) || b == b':') => {
                return Ok(Token::Word(self.word(true).to_owned()));
            }
            (b':', _) => (Token::Colon, 1),
            _ => {
                let found = self.text[start..].chars().next().unwrap_or(' ');
                self.at += found.len_utf8();
                return Err(self.error(start, format!("unexpected character: {found:?}")));
            }
        };
        self.at += length;
        Ok(token)
    }

    fn word(&mut self, colons: bool) -> &str {
        let start = self.at;
        while is_word(self.byte(0)) || colons && self.byte(0) == b':' {
            self.at += 1;
        }
        &self.text[start..self.at]
    }

    fn number(&mut self) -> Result<Token, ExprError> {
        let start = self.at;
        if self.byte(0) == b'0' && matches!(self.byte(1), b'x' | b'X') {
            self.at += 2;
            let digits = self.word(false).replace('_', "");
            return match u64::from_str_radix(&digits, 16) {
                Ok(value) => Ok(Token::Number(value as f64)),
                Err(_) => Err(self.bad_number(start)),
            };
        }
        while self.byte(0).is_ascii_digit() || self.byte(0) == b'_' {
            self.at += 1;
        }
        let whole = self.byte(0) != b'.';
        let letters = self.text.as_bytes()[self.at..]
            .iter()
            .take_while(|b| is_word(**b))
            .count();
        if whole
            && let Some(duration) = Nanos::parse(&self.text[start..self.at + letters])
            && letters > 0
        {
            self.at += letters;
            return Ok(Token::Duration(duration));
        }
        if !whole {
            self.at += 1;
            while self.byte(0).is_ascii_digit() || self.byte(0) == b'_' {
                self.at += 1;
            }
        }
        let sign = usize::from(matches!(self.byte(1), b'+' | b'-'));
        if matches!(self.byte(0), b'e' | b'E') && self.byte(1 + sign).is_ascii_digit() {
            self.at += 1 + sign;
            while self.byte(0).is_ascii_digit() {
                self.at += 1;
            }
        }
        let digits = self.text[start..self.at].replace('_', "");
        let octal = digits.len() > 1
            && digits.starts_with('0')
            && digits.bytes().all(|b| matches!(b, b'0'..=b'7'));
        #[allow(clippy::cast_precision_loss)] // As Prometheus reads integers.
        let value = match octal.then(|| i64::from_str_radix(&digits, 8)) {
            Some(Ok(value)) => Some(value as f64),
            _ => digits.parse::<f64>().ok(),
        };
        let suffix = self.word(false).to_owned();
        let factor = match suffix.as_str() {
            "" => Some(1.0),
            suffix => SUFFIXES.iter().find(|(s, _)| *s == suffix).map(|(_, f)| *f),
        };
        match (value, factor) {
            (Some(value), Some(factor)) if self.byte(0) != b'.' => {
                Ok(Token::Number(value * factor))
            }
            _ => Err(self.bad_number(start)),
        }
    }

    fn bad_number(&mut self, start: usize) -> ExprError {
        while is_word(self.byte(0)) || self.byte(0) == b'.' {
            self.at += 1;
        }
        let found = &self.text[start..self.at];
        let letters =
            found.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '_');
        let help = match letters {
            "K" => Some("did you mean `k` (1000) or `Ki` (1024)?".to_owned()),
            "kB" | "KB" | "MB" | "GB" | "TB" | "B" | "KiB" | "MiB" | "GiB" | "TiB" => {
                Some("leave out the `B`: `k M G T Ki Mi Gi Ti`".to_owned())
            }
            _ => Some(
                "numbers may carry `k M G T Ki Mi Gi Ti`, durations `ms s m h d w y`".to_owned(),
            ),
        };
        self.error(start, format!("bad number or duration syntax: {found:?}"))
            .with_help(help)
    }

    /// A quoted text with Go's escapes; none between backquotes.
    fn quoted(&mut self) -> Result<Token, ExprError> {
        let start = self.at;
        let quote = self.byte(0);
        let mut bytes = Vec::new();
        self.at += 1;
        loop {
            let escape = self.at;
            if escape == self.text.len() || self.byte(0) == b'\n' && quote != b'`' {
                return Err(self.error(start, "unterminated quoted string"));
            }
            let byte = self.byte(0);
            self.at += 1;
            match byte {
                b if b == quote => break,
                b'\\' if quote != b'`' => {
                    let Some(()) = self.escaped(quote, &mut bytes) else {
                        self.at = (self.at + 1).min(self.text.len());
                        return Err(self.error(escape, "unknown escape sequence"));
                    };
                }
                b => bytes.push(b),
            }
        }
        Ok(String::from_utf8(bytes).map_or_else(
            |_| Token::BrokenText(self.text[start..self.at].to_owned()),
            Token::Text,
        ))
    }

    fn escaped(&mut self, quote: u8, bytes: &mut Vec<u8>) -> Option<()> {
        let kind = self.byte(0);
        self.at += 1;
        let plain = match kind {
            b'a' => Some(7),
            b'b' => Some(8),
            b'f' => Some(12),
            b'n' => Some(b'\n'),
            b'r' => Some(b'\r'),
            b't' => Some(b'\t'),
            b'v' => Some(11),
            b'\\' => Some(b'\\'),
            b if b == quote => Some(b),
            _ => None,
        };
        if let Some(byte) = plain {
            bytes.push(byte);
            return Some(());
        }
        let (digits, radix) = match kind {
            b'0'..=b'7' => {
                self.at -= 1;
                (3, 8)
            }
            b'x' => (2, 16),
            b'u' => (4, 16),
            b'U' => (8, 16),
            _ => {
                self.at -= 1;
                return None;
            }
        };
        let code = self.text.get(self.at..self.at + digits)?;
        let code = u32::from_str_radix(code, radix).ok()?;
        self.at += digits;
        match kind {
            b'u' | b'U' => {
                let mut buffer = [0; 4];
                bytes.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut buffer).as_bytes());
            }
            _ => bytes.push(u8::try_from(code).ok()?),
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Token> {
        let mut all: Vec<Token> = tokens(&text.into())
            .unwrap()
            .into_iter()
            .map(|(t, _)| t)
            .collect();
        all.pop();
        all
    }

    #[test]
    fn numbers_and_durations() {
        let cases = [
            ("500k", Token::Number(500e3)),
            ("1.5Gi", Token::Number(1_610_612_736.0)),
            ("5M", Token::Number(5e6)),
            ("5m", Token::Duration(Nanos(300_000_000_000))),
            ("1h30m", Token::Duration(Nanos(5_400_000_000_000))),
            ("200ms", Token::Duration(Nanos(200_000_000))),
            ("0x1F", Token::Number(31.0)),
            ("0x_1f", Token::Number(31.0)),
            ("1_000", Token::Number(1000.0)),
            ("017", Token::Number(15.0)),
            ("089", Token::Number(89.0)),
            ("1e3", Token::Number(1000.0)),
            ("1.e-3", Token::Number(0.001)),
            (".5", Token::Number(0.5)),
            ("2.", Token::Number(2.0)),
            ("1e3k", Token::Number(1e6)),
        ];
        for (text, expected) in cases {
            assert_eq!(kinds(text), [expected], "{text}");
        }
        for bad in [
            "5K", "5kk", "1.2.3", "0x", "0xG", "5x", "1m1h", "1.5m", "1MB",
        ] {
            let error = tokens(&bad.into()).unwrap_err();
            assert!(error.message.starts_with("bad number"), "{bad}: {error}");
            assert_eq!(
                error.span.unwrap(),
                Span {
                    start: 0,
                    end: bad.len()
                },
                "{bad}"
            );
        }
    }

    #[test]
    fn texts_have_the_escapes_of_go() {
        let text = |t: &str| Token::Text(t.to_owned());
        assert_eq!(kinds(r#""a\n\"\x41\u00e9\101""#), [text("a\n\"AéA")]);
        assert_eq!(kinds(r"'\'x'"), [text("'x")]);
        assert_eq!(kinds(r"`\n`"), [text("\\n")]);
        assert_eq!(
            kinds(r#""\xc5z""#),
            [Token::BrokenText(r#""\xc5z""#.to_owned())]
        );
        for bad in [
            r#""abc"#,
            r#""\q""#,
            "\"a\nb\"",
            r#""\x4""#,
            r#""\777""#,
            "\"\\",
            "\"\\u00é\"",
        ] {
            assert!(tokens(&bad.into()).is_err(), "{bad}");
        }
    }

    #[test]
    fn colons_belong_to_names_except_in_brackets() {
        let word = |t: &str| Token::Word(t.to_owned());
        assert_eq!(kinds("a:b:c # rest"), [word("a:b:c")]);
        let m = Nanos::MINUTE;
        assert_eq!(
            kinds("x[1m:1m]"),
            [
                word("x"),
                Token::OpenBracket,
                Token::Duration(m),
                Token::Colon,
                Token::Duration(m),
                Token::CloseBracket
            ]
        );
        assert!(tokens(&"a § b".into()).is_err());
        assert!(
            tokens(&"h </ 3".into())
                .unwrap_err()
                .message
                .contains("trim operators")
        );
    }
}
