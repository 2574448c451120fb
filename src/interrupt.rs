//! Being told to end: Ctrl-C, a closed terminal, a `kill`. Machines lose nothing by it, but a person wants to know how far it came.

use std::fs;
use std::io;
use std::task::Poll;

use tokio::signal::unix::{SignalKind, signal};

/// Who tells a run to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupt {
    /// As a person knows it.
    pub by: &'static str,
    /// The signal's number.
    number: i32,
}

impl Interrupt {
    const ALL: [Interrupt; 3] = [
        Interrupt { by: "Ctrl-C", number: nix::libc::SIGINT },
        Interrupt { by: "its terminal, which was closed", number: nix::libc::SIGHUP },
        Interrupt { by: "a signal to end (SIGTERM)", number: nix::libc::SIGTERM },
    ];

    /// As shells give it: 128 and the signal's number.
    pub fn status(self) -> i32 {
        128 + self.number
    }
}

/// Waits until this process is told to end. What was ignored when it began (`nohup`, a shell's background) still is.
///
/// # Errors
/// Where the kernel takes no handler.
pub async fn told_to_end() -> io::Result<Interrupt> {
    let ignored = ignored(&fs::read_to_string("/proc/self/status").unwrap_or_default());
    let mut heard = Vec::new();
    for interrupt in Interrupt::ALL.into_iter().filter(|interrupt| ignored & (1 << (interrupt.number - 1)) == 0) {
        heard.push((interrupt, signal(SignalKind::from_raw(interrupt.number))?));
    }
    std::future::poll_fn(|context| {
        for (interrupt, signal) in &mut heard {
            if signal.poll_recv(context).is_ready() {
                return Poll::Ready(Ok(*interrupt));
            }
        }
        Poll::Pending
    })
    .await
}

/// The signals that a process ignores, a bit each, from proc_pid_status(5).
fn ignored(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_that_are_ignored_are_read() {
        // The first is signal 1, SIGHUP, as `nohup` leaves it.
        assert_eq!(ignored("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000002\n"), 0x1001);
        assert_eq!(ignored(""), 0);
    }
}
