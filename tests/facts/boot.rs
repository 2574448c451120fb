//! Which boot a machine is in, and whether it needs another.

use std::fs;

use crate::Machine;

/// Each start of a machine is another boot, also of a container, which has its host's boot id.
#[test]
fn the_boot_is_told() {
    let boot = Machine::new().facts().boot;
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("every Linux has it");
    let stat = fs::read_to_string("/proc/1/stat").expect("every Linux has it");
    let began = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(19)).expect("proc_pid_stat(5)");
    assert_eq!(boot, format!("{}-{began}", id.trim()));
}

/// A kernel that was installed, but does not run; a kernel of another kind is no newer one.
#[test]
fn a_newer_kernel_needs_a_reboot() {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").expect("every Linux has it").trim().to_owned();
    let mut flavour = kernel.split_once('-').map_or(kernel.as_str(), |(_, rest)| rest);
    while let Some((number, rest)) = flavour.split_once('-').filter(|(number, _)| number.starts_with(|it: char| it.is_ascii_digit())) {
        assert!(!number.is_empty());
        flavour = rest;
    }
    let machine = Machine::new();
    machine.file(&format!("/boot/vmlinuz-{kernel}"), "");
    machine.file("/boot/vmlinuz-999.0.0-1-of-another-kind", "");
    machine.file(&format!("/boot/vmlinuz-0.9.0-1-{flavour}"), "");
    assert_eq!(machine.facts().reboot_due, None);
    machine.file(&format!("/boot/vmlinuz-999.0.0-1-{flavour}"), "");
    let due = machine.facts().reboot_due.expect("it needs one");
    assert_eq!(due.by, format!("kernel 999.0.0-1-{flavour}"));
    assert!(due.since > 1_700_000_000, "{due:?}");
    machine.file("/run/systemd/container", "systemd-nspawn");
    assert_eq!(machine.facts().reboot_due, None, "a container has its host's kernel");
    // What the system itself says counts first.
    machine.file("/run/reboot-required", "*** System restart required ***\n");
    machine.file("/run/reboot-required.pkgs", "libc6\nlinux-image-amd64\nlibc6\n");
    assert_eq!(machine.facts().reboot_due.expect("it needs one").by, "libc6, linux-image-amd64");
}
