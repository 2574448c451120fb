//! What a disk says of its own health (SMART), as `smartctl --json` prints it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a disk will not do much longer. The rest of what disks report differs from vendor to vendor, and says little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskFault {
    /// The disk's own verdict, or an attribute below the threshold of its maker.
    Failing,
    /// So many sectors can't be read, and wait to be written again.
    Unreadable(u64),
    /// NVMe: too many media or internal errors.
    Degraded,
    /// NVMe: it no longer accepts writes.
    ReadOnly,
    /// NVMe: its spare blocks are nearly used up.
    LittleSpare,
    /// NVMe: percent of the writes that it is made for, at least [`WORN`].
    Worn(u64),
}

/// Percent.
pub const WORN: u64 = 90;

impl DiskFault {
    /// What the disk reports, without its number, which grows; and with it, where it has one.
    fn texts(self) -> (&'static str, Option<String>) {
        match self {
            DiskFault::Failing => ("that it is failing", None),
            DiskFault::Unreadable(1) => ("unreadable sectors", Some("an unreadable sector".to_owned())),
            DiskFault::Unreadable(count) => ("unreadable sectors", Some(format!("{count} unreadable sectors"))),
            DiskFault::Degraded => ("too many errors to be reliable", None),
            DiskFault::ReadOnly => ("that it accepts no writes", None),
            DiskFault::LittleSpare => ("that its spare blocks are nearly used up", None),
            DiskFault::Worn(percent) => ("much wear", Some(format!("that {percent}% of its rated write endurance is used"))),
        }
    }

    /// The kind of fault, without its number.
    pub fn kind(self) -> &'static str {
        self.texts().0
    }
}

impl fmt::Display for DiskFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, with_number) = self.texts();
        write!(f, "reports {}", with_number.as_deref().unwrap_or(kind))
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Report {
    smart_status: Option<Verdict>,
    nvme_smart_health_information_log: Option<Nvme>,
    ata_smart_attributes: Attributes,
}

#[derive(Deserialize)]
struct Verdict {
    passed: bool,
}

#[derive(Deserialize)]
struct Nvme {
    /// Bits of the NVMe specification's "Critical Warning".
    #[serde(default)]
    critical_warning: u64,
    #[serde(default)]
    percentage_used: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Attributes {
    table: Vec<Attribute>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Attribute {
    id: u64,
    /// `now`, `past`, or nothing.
    when_failed: String,
    raw: Raw,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    value: u64,
}

/// `Current_Pending_Sector`.
const PENDING: u64 = 197;

/// What is wrong with a disk, by smartctl's JSON. `None`: it says nothing of its health.
pub fn faults(json: &str) -> Option<Vec<DiskFault>> {
    let report: Report = serde_json::from_str(json).ok()?;
    let attributes = &report.ata_smart_attributes.table;
    let nvme = report.nvme_smart_health_information_log;
    if report.smart_status.is_none() && nvme.is_none() && attributes.is_empty() {
        return None;
    }
    let mut faults = Vec::new();
    if let Some(nvme) = &nvme {
        let said = [(0, DiskFault::LittleSpare), (2, DiskFault::Degraded), (3, DiskFault::ReadOnly)];
        faults.extend(said.iter().filter(|(bit, _)| nvme.critical_warning >> bit & 1 == 1).map(|(_, fault)| *fault));
        if nvme.percentage_used >= WORN {
            faults.push(DiskFault::Worn(nvme.percentage_used));
        }
    }
    let failed = attributes.iter().any(|attribute| attribute.when_failed == "now");
    // Of an NVMe disk the verdict is whether there is any warning at all, the temperature's too.
    if failed || nvme.is_none() && report.smart_status.is_some_and(|verdict| !verdict.passed) {
        faults.push(DiskFault::Failing);
    }
    let pending = attributes.iter().find(|attribute| attribute.id == PENDING).map_or(0, |attribute| attribute.raw.value);
    if pending > 0 {
        faults.push(DiskFault::Unreadable(pending));
    }
    Some(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_believed_about_itself() {
        let nvme = |warning: u64, used: u64| {
            format!(
                r#"{{"json_format_version":[1,0],"smart_status":{{"passed":{},"nvme":{{"value":{warning}}}}},
                "nvme_smart_health_information_log":{{"critical_warning":{warning},"available_spare":100,"percentage_used":{used}}}}}"#,
                warning == 0
            )
        };
        let ata = |passed: bool, failed: &str, pending: u64| {
            format!(
                r#"{{"smart_status":{{"passed":{passed}}},"ata_smart_attributes":{{"revision":16,"table":[
                {{"id":5,"name":"Reallocated_Sector_Ct","value":100,"worst":100,"thresh":10,"when_failed":"{failed}","raw":{{"value":0,"string":"0"}}}},
                {{"id":197,"name":"Current_Pending_Sector","when_failed":"","raw":{{"value":{pending},"string":"{pending}"}}}}]}}}}"#
            )
        };
        for (json, wanted) in [
            (nvme(0, 3), Some(vec![])),
            (nvme(0, 90), Some(vec![DiskFault::Worn(90)])),
            // Too hot, which passes.
            (nvme(2, 3), Some(vec![])),
            (nvme(1 | 4 | 8, 101), Some(vec![DiskFault::LittleSpare, DiskFault::Degraded, DiskFault::ReadOnly, DiskFault::Worn(101)])),
            (ata(true, "", 0), Some(vec![])),
            (ata(false, "", 0), Some(vec![DiskFault::Failing])),
            (ata(true, "now", 8), Some(vec![DiskFault::Failing, DiskFault::Unreadable(8)])),
            (ata(true, "past", 1), Some(vec![DiskFault::Unreadable(1)])),
            // In standby, behind a bridge that knows no SMART, or cut.
            (r#"{"smartctl":{"exit_status":2}}"#.to_owned(), None),
            (nvme(0, 3)[..60].to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(faults(&json), wanted, "{json}");
        }
    }
}
