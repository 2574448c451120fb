//! The output of apt-get and dpkg (with `LC_ALL=C`) as progress: bytes while packages are fetched, then packages unpacked and set up.

use super::task::Task;
use crate::event::Unit;

/// The progress of an installation, by its output.
#[derive(Debug, Default)]
pub struct Progress {
    /// Packages that the running apt-get will install.
    packages: u64,
    done: u64,
    total: u64,
    unit: Option<Unit>,
}

impl Progress {
    /// Parses a line. Returns done, total (0: unknown) and what is counted, if the line changes them.
    pub fn line(&mut self, line: &str) -> Option<(u64, u64, Unit)> {
        if let Some(newly) = newly_installed(line) {
            self.packages = newly;
        } else if let Some(total) = to_get(line) {
            self.begin(total, Unit::Bytes);
        } else if line.starts_with("Get:") {
            let size = line.rsplit_once('[').and_then(|(_, size)| bytes(size.strip_suffix(']')?))?;
            if self.unit != Some(Unit::Bytes) {
                // Package lists, before it is known which packages are needed.
                self.begin(0, Unit::Bytes);
            }
            self.done += size;
        } else if line.starts_with("Unpacking ") || line.starts_with("Setting up ") {
            if self.unit != Some(Unit::Items) {
                self.begin(2 * self.packages, Unit::Items);
            }
            self.done += 1;
        } else {
            return None;
        }
        // apt rounds sizes.
        let done = if self.total > 0 { self.done.min(self.total) } else { self.done };
        self.unit.map(|unit| (done, self.total, unit))
    }

    /// As [`Progress::line`], reported to `task`.
    pub fn report(&mut self, line: &str, task: &Task) {
        if let Some((done, total, unit)) = self.line(line) {
            task.progress(done, total, unit);
        }
    }

    fn begin(&mut self, total: u64, unit: Unit) {
        (self.done, self.total, self.unit) = (0, total, Some(unit));
    }
}

/// `0 upgraded, 59 newly installed, 0 to remove and 0 not upgraded.`
fn newly_installed(line: &str) -> Option<u64> {
    line.split(", ").find_map(|part| part.strip_suffix(" newly installed"))?.parse().ok()
}

/// `Need to get 25.4 MB of archives.`, or `Need to get 1,024 kB/25.4 MB of archives.` where some are at hand.
fn to_get(line: &str) -> Option<u64> {
    let amount = line.strip_prefix("Need to get ")?.strip_suffix(" of archives.")?;
    bytes(amount.split('/').next()?)
}

/// `25.4 MB`, `1,024 kB`, `517 B`; apt counts in thousands.
fn bytes(amount: &str) -> Option<u64> {
    let (number, unit) = amount.split_once(' ')?;
    let scale = match unit {
        "B" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        _ => return None,
    };
    let number: f64 = number.replace(',', "").parse().ok()?;
    Some((number * scale) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_first_then_every_package_twice() {
        let lines = [
            ("Get:1 http://deb.debian.org/debian trixie InRelease [140 kB]", Some((140_000, 0, Unit::Bytes))),
            ("Reading package lists...", None),
            ("0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded.", Some((140_000, 0, Unit::Bytes))),
            ("Need to get 1.5 MB of archives.", Some((0, 1_500_000, Unit::Bytes))),
            (
                "Get:2 http://deb.debian.org/debian trixie/main amd64 dash amd64 0.5.12-12 [1,098 kB]",
                Some((1_098_000, 1_500_000, Unit::Bytes)),
            ),
            ("Get:3 http://deb.debian.org/debian trixie/main amd64 tar amd64 1.35 [409 kB]", Some((1_500_000, 1_500_000, Unit::Bytes))),
            ("Fetched 1,507 kB in 1s (1,900 kB/s)", None),
            ("Unpacking dash (0.5.12-12) ...", Some((1, 4, Unit::Items))),
            ("Unpacking tar (1.35) ...", Some((2, 4, Unit::Items))),
            ("Setting up dash (0.5.12-12) ...", Some((3, 4, Unit::Items))),
            ("Setting up tar (1.35) ...", Some((4, 4, Unit::Items))),
            ("Need to get 0 B/13.1 MB of archives.", Some((0, 0, Unit::Bytes))),
        ];
        let mut progress = Progress::default();
        for (line, expected) in lines {
            assert_eq!(progress.line(line), expected, "{line}");
        }
    }
}
