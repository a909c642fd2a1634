//! Tokens → a tree.

use crate::suggest::closest;

use super::TemplateError;
use super::functions::{FUNCTIONS, NOT_SUPPORTED};
use super::lex::{self, Piece, Token};
use super::value::Value;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Text(String),
    Output(Pipeline),
    /// `$name := …`
    Declare(String, Pipeline),
    /// `$name = …`
    Assign(String, Pipeline),
    /// Conditions with their bodies, then what `else` says.
    If(Vec<(Pipeline, Vec<Node>)>, Vec<Node>),
    With(Pipeline, Vec<Node>, Vec<Node>),
}

/// Commands, of which each gets the result of the one before as its last argument.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pipeline(pub(super) Vec<Command>);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Command {
    Operand(Operand),
    Call {
        /// Index into [`FUNCTIONS`].
        function: usize,
        arguments: Vec<Operand>,
        offset: usize,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Literal(Value),
    Labels,
    ExternalLabels,
    Value,
    /// `.` inside of `with`
    Dot(usize),
    Variable(String),
    Group(Pipeline),
    Field(Box<Operand>, String, usize),
}

/// Parentheses and `if`s inside of each other; more is an attack, not a template.
const MAX_DEPTH: usize = 64;

pub(super) fn template(text: &str) -> Result<Vec<Node>, TemplateError> {
    let pieces = lex::pieces(text)?;
    let mut parser = Parser {
        pieces: pieces.into_iter(),
        variables: Vec::new(),
        with: 0,
        depth: 0,
    };
    let (nodes, end) = parser.nodes()?;
    match end {
        Some(Ending { word, offset, .. }) => fail(
            format!("`{word}` without an `if` or `with` before it"),
            offset,
        ),
        None => Ok(nodes),
    }
}

fn fail<T>(message: impl Into<String>, offset: usize) -> Result<T, TemplateError> {
    Err(TemplateError {
        message: message.into(),
        offset,
    })
}

/// What closed a list of nodes: `end` or `else`, with what follows the word.
struct Ending {
    word: &'static str,
    rest: Vec<(Token, usize)>,
    offset: usize,
}

struct Parser<'t> {
    pieces: std::vec::IntoIter<Piece<'t>>,
    /// Declared variables that are visible.
    variables: Vec<String>,
    /// How many `with`s are open: there `.` has a meaning.
    with: usize,
    depth: usize,
}

impl Parser<'_> {
    fn nodes(&mut self) -> Result<(Vec<Node>, Option<Ending>), TemplateError> {
        let scope = self.variables.len();
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (tokens, open) = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text.to_owned()));
                    continue;
                }
                Piece::Action(tokens, open) => (tokens, open),
            };
            let Some((first, offset)) = tokens.first().cloned() else {
                return fail("an empty action", open);
            };
            let word = match &first {
                Token::Word(word) => word.as_str(),
                _ => "",
            };
            match word {
                "if" => nodes.push(self.if_node(tokens[1..].to_vec(), offset)?),
                "with" => nodes.push(self.with_node(tokens[1..].to_vec(), offset)?),
                "end" | "else" => {
                    self.variables.truncate(scope);
                    let word = if word == "end" { "end" } else { "else" };
                    let rest = tokens[1..].to_vec();
                    return Ok((nodes, Some(Ending { word, rest, offset })));
                }
                "range" | "template" | "define" | "block" | "break" | "continue" => {
                    return fail(format!("`{word}` is not supported in templates"), offset);
                }
                _ => nodes.push(self.action(&tokens, open)?),
            }
        }
        self.variables.truncate(scope);
        Ok((nodes, None))
    }

    fn deeper(&mut self, offset: usize) -> Result<(), TemplateError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return fail("nested too deeply", offset);
        }
        Ok(())
    }

    fn if_node(
        &mut self,
        condition: Vec<(Token, usize)>,
        offset: usize,
    ) -> Result<Node, TemplateError> {
        self.deeper(offset)?;
        let mut branches = Vec::new();
        let mut condition = condition;
        loop {
            let pipeline = self.whole_pipeline(&condition, offset)?;
            let (body, ending) = self.nodes()?;
            branches.push((pipeline, body));
            let Some(ending) = ending else {
                return fail("`if` is never closed", offset);
            };
            match (ending.word, ending.rest.first()) {
                ("end", None) => {
                    self.depth -= 1;
                    return Ok(Node::If(branches, Vec::new()));
                }
                ("else", Some((Token::Word(word), _))) if word == "if" => {
                    condition = ending.rest[1..].to_vec();
                }
                ("else", None) => {
                    let otherwise = self.closed_by_end("if", offset)?;
                    self.depth -= 1;
                    return Ok(Node::If(branches, otherwise));
                }
                (word, Some((_, at))) => {
                    return fail(format!("nothing may follow `{word}` here"), *at);
                }
                _ => unreachable!("an ending is `end` or `else`"),
            }
        }
    }

    fn with_node(&mut self, of: Vec<(Token, usize)>, offset: usize) -> Result<Node, TemplateError> {
        self.deeper(offset)?;
        let pipeline = self.whole_pipeline(&of, offset)?;
        self.with += 1;
        let (body, ending) = self.nodes()?;
        self.with -= 1;
        let otherwise = match ending {
            Some(Ending {
                word: "end", rest, ..
            }) if rest.is_empty() => Vec::new(),
            Some(Ending {
                word: "else", rest, ..
            }) if rest.is_empty() => self.closed_by_end("with", offset)?,
            Some(ending) => return fail("nothing may follow `else` of a `with`", ending.offset),
            None => return fail("`with` is never closed", offset),
        };
        self.depth -= 1;
        Ok(Node::With(pipeline, body, otherwise))
    }

    fn closed_by_end(&mut self, of: &str, offset: usize) -> Result<Vec<Node>, TemplateError> {
        match self.nodes()? {
            (nodes, Some(Ending { word: "end", .. })) => Ok(nodes),
            (_, Some(ending)) => fail(format!("a second `else` of one `{of}`"), ending.offset),
            (_, None) => fail(format!("`{of}` is never closed"), offset),
        }
    }

    fn action(&mut self, tokens: &[(Token, usize)], open: usize) -> Result<Node, TemplateError> {
        match tokens {
            [(Token::Variable(name), _), (Token::Declare, _), rest @ ..] => {
                let pipeline = self.whole_pipeline(rest, open)?;
                self.variables.push(name.clone());
                Ok(Node::Declare(name.clone(), pipeline))
            }
            [(Token::Variable(name), at), (Token::Assign, _), rest @ ..] => {
                let pipeline = self.whole_pipeline(rest, open)?;
                if !self.variables.contains(name) {
                    return fail(format!("`${name}` is not declared before"), *at);
                }
                Ok(Node::Assign(name.clone(), pipeline))
            }
            tokens => Ok(Node::Output(self.whole_pipeline(tokens, open)?)),
        }
    }

    fn whole_pipeline(
        &mut self,
        tokens: &[(Token, usize)],
        open: usize,
    ) -> Result<Pipeline, TemplateError> {
        let (pipeline, rest) = self.pipeline(tokens, open)?;
        match rest.first() {
            None => Ok(pipeline),
            Some((_, at)) => fail("`)` without `(`", *at),
        }
    }

    /// Up to the end or a closing parenthesis, which stays.
    fn pipeline<'s>(
        &mut self,
        mut tokens: &'s [(Token, usize)],
        open: usize,
    ) -> Parsed<'s, Pipeline> {
        let mut commands: Vec<Command> = Vec::new();
        loop {
            let offset = tokens.first().map_or(open, |t| t.1);
            let piped = !commands.is_empty();
            let (command, rest) = self.command(tokens, piped, offset)?;
            commands.push(command);
            match rest.first() {
                Some((Token::Pipe, _)) => tokens = &rest[1..],
                _ => return Ok((Pipeline(commands), rest)),
            }
        }
    }

    fn command<'s>(
        &mut self,
        tokens: &'s [(Token, usize)],
        piped: bool,
        offset: usize,
    ) -> Parsed<'s, Command> {
        let mut rest = tokens;
        let function = match tokens.first() {
            None | Some((Token::Pipe | Token::Close, _)) => {
                return fail("expected a value or a function", offset);
            }
            Some((Token::Word(name), at)) if !matches!(name.as_str(), "true" | "false") => {
                rest = &rest[1..];
                Some((function(name, *at)?, *at))
            }
            Some(_) => None,
        };
        let mut operands = Vec::new();
        while let Some((token, _)) = rest.first() {
            if matches!(token, Token::Pipe | Token::Close) {
                break;
            }
            let operand;
            (operand, rest) = self.operand(rest)?;
            operands.push(operand);
        }
        let Some((function, at)) = function else {
            if piped {
                return fail("only a function can take the value from before `|`", offset);
            }
            return match <[Operand; 1]>::try_from(operands) {
                Ok([operand]) => Ok((Command::Operand(operand), rest)),
                Err(_) => fail("a value cannot be called with arguments", offset),
            };
        };
        let Function { name, least, most } = arity(function);
        let given = operands.len() + usize::from(piped);
        if given < least || given > most {
            let count = match (least, most) {
                (1, 1) => "1 argument".to_owned(),
                (a, b) if a == b => format!("{a} arguments"),
                (a, _) => format!("at least {a} arguments"),
            };
            return fail(format!("`{name}` takes {count}, found {given}"), at);
        }
        if name == "printf" && operands.is_empty() {
            return fail("the first argument of `printf` is its format", at);
        }
        let call = Command::Call {
            function,
            arguments: operands,
            offset: at,
        };
        Ok((call, rest))
    }

    fn operand<'s>(&mut self, tokens: &'s [(Token, usize)]) -> Parsed<'s, Operand> {
        let (token, at) = &tokens[0];
        let mut rest = &tokens[1..];
        let mut operand = match token {
            Token::Str(text) => Operand::Literal(Value::Str(text.clone())),
            Token::Int(value) => Operand::Literal(Value::Int(*value)),
            Token::Float(value) => Operand::Literal(Value::Float(*value)),
            Token::Word(word) if word == "true" => Operand::Literal(Value::Bool(true)),
            Token::Word(word) if word == "false" => Operand::Literal(Value::Bool(false)),
            Token::Word(word) => {
                // A function without arguments as an argument; of those we have, only `print` could be meant.
                function(word, *at)?;
                return fail(
                    format!("put `{word}` and its arguments in parentheses"),
                    *at,
                );
            }
            Token::Variable(name) => self.variable(name, *at)?,
            Token::Field(name) => self.root_field(name, *at)?,
            Token::Open => {
                self.deeper(*at)?;
                let pipeline;
                (pipeline, rest) = self.pipeline(rest, *at)?;
                self.depth -= 1;
                match rest.first() {
                    Some((Token::Close, _)) => rest = &rest[1..],
                    _ => return fail("`(` is never closed", *at),
                }
                Operand::Group(pipeline)
            }
            Token::Pipe | Token::Close | Token::Declare | Token::Assign => {
                return fail("expected a value", *at);
            }
        };
        // A field follows directly: `$labels.x`; `$labels .x` are two values.
        let mut end = match token {
            Token::Variable(name) => at + 1 + name.len(),
            Token::Field(name) => at + 1 + name.len(),
            Token::Open => tokens[tokens.len() - rest.len() - 1].1 + 1,
            _ => usize::MAX,
        };
        while let Some((Token::Field(name), field_at)) = rest.first() {
            if *field_at != end || name.is_empty() {
                break;
            }
            operand = Operand::Field(Box::new(operand), name.clone(), *field_at);
            end = field_at + 1 + name.len();
            rest = &rest[1..];
        }
        Ok((operand, rest))
    }

    fn variable(&self, name: &str, at: usize) -> Result<Operand, TemplateError> {
        if self.variables.iter().any(|v| v == name) {
            return Ok(Operand::Variable(name.to_owned()));
        }
        match name {
            "labels" => Ok(Operand::Labels),
            "value" => Ok(Operand::Value),
            "externalLabels" => Ok(Operand::ExternalLabels),
            "externalURL" => fail("`$externalURL` is not supported", at),
            _ => {
                let known = ["labels", "value", "externalLabels"].into_iter();
                let own = self.variables.iter().map(String::as_str);
                let hint = closest(name, known.chain(own));
                let hint = hint.map(|h| format!("; did you mean `${h}`?"));
                fail(
                    format!("`${name}` is not declared{}", hint.unwrap_or_default()),
                    at,
                )
            }
        }
    }

    fn root_field(&self, name: &str, at: usize) -> Result<Operand, TemplateError> {
        if name.is_empty() && self.with > 0 {
            return Ok(Operand::Dot(at));
        }
        if self.with > 0 {
            let dot = Box::new(Operand::Dot(at));
            return Ok(Operand::Field(dot, name.to_owned(), at));
        }
        match name {
            "Labels" => Ok(Operand::Labels),
            "Value" => Ok(Operand::Value),
            "ExternalLabels" => Ok(Operand::ExternalLabels),
            "" | "ExternalURL" => fail(format!("`.{name}` is not supported"), at),
            _ => {
                let hint = closest(name, ["Labels", "Value", "ExternalLabels"]);
                let hint = hint.map(|h| format!("; did you mean `.{h}`?"));
                fail(
                    format!("no field is called `.{name}`{}", hint.unwrap_or_default()),
                    at,
                )
            }
        }
    }
}

/// What was read, and the tokens after it.
type Parsed<'s, T> = Result<(T, &'s [(Token, usize)]), TemplateError>;

struct Function {
    name: &'static str,
    least: usize,
    most: usize,
}

fn arity(index: usize) -> Function {
    let of = &FUNCTIONS[index];
    Function {
        name: of.name,
        least: of.arity.0,
        most: of.arity.1,
    }
}

fn function(name: &str, at: usize) -> Result<usize, TemplateError> {
    if let Ok(found) = FUNCTIONS.binary_search_by(|f| f.name.cmp(name)) {
        return Ok(found);
    }
    if NOT_SUPPORTED.contains(&name) {
        return fail(
            format!("the function `{name}` is not supported in templates"),
            at,
        );
    }
    let hint = closest(name, FUNCTIONS.iter().map(|f| f.name));
    let hint = hint.map(|h| format!("; did you mean `{h}`?"));
    fail(
        format!("no function is called `{name}`{}", hint.unwrap_or_default()),
        at,
    )
}
