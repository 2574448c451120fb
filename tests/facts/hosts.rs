//! What of the user's stands in the way of hostler's: lines of /etc/hosts, and programs.

use super::Machine;

#[test]
fn the_endpoint_in_lines_that_are_not_hostlers_is_told() {
    let machine = Machine::new();
    let elsewhere = |hosts: &str| -> Vec<String> {
        machine.file("/etc/hosts", hosts);
        machine.facts().endpoint_elsewhere.iter().map(ToString::to_string).collect()
    };
    let block = "# hostler begin\n10.0.0.1 one\n10.0.0.2 api.home.internal\n# hostler end\n";
    assert_eq!(elsewhere(block), [""; 0]);
    assert_eq!(
        elsewhere(&format!("127.0.0.1 localhost\n#10.0.0.9 api.home.internal\n10.0.0.9 my.api.home.internal # api.home.internal\n{block}")),
        [""; 0]
    );
    for line in ["10.0.0.9 api.home.internal", "10.0.0.9\tother API.Home.Internal # x", "10.0.0.9 api.home.internal other\r"] {
        assert_eq!(elsewhere(&format!("{line}\n{block}")), ["10.0.0.9"], "{line}");
        assert_eq!(elsewhere(&format!("{block}{line}\n")), ["10.0.0.9"], "{line}");
        assert_eq!(elsewhere(&format!("{line}\n")), ["10.0.0.9"], "{line}");
    }
    assert_eq!(elsewhere(&format!("fd00::9 api.home.internal\nnonsense api.home.internal\n{block}")), ["fd00::9"]);
    let many: String = (0..1000).map(|last| format!("10.1.{}.{} api.home.internal\n", last / 250, last % 250)).collect();
    assert_eq!(elsewhere(&many).len(), 8);
}

#[test]
fn programs_of_others_that_are_called_as_hostlers_are_told() {
    let machine = Machine::new();
    machine.file("/usr/local/bin/kubectl", "mine");
    machine.file("/usr/local/bin/helm", "mine");
    machine.link("/usr/local/bin/crictl", "/snap/bin/crictl");
    machine.link("/usr/local/bin/runc", machine.path("/opt/hostler/current/bin/runc"));
    let facts = machine.facts();
    let found: Vec<&str> = facts.other_commands.iter().map(String::as_str).collect();
    assert_eq!(found, ["/usr/local/bin/crictl", "/usr/local/bin/kubectl"]);
}
