//! What steps hand on to later steps of the same run.

use serde::Serialize;

use super::StepId;

/// What a step hands on to later ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// The run's bootstrap token.
    Token,
    /// The cluster's CA certificate, in base64.
    Ca,
    /// An archive of the certificates and keys that a further control plane needs, in base64.
    Pki,
}

impl Output {
    /// The name by which scripts hand it on.
    pub fn name(self) -> &'static str {
        match self {
            Output::Token => "token",
            Output::Ca => "ca",
            Output::Pki => "pki",
        }
    }

    /// Whether it is never printed, logged or written to this computer's disk.
    pub fn secret(self) -> bool {
        match self {
            Output::Token | Output::Pki => true,
            Output::Ca => false,
        }
    }
}

/// The output of an earlier step of the same run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    pub step: StepId,
    pub output: Output,
}
