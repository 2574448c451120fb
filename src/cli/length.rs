//! Durations on the command line.

use std::time::Duration;

use jiff::SignedDuration;

/// `90s`, `10m`, `1h 2m`.
///
/// # Errors
/// It is not a duration, or is negative.
pub fn length(text: &str) -> Result<Duration, String> {
    let length: SignedDuration = text.parse().map_err(|_| "not a duration: write 90s, 10m or 1h2m".to_owned())?;
    Duration::try_from(length).map_err(|_| "a duration can't be negative".to_owned())
}

#[cfg(test)]
mod tests {
    use super::length;

    #[test]
    fn durations_are_parsed() {
        assert_eq!(["90s", "10m", "1h2m", "0s"].map(|text| length(text).expect("a length").as_secs()), [90, 600, 3720, 0]);
        let wrong = |text: &str| length(text).expect_err("no length");
        assert!(["ten", "10"].iter().all(|text| wrong(text).contains("90s")));
        assert!(wrong("-5s").contains("negative"));
    }
}
