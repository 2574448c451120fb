//! The loudness of two films over time, and by how much one is late.

/// Samples a second of the sound that is read, of one channel.
pub const RATE: u32 = 8000;
/// Samples for one value of loudness, which is their mean amount.
pub const STEP: usize = 32;
/// Values a second.
const VALUES: f64 = 250.0;
/// Values of a part that is looked for in the other film: 5 s.
const PART: usize = 1250;
/// Values by which it may be elsewhere: 0.6 s.
const FAR: i64 = 150;
/// Below this, of 32768, nothing is heard.
const QUIET: f64 = 40.0;
/// Part of the original's loudness below which the sound is missing.
const GONE: f64 = 0.03;
/// The least part by which loudness must vary, so that a place can be found.
const VARIES: f64 = 0.1;
/// The least correlation of a place that was found, and by how much it must be better than the expected one.
const FOUND: f64 = 0.7;
const BETTER: f64 = 0.1;
/// Correlations that differ less are the same: the nearest place counts. Sound that repeats itself fits in many.
const SAME: f64 = 0.02;

/// What became of the sound.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sound {
    /// Seconds by which it is late, and where.
    pub late: Option<(f64, f64)>,
    /// Seconds without sound, and where the first is.
    pub silent: Option<(f64, f64)>,
}

/// Compares loudness. `expected`: the seconds by which the film's values are late where the sound is in time with the picture, by the place in
/// the original. `picture`: where the original's picture ends, in seconds, up to which there must be sound; `None`: not all was read.
pub fn compare(original: &[u16], film: &[u16], expected: impl Fn(f64) -> f64, picture: Option<f64>) -> Sound {
    let mut sound = Sound::default();
    let mut lates: Vec<(f64, f64)> = Vec::new();
    for from in (0..original.len()).step_by(PART) {
        let part = &original[from..original.len().min(from + PART)];
        // Too little to compare, but not to miss.
        let short = part.len() < PART / 4;
        #[expect(clippy::cast_precision_loss, reason = "seconds of a film")]
        let at = from as f64 / VALUES;
        let (mean, deviation) = spread(part);
        if mean < QUIET {
            continue;
        }
        let expected = expected(at);
        #[expect(clippy::cast_possible_truncation, reason = "seconds of a film")]
        let base = (expected * VALUES).round() as i64;
        if !short
            && let Some(there) = slice(film, from, base, part.len())
            && spread(there).0 < mean * GONE
        {
            #[expect(clippy::cast_precision_loss, reason = "seconds of a film")]
            let length = part.len() as f64 / VALUES;
            sound.silent.get_or_insert((0.0, at)).0 += length;
            continue;
        }
        if let Some(picture) = picture
            && let Ok(start) = usize::try_from(i64::try_from(from).unwrap_or(i64::MAX).saturating_add(base))
        {
            let there = film.len().saturating_sub(start).min(part.len());
            #[expect(clippy::cast_precision_loss, reason = "seconds of a film")]
            let (begin, end) = ((from + there) as f64 / VALUES, (from + part.len()) as f64 / VALUES);
            let gone = end.min(picture) - begin;
            if gone > 0.0 {
                sound.silent.get_or_insert((0.0, begin)).0 += gone;
            }
        }
        if short || deviation < VARIES * mean {
            continue;
        }
        let places: Vec<(i64, f64)> =
            (-FAR..=FAR).filter_map(|by| Some((by, correlation(part, slice(film, from, base + by, part.len())?)))).collect();
        let best = places.iter().map(|(_, found)| *found).fold(f64::MIN, f64::max);
        let here = places.iter().find(|(by, _)| *by == 0).map_or(f64::MIN, |(_, found)| *found);
        let is_peak = |place: usize| {
            let beside = [place.wrapping_sub(1), place + 1].map(|place| places.get(place).map_or(f64::MIN, |(_, found)| *found));
            places[place].1 >= best - SAME && beside.iter().all(|found| *found <= places[place].1)
        };
        let nearest = (0..places.len()).filter(|place| is_peak(*place)).map(|place| places[place]).min_by_key(|(by, _)| by.abs());
        if let Some((by, _)) = nearest.filter(|_| best >= FOUND && (best >= here + BETTER || here >= best - SAME)) {
            #[expect(clippy::cast_precision_loss, reason = "at most 150")]
            lates.push((by as f64 / VALUES, at));
        }
    }
    // One place alone may be mistaken, except where there is no other.
    let runs = lates.windows(2).filter(|two| (two[0].0 - two[1].0).abs() < 0.05).map(|two| two[0]);
    let certain: Vec<(f64, f64)> = if lates.len() < 2 { lates.clone() } else { runs.collect() };
    sound.late = certain.into_iter().max_by(|one, other| one.0.abs().total_cmp(&other.0.abs()));
    sound
}

fn slice(film: &[u16], from: usize, by: i64, length: usize) -> Option<&[u16]> {
    let start = usize::try_from(i64::try_from(from).ok()? + by).ok()?;
    film.get(start..(start + length).min(film.len())).filter(|found| found.len() * 10 >= length * 8)
}

/// Mean and standard deviation.
fn spread(values: &[u16]) -> (f64, f64) {
    #[expect(clippy::cast_precision_loss, reason = "at most a few thousand")]
    let count = values.len().max(1) as f64;
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
    let variance = values.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

fn correlation(one: &[u16], other: &[u16]) -> f64 {
    let one = &one[..other.len().min(one.len())];
    let ((ma, da), (mb, db)) = (spread(one), spread(other));
    #[expect(clippy::cast_precision_loss, reason = "at most a few thousand")]
    let count = one.len().max(1) as f64;
    let cov = one.iter().zip(other).map(|(a, b)| (f64::from(*a) - ma) * (f64::from(*b) - mb)).sum::<f64>() / count;
    if da * db > 0.0 { cov / (da * db) } else { 0.0 }
}

/// The mean amount of samples, 16 bits each, little-endian.
pub fn loudness(samples: &[u8]) -> u16 {
    let amounts: Vec<u32> = samples.chunks_exact(2).map(|two| u32::from(i16::from_le_bytes([two[0], two[1]]).unsigned_abs())).collect();
    let mean = amounts.iter().sum::<u32>() / u32::try_from(amounts.len().max(1)).unwrap_or(1);
    u16::try_from(mean).unwrap_or(u16::MAX)
}
