//! Whether an encoding is the whole film. HandBrakeCLI ends with status 0 for a film that breaks off, for an option it does not know, and
//! for half of the frames, so that all it says is compared with what the original promised.

use std::fmt::Write as _;

use super::handbrake::{Pace, Title};

/// What an attempt left behind.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// HandBrakeCLI's exit status; `None`: a signal ended it.
    pub status: Option<i32>,
    /// The error of `WORKDONE`; `None`: it never came.
    pub work_done: Option<i64>,
    /// Decoded, and promised by the original's duration.
    pub frames: Option<(u64, u64)>,
    /// `None`: HandBrake did not tell.
    pub pace: Option<Pace>,
    /// Bytes of the output.
    pub size: u64,
}

/// Why it is not the film.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Whether another attempt would end the same way.
    pub permanent: bool,
    /// As a failure's: what is outside is waited for.
    pub outside: bool,
    /// In plain words.
    pub reason: String,
}

impl Flaw {
    pub fn permanent(reason: impl Into<String>) -> Flaw {
        Flaw { permanent: true, outside: false, reason: reason.into() }
    }

    pub fn passing(reason: impl Into<String>) -> Flaw {
        Flaw { permanent: false, outside: false, reason: reason.into() }
    }

    pub fn outside(reason: impl Into<String>) -> Flaw {
        Flaw { permanent: false, outside: true, reason: reason.into() }
    }
}

/// Frames that must have been decoded, of those that the duration promised.
const FRAMES: f64 = 0.99;
/// Frames a second: a longer pause between two of them is a hole.
const SLOWEST: f64 = 5.0;
/// As [`FRAMES`], and the part by which durations may differ, where HandBrake could only estimate how long the original is.
const ESTIMATED_FRAMES: f64 = 0.95;
const ESTIMATED_DURATION: f64 = 0.05;
/// Seconds, and part of the whole, by which durations may differ.
const DURATION: (f64, f64) = (1.0, 0.005);
/// Bytes a second that even a black film has.
const LEAST_RATE: f64 = 50.0;

/// The first half: whether HandBrake did what it was asked, by its own account.
///
/// # Errors
/// It did not.
pub fn ended(attempt: &Attempt, source: &Title) -> Result<(), Flaw> {
    match attempt.status {
        Some(0) => {}
        None => return Err(Flaw::passing("HandBrake was ended by a signal: out of memory, or the machine was shut down")),
        Some(1) => return Err(Flaw::passing("HandBrake was interrupted")),
        Some(2) => return Err(Flaw::permanent("HandBrake finds no film in it, or does not know the preset (exit status 2)")),
        Some(3) => {
            return Err(Flaw::passing("HandBrake could not begin (exit status 3): the work folder, or an encoder that this machine lacks"));
        }
        Some(4) => return Err(Flaw::outside("HandBrake could not write the film (exit status 4): is the disk full?")),
        Some(status) => return Err(Flaw::passing(format!("HandBrake ended with status {status}"))),
    }
    match attempt.work_done {
        Some(0) => {}
        // An unknown option ends so, too: nothing was begun.
        None => return Err(Flaw::permanent("HandBrake ended without having encoded anything: is an option or the preset wrong?")),
        Some(error) => return Err(Flaw::passing(format!("HandBrake reports error {error}"))),
    }
    let Some((got, expected)) = attempt.frames else {
        return Err(Flaw::permanent("HandBrake did not tell how many frames it decoded, so that the film can't be verified"));
    };
    let part = if source.exact() { FRAMES } else { ESTIMATED_FRAMES };
    if ratio(got, expected) < part && !is_whole_at_its_pace(got, attempt.pace, part * source.seconds()) {
        let percent = ratio(got, expected) * 100.0;
        let reason = format!("the original is damaged or breaks off: {got} of {expected} frames could be decoded ({percent:.1} %)");
        return Err(Flaw::permanent(reason));
    }
    Ok(())
}

/// The second half: whether a scan of the output finds the film that was asked for. `tracks`: audio and subtitles, where known.
///
/// # Errors
/// It does not; all that is wrong is told.
pub fn matches(attempt: &Attempt, source: &Title, output: Option<&Title>, tracks: Option<(usize, usize)>) -> Result<(), Flaw> {
    let Some(output) = output else {
        return Err(Flaw::passing("the encoded film can't be opened again"));
    };
    let mut wrong = String::new();
    let (was, is) = (source.seconds(), output.seconds());
    let slack = DURATION.0.max(was * if source.exact() { DURATION.1 } else { ESTIMATED_DURATION });
    if (was - is).abs() > slack {
        let _ = write!(wrong, "; it lasts {is:.1} s, the original {was:.1} s");
    }
    let (audio, subtitles) = (output.audio_list.len(), output.subtitle_list.len());
    match tracks {
        Some((wanted, _)) if wanted != audio => {
            let _ = write!(wrong, "; it has {audio} audio tracks rather than {wanted}");
        }
        None if audio == 0 && !source.audio_list.is_empty() => wrong.push_str("; it has no sound, and the original has"),
        _ => {}
    }
    if let Some((_, wanted)) = tracks
        && wanted != subtitles
    {
        let _ = write!(wrong, "; it has {subtitles} subtitle tracks rather than {wanted}");
    }
    #[expect(clippy::cast_precision_loss, reason = "a rough comparison")]
    if (attempt.size as f64) < is * LEAST_RATE {
        let _ = write!(wrong, "; {} bytes are too few", attempt.size);
    }
    match wrong.strip_prefix("; ") {
        None => Ok(()),
        Some(wrong) => Err(Flaw::permanent(format!("the encoded film is not the original: {wrong}"))),
    }
}

/// Where frames come at a rate that varies, as on many DVDs of the NTSC countries, there are fewer than the highest rate promises. They are all
/// there if they last as long as the film does, without a hole.
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
    use super::super::handbrake::{Duration, Track};
    use super::*;

    const GOOD: Attempt = Attempt { status: Some(0), work_done: Some(0), frames: Some((248, 250)), pace: None, size: 900_000 };

    fn title(seconds: u64, audio: usize, subtitles: usize) -> Title {
        let track = Track { language_code: "eng".to_owned(), codec_name: "ac3".to_owned() };
        Title {
            index: 1,
            duration: Duration { ticks: seconds * 90_000 },
            audio_list: vec![track.clone(); audio],
            subtitle_list: vec![track; subtitles],
            chapter_list: Vec::new(),
            container: "matroska,webm".to_owned(),
            kind: 3,
            interlace_detected: false,
        }
    }

    #[test]
    fn what_handbrake_says_is_not_taken_for_more_than_it_is() {
        let film = title(10, 1, 0);
        let judged = |attempt: Attempt| ended(&attempt, &film);
        assert_eq!(judged(GOOD), Ok(()));
        let cases = [
            (Attempt { status: Some(2), ..GOOD }, true, "finds no film"),
            (Attempt { status: Some(1), ..GOOD }, false, "interrupted"),
            (Attempt { status: Some(3), ..GOOD }, false, "could not begin"),
            (Attempt { status: Some(4), ..GOOD }, false, "disk full"),
            (Attempt { status: None, ..GOOD }, false, "signal"),
            (Attempt { work_done: None, ..GOOD }, true, "without having encoded"),
            (Attempt { work_done: Some(3), ..GOOD }, false, "error 3"),
            (Attempt { frames: None, ..GOOD }, true, "frames"),
            (Attempt { frames: Some((247, 250)), ..GOOD }, true, "247 of 250 frames could be decoded (98.8 %)"),
            (Attempt { frames: Some((0, 0)), ..GOOD }, true, "breaks off"),
        ];
        for (attempt, permanent, words) in cases {
            let flaw = judged(attempt.clone()).expect_err("not the film");
            assert!(flaw.permanent == permanent && flaw.reason.contains(words), "{attempt:?}: {flaw:?}");
        }
        let varies = |slowest, average| judged(Attempt { frames: Some((217, 250)), pace: Some(Pace { slowest, average }), ..GOOD });
        assert_eq!(varies(23.8, 21.7), Ok(()));
        assert!(varies(0.2, 21.7).is_err(), "a hole of five seconds");
        assert!(varies(25.0, 25.0).is_err(), "the picture breaks off, and the sound goes on");
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
        assert!(wrong(&title(990, 3, 1), Some((3, 1))).contains("lasts 990.0 s, the original 1000.0 s"));
        assert!(wrong(&title(1000, 2, 1), Some((3, 1))).contains("2 audio tracks rather than 3"));
        assert!(wrong(&title(1000, 3, 0), Some((3, 1))).contains("0 subtitle tracks rather than 1"));
        assert!(wrong(&title(1000, 0, 0), None).contains("no sound"));
        assert!(wrong(&title(20_000, 3, 1), Some((3, 1))).contains("bytes are too few"));
        assert!(!matches(&GOOD, &film, None, None).expect_err("nothing there").permanent);
    }
}
