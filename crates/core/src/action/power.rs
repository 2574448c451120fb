//! What is done to a machine as a whole: its system is upgraded, it is restarted, or switched off.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::{Act, Outputs, Payload, PowerState, minutes};
use crate::template::render;

/// Which packages of the operating system are upgraded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OsPackages {
    /// Those that the distribution's security suites have newer.
    Security,
    All,
}

/// Upgrade packages of the operating system, after what an interrupted installation left is configured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UpgradePackages {
    /// `None`: what is left of an interrupted upgrade alone.
    pub packages: Option<OsPackages>,
}

impl Act for UpgradePackages {
    fn line(&self) -> String {
        match self.packages {
            Some(OsPackages::Security) => "upgrade packages from security suites".to_owned(),
            Some(OsPackages::All) => "upgrade all packages".to_owned(),
            None => "finish configuring half-installed packages".to_owned(),
        }
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        render("machine/upgrade-packages.sh", json!({ "packages": self.packages }))
    }

    fn limit(&self) -> Duration {
        minutes(90)
    }
}

/// Restart the machine, and wait until it does its part in the cluster again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reboot {
    /// The boot that ends: [`Facts::boot`](crate::facts::Facts::boot). In any other it was restarted already.
    pub boot: String,
    /// Its node, where it is in a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// All members of etcd must be healthy before.
    pub quorum: bool,
    /// The endpoint's moving address leaves the machine first.
    pub yields_vip: bool,
    /// Only if packages were upgraded in this boot, or the system asks for it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub if_upgraded: bool,
}

impl Act for Reboot {
    fn line(&self) -> String {
        let line = match (&self.node, self.if_upgraded) {
            (Some(_), false) => "reboot, and wait until the node is Ready",
            (Some(_), true) => "reboot if any package was upgraded, and wait until the node is Ready",
            (None, false) => "reboot, and wait until SSH answers again",
            (None, true) => "reboot if any package was upgraded, and wait until SSH answers again",
        };
        line.to_owned()
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        let Reboot { boot, node, quorum, yields_vip, if_upgraded } = self;
        let values = json!({ "boot": boot, "node": node, "quorum": quorum, "yields_vip": yields_vip, "if_upgraded": if_upgraded });
        render("machine/reboot.sh", values)
    }

    fn limit(&self) -> Duration {
        minutes(20)
    }

    fn destroys(&self) -> bool {
        true
    }

    fn power(&self) -> PowerState {
        PowerState::Restarts
    }
}

/// Switch the machine off.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PowerOff {}

impl Act for PowerOff {
    fn line(&self) -> String {
        "shut down, and wait until the machine is off".to_owned()
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        render("machine/power-off.sh", json!({}))
    }

    fn limit(&self) -> Duration {
        minutes(10)
    }

    fn destroys(&self) -> bool {
        true
    }

    fn power(&self) -> PowerState {
        PowerState::GoesOff
    }
}
