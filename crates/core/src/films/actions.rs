//! Who may act on the status page.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What the status page asks of those who press its buttons. Looking at it is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Actions {
    /// The link with the token that `up` prints.
    #[default]
    Token,
    /// Nothing: anyone who reaches the page may act.
    Open,
    /// The page has no buttons. The program's verbs act with the token.
    Off,
}

/// As in the inventory.
impl fmt::Display for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Actions::Token => "token",
            Actions::Open => "open",
            Actions::Off => "off",
        })
    }
}

impl FromStr for Actions {
    type Err = String;

    fn from_str(word: &str) -> Result<Actions, String> {
        [Actions::Token, Actions::Open, Actions::Off]
            .into_iter()
            .find(|actions| actions.to_string() == word)
            .ok_or_else(|| format!("`{word}` is not valid: write `token`, `open` or `off`"))
    }
}
