//! memwatch: the flight recorder and rule laboratory for Go memory.

// Nothing of a program is reachable from outside: `pub` says what a module gives to the others.
#![allow(unreachable_pub)]

mod args;
mod commands;
mod exit;
mod progress;
mod render;

use std::io::Write as _;

use clap::Parser as _;

use args::{Cli, Command};

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    let mut out = render::Output::stdout();
    let result = match &cli.command {
        Command::Ingest(args) => commands::ingest::run(args, &mut out),
        Command::Query(args) => commands::query::run(args, &mut out),
        Command::Info(args) => commands::info::run(args, &mut out),
        Command::Verify(args) => commands::verify::run(args, &mut out),
        Command::Compact(args) => commands::compact::run(args, &mut out),
        Command::Retain(args) => commands::retain::run(args, &mut out),
        Command::Check(args) => commands::check::run(args, &mut out),
        Command::Backtest(args) => commands::backtest::run(args, &mut out),
        Command::Diff(args) => commands::diff::run(args, &mut out),
        Command::Export(args) => commands::export::run(args, &mut out),
        Command::Tune(args) => commands::tune::run(args, &mut out),
    };
    let result = result.and_then(|answer| out.flush().map(|()| answer).map_err(Into::into));
    exit::code(result, out.is_closed())
}
