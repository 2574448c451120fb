//! The end of each verb's long help: examples and exit statuses. What a status means stands here once.

use hostler_core::failure::ExitStatus;

/// Of verbs that only read or write files on this computer.
pub const LOCAL: &[ExitStatus] = &[ExitStatus::Done, ExitStatus::Failed, ExitStatus::Usage];
/// Of verbs that may also refuse something.
pub const CAREFUL: &[ExitStatus] = &[ExitStatus::Done, ExitStatus::Failed, ExitStatus::Usage, ExitStatus::Refused];
/// Of verbs that reach machines or a cluster, but don't plan.
pub const REMOTE: &[ExitStatus] = &[ExitStatus::Done, ExitStatus::Failed, ExitStatus::Usage, ExitStatus::Unreachable];
/// Of verbs that may end in every way.
pub const ALL: &[ExitStatus] = &[ExitStatus::Done, ExitStatus::Failed, ExitStatus::Usage, ExitStatus::Refused, ExitStatus::Unreachable];

fn meaning(status: ExitStatus) -> &'static str {
    match status {
        ExitStatus::Done => "done",
        ExitStatus::Failed => "failed",
        ExitStatus::Usage => "the command line or the inventory is not valid",
        ExitStatus::Refused => "refused; the message says why and what to do",
        ExitStatus::Unreachable => "a machine can't be reached",
    }
}

/// Examples, each a description and a command, then the exit statuses; none if they are another program's.
pub fn end(examples: &[(&str, &str)], statuses: &[ExitStatus]) -> String {
    let examples: Vec<String> = examples.iter().map(|(what, command)| format!("  # {what}\n  {command}\n")).collect();
    let statuses: Vec<String> = statuses.iter().map(|status| format!("  {}  {}", *status as u8, meaning(*status))).collect();
    let title = if examples.len() == 1 { "Example" } else { "Examples" };
    let examples = format!("{title}:\n{}", examples.join("\n"));
    if statuses.is_empty() { examples } else { format!("{examples}\nExit status:\n{}", statuses.join("\n")) }
}
