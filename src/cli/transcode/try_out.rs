//! Encodes a part of a film with a preset, to check it before many films are encoded with it. Uses this computer's HandBrakeCLI.

use std::io::{BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus as Ended, Stdio};

use anyhow::{Context, Result};
use hostler_core::failure::{ExitStatus, Failure};

use super::Try;
use crate::report::Reporter;
use crate::report::output::say;
use crate::transcode::handbrake::{self, Answer, Reader, Titles};
use crate::transcode::layout;

/// # Errors
/// HandBrakeCLI is not installed, or can't encode the film.
pub async fn run(arguments: &Try, reporter: &Reporter) -> Result<()> {
    let (mut titles, _) = listen(["--json", "--scan", "--title", "0", "--input"].iter().map(Path::new).chain([arguments.film.as_path()]))?;
    let titles: Option<Titles> = titles.iter_mut().rev().find_map(|answer| match answer {
        Answer::Titles(titles) => Some(titles.clone()),
        _ => None,
    });
    let failed = |message: String| {
        Failure::new(ExitStatus::Failed, message, format!("`HandBrakeCLI --scan -i {}` shows more", arguments.film.display()))
    };
    let title =
        titles.as_ref().and_then(Titles::film).ok_or_else(|| failed(format!("HandBrake finds no film in {}", arguments.film.display())))?;
    let from = arguments.from.as_secs();
    #[expect(clippy::cast_precision_loss, reason = "no film is that long")]
    if from as f64 >= title.seconds() {
        let message = format!("{} is {:.0} s long: it has no part at {from} s", arguments.film.display(), title.seconds());
        return Err(Failure::new(ExitStatus::Usage, message, "pass an earlier position with `--from`").into());
    }
    let settings = arguments.settings.as_deref().map(layout::settings).transpose()?;
    let folder = arguments.settings.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
    let preset = match (&settings, &arguments.folder) {
        (Some(settings), Some(name)) => {
            let known: Vec<&str> = settings.folders.keys().map(String::as_str).collect();
            let set = settings.folders.get(name).ok_or_else(|| {
                Failure::new(
                    ExitStatus::Usage,
                    format!("the settings have no folder `{name}`"),
                    format!("the folders are {}", known.join(", ")),
                )
            })?;
            set.preset.as_ref()
        }
        _ => None,
    };
    let languages = settings.as_ref().map(|settings| settings.languages.clone()).unwrap_or_default();
    let output = arguments.to.clone().unwrap_or_else(|| beside(&arguments.film));
    if output.try_exists()? {
        return Err(
            Failure::new(ExitStatus::Refused, format!("{} already exists", output.display()), "pass another path with `--to`").into()
        );
    }
    let order = handbrake::order(&arguments.film, &output, title, preset.map(|preset| (preset, folder)), &languages)?;
    let part = [format!("seconds:{from}"), format!("seconds:{}", arguments.length.as_secs().max(1))];
    let words = order.arguments.iter().map(Path::new);
    let (answers, status) = listen(words.chain(["--start-at", &part[0], "--stop-at", &part[1]].map(Path::new)))?;
    if !status.success() || !answers.contains(&Answer::WorkDone(0)) {
        return Err(failed(format!("HandBrake could not encode that part ({status})")).into());
    }
    let size = hostler_core::quantity::size(output.metadata()?.len());
    reporter.result(&format!("{} ({size})", output.display())).await;
    Ok(())
}

fn beside(film: &Path) -> PathBuf {
    let stem = film.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    PathBuf::from(format!("./{stem}.try.mkv"))
}

/// Runs HandBrakeCLI and shows its progress on one line of stderr.
fn listen<'a>(arguments: impl Iterator<Item = &'a Path>) -> Result<(Vec<Answer>, Ended)> {
    let mut command = Command::new(handbrake::PROGRAM);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).env("LC_ALL", "C");
    let mut child = command
        .spawn()
        .with_context(|| format!("{} can't be started\nhint: install it: `apt-get install handbrake-cli`", handbrake::PROGRAM))?;
    let mut reader = Reader::default();
    let mut answers = Vec::new();
    let seen = std::io::stderr().is_terminal();
    for line in BufReader::new(child.stdout.take().context("no stdout")?).lines() {
        match line.ok().and_then(|line| reader.line(&line)) {
            Some(Answer::Working(working)) if seen => say(&format!("\r{:>5.1} %", working.done * 100.0)),
            Some(answer @ (Answer::WorkDone(_) | Answer::Titles(_))) => answers.push(answer),
            _ => {}
        }
    }
    let status = child.wait()?;
    if seen && answers.contains(&Answer::WorkDone(0)) {
        say("\r100.0 %\n");
    }
    Ok((answers, status))
}
