//! Encodes a part of a film with a preset, to check it before many films are encoded with it. Uses this computer's HandBrakeCLI.

use std::io::{BufRead, BufReader, ErrorKind, IsTerminal};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus as Ended, Stdio};

use anyhow::{Context, Result};
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::films::encoder::is_hardware;
use hostler_core::films::settings::Settings;
use hostler_core::visible::visible;
use hostler_core::words::{and, shell_word};
use nix::unistd::AccessFlags;

use super::Try;
use crate::event::Event;
use crate::inventory_file::InventoryFile;
use crate::report::Reporter;
use crate::report::output::say;
use crate::transcode::disc;
use crate::transcode::handbrake::{self, Answer, Reader, Titles};
use crate::transcode::layout;
use crate::transcode::order::{self, Wishes};

/// # Errors
/// HandBrakeCLI is not installed, or can't encode the film.
pub async fn run(arguments: &Try, reporter: &Reporter) -> Result<()> {
    readable(&arguments.film)?;
    let chosen = chosen(arguments)?;
    let (mut titles, _) = listen(["--json", "--scan", "--title", "0", "--input"].iter().map(Path::new).chain([arguments.film.as_path()]))?;
    let titles: Option<Titles> = titles.iter_mut().rev().find_map(|answer| match answer {
        Answer::Titles(titles) => Some(titles.clone()),
        _ => None,
    });
    let failed = |message: String| {
        let film = arguments.film.to_string_lossy();
        Failure::new(ExitStatus::Failed, message, format!("run `HandBrakeCLI --scan -i {}` for details", shell_word(&film)))
    };
    let title =
        titles.as_ref().and_then(Titles::film).ok_or_else(|| failed(format!("HandBrake found no film in {}", arguments.film.display())))?;
    let from = arguments.from.as_secs();
    #[expect(clippy::cast_precision_loss, reason = "no film is that long")]
    if from as f64 >= title.seconds() {
        let message =
            format!("{} is only {:.0} s long, so there is nothing to encode at {from} s", arguments.film.display(), title.seconds());
        return Err(Failure::new(ExitStatus::Usage, message, "pass an earlier position with `--from`").into());
    }
    let Chosen { settings, folder: settings_folder, .. } = &chosen;
    let folder = arguments.folder.as_ref().and_then(|name| settings.folders.get(name));
    let output = arguments.to.clone().unwrap_or_else(|| beside(&arguments.film));
    if output.try_exists()? {
        return Err(
            Failure::new(ExitStatus::Refused, format!("{} already exists", output.display()), "pass another path with `--to`").into()
        );
    }
    let preset = folder.and_then(|folder| folder.preset.as_ref()).map(|preset| (preset, settings_folder.as_path()));
    let wishes = Wishes {
        encoder: order::encoder(title, preset)?,
        preset,
        languages: &settings.languages,
        audio: folder.map(|folder| folder.audio).unwrap_or_default(),
        crf: None,
    };
    let order = order::order(&arguments.film, &output, title, None, &wishes)?;
    let encoder = wishes.encoder;
    let part = [format!("seconds:{from}"), format!("seconds:{}", arguments.length.as_secs().max(1))];
    let words = order.arguments.iter().map(Path::new);
    let (answers, status) = listen(words.chain(["--start-at", &part[0], "--stop-at", &part[1]].map(Path::new)))?;
    let encoded = status.success() && answers.contains(&Answer::WorkDone(0));
    if !encoded && is_hardware(&encoder) {
        let message = format!("the preset encodes with {encoder}, which does not work on this computer (HandBrakeCLI: {status})");
        let hint =
            "try a preset that encodes in software; each machine tries Quick Sync itself, and `hostler transcode status` shows the result";
        return Err(Failure::new(ExitStatus::Failed, message, hint).into());
    }
    if !encoded {
        return Err(failed(format!("HandBrake could not encode this part of the film ({status})")).into());
    }
    // HandBrake does not notice when the disk is full.
    let (written, _) = listen(["--json", "--scan", "--title", "0", "--input"].iter().map(Path::new).chain([output.as_path()]))?;
    let whole = written.iter().any(|answer| matches!(answer, Answer::Titles(titles) if titles.film().is_some()));
    if !whole {
        std::fs::remove_file(&output)?;
        let message = format!("HandBrake could not read {} after writing it, so hostler deleted the file", output.display());
        return Err(Failure::new(ExitStatus::Failed, message, "check that the disk of the output file is not full").into());
    }
    if folder.is_some_and(|folder| folder.quality.is_some()) {
        let line = "the folder's `quality` was not applied: its CRF depends on the whole film, and is determined when the film is encoded";
        reporter.events().send(Event::Warning { line: line.to_owned() });
    }
    let size = hostler_core::quantity::size(output.metadata()?.len());
    reporter.result(&format!("{} ({size})", visible(&output.to_string_lossy()))).await;
    Ok(())
}

const A_FILM: &str = "pass the path of a film: a file, or the folder of a DVD or Blu-ray disc";

/// Whether a path is what HandBrake can read a film from: a file, a drive with a disc, or a disc's folder. HandBrake itself would wait for ever
/// for a pipe or a device without an end.
fn readable(film: &Path) -> Result<(), Failure> {
    let shown = visible(&film.to_string_lossy()).into_owned();
    let wrong = |message: String, hint: &str| Err(Failure::new(ExitStatus::Usage, message, hint));
    let metadata = match film.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return wrong(format!("{shown} does not exist"), A_FILM),
        Err(error) => return wrong(format!("{shown} can't be read: {error}"), A_FILM),
    };
    let kind = metadata.file_type();
    if kind.is_dir() {
        let name = film.file_name().unwrap_or_default();
        let is_disc =
            disc::is_disc(name) || ["VIDEO_TS", "BDMV"].iter().any(|part| film.join(part).is_dir()) || disc::is_flat(film).unwrap_or(false);
        return if is_disc { Ok(()) } else { wrong(format!("{shown} is a folder, but not the folder of a DVD or Blu-ray disc"), A_FILM) };
    }
    if !kind.is_file() && !kind.is_block_device() {
        return wrong(format!("{shown} is not a regular file"), A_FILM);
    }
    if let Err(error) = nix::unistd::access(film, AccessFlags::R_OK) {
        return wrong(format!("{shown} can't be read: {}", error.desc()), "run this command as a user who may read the film");
    }
    Ok(())
}

/// How to encode.
struct Chosen {
    settings: Settings,
    /// Where the presets of the settings are.
    folder: PathBuf,
    /// The folder, where it was made for this.
    _made: Option<tempfile::TempDir>,
}

/// The settings of a file, of the inventory if one of its folders is named, or hostler's own.
///
/// # Errors
/// They can't be read, or have no such folder.
fn chosen(arguments: &Try) -> Result<Chosen> {
    let chosen = match (&arguments.settings, &arguments.folder) {
        (Some(file), _) => {
            let folder = file.parent().unwrap_or(Path::new(".")).to_owned();
            Chosen { settings: layout::settings(file)?, folder, _made: None }
        }
        (None, None) => Chosen { settings: Settings::default(), folder: PathBuf::from("."), _made: None },
        (None, Some(_)) => {
            let films = InventoryFile::load(&arguments.inventory)?.inventory.transcode;
            let films = films.ok_or_else(|| {
                let message = format!("the inventory {} has no `transcode:` section", arguments.inventory.display());
                Failure::new(ExitStatus::Usage, message, "omit `--folder` to use hostler's own preset")
            })?;
            let made = tempfile::tempdir().context("a folder for the presets can't be created")?;
            for (name, text) in &films.presets {
                std::fs::write(made.path().join(name), text).context("a preset can't be written")?;
            }
            Chosen { settings: films.settings, folder: made.path().to_owned(), _made: Some(made) }
        }
    };
    if let Some(name) = arguments.folder.as_ref().filter(|name| !chosen.settings.folders.contains_key(*name)) {
        let known = and(&chosen.settings.folders.keys().collect::<Vec<_>>());
        return Err(Failure::new(
            ExitStatus::Usage,
            format!("the inventory has no folder `{name}`"),
            format!("use one of these folders: {known}"),
        )
        .into());
    }
    Ok(chosen)
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
        .with_context(|| format!("{} can't be started\nhint: install it with `sudo apt-get install handbrake-cli`", handbrake::PROGRAM))?;
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_presets_of_the_inventory_can_be_tried() {
        let place = tempfile::tempdir().unwrap();
        let preset = r#"{"PresetList": [{"PresetName": "Kids"}]}"#;
        std::fs::write(place.path().join("cartoons.json"), preset).unwrap();
        let films = "transcode:\n  inbox: path:/srv/in\n  library: path:/srv/out\n  owner: {uid: 1, gid: 1}\n  languages: [deu]\n  \
                     folders: {Movies: {}, Cartoons: {preset: cartoons.json}}\n";
        std::fs::write(place.path().join("inventory.yaml"), format!("machines: {{a: 192.168.1.11}}\n{films}")).unwrap();
        std::fs::write(place.path().join("none.yaml"), "machines: {a: 192.168.1.11}\n").unwrap();
        let of = |folder: Option<&str>, inventory: &str| {
            chosen(&Try {
                film: "up.mkv".into(),
                from: Duration::ZERO,
                length: Duration::ZERO,
                folder: folder.map(str::to_owned),
                inventory: place.path().join(inventory),
                settings: None,
                to: None,
            })
        };
        let tried = of(Some("Cartoons"), "inventory.yaml").unwrap();
        let set = tried.settings.folders["Cartoons"].preset.as_ref().expect("a preset");
        assert_eq!((set.name.as_str(), std::fs::read_to_string(tried.folder.join(&set.file)).unwrap().as_str()), ("Kids", preset));
        assert_eq!(tried.settings.languages, ["deu"]);
        assert!(of(Some("Movies"), "inventory.yaml").unwrap().settings.folders["Movies"].preset.is_none());
        assert!(of(None, "missing.yaml").unwrap().settings.folders.is_empty(), "without a folder no inventory is needed");
        for (folder, inventory, why) in [
            ("Movie", "inventory.yaml", "no folder `Movie`"),
            ("Movies", "none.yaml", "no `transcode:` section"),
            ("Movies", "missing.yaml", "missing.yaml"),
        ] {
            let Err(error) = of(Some(folder), inventory) else { panic!("{folder} of {inventory}") };
            assert!(error.to_string().contains(why) && ExitStatus::of(&error) == ExitStatus::Usage, "{error:#}");
        }
    }
}
