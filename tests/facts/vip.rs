//! Who answers at the VIP before a control plane has it.

use crate::Machine;

const MAC: &str = "52:54:00:AA:BB:CC";

/// What a machine tells with these words of `ip neigh`; `pinged`: pings are answered.
fn answers(pinged: bool, neighbor: &str) -> Option<String> {
    let machine = Machine::new();
    machine.program("/opt/hostler/current/bin/ip", &format!("case $1 in neigh) echo '{neighbor}' ;; esac"));
    machine.program("/opt/hostler/current/bin/sleep", "");
    machine.program("/opt/hostler/current/bin/ping", if pinged { "" } else { "exit 1" });
    machine.facts_with_vip().vip_answers
}

#[test]
fn a_device_that_answers_at_the_vip_is_told_with_its_hardware_address() {
    let neighbor = |state: &str| format!("192.0.2.10 dev eth0 lladdr {MAC} {state}");
    let mac = Some(MAC.to_lowercase());
    assert_eq!(answers(true, &neighbor("STALE")), mac);
    assert_eq!(answers(false, &neighbor("REACHABLE")), mac, "a firewall may drop pings");
    // Behind a router.
    assert_eq!(answers(true, ""), Some(String::new()));
    assert_eq!(answers(true, "192.0.2.10 dev eth0 lladdr $(reboot) REACHABLE"), Some(String::new()));
    for silent in ["", "192.0.2.10 dev eth0 FAILED", "192.0.2.10 dev eth0 INCOMPLETE"] {
        assert_eq!(answers(false, silent), None, "{silent}");
    }
    assert_eq!(answers(false, &neighbor("STALE")), None, "that was earlier");
}

/// keepalived there would be asked by itself.
#[test]
fn a_machine_that_has_the_vip_or_waits_for_it_is_not_asked() {
    let machine = Machine::new();
    machine.program("/opt/hostler/current/bin/ip", "case $1 in -oneline) echo '2: eth0 inet 192.0.2.10/32' ;; esac");
    machine.program("/opt/hostler/current/bin/ping", "");
    assert_eq!(machine.facts_with_vip().vip_answers, None);
    machine.program("/opt/hostler/current/bin/ip", "");
    assert_eq!(machine.facts_with_vip().vip_answers, Some(String::new()));
    let config = "/etc/hostler/keepalived.conf";
    machine.program("/opt/hostler/current/bin/systemctl", "[ \"$1\" = is-active ]");
    machine.file(config, "    virtual_ipaddress {\n        192.0.2.100\n    }\n");
    assert_eq!(machine.facts_with_vip().vip_answers, Some(String::new()), "that is another address");
    machine.file(config, "    virtual_ipaddress {\n        192.0.2.10\n    }\n");
    assert_eq!(machine.facts_with_vip().vip_answers, None);
}
