//! A template's text → pieces of text and tokens of actions.

use super::TemplateError;

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece<'t> {
    Text(&'t str),
    /// The tokens between `{{` and `}}`, and where `{{` stands.
    Action(Vec<(Token, usize)>, usize),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// `name`
    Word(String),
    /// `$name`
    Variable(String),
    /// `.name`, or `.` alone (empty)
    Field(String),
    Str(String),
    Int(i64),
    Float(f64),
    Pipe,
    Open,
    Close,
    /// `:=`
    Declare,
    /// `=`
    Assign,
}

fn fail<T>(message: impl Into<String>, offset: usize) -> Result<T, TemplateError> {
    Err(TemplateError {
        message: message.into(),
        offset,
    })
}

pub(super) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, TemplateError> {
    let mut pieces = Vec::new();
    let (mut at, mut trim) = (0, false);
    loop {
        let open = text[at..].find("{{").map(|i| at + i);
        let mut before = &text[at..open.unwrap_or(text.len())];
        if trim {
            before = before.trim_start_matches(GO_SPACE);
        }
        let Some(open) = open else {
            if !before.is_empty() {
                pieces.push(Piece::Text(before));
            }
            return Ok(pieces);
        };
        let inside = &text[open + 2..];
        let trims_before = inside.starts_with('-') && inside[1..].starts_with(GO_SPACE);
        if trims_before {
            before = before.trim_end_matches(GO_SPACE);
        }
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        let from = open + if trims_before { 3 } else { 2 };
        let comment = text[from..].trim_start_matches(GO_SPACE);
        if comment.starts_with("/*") {
            let start = text.len() - comment.len();
            let Some(end) = comment.find("*/").map(|i| start + i + 2) else {
                return fail("a comment that is never closed", start);
            };
            let rest = text[end..].trim_start_matches(GO_SPACE);
            let after = text.len() - rest.len();
            trim = rest.starts_with("-}}") && after > end;
            at = match () {
                () if trim => after + 3,
                () if rest.starts_with("}}") => after + 2,
                () => return fail("only `}}` may follow a comment", after),
            };
            continue;
        }
        let mut tokens = Vec::new();
        (at, trim) = action(text, open, from, &mut tokens)?;
        pieces.push(Piece::Action(tokens, open));
    }
}

const GO_SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// Reads the tokens of one action; gives where the text goes on and whether its leading space is trimmed.
fn action(
    text: &str,
    open: usize,
    from: usize,
    tokens: &mut Vec<(Token, usize)>,
) -> Result<(usize, bool), TemplateError> {
    let mut at = from;
    loop {
        let rest = &text[at..];
        let Some(c) = rest.chars().next() else {
            return fail("`{{` is never closed", open);
        };
        if rest.starts_with("}}") {
            return Ok((at + 2, false));
        }
        if GO_SPACE.contains(&c) {
            if rest[1..].starts_with("-}}") {
                return Ok((at + 4, true));
            }
            at += 1;
            continue;
        }
        let (token, length) = match c {
            '|' => (Token::Pipe, 1),
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            ':' if rest[1..].starts_with('=') => (Token::Declare, 2),
            '=' => (Token::Assign, 1),
            '$' => {
                let name = word(&rest[1..]);
                (Token::Variable(name.to_owned()), 1 + name.len())
            }
            '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                let name = word(&rest[1..]);
                (Token::Field(name.to_owned()), 1 + name.len())
            }
            '"' => quoted(rest, at)?,
            '`' => match rest[1..].find('`') {
                Some(end) => (Token::Str(rest[1..=end].to_owned()), end + 2),
                None => return fail("a string that is never closed", at),
            },
            '0'..='9' | '.' | '+' | '-' => number(rest, at)?,
            c if c == '_' || c.is_alphabetic() => {
                let name = word(rest);
                (Token::Word(name.to_owned()), name.len())
            }
            c => return fail(format!("`{c}` has no meaning here"), at),
        };
        tokens.push((token, at));
        at += length;
    }
}

fn word(text: &str) -> &str {
    let end = text
        .find(|c: char| c != '_' && !c.is_alphanumeric())
        .unwrap_or(text.len());
    &text[..end]
}

fn number(text: &str, at: usize) -> Result<(Token, usize), TemplateError> {
    let mut end = 0;
    let mut previous = ' ';
    for c in text.chars() {
        let sign = (c == '+' || c == '-') && (end == 0 || matches!(previous, 'e' | 'E'));
        if !(sign || c == '.' || c == '_' || c.is_ascii_alphanumeric()) {
            break;
        }
        previous = c;
        end += c.len_utf8();
    }
    let (digits, bad) = (&text[..end], |found: &str| {
        fail(format!("expected a number, found `{found}`"), at)
    });
    let plain = digits.replace('_', "");
    let unsigned = plain.trim_start_matches(['+', '-']);
    let negative = plain.starts_with('-');
    let radix = match unsigned.get(..2) {
        Some("0x" | "0X") => Some(16),
        Some("0o" | "0O") => Some(8),
        Some("0b" | "0B") => Some(2),
        _ => None,
    };
    if let Some(radix) = radix {
        return match i64::from_str_radix(&unsigned[2..], radix) {
            Ok(value) => Ok((Token::Int(if negative { -value } else { value }), end)),
            Err(_) => bad(digits),
        };
    }
    if let Ok(value) = plain.parse::<i64>() {
        return Ok((Token::Int(value), end));
    }
    match plain.parse::<f64>() {
        Ok(value) if unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
            Ok((Token::Float(value), end))
        }
        _ => bad(digits),
    }
}

fn quoted(text: &str, at: usize) -> Result<(Token, usize), TemplateError> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return Ok((Token::Str(value), i + 1)),
            '\n' => break,
            '\\' => {
                let Some((_, escape)) = chars.next() else {
                    break;
                };
                let digits = match escape {
                    'n' => Err('\n'),
                    't' => Err('\t'),
                    'r' => Err('\r'),
                    '\\' | '"' => Err(escape),
                    'x' => Ok(2),
                    'u' => Ok(4),
                    'U' => Ok(8),
                    _ => return fail(format!("unknown escape `\\{escape}`"), at + i),
                };
                value.push(match digits {
                    Err(c) => c,
                    Ok(count) => {
                        let hex: String = chars.by_ref().take(count).map(|(_, c)| c).collect();
                        let code = u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32);
                        match code {
                            Some(c) if hex.len() == count => c,
                            _ => return fail(format!("unknown escape `\\{escape}{hex}`"), at + i),
                        }
                    }
                });
            }
            c => value.push(c),
        }
    }
    fail("a string that is never closed", at)
}
