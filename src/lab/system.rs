//! The operating systems that machines of the lab can have.

use std::fmt;
use std::str::FromStr;

use hostler_core::words;
use serde::{Deserialize, Serialize};

/// A release of a distribution, by its code name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum System {
    /// Debian 13.
    #[default]
    Trixie,
    /// Ubuntu 24.04, with its own systemd-resolved, netplan, cloud-init and unattended-upgrades.
    Noble,
}

impl System {
    pub const ALL: [System; 2] = [System::Trixie, System::Noble];

    /// Its name in archives and on the command line.
    pub fn codename(self) -> &'static str {
        match self {
            System::Trixie => "trixie",
            System::Noble => "noble",
        }
    }

    /// Its name for a person.
    pub fn title(self) -> &'static str {
        match self {
            System::Trixie => "Debian 13",
            System::Noble => "Ubuntu 24.04",
        }
    }

    /// Whether a machine gives its network card its address, instead of finding it there.
    pub fn configures_network(self) -> bool {
        match self {
            System::Trixie => false,
            System::Noble => true,
        }
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.codename())
    }
}

impl FromStr for System {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        System::ALL.into_iter().find(|system| system.codename() == text).ok_or_else(|| {
            let each: Vec<String> = System::ALL.iter().map(|system| format!("`{system}` ({})", system.title())).collect();
            let near = words::nearest(text, System::ALL.map(System::codename));
            let guess = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
            format!("{guess}the lab supports {}", each.join(" and "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_known_by_its_code_name_alone() {
        assert!(System::ALL.iter().all(|system| system.codename().parse() == Ok(*system)));
        let wrong = |text: &str| text.parse::<System>().expect_err("no system");
        assert_eq!(wrong("bookworm"), "the lab supports `trixie` (Debian 13) and `noble` (Ubuntu 24.04)");
        assert_eq!(wrong("nobel"), "did you mean `noble`? the lab supports `trixie` (Debian 13) and `noble` (Ubuntu 24.04)");
        assert!(wrong("").starts_with("the lab supports"));
    }
}
