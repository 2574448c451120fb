//! What is done to a machine as a whole: it is restarted, or switched off.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::{Act, Outputs, Payload, PowerState, minutes};
use crate::template::render;

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
}

impl Act for Reboot {
    fn line(&self) -> String {
        match self.node {
            Some(_) => "reboot, and wait until the node is Ready".to_owned(),
            None => "reboot, and wait until SSH answers again".to_owned(),
        }
    }

    fn body(&self, _: &mut Payload, _: Outputs) -> Result<String> {
        render("machine/reboot.sh", json!({ "boot": self.boot, "node": self.node, "quorum": self.quorum, "yields_vip": self.yields_vip }))
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
