//! Scripts about units, on a machine that is a folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use hostler_core::template::render;

use super::{on_a_folder, text};

/// As systemd does: a unit without a file can't be disabled, and is known until it has read its files again.
const SYSTEMCTL: &str = r#"#!/bin/sh
case "$*" in
'disable --quiet --no-reload hostler-vip.service')
    [ -e ROOT/etc/systemd/system/hostler-vip.service ] || { echo 'Failed to disable unit: Unit hostler-vip.service does not exist' >&2; exit 1; }
    rm -f ROOT/wanted
    ;;
'stop hostler-vip.service') [ -e ROOT/known ] || exit 5; rm -f ROOT/active ;;
'is-active --quiet hostler-vip.service') [ -e ROOT/active ] ;;
daemon-reload) [ -e ROOT/etc/systemd/system/hostler-vip.service ] || rm -f ROOT/known ;;
*) echo "unknown: $*" >&2; exit 9 ;;
esac
"#;

/// Runs the script, until it would run for the `cut`th time what changes something; whether it came to its end.
fn dropped(folder: &Path, cut: usize) -> bool {
    let root = folder.display().to_string();
    let files = ["/etc/hostler/keepalived.conf", "/etc/systemd/system/hostler-vip.service"];
    let body = render("machine/drop-unit.sh", serde_json::json!({ "unit": "hostler-vip.service", "files": files })).expect("it fits");
    // Killed before a line: the machine is as the lines before have left it.
    let lines: Vec<&str> = body.lines().take(cut).collect();
    let script = on_a_folder(&root, "vip", false, &format!("{}\n", lines.join("\n")));
    let path = format!("{root}/bin:/usr/bin:/bin");
    let output = Command::new("dash").args(["-c", &script]).env("PATH", path).output().expect("dash; apt-get install dash");
    assert!(output.status.success(), "after {cut} lines: {}", text(&output));
    lines.len() == body.lines().count()
}

#[test]
fn a_unit_is_removed_also_where_an_earlier_run_was_killed() {
    let mut cuts = 0;
    for cut in 1.. {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        for made in ["bin", "etc/hostler", "etc/systemd/system", "run"] {
            fs::create_dir_all(root.join(made)).expect("a folder");
        }
        for file in ["etc/hostler/keepalived.conf", "etc/systemd/system/hostler-vip.service", "known", "active", "wanted"] {
            fs::write(root.join(file), "").expect("a file");
        }
        fs::write(root.join("bin/systemctl"), SYSTEMCTL.replace("ROOT", &root.display().to_string())).expect("a file");
        fs::set_permissions(root.join("bin/systemctl"), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let whole = dropped(root, cut);
        dropped(root, usize::MAX);
        for file in ["etc/hostler/keepalived.conf", "etc/systemd/system/hostler-vip.service", "known", "active", "wanted"] {
            assert!(!root.join(file).exists(), "{file} is there, after it was killed before line {}", cut + 1);
        }
        cuts = cut;
        if whole {
            break;
        }
    }
    assert!(cuts >= 6, "{cuts}");
}
