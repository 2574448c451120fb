//! The machines of a lab: names and addresses.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::system::System;

/// The computer's address in the lab's network: apt repository, and the machines' default gateway, which forwards nothing.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// Length of the lab network's prefix, 10.77.0.0/24.
pub const PREFIX: u8 = 24;

/// Names, in the order in which machines get them; control planes come first.
const NAMES: [&str; 13] = [
    "twilightsparkle",
    "rainbowdash",
    "fluttershy",
    "applejack",
    "pinkiepie",
    "rarity",
    "spike",
    "starlight",
    "sunset",
    "celestia",
    "luna",
    "cadance",
    "zecora",
];

/// The most machines a lab can have.
pub const MOST: usize = NAMES.len();

/// A machine of the lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabMachine {
    pub name: String,
    pub address: Ipv4Addr,
    pub control_plane: bool,
    /// What is installed on it.
    #[serde(default)]
    pub system: System,
}

impl LabMachine {
    /// The last byte of its address. It is in the name of its interface, for which a machine's name is too long.
    pub fn number(&self) -> u8 {
        self.address.octets()[3]
    }
}

/// The machines of a lab of `machines`, the first `control_planes` of them control planes: 10.77.0.11, .12 and so on. All have Debian.
pub fn roster(machines: usize, control_planes: usize) -> Vec<LabMachine> {
    (11..=u8::MAX)
        .zip(NAMES)
        .take(machines)
        .enumerate()
        .map(|(index, (number, name))| LabMachine {
            name: name.to_owned(),
            address: Ipv4Addr::new(10, 77, 0, number),
            control_plane: index < control_planes,
            system: System::default(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_planes_come_first_and_addresses_follow_the_order() {
        let machines = roster(4, 2);
        let lines: Vec<String> = machines.iter().map(|m| format!("{} {} {}", m.name, m.address, m.control_plane)).collect();
        assert_eq!(
            lines,
            ["twilightsparkle 10.77.0.11 true", "rainbowdash 10.77.0.12 true", "fluttershy 10.77.0.13 false", "applejack 10.77.0.14 false"]
        );
        assert_eq!(machines[3].number(), 14);
    }

    #[test]
    fn the_largest_lab_has_distinct_names() {
        let mut names: Vec<String> = roster(MOST, 1).into_iter().map(|machine| machine.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), MOST);
    }
}
