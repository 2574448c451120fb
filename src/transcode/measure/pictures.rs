//! The pictures of two films, one by one, in small and in grey.

use std::collections::VecDeque;

use super::{SIZE, UNLIKE};

/// Grey levels.
pub type Picture = Vec<u8>;

/// Pictures around the expected one that are compared, too.
const NEAR: i64 = 3;
/// Another picture fits, and the expected one does not: its difference is this much smaller, in grey levels of 255.
const CLEARLY: (f64, f64) = (2.0, 1.0);
/// The same difference, in grey levels.
const SAME: f64 = 0.3;
/// Pictures in a row that fit a neighbor's place: from there on, the film is shifted.
const SHIFTED: u64 = 3;
/// Pictures in a row that say nothing: then the search for a shift starts over.
const STILL: u64 = 12;
/// Above this difference a picture is not found, in grey levels.
const LOST: f64 = 12.0;
/// Standard deviation of a picture that is empty, and of one that certainly is not, in grey levels.
const EMPTY: f64 = 3.0;
const FULL: f64 = 9.0;
/// Pixels between those that are compared to find a shift of many pictures.
const COARSE: usize = 13;
/// Side of a block, and constants of SSIM for 255 levels (Wang et al., 2004).
const BLOCK: usize = 8;
const C1: f64 = 6.5025;
const C2: f64 = 58.5225;

/// Which picture of the film stands for one of the original, as they come.
#[derive(Debug)]
pub struct Pictures {
    /// Of both, in pictures per second.
    rate: f64,
    /// Whether the original has one picture for each: then one that is missing is counted.
    steady: bool,
    original: Queue,
    film: Queue,
    /// The number of the original's next picture.
    next: i64,
    /// The number of the film's picture for it, minus its own.
    lag: i64,
    /// Pictures that fit the place of another: which one, since when, how many, and how many that said nothing since.
    run: Option<(i64, i64, u64, u64)>,
    lost: u64,
    /// Of each second: the sum of SSIM, and the number of pictures.
    seconds: Vec<(f64, u32)>,
    pub missing: Option<(u64, f64)>,
    /// Seconds, and where the first is.
    pub empty: Option<(f64, f64)>,
    /// The lag from a picture of the original on.
    lags: Vec<(i64, i64)>,
}

#[derive(Debug, Default)]
struct Queue {
    pictures: VecDeque<Picture>,
    first: i64,
    ended: bool,
}

impl Queue {
    fn get(&self, number: i64) -> Option<&Picture> {
        usize::try_from(number - self.first).ok().and_then(|place| self.pictures.get(place))
    }

    fn end(&self) -> i64 {
        self.first + i64::try_from(self.pictures.len()).unwrap_or(i64::MAX)
    }

    fn forget_before(&mut self, number: i64) {
        while self.first < number && self.pictures.pop_front().is_some() {
            self.first += 1;
        }
    }

    fn push(&mut self, picture: Option<Picture>) {
        match picture {
            Some(picture) => self.pictures.push_back(picture),
            None => self.ended = true,
        }
    }
}

impl Pictures {
    pub fn new(rate: f64, steady: bool) -> Pictures {
        let (original, film) = (Queue::default(), Queue::default());
        let (seconds, lags) = (Vec::new(), vec![(0, 0)]);
        Pictures { rate, steady, original, film, next: 0, lag: 0, run: None, lost: 0, seconds, missing: None, empty: None, lags }
    }

    /// The next picture of each; `None`: it has ended.
    pub fn push(&mut self, original: Option<Picture>, film: Option<Picture>) {
        self.original.push(original);
        self.film.push(film);
        if self.film.ended && self.film.end() <= self.next + self.lag {
            // The rest is only counted.
            self.original.forget_before(self.original.end() - NEAR);
        }
        while self.is_ready() {
            self.compare();
            self.next += 1;
            let window = self.window();
            self.original.forget_before(self.next - NEAR - 1);
            self.film.forget_before(self.next + self.lag - window - NEAR);
        }
    }

    /// Pictures of a second, by which a film may be shifted at once.
    fn window(&self) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "a rate is small")]
        let window = self.rate.ceil() as i64;
        window.clamp(10, 120)
    }

    fn is_ready(&self) -> bool {
        let ahead = self.window() + NEAR + 1;
        let there = |queue: &Queue, number: i64| queue.ended || queue.end() > number + ahead;
        let some = self.original.end() > self.next && (self.film.end() > self.next + self.lag);
        some && there(&self.original, self.next) && there(&self.film, self.next + self.lag)
    }

    /// Seconds from the beginning.
    fn at(&self, number: i64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts of pictures are small")]
        let number = number as f64;
        number / self.rate
    }

    fn compare(&mut self) {
        if self.next == 0 {
            // Where the film begins is HandBrake's to say.
            self.lag += self.shift().unwrap_or(0);
            self.lags = vec![(0, self.lag)];
        }
        let Some(film) = self.film.get(self.next + self.lag) else { return };
        let Some(original) = self.original.get(self.next) else { return };
        let expected = difference(original, film);
        let near = (-NEAR..=NEAR).filter(|by| *by != 0).filter_map(|by| Some((by, difference(self.original.get(self.next + by)?, film))));
        let near: Vec<(i64, f64)> = near.collect();
        let alike = ssim(original, film);
        let is_empty = deviation(film) < EMPTY && deviation(original) > FULL;
        let number = self.next;
        let at = self.at(number);
        if is_empty {
            let (length, _) = self.empty.get_or_insert((0.0, at));
            *length += 1.0 / self.rate;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "no film is that long")]
        let second = at as usize;
        if self.seconds.len() <= second {
            self.seconds.resize(second + 1, (0.0, 0));
        }
        self.seconds[second].0 += alike;
        self.seconds[second].1 += 1;
        let best = near.iter().copied().min_by(|one, other| one.1.total_cmp(&other.1)).filter(|_| !is_empty);
        match best {
            Some((by, found)) if found * CLEARLY.0 + CLEARLY.1 < expected => self.fits_elsewhere(number, by),
            _ => self.fits(expected, &near),
        }
        self.lost = if expected > LOST && !is_empty && self.run.is_none() { self.lost + 1 } else { 0 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is small")]
        let often = (self.rate / 2.0).ceil() as u64;
        if self.lost >= often {
            self.lost = 0;
            if let Some(by) = self.shift() {
                self.moved(number, by);
            }
        }
    }

    /// The film's picture is the original's `by` pictures later.
    fn fits_elsewhere(&mut self, number: i64, by: i64) {
        let (since, count) = match self.run {
            Some((known, since, count, _)) if known == by => (since, count + 1),
            _ => {
                self.end_of_run();
                (number, 1)
            }
        };
        self.run = Some((by, since, count, 0));
        if count >= SHIFTED {
            self.run = None;
            self.moved(since, -by);
        }
    }

    fn fits(&mut self, expected: f64, near: &[(i64, f64)]) {
        let Some((by, since, count, still)) = self.run else { return };
        let other = near.iter().find(|(known, _)| *known == by).map_or(f64::MAX, |(_, found)| *found);
        if other <= expected + SAME && still < STILL {
            self.run = Some((by, since, count, still + 1));
        } else {
            self.end_of_run();
        }
    }

    /// Single pictures that another one stands for.
    fn end_of_run(&mut self) {
        if let Some((_, since, count, _)) = self.run.take() {
            self.count(since, count);
        }
    }

    fn moved(&mut self, since: i64, by: i64) {
        self.lag += by;
        self.lags.push((since, self.lag));
        self.count(since, by.unsigned_abs());
    }

    fn count(&mut self, since: i64, pictures: u64) {
        if self.steady {
            let at = self.at(since);
            self.missing.get_or_insert((0, at)).0 += pictures;
        }
    }

    /// By how many pictures the film is shifted from here on, if another place fits clearly.
    fn shift(&self) -> Option<i64> {
        let window = self.window();
        let cost = |by: i64| -> Option<f64> {
            let pairs = (0..window).step_by(3).filter_map(|ahead| {
                let (original, film) = (self.original.get(self.next + ahead)?, self.film.get(self.next + ahead + self.lag + by)?);
                Some(coarse(original, film))
            });
            let costs: Vec<f64> = pairs.collect();
            #[expect(clippy::cast_precision_loss, reason = "at most 40")]
            (costs.len() >= 3).then(|| costs.iter().sum::<f64>() / costs.len() as f64)
        };
        let here = cost(0)?;
        let (by, found) = (-window..=window)
            .filter_map(|by| Some((by, cost(by)?)))
            .min_by(|one, other| one.1.total_cmp(&other.1).then(one.0.abs().cmp(&other.0.abs())))?;
        (by != 0 && found * CLEARLY.0 + CLEARLY.1 < here).then_some(by)
    }

    /// After the last picture.
    pub fn finish(&mut self) {
        self.end_of_run();
    }

    /// Seconds of the original that come after the film's last picture, and where the film ends: whether pictures are missing in between is not known
    /// of all films, but all end.
    pub fn cut(&self) -> Option<(f64, f64)> {
        let left = self.original.end() - self.next;
        (left > 0).then(|| (self.at(left), self.at(self.next)))
    }

    /// Seconds of the original, once all of it was read.
    pub fn length(&self) -> f64 {
        self.at(self.original.end())
    }

    /// Seconds of the original that were compared.
    pub fn compared(&self) -> f64 {
        self.at(self.next)
    }

    /// The second that differs most, and its SSIM.
    pub fn worst(&self) -> Option<(f64, f64)> {
        self.means().min_by(|one, other| one.1.total_cmp(&other.1))
    }

    /// Seconds that show something else, and where the first is.
    pub fn unlike(&self) -> Option<(f64, f64)> {
        let seconds: Vec<f64> = self.means().filter(|(_, mean)| *mean < UNLIKE).map(|(at, _)| at).collect();
        #[expect(clippy::cast_precision_loss, reason = "seconds of a film")]
        seconds.first().map(|first| (seconds.len() as f64, *first))
    }

    /// The number of the film's picture that stands for one of the original, minus that one's.
    pub fn lag_at(&self, seconds: f64) -> i64 {
        let before = self.lags.iter().take_while(|(since, _)| self.at(*since) <= seconds);
        before.last().map_or(0, |(_, lag)| *lag)
    }

    fn means(&self) -> impl Iterator<Item = (f64, f64)> {
        #[expect(clippy::cast_precision_loss, reason = "seconds of a film")]
        let mean = |(second, (sum, count)): (usize, &(f64, u32))| (second as f64, sum / f64::from(*count));
        self.seconds.iter().enumerate().filter(|(_, (_, count))| *count > 1).map(mean)
    }
}

/// The mean difference, in grey levels.
fn difference(one: &[u8], other: &[u8]) -> f64 {
    // In parts that a compiler adds up side by side.
    let sum: u64 = one
        .chunks(256)
        .zip(other.chunks(256))
        .map(|(one, other)| u64::from(one.iter().zip(other).map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>()))
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "counts of pixels are small")]
    let (sum, pixels) = (sum as f64, one.len().max(1) as f64);
    sum / pixels
}

fn coarse(one: &[u8], other: &[u8]) -> f64 {
    let pixels = one.iter().step_by(COARSE).zip(other.iter().step_by(COARSE));
    let sum: u32 = pixels.map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
    f64::from(sum) * 13.0 / f64::from(u32::try_from(one.len().max(1)).unwrap_or(u32::MAX))
}

/// The standard deviation, in grey levels.
fn deviation(picture: &[u8]) -> f64 {
    let (mut sum, mut squares) = (0_u64, 0_u64);
    for level in picture {
        sum += u64::from(*level);
        squares += u64::from(*level) * u64::from(*level);
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of pixels are small")]
    let (sum, squares, pixels) = (sum as f64, squares as f64, picture.len().max(1) as f64);
    (squares / pixels - (sum / pixels).powi(2)).max(0.0).sqrt()
}

/// The structural similarity of two pictures of [`SIZE`]: the mean of blocks.
fn ssim(one: &[u8], other: &[u8]) -> f64 {
    let (width, height) = SIZE;
    if one.len() < width * height || other.len() < width * height {
        return 0.0;
    }
    let (mut sum, mut blocks) = (0.0, 0.0);
    for top in (0..=height - BLOCK).step_by(BLOCK) {
        for left in (0..=width - BLOCK).step_by(BLOCK) {
            let (mut a, mut b, mut aa, mut bb, mut ab) = (0_u32, 0_u32, 0_u32, 0_u32, 0_u32);
            for row in top..top + BLOCK {
                let from = row * width + left;
                for (x, y) in one[from..from + BLOCK].iter().zip(&other[from..from + BLOCK]) {
                    let (x, y) = (u32::from(*x), u32::from(*y));
                    a += x;
                    b += y;
                    aa += x * x;
                    bb += y * y;
                    ab += x * y;
                }
            }
            let pixels = 64.0;
            let (ma, mb) = (f64::from(a) / pixels, f64::from(b) / pixels);
            let (va, vb) = (f64::from(aa) / pixels - ma * ma, f64::from(bb) / pixels - mb * mb);
            let cov = f64::from(ab) / pixels - ma * mb;
            sum += (2.0 * ma * mb + C1) * (2.0 * cov + C2) / ((ma * ma + mb * mb + C1) * (va + vb + C2));
            blocks += 1.0;
        }
    }
    sum / blocks
}
