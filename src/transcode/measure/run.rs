//! Reads both films with ffmpeg, each once.

use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, BufReader};
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::Instant;

use super::super::ffmpeg::{FFMPEG, Probe, protected};
use super::pictures::{Picture, Pictures};
use super::sound::{self, RATE, STEP, Sound};
use super::{Measured, SIZE, median};

/// Where the picture is scored, of the film's length, and seconds at each place.
const PLACES: [f64; 4] = [0.15, 0.4, 0.62, 0.85];
const LENGTH: f64 = 1.0;
/// Longest that one place takes.
const PLACE: Duration = Duration::from_secs(120);

/// Rows and columns that HandBrake cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Crop {
    pub top: u32,
    pub bottom: u32,
    pub left: u32,
    pub right: u32,
}

impl Crop {
    /// From HandBrake's log: `+ source: 1920 * 1080, crop (140/140/0/0): 1920 * 800, scale: 1920 * 800`.
    pub fn parse(line: &str) -> Option<Crop> {
        let (_, crop) = line.split_once("+ source: ")?.1.split_once(", crop (")?;
        let mut numbers = crop.split_once(')')?.0.split('/').map(str::parse::<u32>);
        let mut next = || numbers.next()?.ok();
        Some(Crop { top: next()?, bottom: next()?, left: next()?, right: next()? })
    }

    /// As a filter of ffmpeg, with a comma after it.
    fn filter(self) -> String {
        let Crop { top, bottom, left, right } = self;
        if self == Crop::default() {
            return String::new();
        }
        format!("crop=iw-{}:ih-{}:{left}:{top}:exact=1,", left + right, top + bottom)
    }
}

/// A film and its original.
#[derive(Debug, Clone)]
pub struct Pair<'a> {
    pub original: (&'a Path, &'a Probe),
    pub film: (&'a Path, &'a Probe),
    pub crop: Crop,
    /// The number of the original's audio track that the film's first one was made of, from 0; `None`: not known.
    pub sound: Option<usize>,
    /// `None`: the film is all of the original.
    pub span: Option<Span>,
}

/// The pictures of the original that a piece of a film was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The number of the first one, from 0.
    pub first: u64,
    /// `None`: up to the end.
    pub pictures: Option<u64>,
}

impl Pair<'_> {
    /// Pictures per second of the film, as ffmpeg writes it.
    fn rate(&self) -> Option<(&str, f64)> {
        let text = self.film.1.picture()?.r_frame_rate.as_str();
        Some((text, self.film.1.rates()?.0)).filter(|(_, rate)| *rate < 130.0)
    }

    /// Whether the film has one picture for each of the original.
    fn is_steady(&self) -> bool {
        let same = |one: f64, other: f64| (one - other).abs() < 0.002 * other;
        match (self.original.1.rates(), self.film.1.rates()) {
            (Some((highest, average)), Some((rate, _))) => same(highest, rate) && same(average, rate),
            _ => false,
        }
    }

    /// Seconds from the original's first picture to the first one that the film has.
    fn begin(&self, rate: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts of pictures are small")]
        self.span.map_or(0.0, |span| span.first as f64 / rate)
    }

    /// For ffmpeg's `-ss` and `-t`: half a picture before the first one, and how long the original's pictures are.
    fn place(&self, rate: f64) -> (Option<f64>, Option<f64>) {
        let Some(Span { first, pictures }) = self.span else { return (None, None) };
        #[expect(clippy::cast_precision_loss, reason = "counts of pictures are small")]
        let length = pictures.map(|pictures| pictures as f64 / rate);
        ((first > 0).then(|| self.begin(rate) - 0.5 / rate + self.original.1.head()), length)
    }

    /// The original's audio track that is compared with the film's first one.
    fn sounds(&self) -> Option<usize> {
        self.sound.filter(|number| *number < self.original.1.of_kind("audio").len() && !self.film.1.of_kind("audio").is_empty())
    }

    /// Seconds by which the film's sound may be later than the original's, as they begin at other times than their pictures do.
    fn apart(&self) -> f64 {
        let begins = |probe: &Probe, kind: &str, number: usize| probe.of_kind(kind).get(number).map_or(0.0, |stream| stream.begins());
        let later = |kind: &str, number: usize| begins(self.film.1, kind, 0) - begins(self.original.1, kind, number);
        later("video", 0) - later("audio", self.sounds().unwrap_or(0))
    }
}

/// Compares the sound alone, of a film whose pictures are where the original's are, and last so many seconds. `None`: there is none to compare.
pub async fn compare_sound(pair: &Pair<'_>, picture: f64, limit: Duration) -> Option<Sound> {
    let sounds = pair.sounds()?;
    let mut original = Reader::start(pair.original, &Read { sound: Some(sounds), ..Read::default() })?;
    let mut film = Reader::start(pair.film, &Read { sound: Some(0), ..Read::default() })?;
    let (first, second) = (original.sound.take(), film.sound.take());
    let both = async { tokio::join!(loudness(first), loudness(second)) };
    // Sound alone takes a small part of the time that pictures take.
    let (one, other) = tokio::time::timeout(limit, both).await.ok()?;
    let apart = pair.apart();
    Some(sound::compare(&one, &other, |_| apart, Some(picture)))
}

/// Compares all pictures and the sound, for no longer than `limit`. `None`: it can't be done.
pub async fn compare(pair: &Pair<'_>, limit: Duration) -> Option<Measured> {
    let start = Instant::now();
    let (rate_text, rate) = pair.rate()?;
    let sounds = pair.sounds();
    let crop = pair.crop.filter();
    let (place, length) = pair.place(rate);
    let mut original = Reader::start(pair.original, &Read { rate: Some(rate_text), crop: &crop, sound: sounds, place, length })?;
    let mut film = Reader::start(pair.film, &Read { rate: Some(rate_text), sound: sounds.map(|_| 0), ..Read::default() })?;
    let (first_sound, second_sound) = (original.sound.take(), film.sound.take());
    let mut pictures = Pictures::new(rate, pair.is_steady());
    let all = async {
        loop {
            if start.elapsed() > limit {
                original.stop();
                film.stop();
                return true;
            }
            let (one, other) = tokio::join!(original.picture(), film.picture());
            let ended = one.is_none() && other.is_none();
            pictures.push(one, other);
            if ended {
                return false;
            }
        }
    };
    let (partly, one, other) = tokio::join!(all, loudness(first_sound), loudness(second_sound));
    pictures.finish();
    let apart = pair.apart();
    #[expect(clippy::cast_precision_loss, reason = "counts of pictures are small")]
    let late = |at: f64| apart + pictures.lag_at(at) as f64 / rate;
    let sound = sound::compare(&one, &other, late, (!partly).then(|| pictures.length()));
    let mut cut = None;
    if !partly {
        // What was killed says nothing about the film.
        let ended = film.child.wait().await.is_ok_and(|status| status.code().is_some());
        cut = pictures.cut().filter(|_| ended);
    }
    let mut score = None;
    if !partly {
        score = scored(pair, &pictures, rate).await;
    }
    let measured = Measured {
        score,
        compared: pictures.compared(),
        partly,
        took: start.elapsed().as_secs_f64(),
        worst: pictures.worst(),
        missing: pictures.missing,
        empty: pictures.empty,
        cut,
        unlike: pictures.unlike(),
        late: sound.late,
        silent: sound.silent,
    };
    Some(measured.later(pair.begin(rate))).filter(|measured| measured.worst.is_some())
}

/// The median of the scores at [`PLACES`].
async fn scored(pair: &Pair<'_>, pictures: &Pictures, rate: f64) -> Option<f64> {
    let mut scores = Vec::new();
    for place in PLACES {
        let at = pictures.compared() * place;
        let number = (at * rate).floor();
        #[expect(clippy::cast_precision_loss, reason = "counts of pictures are small")]
        let lag = pictures.lag_at(at) as f64;
        let from = |begin: f64, number: f64, probe: &Probe| (begin + (number - 0.5) / rate).max(0.0) + probe.head();
        let places = (Some(from(pair.begin(rate), number, pair.original.1)), Some(from(0.0, number + lag, pair.film.1)));
        scores.extend(score(pair, places, LENGTH).await);
    }
    median(scores)
}

/// SSIM of the luma of the pictures of `length` seconds, of the size that the film has, by ffmpeg. `places`: seconds of original and film
/// from which on; `None`: from its first picture on.
pub async fn score(pair: &Pair<'_>, places: (Option<f64>, Option<f64>), length: f64) -> Option<f64> {
    let picture = pair.film.1.picture()?;
    let (rate, _) = pair.rate()?;
    let length = format!("{length:.3}");
    let (width, height) = (picture.width, picture.height);
    // By their times, from the place on: after a seek in a stream, the first pictures may be missing. A place is half a picture before its
    // first one, so that rounding does no harm.
    let even = |place: Option<f64>, crop: &str| {
        let begin = if place.is_none() { format!("setpts=PTS-STARTPTS+0.5/({rate})/TB,") } else { String::new() };
        format!("{begin}fps={rate}:round=down,trim=end={length},{crop}scale={width}:{height}:flags=bicubic,format=yuv420p")
    };
    let (original, film) = (pair.original.1.picture()?.index, picture.index);
    let graph = format!("[0:{original}]{}[a];[1:{film}]{}[b];[a][b]ssim", even(places.0, &pair.crop.filter()), even(places.1, ""));
    let mut command = Command::new(FFMPEG);
    command.args(["-hide_banner", "-nostats", "-v", "info", "-nostdin"]);
    for (place, path) in [(places.0, pair.original.0), (places.1, pair.film.0)] {
        if let Some(place) = place {
            command.arg("-ss").arg(format!("{place:.4}"));
        }
        command.args(["-t", &length, "-i"]).arg(protected(path));
    }
    command.args(["-filter_complex", &graph, "-an", "-sn", "-f", "null", "-"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).env("LC_ALL", "C");
    let output = tokio::time::timeout(PLACE, command.output()).await.ok()?.ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, luma) = text.rsplit_once("SSIM Y:")?;
    luma.split([' ', '(']).next()?.parse().ok()
}

/// What is read of a film.
#[derive(Debug, Default)]
struct Read<'a> {
    /// Pictures per second, as ffmpeg writes it; `None`: no pictures.
    rate: Option<&'a str>,
    /// A filter.
    crop: &'a str,
    /// The number of the audio track, from 0.
    sound: Option<usize>,
    /// Seconds from which on, and how many.
    place: Option<f64>,
    length: Option<f64>,
}

/// One film.
struct Reader {
    child: Child,
    pictures: BufReader<ChildStdout>,
    sound: Option<Receiver>,
}

impl Reader {
    fn start((path, probe): (&Path, &Probe), read: &Read) -> Option<Reader> {
        // The first picture may be a cover.
        let picture = format!("0:{}", probe.picture()?.index);
        let (reading, writing) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).ok()?;
        let mut command = Command::new(FFMPEG);
        command.args(["-v", "error", "-nostdin", "-skip_loop_filter", "noref"]);
        for (word, seconds) in [("-ss", read.place), ("-t", read.length)] {
            if let Some(seconds) = seconds {
                command.arg(word).arg(format!("{seconds:.4}"));
            }
        }
        command.arg("-i").arg(protected(path));
        if let Some(rate) = read.rate {
            let ((width, height), crop) = (SIZE, read.crop);
            let filter = format!("setpts=PTS-STARTPTS,fps={rate},{crop}scale={width}:{height}:flags=area,format=gray");
            command.args(["-map", &picture, "-vf", &filter, "-f", "rawvideo", "pipe:1"]);
        }
        let sound = read.sound;
        if let Some(number) = sound {
            let resample = format!("asetpts=PTS-STARTPTS,aresample={RATE}:async=1");
            command.args(["-map", &format!("0:a:{number}"), "-ac", "1", "-af", &resample, "-f", "s16le"]);
            command.arg(format!("pipe:{}", writing.as_raw_fd()));
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).env("LC_ALL", "C");
        let fd = writing.as_raw_fd();
        // SAFETY: both are single system calls; nothing is allocated between fork and exec.
        unsafe {
            command.pre_exec(move || {
                nix::libc::setpriority(nix::libc::PRIO_PROCESS, 0, super::super::encode::NICE);
                nix::libc::fcntl(fd, nix::libc::F_SETFD, 0);
                Ok(())
            });
        }
        let mut child = command.spawn().ok()?;
        drop(writing);
        let pictures = BufReader::with_capacity(1 << 20, child.stdout.take()?);
        let sound = if sound.is_some() { Some(Receiver::from_owned_fd(reading).ok()?) } else { None };
        Some(Reader { child, pictures, sound })
    }

    /// `None`: the end.
    async fn picture(&mut self) -> Option<Picture> {
        let mut picture = vec![0; SIZE.0 * SIZE.1];
        self.pictures.read_exact(&mut picture).await.ok().map(|_| picture)
    }

    fn stop(&mut self) {
        let _ = self.child.start_kill();
    }
}

async fn loudness(from: Option<impl AsyncRead + Unpin>) -> Vec<u16> {
    let Some(from) = from else { return Vec::new() };
    let mut from = BufReader::with_capacity(1 << 16, from);
    let (mut values, mut samples) = (Vec::new(), vec![0; STEP * 2]);
    while from.read_exact(&mut samples).await.is_ok() {
        values.push(sound::loudness(&samples));
    }
    values
}
