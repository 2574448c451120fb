//! What an encoder wrote to `work/<id>/`, as all other processes read it. An encoder parses films that may come from anywhere, and one of them
//! may have taken it over. So it is believed for its own film alone: a record is a plain file of a moderate length, its texts are shortened, its
//! names are plain, and its numbers are such that they can be added and shown.

use std::io;
use std::path::Path;

use hostler_core::visible::shortened;
use nix::libc::{ELOOP, ENXIO};
use serde::de::DeserializeOwned;

use super::content::Content;
use super::layout::NAME_MAX;
use super::ledger::Film;
use super::record::{Encoded, Failure, Part, Progress, plain};
use super::split::{Done, Plan};
use crate::user_file;

/// The longest record that is read: that of a disc with many titles has a tenth of it.
const MOST_BYTES: usize = 1 << 20;
/// Characters of a reason, a question or a remark.
const TEXT: usize = 1000;
/// Characters of a line of a program's log.
const LINE: usize = 400;
/// Characters of the names of machines, of which a film in pieces has several, and of what an encoder calls itself.
const NAME: usize = 200;
/// Lines of a log, and remarks.
const LINES: usize = 50;
/// Titles of a disc: some have hundreds, against copying.
const TITLES: usize = 1000;
/// Bytes of a film, and its pictures: what has more is none, and sums of some of them are still numbers.
const HUGE: u64 = 1 << 50;
/// Seconds: more than a year.
const LONG: f64 = 1e8;
/// Frames per second.
const FAST: f64 = 1e6;

/// A record of an encoder.
pub trait FromEncoder: DeserializeOwned {
    /// The same with texts of a moderate length.
    ///
    /// # Errors
    /// Why it can't be used: no encoder that works as it should writes such a record.
    fn bounded(self) -> Result<Self, String>;
}

/// A record in a work folder; `None`: there is none. The inner error says why it can't be used: that is a failure of its film, and of no other.
///
/// # Errors
/// The share can't be read.
pub fn read<T: FromEncoder>(work: &Path, name: &str) -> io::Result<Result<Option<T>, String>> {
    let bytes = match user_file::no_link(&work.join(name)).and_then(|file| user_file::read_from(file, MOST_BYTES)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ok(None)),
        Err(error) if is_of_the_file(&error) => return Ok(Err(unusable(name, &error.to_string()))),
        Err(error) => return Err(error),
    };
    if bytes.len() > MOST_BYTES {
        return Ok(Err(unusable(name, "it is too large")));
    }
    let record: Result<T, String> = serde_json::from_slice(&bytes).map_err(|error| error.to_string());
    Ok(record.and_then(T::bounded).map(Some).map_err(|why| unusable(name, &why)))
}

fn unusable(name: &str, why: &str) -> String {
    format!("what the encoder wrote can't be used: {name}: {}", shortened(why, NAME))
}

/// Whether the encoder may have made it so; else the share is at fault, and works again later.
fn is_of_the_file(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, IsADirectory};
    // The last is a socket.
    matches!(error.kind(), InvalidInput | IsADirectory) || error.raw_os_error().is_some_and(|code| [ELOOP, ENXIO].contains(&code))
}

fn shorten(text: &mut String, most: usize) {
    *text = shortened(text, most);
}

fn shorten_all(lines: &mut Vec<String>, most: usize) {
    lines.truncate(LINES);
    lines.iter_mut().for_each(|line| shorten(line, most));
}

/// As far as it is a number.
fn within(number: f64, most: f64) -> f64 {
    if number.is_finite() { number.clamp(0.0, most) } else { 0.0 }
}

impl FromEncoder for Progress {
    fn bounded(mut self) -> Result<Progress, String> {
        shorten(&mut self.who, NAME);
        shorten(&mut self.machine, NAME);
        self.note.iter_mut().for_each(|note| shorten(note, NAME));
        (self.done, self.rate) = (within(self.done, 1.0), within(self.rate, FAST));
        self.eta_seconds = self.eta_seconds.filter(|seconds| *seconds < 1 << 26);
        Ok(self)
    }
}

impl FromEncoder for Failure {
    fn bounded(mut self) -> Result<Failure, String> {
        shorten(&mut self.who, NAME);
        shorten(&mut self.reason, TEXT);
        // The end says most.
        self.tail.drain(..self.tail.len().saturating_sub(LINES));
        shorten_all(&mut self.tail, LINE);
        self.titles.truncate(TITLES);
        self.lacks.iter_mut().for_each(|family| shorten(family, NAME));
        Ok(self)
    }
}

impl FromEncoder for Encoded {
    fn bounded(mut self) -> Result<Encoded, String> {
        if self.more.len() > TITLES {
            return Err("it has too many titles".to_owned());
        }
        for part in std::iter::once(&mut self.film).chain(&mut self.more) {
            part.bound()?;
        }
        shorten_all(&mut self.remarks, TEXT);
        shorten(&mut self.machine, NAME);
        self.took = within(self.took, LONG);
        Ok(self)
    }
}

impl Part {
    fn bound(&mut self) -> Result<(), String> {
        is_plain(&self.file)?;
        if self.size > HUGE || self.frames > HUGE {
            return Err("the film is too large".to_owned());
        }
        if self.sha256.as_ref().is_some_and(|sha256| sha256.len() != 64) {
            return Err("it has no sha256".to_owned());
        }
        self.duration = within(self.duration, LONG);
        // What is not known is like no other film.
        self.content = self.content.take().filter(Content::is_moderate);
        Ok(())
    }
}

fn is_plain(file: &str) -> Result<(), String> {
    plain(Path::new(""), file).map(drop).map_err(|error| error.to_string())
}

impl FromEncoder for Plan {
    fn bounded(mut self) -> Result<Plan, String> {
        if self.pieces.iter().any(|piece| piece.pictures > HUGE) {
            return Err("a piece is too large".to_owned());
        }
        shorten(&mut self.who, NAME);
        shorten(&mut self.encoder, NAME);
        shorten_all(&mut self.remarks, TEXT);
        Ok(self)
    }
}

impl FromEncoder for Done {
    fn bounded(mut self) -> Result<Done, String> {
        is_plain(&self.file)?;
        shorten(&mut self.form, TEXT);
        shorten(&mut self.machine, NAME);
        self.took = within(self.took, LONG);
        Ok(self)
    }
}

/// What it was to do, which the watcher had written.
impl FromEncoder for Film {
    fn bounded(self) -> Result<Film, String> {
        let fits = self.path.iter().all(|part| part.len() <= NAME_MAX);
        if fits { Ok(self) } else { Err("the path is too long".to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read_from<T: FromEncoder>(record: &Value) -> Result<Option<T>, String> {
        let work = tempfile::tempdir().expect("a folder");
        std::fs::write(work.path().join("x.json"), record.to_string()).expect("written");
        read(work.path(), "x.json").expect("the share is there")
    }

    fn length(record: &impl serde::Serialize) -> usize {
        serde_json::to_string(record).expect("plain data").len()
    }

    fn encoded() -> Value {
        json!({"file": "a.mkv", "size": 1, "duration": 1.0, "frames": 25, "label": "title 02", "source": {"size": 1, "modified": 1}, "machine":
            "rarity", "took": 1.0, "at": "2026-11-23T21:00:00Z"})
    }

    fn changed(record: &Value, field: &str, value: &Value) -> Value {
        let mut record = record.clone();
        record[field] = value.clone();
        record
    }

    #[test]
    fn texts_are_shortened_and_numbers_can_be_shown() {
        let (long, at) = ("x".repeat(100_000), "2026-11-23T21:00:00Z");
        let failure = json!({"who": long, "permanent": true, "reason": long, "lacks": long, "tail": vec!["x".repeat(900); 900], "titles":
            vec![1; 9000], "at": at});
        assert!(length(&read_from::<Failure>(&failure)) < 30_000);
        let progress = json!({"who": long, "machine": long, "phase": "encoding", "done": -1e300, "rate": 1e300, "eta_seconds": u64::MAX, "note":
            long, "began": at, "at": at});
        let read = read_from::<Progress>(&progress).expect("usable").expect("there");
        assert!(length(&read) < 1000 && (read.done, read.rate, read.eta_seconds) == (0.0, FAST, None), "{read:?}");
        let content = json!({"seconds": 1.0, "languages": ["eng"], "samples": [{"picture": long, "pitch": 1.0, "loudness": 1.0}]});
        let much = changed(&changed(&encoded(), "content", &content), "remarks", &json!(vec!["x".repeat(5000); 100]));
        let read = read_from::<Encoded>(&much).expect("usable").expect("there");
        assert!(length(&read) < 60_000 && read.film.content.is_none() && read.film.label.as_deref() == Some("title 02"));
    }

    #[test]
    fn what_could_be_a_path_or_no_film_is_refused() {
        let wrong = [
            ("file", json!("../a.mkv")),
            ("file", json!("/a.mkv")),
            ("file", json!("a\u{0}b")),
            ("file", json!("x".repeat(256))),
            ("label", json!("x")),
            ("label", json!("title 2/..")),
            ("label", json!("title 02/../x")),
            ("label", json!("title ")),
            ("label", json!(format!("title {}", "1".repeat(300)))),
            ("size", json!(u64::MAX)),
            ("frames", json!(u64::MAX)),
            ("sha256", json!("")),
            ("more", json!([{"file": "../a", "size": 1, "duration": 1.0, "frames": 1}])),
        ];
        assert!(read_from::<Encoded>(&encoded()).expect("usable").is_some());
        for (field, value) in wrong {
            let why = read_from::<Encoded>(&changed(&encoded(), field, &value)).expect_err(field);
            assert!(why.starts_with("what the encoder wrote can't be used: x.json: ") && why.len() < 300, "{field}: {why}");
        }
    }
}
