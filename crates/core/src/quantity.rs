//! Durations and sizes as text.

use std::time::Duration;

/// `0.4s`, `12s`, `1m04s`, `2h05m`: at most three significant digits.
pub fn duration(duration: Duration) -> String {
    // Round first, so that 59.6 s is a minute and 9.96 s is not "10.0s".
    let tenths = (duration.as_millis() + 50) / 100;
    if tenths < 100 {
        return format!("{}.{}s", tenths / 10, tenths % 10);
    }
    whole(duration)
}

/// As [`duration`], but without tenths: for estimates.
pub fn whole(duration: Duration) -> String {
    let seconds = (duration.as_millis() + 500) / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// How long something lasts or lies back, roughly: `12m`, `3h`, `41d`.
pub fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// `270 MB`, `1.4 GB`: powers of 1000, one decimal below ten from a megabyte up.
pub fn size(bytes: u64) -> String {
    let (unit, name) = unit_for(bytes);
    in_unit(bytes, unit, name)
}

/// `182 of 270 MB`, or `182 MB` if `total` is 0, which means unknown.
pub fn size_of(done: u64, total: u64) -> String {
    if total == 0 {
        return size(done);
    }
    let (unit, name) = unit_for(total);
    let done = in_unit(done, unit, "");
    format!("{} of {}", done.trim_end(), in_unit(total, unit, name))
}

fn unit_for(bytes: u64) -> (u64, &'static str) {
    // A value that rounds to 1000 of a unit is 1 of the next.
    match bytes {
        0..1_000 => (1, "B"),
        1_000..999_500 => (1_000, "kB"),
        999_500..999_500_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    }
}

fn in_unit(bytes: u64, unit: u64, name: &str) -> String {
    let tenths = (bytes as u128 * 10 + unit as u128 / 2) / unit as u128;
    if unit >= 1_000_000 && tenths < 100 && !tenths.is_multiple_of(10) {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    } else {
        format!("{} {name}", (bytes as u128 + unit as u128 / 2) / unit as u128)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_few_digits() {
        for (milliseconds, text) in [
            (0, "0.0s"),
            (49, "0.0s"),
            (50, "0.1s"),
            (440, "0.4s"),
            (9_940, "9.9s"),
            (9_960, "10s"),
            (12_300, "12s"),
            (59_600, "1m00s"),
            (64_000, "1m04s"),
            (3_599_600, "1h00m"),
            (7_500_000, "2h05m"),
        ] {
            assert_eq!(duration(Duration::from_millis(milliseconds)), text, "{milliseconds} ms");
        }
    }

    #[test]
    fn sizes_have_a_unit_that_fits() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_499, "1 kB"),
            (999_499, "999 kB"),
            (999_500, "1 MB"),
            (9_340_000, "9.3 MB"),
            (270_400_000, "270 MB"),
            (999_500_000, "1 GB"),
            (1_440_000_000, "1.4 GB"),
            (u64::MAX, "18446744074 GB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes} bytes");
        }
    }

    #[test]
    fn progress_is_counted_in_the_unit_of_the_whole() {
        assert_eq!(size_of(182_000_000, 270_000_000), "182 of 270 MB");
        assert_eq!(size_of(0, 1_400_000_000), "0 of 1.4 GB");
        assert_eq!(size_of(182_000_000, 0), "182 MB");
    }
}
