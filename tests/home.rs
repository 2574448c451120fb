//! Where hostler keeps its own files, by the environment it is called in.

use std::path::Path;
use std::process::{Command, Stdio};

fn hostler(home: &Path, words: &[&str], environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hostler"));
    command.args(words).current_dir(home).env("HOME", home).stdin(Stdio::null());
    for variable in ["XDG_STATE_HOME", "HOSTLER_CACHE"] {
        command.env_remove(variable);
    }
    let output = command.envs(environment.iter().copied()).output().unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn only_an_absolute_path_takes_the_place_of_a_default() {
    let elsewhere = tempfile::tempdir().unwrap();
    let elsewhere = elsewhere.path().to_str().unwrap();
    for (state, used) in [("", ".local/state"), ("relative", ".local/state"), (elsewhere, elsewhere)] {
        let home = tempfile::tempdir().unwrap();
        let inventory = "machines:\n  one:\n    address: 192.0.2.1\n    proxyCommand: \"false\"\n";
        std::fs::write(home.path().join("inventory.yaml"), inventory).unwrap();
        hostler(home.path(), &["reset"], &[("XDG_STATE_HOME", state)]);
        let logs = std::fs::read_dir(home.path().join(used).join("hostler/runs")).map_or(0, Iterator::count);
        assert_eq!(logs, 1, "{state:?}");
        assert!(!home.path().join("relative").exists());
    }
}

#[test]
fn the_cache_is_where_its_own_variable_says() {
    let home = tempfile::tempdir().unwrap();
    let said = hostler(home.path(), &["bundle", "show"], &[("HOSTLER_CACHE", "/none")]);
    assert!(said.contains("/none/bundles/"), "{said}");
}
