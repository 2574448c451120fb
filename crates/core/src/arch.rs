//! Processor architectures that hostler has programs for. A closed set: what a machine says of itself is compared with it, and never becomes a
//! part of a path or of a command.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An architecture, named as in Go, Debian and container images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    Amd64,
    Arm64,
}

impl Arch {
    pub const ALL: [Arch; 2] = [Arch::Amd64, Arch::Arm64];

    /// By the name that `uname -m` prints. `None`: hostler has no programs for it.
    pub fn of_kernel(machine: &str) -> Option<Arch> {
        match machine {
            "x86_64" => Some(Arch::Amd64),
            "aarch64" => Some(Arch::Arm64),
            _ => None,
        }
    }

    /// By its own [name](Arch::name).
    pub fn parse(name: &str) -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Arch::Amd64 => "amd64",
            Arch::Arm64 => "arm64",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_names_are_architectures() {
        for arch in Arch::ALL {
            assert_eq!(Arch::parse(arch.name()), Some(arch));
            assert_eq!(serde_json::to_value(arch).expect("plain data"), arch.name());
        }
        for other in ["", "AMD64", "amd64 ", "amd64/../../tmp", "x86_64", "riscv64"] {
            assert_eq!(Arch::parse(other), None, "{other}");
        }
        for other in ["", "X86_64", "x86_64\n", "amd64", "amd64/../../../tmp/evil"] {
            assert_eq!(Arch::of_kernel(other), None, "{other}");
        }
    }
}
