//! Arguments -> verb -> exit status.

#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

fn main() -> ExitCode {
    hostler::cli::run()
}
