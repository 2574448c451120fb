//! Verifies that an encoding is the complete film. HandBrakeCLI ends with status 0 for a truncated film, for an unknown option, and with half
//! of the frames, so its output is compared with the original.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::handbrake::{Pace, Title};
use super::titles::Question;

/// The result of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// HandBrakeCLI's exit status; `None`: a signal ended it.
    pub status: Option<i32>,
    /// The error of `WORKDONE`; `None`: it was not printed.
    pub work_done: Option<i64>,
    /// Decoded frames, and frames expected by the original's duration.
    pub frames: Option<(u64, u64)>,
    /// `None`: HandBrake did not print it.
    pub pace: Option<Pace>,
    /// Bytes of the output.
    pub size: u64,
    /// Where the original's picture ends, in seconds, if that is known to be earlier than its sound or its subtitles.
    pub picture: Option<f64>,
}

/// Why it is not the complete film.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Whether another attempt would fail, too.
    pub permanent: bool,
    /// Whether the cause is external: then it is waited for.
    pub outside: bool,
    /// Whether `reason` is a question for the film's owner.
    pub question: bool,
    /// The numbers of titles that may be the answer.
    pub titles: Vec<u32>,
    /// The family of encoders that this machine does not encode with.
    pub lacks: Option<String>,
    /// For the user.
    pub reason: String,
}

impl Flaw {
    fn new(reason: impl Into<String>) -> Flaw {
        Flaw { permanent: false, outside: false, question: false, titles: Vec::new(), lacks: None, reason: reason.into() }
    }

    pub fn permanent(reason: impl Into<String>) -> Flaw {
        Flaw { permanent: true, ..Flaw::new(reason) }
    }

    pub fn passing(reason: impl Into<String>) -> Flaw {
        Flaw::new(reason)
    }

    pub fn outside(reason: impl Into<String>) -> Flaw {
        Flaw { outside: true, ..Flaw::new(reason) }
    }

    pub fn question(Question { text, titles }: Question) -> Flaw {
        Flaw { permanent: true, question: true, titles, ..Flaw::new(text) }
    }

    /// `family`: of the encoder that the film needs.
    pub fn lacks(machine: &str, family: &str) -> Flaw {
        Flaw { lacks: Some(family.to_owned()), ..Flaw::new(format!("{machine} does not encode with {family}, which the film needs")) }
    }
}

/// Part of the expected frames that must have been decoded.
const FRAMES: f64 = 0.99;
/// Frames per second: a longer pause between two of them is a gap.
const SLOWEST: f64 = 5.0;
/// As [`FRAMES`], and the part by which durations may differ, if HandBrake could only estimate the length of the original.
const ESTIMATED_FRAMES: f64 = 0.95;
const ESTIMATED_DURATION: f64 = 0.05;
/// Seconds, and part of the duration, by which durations may differ.
const DURATION: (f64, f64) = (1.0, 0.005);
/// Bytes per second that even a black film has.
const LEAST_RATE: f64 = 50.0;

/// The first part: whether HandBrake succeeded, by its own output, and decoded the whole film.
///
/// # Errors
/// It failed.
pub fn ended(attempt: &Attempt, source: &Title) -> Result<(), Flaw> {
    let (got, expected) = succeeded(attempt)?;
    let part = if source.exact() { FRAMES } else { ESTIMATED_FRAMES };
    if ratio(got, expected) < part && !is_whole_at_its_pace(got, attempt.pace, part * source.seconds()) {
        let percent = ratio(got, expected) * 100.0;
        let reason = format!("the original is damaged or truncated: {got} of {expected} frames could be decoded ({percent:.1} %)");
        return Err(Flaw::permanent(reason));
    }
    Ok(())
}

/// Whether HandBrake succeeded; the frames that it decoded, and those it expected.
///
/// # Errors
/// It failed.
pub fn succeeded(attempt: &Attempt) -> Result<(u64, u64), Flaw> {
    match attempt.status {
        Some(0) => {}
        None => return Err(Flaw::passing("HandBrake was killed by a signal: the machine may be out of memory, or was shut down")),
        Some(1) => return Err(Flaw::passing("HandBrake was interrupted")),
        Some(2) => return Err(Flaw::permanent("HandBrake finds no film in the file, or does not know the preset (exit status 2)")),
        Some(3) => {
            return Err(Flaw::outside(
                "HandBrake could not start (exit status 3): check the work folder, and that this machine has the encoder",
            ));
        }
        Some(4) => return Err(Flaw::outside("HandBrake could not write the film (exit status 4): the disk may be full")),
        Some(status) => return Err(Flaw::passing(format!("HandBrake ended with status {status}"))),
    }
    match attempt.work_done {
        Some(0) => {}
        // An unknown option has this effect, too.
        None => return Err(Flaw::permanent("HandBrake ended without encoding anything: an option or the preset may be wrong")),
        Some(error) => return Err(Flaw::passing(format!("HandBrake reported error {error}"))),
    }
    attempt.frames.ok_or_else(|| Flaw::permanent("HandBrake did not print how many frames it decoded, so the film can't be verified"))
}

/// The second part: whether a scan of the output finds the expected film. `tracks`: audio and subtitles, if known.
///
/// # Errors
/// It does not; the reason lists all differences.
pub fn matches(attempt: &Attempt, source: &Title, output: Option<&Title>, tracks: Option<(usize, usize)>) -> Result<(), Flaw> {
    let Some(output) = output else {
        return Err(Flaw::passing("the encoded film can't be opened"));
    };
    let mut short = false;
    let mut wrong = String::new();
    let (was, is) = (source.seconds(), output.seconds());
    let slack = DURATION.0.max(was * if source.exact() { DURATION.1 } else { ESTIMATED_DURATION });
    if is > was + slack || is < attempt.picture.unwrap_or(was) - slack {
        short = is < was;
        let _ = write!(wrong, "; it is {is:.1} s long, the original {was:.1} s");
    }
    let (audio, subtitles) = (output.audio_list.len(), output.subtitle_list.len());
    match tracks {
        Some((wanted, _)) if wanted != audio => {
            let _ = write!(wrong, "; it has {audio} audio tracks, expected {wanted}");
        }
        None if audio == 0 && !source.audio_list.is_empty() => wrong.push_str("; it has no sound, but the original does"),
        _ => {}
    }
    if let Some((_, wanted)) = tracks
        && wanted != subtitles
    {
        let _ = write!(wrong, "; it has {subtitles} subtitle tracks, expected {wanted}");
    }
    #[expect(clippy::cast_precision_loss, reason = "a rough comparison")]
    if (attempt.size as f64) < is * LEAST_RATE {
        let _ = write!(wrong, "; it has only {} bytes, which is too small for this film", attempt.size);
    }
    match wrong.strip_prefix("; ") {
        None => Ok(()),
        // Its original is whole: the end is missing that was to be written.
        Some(wrong) if short => Err(Flaw::passing(format!("the encoded film differs from the original: {wrong}"))),
        Some(wrong) => Err(Flaw::permanent(format!("the encoded film differs from the original: {wrong}"))),
    }
}

/// What a preset left out, for the user.
pub fn left_out(source: &Title, output: &Title) -> Vec<String> {
    // A preset may make several tracks of one: what counts is the languages.
    let spoken = |title: &Title| title.audio_list.iter().map(|track| track.language_code.clone()).collect::<BTreeSet<_>>();
    let missing: Vec<String> = spoken(source).difference(&spoken(output)).cloned().collect();
    let (kept, of) = (output.audio_list.len(), source.audio_list.len());
    let sound = if !missing.is_empty() {
        Some(format!("the preset left out the sound in {}", missing.join(", ")))
    } else {
        (kept < of).then(|| format!("the preset kept {kept} of {of} audio tracks"))
    };
    let (kept, of) = (output.subtitle_list.len(), source.subtitle_list.len());
    sound.into_iter().chain((kept < of).then(|| format!("the preset kept {kept} of {of} subtitle tracks"))).collect()
}

/// With a variable frame rate, as on many NTSC DVDs, there are fewer frames than the highest rate suggests. The film is complete if they last
/// as long as the film, without a gap.
fn is_whole_at_its_pace(frames: u64, pace: Option<Pace>, seconds: f64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "counts of frames are small")]
    pace.is_some_and(|pace| pace.slowest >= SLOWEST && frames as f64 / pace.average >= seconds)
}

fn ratio(got: u64, expected: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of frames are small")]
    let (got, expected) = (got as f64, expected as f64);
    if expected == 0.0 { 0.0 } else { got / expected }
}

#[cfg(test)]
mod tests {
    use super::super::handbrake::{Color, Duration, Fraction, Geometry, Track};
    use super::*;

    const GOOD: Attempt =
        Attempt { status: Some(0), work_done: Some(0), frames: Some((248, 250)), pace: None, size: 900_000, picture: None };

    fn title(seconds: u64, audio: usize, subtitles: usize) -> Title {
        let track = Track { language_code: "eng".to_owned(), codec_name: "ac3".to_owned(), ..Track::default() };
        Title {
            index: 1,
            duration: Duration { ticks: seconds * 90_000 },
            audio_list: vec![track.clone(); audio],
            subtitle_list: vec![track; subtitles],
            chapter_list: Vec::new(),
            container: "matroska,webm".to_owned(),
            kind: 3,
            interlace_detected: false,
            frame_rate: Fraction::default(),
            color: Color::default(),
            name: String::new(),
            geometry: Geometry::default(),
            crop: [0; 4],
        }
    }

    #[test]
    fn output_of_handbrake_is_not_trusted_blindly() {
        let film = title(10, 1, 0);
        let judged = |attempt: Attempt| ended(&attempt, &film);
        assert_eq!(judged(GOOD), Ok(()));
        let cases = [
            (Attempt { status: Some(2), ..GOOD }, true, "finds no film"),
            (Attempt { status: Some(1), ..GOOD }, false, "interrupted"),
            (Attempt { status: Some(3), ..GOOD }, false, "could not start"),
            (Attempt { status: Some(4), ..GOOD }, false, "disk may be full"),
            (Attempt { status: None, ..GOOD }, false, "signal"),
            (Attempt { work_done: None, ..GOOD }, true, "without encoding"),
            (Attempt { work_done: Some(3), ..GOOD }, false, "error 3"),
            (Attempt { frames: None, ..GOOD }, true, "frames"),
            (Attempt { frames: Some((247, 250)), ..GOOD }, true, "247 of 250 frames could be decoded (98.8 %)"),
            (Attempt { frames: Some((0, 0)), ..GOOD }, true, "truncated"),
        ];
        for (attempt, permanent, words) in cases {
            let flaw = judged(attempt.clone()).expect_err("not the film");
            assert!(flaw.permanent == permanent && flaw.reason.contains(words), "{attempt:?}: {flaw:?}");
        }
        let outside = [3, 4].map(|status| judged(Attempt { status: Some(status), ..GOOD }).expect_err("not the film").outside);
        assert_eq!(outside, [true, true], "the machine's fault, or the disk's, and never the film's");
        let varies = |slowest, average| judged(Attempt { frames: Some((217, 250)), pace: Some(Pace { slowest, average }), ..GOOD });
        assert_eq!(varies(23.8, 21.7), Ok(()));
        assert!(varies(0.2, 21.7).is_err(), "a gap of five seconds");
        assert!(varies(25.0, 25.0).is_err(), "the picture ends early, and the sound continues");
        let broadcast = Title { container: "mpegts".to_owned(), kind: 2, ..film };
        assert_eq!(ended(&Attempt { frames: Some((240, 250)), ..GOOD }, &broadcast), Ok(()));
    }

    #[test]
    fn the_output_is_compared_with_the_original() {
        let film = title(1000, 2, 1);
        let judged = |output: &Title, tracks| matches(&GOOD, &film, Some(output), tracks);
        assert_eq!(judged(&title(1004, 3, 1), Some((3, 1))), Ok(()));
        assert_eq!(judged(&title(1000, 1, 0), None), Ok(()));
        let wrong = |output: &Title, tracks| judged(output, tracks).expect_err("not the film").reason;
        assert!(wrong(&title(990, 3, 1), Some((3, 1))).contains("is 990.0 s long, the original 1000.0 s"));
        assert!(wrong(&title(1000, 2, 1), Some((3, 1))).contains("2 audio tracks, expected 3"));
        assert!(wrong(&title(1000, 3, 0), Some((3, 1))).contains("0 subtitle tracks, expected 1"));
        assert!(wrong(&title(1000, 0, 0), None).contains("no sound"));
        assert!(wrong(&title(20_000, 3, 1), Some((3, 1))).contains("too small for this film"));
        assert!(!matches(&GOOD, &film, None, None).expect_err("nothing there").permanent);
    }
}
