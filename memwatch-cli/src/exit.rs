//! How a run ends: 0 done, 1 the answer is no, 2 it failed.

use std::process::ExitCode;

use crate::render::clean;

/// What a command that ran to its end says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Done, or the answer is yes.
    Done,
    /// The answer is no: alerts fired, a score is too low, a check found problems.
    No,
}

/// The code for the shell. A failure is told on standard error: its causes once each, without control characters.
///
/// `closed`: nobody reads standard output any more.
pub fn code(result: anyhow::Result<Answer>, closed: bool) -> ExitCode {
    match result {
        Ok(Answer::Done) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        // Whoever reads our output has seen enough (`memwatch query … | head`).
        Err(_) if closed => ExitCode::SUCCESS,
        Err(error) => {
            tell(&error);
            ExitCode::from(2)
        }
    }
}

#[allow(clippy::print_stderr)] // The one place where errors are told.
fn tell(error: &anyhow::Error) {
    let mut told = String::new();
    for (depth, cause) in error.chain().enumerate() {
        let text = clean(&cause.to_string(), true).into_owned();
        if depth == 0 {
            eprintln!("error: {text}");
        } else if !told.contains(&text) {
            eprintln!("  because: {text}");
        }
        told.push_str(&text);
    }
    if error.chain().any(is_damage) {
        eprintln!(
            "hint: `memwatch verify` names all that is damaged, `--repair` takes it out of the way; \
             queries and backtests go on without it under --allow-partial"
        );
    }
}

/// Whether a file of a store is not what was written.
fn is_damage(cause: &(dyn std::error::Error + 'static)) -> bool {
    let damaged =
        |error: &memwatch_store::Error| matches!(error, memwatch_store::Error::Damaged { .. });
    match cause.downcast_ref::<memwatch_core::Error>() {
        Some(memwatch_core::Error::Outside(inner)) => inner.downcast_ref().is_some_and(damaged),
        _ => cause.downcast_ref().is_some_and(damaged),
    }
}
