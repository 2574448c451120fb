//! Durations on the command line.

use std::time::Duration;

use jiff::SignedDuration;

const MOST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// `90s`, `10m`, `1h 2m`.
///
/// # Errors
/// It is not a duration, is negative, or is longer than a week: that is a mistake.
pub fn length(text: &str) -> Result<Duration, String> {
    let length: SignedDuration = text.parse().map_err(|_| "not a duration: write 90s, 10m or 1h2m".to_owned())?;
    let length = Duration::try_from(length).map_err(|_| "a duration can't be negative".to_owned())?;
    if length > MOST { Err("a duration can be at most a week: 168h".to_owned()) } else { Ok(length) }
}

#[cfg(test)]
mod tests {
    use super::{MOST, length};

    #[test]
    fn durations_are_parsed() {
        assert_eq!(["90s", "10m", "1h2m", "0s"].map(|text| length(text).expect("a length").as_secs()), [90, 600, 3720, 0]);
        let wrong = |text: &str| length(text).expect_err("no length");
        assert!(["ten", "10"].iter().all(|text| wrong(text).contains("90s")));
        assert!(wrong("-5s").contains("negative"));
        assert_eq!(length("168h").expect("a week"), MOST);
        assert!(["168h1s", "99999999h"].iter().all(|text| wrong(text).contains("week")), "{}", wrong("99999999h"));
    }
}
