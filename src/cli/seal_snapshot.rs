//! `hostler seal-snapshot`: the service of regular snapshots on a control plane passes each one through it.

use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::Args;
use hostler_core::bech32;
use hostler_core::quantity::size;

use crate::snapshot::{self, age};

/// Verify a snapshot and encrypt it, from standard input to standard output (runs on control planes, as root)
#[derive(Debug, Args)]
pub struct Arguments {
    /// Public key to encrypt it to, age1...; may be repeated [default: not encrypted]
    #[arg(long = "recipient", value_name = "KEY", value_parser = recipient)]
    recipients: Vec<age::Key>,
}

fn recipient(text: &str) -> Result<age::Key, String> {
    bech32::key(bech32::RECIPIENT, text).ok_or_else(|| "it is not an age public key".to_owned())
}

/// # Errors
/// The snapshot is not whole: then nothing is written. Standard input can't be read, or standard output can't be written.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut archive = Vec::new();
    std::io::stdin().take(snapshot::MOST + 1).read_to_end(&mut archive).context("the snapshot can't be read")?;
    ensure!(archive.len() as u64 <= snapshot::MOST, "the snapshot is too large: the limit is {}", size(snapshot::MOST));
    snapshot::parse(Path::new("-"), &archive).context("the snapshot is not valid")?;
    let sealed =
        if arguments.recipients.is_empty() { archive } else { age::encrypt(age::Lock::Recipients(&arguments.recipients), &archive)? };
    let mut out = std::io::stdout().lock();
    out.write_all(&sealed).and_then(|()| out.flush()).context("the snapshot can't be written")
}
