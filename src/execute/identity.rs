//! The id of a run, and whether the run that left a script behind is still alive.

use std::fs;

/// `TIME-PROCESS of USER@COMPUTER`, with the start time and process id: for the locks on machines and for the log.
pub fn run_id() -> String {
    format!("{}-{}{OF}{}", jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ"), std::process::id(), user_at_computer())
}

/// Whether the run with this id is this process's, or was started on this computer and is over: its scripts on machines end by themselves.
/// A run of another computer counts as alive.
pub fn is_over(run: &str) -> bool {
    let here = user_at_computer();
    let process = run.rsplit_once(OF).filter(|(_, who)| *who == here).and_then(|(id, _)| id.rsplit_once('-'));
    let Some(process) = process.and_then(|(_, process)| process.parse::<u32>().ok()) else { return false };
    process == std::process::id() || !lives(process)
}

const OF: &str = " of ";

/// Whether the process exists, is not a zombie, and runs the same program as this one: process ids are reused.
fn lives(process: u32) -> bool {
    let program = |process: &str| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let (start, rest) = stat.rsplit_once(") ")?;
        let (_, name) = start.split_once('(')?;
        (!rest.starts_with(['Z', 'X'])).then(|| name.to_owned())
    };
    let found = program(&process.to_string());
    found.is_some() && found == program("self")
}

fn user_at_computer() -> String {
    let user = crate::home::user().ok();
    let computer = nix::unistd::gethostname().ok().map(|name| name.to_string_lossy().into_owned());
    format!("{}@{}", user.unwrap_or_default(), computer.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_run_is_over_with_its_process() {
        let who = user_at_computer();
        assert!(is_over(&run_id()), "{}: this process's own run does not block it", run_id());
        // Another process with the name of this one.
        let folder = tempfile::tempdir().expect("a folder");
        let twin = folder.path().join(fs::read_to_string("/proc/self/comm").expect("it has a name").trim());
        fs::copy("/bin/sleep", &twin).expect("sleep; apt-get install coreutils");
        let mut child = Command::new(&twin).arg("infinity").spawn().expect("it starts");
        let other = format!("20260102T030405Z-{} of {who}", child.id());
        assert!(!is_over(&other), "it is alive");
        assert!(!is_over(&format!("20260102T030405Z-{} of pinkiepie@elsewhere", child.id())), "unknown on this computer");
        child.kill().expect("it is ours");
        // Not waited for: it stays a zombie.
        while fs::read_to_string(format!("/proc/{}/stat", child.id())).is_ok_and(|stat| !stat.contains(") Z")) {
            std::thread::yield_now();
        }
        assert!(is_over(&other), "it is a zombie");
        child.wait().expect("it ended");
        assert!(is_over(&other));
        let not_ours = format!("20260102T030405Z-1 of {who}");
        assert!(is_over(&not_ours), "another program has its number now");
        assert!(!is_over("r1"));
    }
}
