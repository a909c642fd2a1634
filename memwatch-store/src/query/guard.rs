//! What a statement may be: one question, short, not nested too deeply. Checked on its words, before anything plans it.
//!
//! DataFusion's own options refuse what writes, but not what exhausts the stack: its planner recurses once for each operator of a
//! chain, and 10,000 chained `+` (20 kB of text) end the process. So the depth is bounded here, where it is a plain count.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer, Word};

use super::sql_error;
use crate::{Error, Result};

/// Longest statement. Ten times the longest that people write by hand.
pub const SQL_BYTES_MAX: usize = 16 * 1024;
/// Deepest expression: parentheses and operators one inside of the other.
pub const DEPTH_MAX: usize = 500;
/// Most `JOIN`, `UNION`, `EXCEPT` and `INTERSECT` of a statement: each is a level of the plan.
const RELATIONS_MAX: usize = 100;
/// Most parentheses one inside of the other: each costs the parser many stack frames.
const PARENTHESES_MAX: usize = 100;

/// What a statement asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    /// A query to plan as it stands, without semicolon.
    Query(String),
    /// `SHOW TABLES`.
    Tables,
}

/// Checks a statement; says what is wrong in the user's words.
pub(crate) fn check(sql: &str) -> Result<Question> {
    if sql.len() > SQL_BYTES_MAX {
        return Err(sql_error(format!(
            "expected a statement of at most {SQL_BYTES_MAX} bytes, found {}",
            sql.len()
        )));
    }
    let all = Tokenizer::new(&GenericDialect {}, sql)
        .tokenize_with_location()
        .map_err(|e| sql_error(e.to_string()))?;
    let mut tokens: Vec<&Token> = Vec::with_capacity(all.len());
    let mut end = None;
    for token in &all {
        match &token.token {
            Token::Whitespace(_) | Token::EOF => {}
            Token::SemiColon => end = end.or(Some(token.span.start)),
            _ if end.is_some() => {
                return Err(sql_error(
                    "expected one statement, found another after `;`".to_owned(),
                ));
            }
            other => tokens.push(other),
        }
    }
    let first = match tokens.first() {
        None => return Err(sql_error("expected a statement, found nothing".to_owned())),
        Some(Token::LParen) => Keyword::SELECT,
        Some(Token::Word(word)) => word.keyword,
        Some(other) => return Err(not_a_question(&other.to_string())),
    };
    match first {
        Keyword::SELECT
        | Keyword::WITH
        | Keyword::VALUES
        | Keyword::SHOW
        | Keyword::DESCRIBE
        | Keyword::DESC
        | Keyword::EXPLAIN
        | Keyword::TABLE => {}
        _ => return Err(not_a_question(&tokens[0].to_string())),
    }
    check_depth(&tokens)?;
    if let [Token::Word(show), Token::Word(tables)] = tokens[..]
        && show.keyword == Keyword::SHOW
        && tables.keyword == Keyword::TABLES
    {
        return Ok(Question::Tables);
    }
    let text = match end {
        Some(location) => &sql[..byte_of(sql, location.line, location.column)],
        None => sql,
    };
    Ok(Question::Query(text.to_owned()))
}

fn not_a_question(found: &str) -> Error {
    sql_error(format!(
        "expected SELECT, WITH, VALUES, SHOW, DESCRIBE or EXPLAIN (a store is only read), found `{found}`"
    ))
}

/// Where a place given in lines and characters, from 1, lies in the text.
fn byte_of(sql: &str, line: u64, column: u64) -> usize {
    let found = sql
        .char_indices()
        .try_fold((1, 1), |(at_line, at_column), (i, c)| {
            if (at_line, at_column) == (line, column) {
                ControlFlow::Break(i)
            } else if c == '\n' {
                ControlFlow::Continue((at_line + 1, 1))
            } else {
                ControlFlow::Continue((at_line, at_column + 1))
            }
        });
    found.break_value().unwrap_or(sql.len())
}

/// Counts, from above, how deep the tree of a statement can be.
fn check_depth(tokens: &[&Token]) -> Result<()> {
    // Operators so far on each level of nesting since its last comma.
    let mut levels = vec![0usize];
    let mut operators = 0usize;
    let mut parentheses = 0usize;
    let mut relations = 0usize;
    for token in tokens {
        let operator = match token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                parentheses += 1;
                levels.push(0);
                // A subscript or call is a level of its own, too.
                true
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                parentheses = parentheses.saturating_sub(1);
                pop(&mut levels, &mut operators);
                false
            }
            Token::Comma => {
                if let Some(level) = levels.last_mut() {
                    operators -= *level;
                    *level = 0;
                }
                false
            }
            Token::Word(Word {
                keyword,
                quote_style: None,
                ..
            }) => match keyword {
                Keyword::CASE => {
                    levels.push(0);
                    true
                }
                Keyword::END => {
                    pop(&mut levels, &mut operators);
                    false
                }
                Keyword::JOIN | Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT => {
                    relations += 1;
                    false
                }
                Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::IS
                | Keyword::IN
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::SIMILAR
                | Keyword::BETWEEN
                | Keyword::COLLATE
                | Keyword::AT
                | Keyword::XOR
                | Keyword::DIV
                | Keyword::INTERVAL
                | Keyword::EXPLAIN
                | Keyword::WHEN => true,
                _ => false,
            },
            Token::Word(_)
            | Token::Number(..)
            | Token::Char(_)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::Period => false,
            _ => true,
        };
        if operator {
            operators += 1;
            if let Some(level) = levels.last_mut() {
                *level += 1;
            }
        }
        for (count, most, what) in [
            (operators, DEPTH_MAX, "operators one inside of the other"),
            (parentheses, PARENTHESES_MAX, "nested parentheses"),
            (relations, RELATIONS_MAX, "joins and unions"),
        ] {
            if count > most {
                return Err(sql_error(format!(
                    "expected at most {most} {what}, found more"
                )));
            }
        }
    }
    Ok(())
}

fn pop(levels: &mut Vec<usize>, operators: &mut usize) {
    if levels.len() > 1
        && let Some(level) = levels.pop()
    {
        *operators -= level;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_pass() {
        for (sql, query) in [
            ("SELECT 1", "SELECT 1"),
            ("  select 1 ;; ", "  select 1 "),
            ("SELECT 'a;b' AS \"x;y\"\n;", "SELECT 'a;b' AS \"x;y\"\n"),
            ("SELECT 'é' -- ; no\n ; -- end", "SELECT 'é' -- ; no\n "),
            ("(SELECT 1)", "(SELECT 1)"),
            (
                "WITH a AS (SELECT 1) SELECT * FROM a",
                "WITH a AS (SELECT 1) SELECT * FROM a",
            ),
        ] {
            assert_eq!(
                check(sql).unwrap(),
                Question::Query(query.to_owned()),
                "{sql}"
            );
        }
        assert_eq!(check("show tables;").unwrap(), Question::Tables);
    }

    #[test]
    fn everything_else_is_refused_with_words() {
        for (sql, message) in [
            ("", "expected a statement, found nothing"),
            ("-- only a comment", "expected a statement, found nothing"),
            (
                "SELECT 1; SELECT 2",
                "expected one statement, found another after `;`",
            ),
            ("DROP TABLE samples", "a store is only read), found `DROP`"),
            ("COPY samples TO 'x'", "found `COPY`"),
            ("SET x = 1", "found `SET`"),
            ("42", "found `42`"),
            ("SELECT 'open", "Unterminated string literal"),
        ] {
            let error = check(sql).unwrap_err().to_string();
            assert!(error.contains(message), "{sql}: {error}");
        }
    }

    #[test]
    fn depth_is_bounded_and_breadth_is_not() {
        let chain = |of: &str, n: usize| format!("SELECT 1{}", of.repeat(n));
        for deep in [
            chain("+1", 2_000),
            chain(" OR 1", 2_000),
            format!("SELECT {}1{}", "(".repeat(300), ")".repeat(300)),
            format!("SELECT {}1", "- ".repeat(2_000)),
            format!("SELECT {}1", "NOT ".repeat(2_000)),
            format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(200)),
            format!(
                "SELECT {}1{}",
                "CASE WHEN true THEN ".repeat(600),
                " END".repeat(600)
            ),
            format!("SELECT 1{}", "::bigint".repeat(700)),
            format!("SELECT {}1{}", "abs(".repeat(101), ")".repeat(101)),
        ] {
            let error = check(&deep).unwrap_err().to_string();
            assert!(
                error.contains("expected at most"),
                "{}: {error}",
                &deep[..40]
            );
        }
        let wide = format!("SELECT 1 IN ({}1)", "1,".repeat(5_000));
        assert!(check(&wide).is_ok());
        let columns = format!("SELECT {}1", "a+b*2,".repeat(1_000));
        assert!(check(&columns).is_ok());
        let error = check(&chain("+1", 10_000)).unwrap_err().to_string();
        assert!(error.contains("at most 16384 bytes"), "{error}");
    }
}
