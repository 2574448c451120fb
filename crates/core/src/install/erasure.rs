//! The order to erase a machine's disk, and what can be said of it afterwards. It is read strictly, as an [`Order`](super::order::Order).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::disk::Wish;
use super::order::{is_id, is_mac};
use crate::inventory::{DiskRule, MachineName};
use crate::words::and;

/// Changes when older installers would misunderstand it.
const VERSION: u32 = 1;

/// What is erased, on one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Erasure {
    version: u32,
    /// As of an [`Order`](super::order::Order::id).
    pub id: String,
    pub name: MachineName,
    /// Of a network card of the machine. Any other machine is left alone.
    pub mac: String,
    pub disk: DiskRule,
}

impl Erasure {
    pub fn new(id: String, name: MachineName, mac: String, disk: DiskRule) -> Erasure {
        Erasure { version: VERSION, id, name, mac, disk }
    }

    /// Parses an order to erase.
    ///
    /// # Errors
    /// It is not one, or a value has not the form that the installer relies on.
    pub fn parse(bytes: &[u8]) -> Result<Erasure, String> {
        let erasure: Erasure = serde_json::from_slice(bytes).map_err(|error| format!("the erasure order can't be read: {error}"))?;
        let wrong = if erasure.version != VERSION {
            "version"
        } else if !is_id(&erasure.id) {
            "id"
        } else if MachineName::new(erasure.name.as_str()).is_none() {
            "machine name"
        } else if !is_mac(&erasure.mac) {
            "MAC address"
        } else if erasure.disk == DiskRule::Only {
            "disk: `only` is not enough"
        } else {
            return Ok(erasure);
        };
        Err(format!("the erasure order has no valid {wrong}"))
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        // Texts and numbers only.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// The disk, whatever its size and content.
    pub fn wish(&self) -> Wish {
        Wish { rule: self.disk.clone(), system_size: 0, wipe: true }
    }
}

/// A way to erase a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// The drive's own command, NVMe's Format with an erasure of user data.
    Format,
    /// The kernel's BLKDISCARD of all blocks.
    Discard,
    /// Zeros, where partition tables and file systems begin and end.
    Overwrite,
}

/// What was tried, and whether it worked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    done: Vec<Method>,
    failed: Vec<(Method, String)>,
}

impl Report {
    pub fn add(&mut self, method: Method, result: Result<(), String>) {
        match result {
            Ok(()) => self.done.push(method),
            Err(why) => self.failed.push((method, why)),
        }
    }

    /// Whether the method worked.
    pub fn has(&self, method: Method) -> bool {
        self.done.contains(&method)
    }

    /// What a person has to know of the disk, a line for each thing.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![match self.done.iter().min() {
            Some(Method::Format) => "The drive erased all of its data (NVMe Format).".to_owned(),
            Some(Method::Discard) => "All blocks were discarded (TRIM). When the drive erases them is up to the drive.".to_owned(),
            Some(Method::Overwrite) => {
                "Only partition tables and file-system signatures were overwritten: data can still be recovered.".to_owned()
            }
            None => "Nothing was erased.".to_owned(),
        }];
        if !self.failed.is_empty() {
            let failed: Vec<String> = self.failed.iter().map(|(method, why)| format!("{method} ({why})")).collect();
            lines.push(format!("Not possible with this drive: {}.", and(&failed)));
        }
        lines
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Method::Format => "NVMe Format",
            Method::Discard => "TRIM",
            Method::Overwrite => "overwriting",
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_order_to_erase_is_read_strictly() {
        let right = Erasure::new(
            "0123456789abcdef0123456789abcdef".to_owned(),
            MachineName::new("rainbowdash").unwrap(),
            "52:54:00:12:34:56".to_owned(),
            DiskRule::Serial("S4EW".to_owned()),
        );
        assert_eq!(Erasure::parse(right.to_json().as_bytes()).unwrap(), right);
        for (key, value) in [
            ("version", json!(2)),
            ("id", json!("0123")),
            ("mac", json!("52-54-00-12-34-56")),
            // It would be a guess.
            ("disk", json!("only")),
            ("name", json!("a b")),
            ("more", json!(1)),
        ] {
            let mut wrong: serde_json::Value = serde_json::from_str(&right.to_json()).unwrap();
            wrong[key] = value;
            assert!(Erasure::parse(wrong.to_string().as_bytes()).is_err(), "{key}");
        }
        let text = right.to_json();
        assert!(Erasure::parse(&text.as_bytes()[..text.len() - 1]).is_err());
    }

    #[test]
    fn no_more_is_reported_than_what_was_done() {
        let mut report = Report::default();
        assert_eq!(report.lines(), ["Nothing was erased."]);
        report.add(Method::Overwrite, Ok(()));
        report.add(Method::Format, Err("not an NVMe drive".to_owned()));
        report.add(Method::Discard, Err("not supported".to_owned()));
        assert!(report.lines()[0].contains("data can still be recovered"));
        assert_eq!(report.lines()[1], "Not possible with this drive: NVMe Format (not an NVMe drive) and TRIM (not supported).");
        report.add(Method::Discard, Ok(()));
        assert!(report.lines()[0].contains("discarded"));
        report.add(Method::Format, Ok(()));
        assert!(report.lines()[0].contains("erased all of its data"));
    }
}
