//! Sizes, as texts with a unit.

use super::diagnostic::shown;
use super::read::{Problems, Text};

/// Bytes, at least `least`, for the reason `why`: `400GB`, in powers of 1000, or `400GiB`, in powers of 1024.
pub fn read(text: Text, least: u64, why: &str, example: &str, problems: &mut Problems) -> Option<u64> {
    let (number, unit) = text.text.split_at(text.text.bytes().take_while(u8::is_ascii_digit).count());
    let unit = match unit.trim_start() {
        "GB" => Some(1_000_000_000),
        "TB" => Some(1_000_000_000_000),
        "GiB" => Some(1 << 30),
        "TiB" => Some(1 << 40),
        _ => None,
    };
    let small;
    let why = match (number.parse::<u64>(), unit) {
        (Ok(number), Some(unit)) => match number.checked_mul(unit) {
            Some(bytes) if bytes < least => {
                small = format!("is too small: {why}");
                &small
            }
            Some(bytes) if bytes <= i64::MAX as u64 => return Some(bytes),
            _ => "is too large",
        },
        _ => "is not a size: write an integer followed by GB, TB, GiB or TiB",
    };
    problems.add(text.place, format!("`{}` {why}", shown(text.text)), example);
    None
}
