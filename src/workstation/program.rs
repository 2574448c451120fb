//! Runs programs of this computer: plain argument vectors, and errors with the program's output.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::process::{self, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// A program that ends when hostler ends, even if it is killed, so that nothing interferes with a later `lab down`.
pub fn program<A: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::from(blocking_program(name, arguments));
    command.kill_on_drop(true);
    command
}

fn blocking_program<A: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = A>) -> process::Command {
    let mut command = process::Command::new(name);
    command.args(arguments).env("PATH", search_path()).env("LC_ALL", "C").stdin(Stdio::null());
    // SAFETY: prctl is a single system call; nothing is allocated between fork and exec.
    unsafe {
        command.pre_exec(|| set_pdeathsig(Signal::SIGKILL).map_err(std::io::Error::from));
    }
    command
}

/// `PATH` with the folders of system programs, which are missing in a root shell made by `su`.
fn search_path() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin")
}

/// Whether the program `name` is installed.
pub fn is_installed(name: &str) -> bool {
    search_path().split(':').any(|folder| !folder.is_empty() && std::path::Path::new(folder).join(name).is_file())
}

/// Runs a program to its end and returns its stdout.
///
/// # Errors
/// It can't be started, or its exit status is not 0; the message contains its arguments and its stderr.
pub async fn run<A: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = A>) -> Result<String> {
    let mut command = program(name, arguments);
    let output = command.output().await.map_err(|error| not_started(name, error))?;
    succeeded(command.as_std(), &output)
}

/// As [`run`], but the program shares the namespaces of the calling thread.
///
/// # Errors
/// As [`run`].
pub fn run_here<A: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = A>) -> Result<String> {
    let mut command = blocking_program(name, arguments);
    let output = command.output().map_err(|error| not_started(name, error))?;
    succeeded(&command, &output)
}

fn succeeded(command: &process::Command, output: &process::Output) -> Result<String> {
    if !output.status.success() {
        bail!("`{}` failed ({}): {}", shown(command), output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program and passes on each line of its stdout and stderr as it arrives. If it fails, the error has its last lines.
///
/// # Errors
/// As [`run`].
pub async fn stream(command: &mut Command, mut line: impl FnMut(&str)) -> Result<()> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|error| not_started(&name, error))?;
    let stdout = child.stdout.take().context("no stdout")?;
    let stderr = child.stderr.take().context("no stderr")?;
    let (mut stdout, mut stderr) = (BufReader::new(stdout).lines(), BufReader::new(stderr).lines());
    let mut last = Vec::new();
    let (mut stdout_open, mut stderr_open) = (true, true);
    while stdout_open || stderr_open {
        let next = tokio::select! {
            next = stdout.next_line(), if stdout_open => { if !matches!(next, Ok(Some(_))) { stdout_open = false; } next }
            next = stderr.next_line(), if stderr_open => { if !matches!(next, Ok(Some(_))) { stderr_open = false; } next }
        };
        if let Ok(Some(text)) = next {
            line(&text);
            if last.len() == 8 {
                last.remove(0);
            }
            last.push(text);
        }
    }
    let status = child.wait().await?;
    if !status.success() {
        bail!("`{}` failed ({status}); its last output:\n  {}", shown(command.as_std()), last.join("\n  "));
    }
    Ok(())
}

fn shown(command: &process::Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

fn not_started(name: &str, error: std::io::Error) -> anyhow::Error {
    if error.kind() == ErrorKind::NotFound {
        return anyhow!("`{name}` is not installed on this computer");
    }
    anyhow::Error::new(error).context(format!("`{name}` can't be started"))
}
