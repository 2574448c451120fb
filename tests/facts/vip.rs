//! Who has the VIP, beside the control plane that hostler's service has given it.

use hostler_core::facts::AtVip;

use crate::Machine;

const MAC: &str = "52:54:00:AA:BB:CC";
const CONFIG: &str = "/etc/hostler/keepalived.conf";

fn device(mac: &str, also: &[&str]) -> Option<AtVip> {
    let also = also.iter().map(|address| address.parse().expect("an address")).collect();
    Some(AtVip::Device { mac: mac.to_lowercase(), also })
}

/// What a machine tells with these words of `ip neigh`; `pinged`: pings are answered.
fn answers(machine: &Machine, pinged: bool, neighbors: &str) -> Option<AtVip> {
    let of_one = neighbors.lines().next().unwrap_or_default();
    let neigh = format!("case $1${{3:+-}} in neigh-) echo '{of_one}' ;; neigh) echo '{neighbors}' ;; esac");
    machine.program("/opt/hostler/current/bin/ip", &neigh);
    machine.program("/opt/hostler/current/bin/sleep", &format!(": > {}", machine.path("/slept").display()));
    machine.program("/opt/hostler/current/bin/ping", if pinged { "" } else { "exit 1" });
    machine.facts_with_vip().vip_answers
}

#[test]
fn a_device_that_answers_at_the_vip_is_told_with_its_hardware_address() {
    let answers = |pinged: bool, neighbor: &str| answers(&Machine::new(), pinged, neighbor);
    let neighbor = |state: &str| format!("192.0.2.10 dev eth0 lladdr {MAC} {state}");
    let mac = device(MAC, &[]);
    assert_eq!(answers(true, &neighbor("STALE")), mac);
    assert_eq!(answers(false, &neighbor("REACHABLE")), mac, "a firewall may drop pings");
    // Behind a router.
    assert_eq!(answers(true, ""), device("", &[]));
    assert_eq!(answers(true, "192.0.2.10 dev eth0 lladdr $(reboot) REACHABLE"), device("", &[]));
    for silent in ["", "192.0.2.10 dev eth0 FAILED", "192.0.2.10 dev eth0 INCOMPLETE"] {
        assert_eq!(answers(false, silent), None, "{silent}");
    }
    assert_eq!(answers(false, &neighbor("STALE")), None, "that was earlier");
}

/// A repeater of a wireless network answers for all machines behind it.
#[test]
fn other_addresses_of_the_same_hardware_address_are_told() {
    let neighbors = format!(
        "192.0.2.10 dev eth0 lladdr {MAC} REACHABLE\n192.0.2.12 dev eth0 lladdr {MAC} STALE\n192.0.2.13 dev eth0 lladdr 52:54:00:00:00:01 \
         STALE\n192.0.2.14 dev eth0 FAILED\nfe80::1 dev eth0 lladdr {MAC} router STALE"
    );
    assert_eq!(answers(&Machine::new(), true, &neighbors), device(MAC, &["192.0.2.12", "fe80::1"]));
}

#[test]
fn a_machine_that_waits_for_the_vip_tells_who_has_it_by_hardware_address_alone() {
    let machine = Machine::new();
    machine.program("/opt/hostler/current/bin/systemctl", "[ \"$1\" = is-active ]");
    machine.file(CONFIG, "    virtual_ipaddress {\n        192.0.2.100\n    }\n");
    assert_eq!(answers(&machine, true, ""), device("", &[]), "that is another address");
    machine.file(CONFIG, "    virtual_ipaddress {\n        192.0.2.10\n    }\n");
    assert_eq!(answers(&machine, true, ""), None);
    let neighbor = format!("192.0.2.10 dev eth0 lladdr {MAC} STALE");
    assert_eq!(answers(&machine, true, &neighbor), device(MAC, &[]));
    // Nobody waits for it while the VIP's API server is down.
    assert_eq!(answers(&machine, false, &neighbor), None);
    assert!(!machine.path("/slept").exists());
}

#[test]
fn a_machine_that_has_the_vip_by_itself_says_so() {
    let machine = Machine::new();
    machine.program("/opt/hostler/current/bin/ip", "case $1 in -oneline) echo '2: eth0 inet 192.0.2.10/24' ;; esac");
    machine.program("/opt/hostler/current/bin/systemctl", "exit 3");
    assert_eq!(machine.facts_with_vip().vip_answers, Some(AtVip::Itself));
    // keepalived was killed, and is started again.
    machine.file(CONFIG, "    virtual_ipaddress {\n        192.0.2.10\n    }\n");
    assert_eq!(machine.facts_with_vip().vip_answers, None);
}
