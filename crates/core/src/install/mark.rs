//! What the installer remembers beside its order, for each machine: so that an order is used once, and nothing loops.

use serde::{Deserialize, Serialize};

/// How far a machine's installation came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum Mark {
    /// It was started so many times and did not end: the power was cut, or the computer hung.
    Started {
        times: u32,
    },
    Done,
    Failed {
        reason: String,
    },
}

/// So many starts of an installation that never ends are enough.
const MOST_STARTS: u32 = 3;

/// What to do about a machine of the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Write this mark, then install.
    Install(Mark),
    /// The order was used: it is done.
    Done,
    /// The order was used: it failed.
    Failed(String),
}

/// `mark`: the content of the machine's mark, if there is one.
pub fn turn(mark: Option<&[u8]>) -> Turn {
    let Some(bytes) = mark else { return Turn::Install(Mark::Started { times: 1 }) };
    match serde_json::from_slice(bytes) {
        Ok(Mark::Started { times }) if times < MOST_STARTS => Turn::Install(Mark::Started { times: times + 1 }),
        Ok(Mark::Started { times }) => Turn::Failed(format!("the installation was started {times} times and never finished")),
        Ok(Mark::Done) => Turn::Done,
        Ok(Mark::Failed { reason }) => Turn::Failed(reason),
        // It may have been `done`.
        Err(_) => Turn::Failed("the stick's record of this machine can't be read: make the stick again".to_owned()),
    }
}

impl Mark {
    pub fn to_json(&self) -> String {
        // Texts and numbers only.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_that_never_ends_is_started_a_few_times() {
        let mut mark: Option<String> = None;
        let mut starts = 0;
        while let Turn::Install(next) = turn(mark.as_deref().map(str::as_bytes)) {
            starts += 1;
            mark = Some(next.to_json());
            assert!(starts <= MOST_STARTS);
        }
        assert_eq!(starts, MOST_STARTS);
    }

    #[test]
    fn an_order_that_ended_is_not_followed_again() {
        let failed = Mark::Failed { reason: "no disk".to_owned() };
        assert_eq!(turn(Some(Mark::Done.to_json().as_bytes())), Turn::Done);
        assert_eq!(turn(Some(failed.to_json().as_bytes())), Turn::Failed("no disk".to_owned()));
        for cut in [&b""[..], b"\"don", b"{\"started\":{\"times\":1", b"\0\0\0\0"] {
            assert!(matches!(turn(Some(cut)), Turn::Failed(_)), "{cut:?}");
        }
    }
}
