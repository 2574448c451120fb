//! The machine's own facts, by the script that gathers them over SSH otherwise.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hostler_core::facts::{self, Facts, Question};
use hostler_core::template;
use hostler_core::visible::last_output;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// A loaded machine needs seconds, and API servers and members of etcd that don't answer have shorter limits of their own.
const LIMIT: Duration = Duration::from_secs(50);
/// As of the facts that come over SSH.
const MOST_BYTES: u64 = 16 << 20;

/// What is to be looked at for notifications; `snapshots`: the folder with regular ones.
///
/// # Errors
/// The script does not end in time, or what it prints are no facts.
pub async fn gather(snapshots: &str) -> Result<Facts> {
    let script = script(snapshots)?;
    let output = tokio::time::timeout(LIMIT, output(script)).await;
    let output = output.with_context(|| format!("gathering the facts timed out after {} s", LIMIT.as_secs()))??;
    facts::parse(&output).context("the machine's facts can't be read")
}

fn script(snapshots: &str) -> Result<String> {
    template::render("facts.sh", Question { snapshots: snapshots.to_owned(), ..Question::about_kubeadm() })
}

async fn output(script: String) -> Result<String> {
    let mut shell = Command::new("/bin/sh");
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = shell.spawn().context("/bin/sh can't be run")?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (mut stdin, stdout, stderr) = (stdin.context("no input")?, stdout.context("no output")?, stderr.context("no output")?);
    let write = async {
        stdin.write_all(script.as_bytes()).await?;
        drop(stdin);
        std::io::Result::Ok(())
    };
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let (mut stdout, mut stderr) = (stdout.take(MOST_BYTES + 1), stderr.take(MOST_BYTES + 1));
    let (written, read, told) = tokio::join!(write, stdout.read_to_end(&mut output), stderr.read_to_end(&mut errors));
    written.context("/bin/sh does not read the script")?;
    read.and(told).context("the script's output can't be read")?;
    ensure!(output.len() as u64 <= MOST_BYTES, "the facts are too large");
    let status = child.wait().await?;
    ensure!(status.success(), "the facts script ended with {status}: {}", last_output(&String::from_utf8_lossy(&errors)));
    Ok(String::from_utf8_lossy(&output).into_owned())
}

#[cfg(test)]
mod tests {
    use hostler_core::kubeadm_files;

    use super::*;

    /// What expires there is reported: a CA, which nothing renews, for one.
    #[test]
    fn every_certificate_of_a_control_plane_is_looked_at() {
        let script = script("/var/backups/hostler").expect("it can be rendered");
        for name in kubeadm_files::of_control_plane() {
            assert!(script.contains(&name), "{name}");
        }
    }
}
