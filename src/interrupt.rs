//! Interruption by Ctrl-C, a closed terminal or `kill`. It does machines no harm, but the user wants to know how far the run came.

use std::fs;
use std::io;
use std::task::Poll;

use tokio::signal::unix::{SignalKind, signal};

/// What interrupts a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupt {
    /// For messages.
    pub by: &'static str,
    /// The signal's number.
    number: i32,
}

impl Interrupt {
    const ALL: [Interrupt; 3] = [
        Interrupt { by: "Ctrl-C", number: nix::libc::SIGINT },
        Interrupt { by: "the terminal was closed", number: nix::libc::SIGHUP },
        Interrupt { by: "SIGTERM", number: nix::libc::SIGTERM },
    ];

    /// As shells report it: 128 plus the signal's number.
    pub fn status(self) -> i32 {
        128 + self.number
    }
}

/// Waits for an interruption. Signals that were ignored when the process started (`nohup`, a background job of a shell) stay ignored.
///
/// # Errors
/// A signal handler can't be installed.
pub async fn interrupted() -> io::Result<Interrupt> {
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

/// The signals that a process ignores, as a bit mask, from proc_pid_status(5).
fn ignored(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_parsed() {
        // The lowest bit is signal 1, SIGHUP, as `nohup` sets it.
        assert_eq!(ignored("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000002\n"), 0x1001);
        assert_eq!(ignored(""), 0);
    }
}
