//! The name of the lab. A computer can have several labs, distinguished by `HOSTLER_LAB`. The one without a name is called `lab`.
//!
//! Everything of a lab that is in a namespace of the computer (folders, network namespaces, cgroups, units, locks) has the lab's name in
//! its own. Its addresses are the same as those of other labs, as their networks are isolated.

use std::env;

use anyhow::Result;
use hostler_core::words::shell_word;

use super::usage;

/// The environment variable with the name of the lab.
pub const VARIABLE: &str = "HOSTLER_LAB";
pub const DEFAULT: &str = "lab";
/// Keeps names of network namespaces and units readable with the longest machine name.
const LONGEST: usize = 12;

fn given() -> Option<String> {
    env::var_os(VARIABLE).map(|name| name.to_string_lossy().into_owned()).filter(|name| !name.is_empty() && name != DEFAULT)
}

/// # Errors
/// Refused if the given name can't be a part of file names.
pub fn check() -> Result<()> {
    match given().filter(|name| !is_name(name)) {
        Some(name) => Err(usage(
            &format!("`{name}` in {VARIABLE} is not a valid lab name"),
            &format!("use at most {LONGEST} characters from a-z and 0-9, e.g. `{VARIABLE}=two`"),
        )),
        None => Ok(()),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// `base` for the lab without a name, `base.two` for the lab `two`.
pub fn named(base: &str) -> String {
    given().map_or_else(|| base.to_owned(), |name| format!("{base}.{name}"))
}

/// The unique name of a machine among those of all labs: `rainbowdash`, or `two-rainbowdash` in the lab `two`. (Names of labs and their
/// machines have no hyphen.)
pub fn of_machine(machine: &str) -> String {
    given().map_or_else(|| machine.to_owned(), |name| format!("{name}-{machine}"))
}

/// A prefix for commands that start hostler, to select the lab; empty for the lab without a name.
pub fn command_prefix() -> String {
    // `env`, because ssh's shell runs the command with `exec`, which accepts no assignments.
    given().map_or_else(String::new, |name| format!("env {VARIABLE}={name} "))
}

/// The assignment before a command of hostler's that chooses this lab; `None` for the lab without a name.
pub fn choice() -> Option<String> {
    given().map(|name| choice_of(&name))
}

/// The name of this lab.
pub fn chosen() -> String {
    given().unwrap_or_else(|| DEFAULT.to_owned())
}

/// The assignment that chooses the lab with this name.
pub fn choice_of(name: &str) -> String {
    format!("{VARIABLE}={}", shell_word(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_labs_name_is_a_short_word() {
        for good in ["two", "ci7", "a"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "Two", "a-b", "a.b", "../x", "a b", "waytoolonganame"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
