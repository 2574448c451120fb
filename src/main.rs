//! Arguments -> verb -> exit status.

#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    hostler::cli::run().await
}
