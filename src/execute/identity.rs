//! Who runs: what a run is called on machines, and whether one that left a script behind still lives.

use std::fs;

/// `TIME-PROCESS of USER@COMPUTER`: the time it began and its process, for the locks on machines and for the log.
pub fn run_id() -> String {
    format!("{}-{}{OF}{}", jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ"), std::process::id(), user_at_computer())
}

/// Whether the run of this id is this process's, or was of this computer and is over: what it left on a machine comes to its end by itself.
/// Another computer's is not known, so it counts as living.
pub fn is_over(run: &str) -> bool {
    let here = user_at_computer();
    let process = run.rsplit_once(OF).filter(|(_, who)| *who == here).and_then(|(id, _)| id.rsplit_once('-'));
    let Some(process) = process.and_then(|(_, process)| process.parse::<u32>().ok()) else { return false };
    process == std::process::id() || !lives(process)
}

const OF: &str = " of ";

/// Whether the process is there, does something still, and runs the same program as this one: numbers are used again.
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
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten().map(|user| user.name);
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
        assert!(is_over(&run_id()), "{}: this run's own script is nobody else's", run_id());
        // Another process that goes by the name of this one.
        let folder = tempfile::tempdir().expect("a folder");
        let twin = folder.path().join(fs::read_to_string("/proc/self/comm").expect("it has a name").trim());
        fs::copy("/bin/sleep", &twin).expect("sleep; apt-get install coreutils");
        let mut child = Command::new(&twin).arg("infinity").spawn().expect("it starts");
        let other = format!("20260102T030405Z-{} of {who}", child.id());
        assert!(!is_over(&other), "it lives");
        assert!(!is_over(&format!("20260102T030405Z-{} of pinkiepie@elsewhere", child.id())), "nobody knows");
        child.kill().expect("it is ours");
        // Not waited for: what is left of it does nothing any more.
        while fs::read_to_string(format!("/proc/{}/stat", child.id())).is_ok_and(|stat| !stat.contains(") Z")) {
            std::thread::yield_now();
        }
        assert!(is_over(&other), "it is dead, and nobody took note");
        child.wait().expect("it ended");
        assert!(is_over(&other));
        let not_ours = format!("20260102T030405Z-1 of {who}");
        assert!(is_over(&not_ours), "another program has its number now");
        assert!(!is_over("r1"));
    }
}
