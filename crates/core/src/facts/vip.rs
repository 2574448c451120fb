//! Who has the cluster's VIP, as one machine sees it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::Serialize;

use super::parse::is_mac;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum AtVip {
    /// The machine itself, and hostler's service has not put it there.
    Itself,
    /// What answers there.
    Device {
        /// Hardware address, in lower case; empty where it is not known, as behind a router.
        mac: String,
        /// Other addresses that have it, too: a repeater of a wireless network answers for every machine behind it.
        also: BTreeSet<IpAddr>,
    },
}

impl AtVip {
    /// As facts.sh tells it: `itself`, or a hardware address and what other addresses have it. What has not their form is as if not told.
    pub fn parse(told: &str) -> AtVip {
        let mut words = told.split_whitespace();
        match words.next().unwrap_or_default() {
            "itself" => AtVip::Itself,
            mac if is_mac(mac) => AtVip::Device { mac: mac.to_lowercase(), also: words.filter_map(|word| word.parse().ok()).collect() },
            _ => AtVip::Device { mac: String::new(), also: BTreeSet::new() },
        }
    }
}
