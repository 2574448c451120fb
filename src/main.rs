//! Arguments -> verb -> exit status.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    hostler::cli::run().await
}
