//! Which lab: a computer can have several beside each other, each with a name in `HOSTLER_LAB`. The one without is called `lab`.
//!
//! Everything of a lab that lives in a namespace of the computer (folders, network namespaces, cgroups, units, locks) has the lab's name
//! in its own; its addresses are the same as another lab's, as no network of theirs meets.

use std::env;

use anyhow::Result;

use super::usage;

/// The environment variable that names another lab than `lab`.
pub const VARIABLE: &str = "HOSTLER_LAB";
const DEFAULT: &str = "lab";
/// So that network namespaces and units of the longest machine name stay readable.
const LONGEST: usize = 12;

fn given() -> Option<String> {
    env::var_os(VARIABLE).map(|name| name.to_string_lossy().into_owned()).filter(|name| !name.is_empty() && name != DEFAULT)
}

/// # Errors
/// Refused where the name that was given can't be part of a file's name.
pub fn check() -> Result<()> {
    match given().filter(|name| !is_name(name)) {
        Some(name) => Err(usage(
            &format!("{VARIABLE} is `{name}`, and that can't name a lab"),
            &format!("at most {LONGEST} of a to z and 0 to 9, such as `{VARIABLE}=two`"),
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

/// What a machine is called among those of all labs: `rainbowdash`, or `two-rainbowdash` of the lab `two`. (No machine has a hyphen
/// in its name, and no lab.)
pub fn of_machine(machine: &str) -> String {
    given().map_or_else(|| machine.to_owned(), |name| format!("{name}-{machine}"))
}

/// The words that say which lab is meant to a hostler that another program starts; empty for the lab without a name.
pub fn command_prefix() -> String {
    // `env`, as ssh lets its shell `exec` the command, which takes no assignments.
    given().map_or_else(String::new, |name| format!("env {VARIABLE}={name} "))
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
