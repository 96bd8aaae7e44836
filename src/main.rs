//! The program: reads its command line and does what it says.

use std::process::ExitCode;

use powerwall_server::app::commands;
use powerwall_server::cli::Cli;

fn main() -> ExitCode {
    commands::run(Cli::read())
}
