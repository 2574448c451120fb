//! Which encoders work on this machine: each one encodes two seconds of a film.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use hostler_core::films::encoder::to_label;
use hostler_core::protocol::films::WORKING;
use tokio::process::Command;
use tokio::time::timeout;

use super::handbrake::{self, Answer, Reader};

/// Twenty seconds in 320x180.
const FILM: &[u8] = include_bytes!("sample.mkv");
/// Of these, each encoder encodes so many.
const SECONDS: &str = "2";
/// Where the kernel has device files of graphics chips.
const RENDER_NODES: &str = "/dev/dri";
/// An encoder that takes longer hangs: its driver does.
const LIMIT: Duration = Duration::from_secs(75);

/// The encoders that work here, of `encoders`. Files are made in `folder`.
///
/// # Errors
/// The film can't be written, or HandBrakeCLI can't be started.
pub async fn working(folder: &Path, encoders: &[String]) -> Result<Vec<String>> {
    let film = folder.join("film.mkv");
    std::fs::write(&film, FILM).with_context(|| format!("{} can't be written", film.display()))?;
    for (node, opened) in render_nodes() {
        let said = opened.map_or_else(|error| error.to_string(), |_| "opened for reading and writing".to_owned());
        tracing::info!("{}: {said}", node.display());
    }
    let mut working = Vec::new();
    for encoder in encoders {
        let output = folder.join("encoded.mkv");
        let works = works(&film, &output, encoder).await?;
        tracing::info!("{encoder}: {}", if works { "works" } else { "does not work here" });
        if works {
            working.push(encoder.clone());
        }
        let _ = std::fs::remove_file(&output);
    }
    let _ = std::fs::remove_file(&film);
    Ok(working)
}

/// The render nodes that there are, each opened as an encoder's driver does.
fn render_nodes() -> Vec<(PathBuf, std::io::Result<File>)> {
    let entries = std::fs::read_dir(RENDER_NODES).into_iter().flatten().flatten();
    let nodes = entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"renderD")).map(|entry| entry.path());
    nodes.map(|node| (node.clone(), File::options().read(true).write(true).open(&node))).collect()
}

/// Whether this machine, or this pod, has a render node.
pub fn has_render_node() -> bool {
    !render_nodes().is_empty()
}

/// What a pod prints last: the encoders that work.
pub fn last_line(working: &[String]) -> String {
    format!("{WORKING} {}\n", to_label(working))
}

async fn works(film: &Path, output: &Path, encoder: &str) -> Result<bool> {
    let mut command = Command::new(handbrake::PROGRAM);
    command.args(["--json", "--format", "av_mkv", "--quality", "30", "--audio", "none", "--subtitle", "none", "--encoder", encoder]);
    command.args(["--stop-at", &format!("seconds:{SECONDS}"), "--input"]).arg(film).arg("--output").arg(output);
    command.env("LC_ALL", "C").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let Ok(ended) = timeout(LIMIT, command.output()).await else { return Ok(false) };
    let ended = ended.with_context(|| format!("{} can't be started", handbrake::PROGRAM))?;
    let mut reader = Reader::default();
    let text = String::from_utf8_lossy(&ended.stdout);
    // HandBrake ends with status 0 for an encoder that it does not know, too, and has encoded nothing.
    let done = text.lines().filter_map(|line| reader.line(line)).any(|answer| answer == Answer::WorkDone(0));
    Ok(done && ended.status.success() && output.metadata().is_ok_and(|file| file.len() > 0))
}
