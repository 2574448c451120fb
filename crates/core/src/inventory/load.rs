//! Parses a text to an inventory, or to a list of errors.

use std::path::{Path, PathBuf};

use super::diagnostic::{Diagnostic, Diagnostics, Place};
use super::read::{Fields, Problems};
use super::schema::INVENTORY;
use super::{Connection, Inventory, cluster, conflict, connection, fragment, machine, notify, os, schema, transcode, tree};
use crate::version::Versions;

/// The error for a file that is not UTF-8 after its first `valid` bytes.
pub fn not_utf8(bytes: &[u8], valid: usize, name: &str) -> Diagnostics {
    let before = String::from_utf8_lossy(&bytes[..valid]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    let wide = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let kind = if wide { "UTF-16".to_owned() } else { format!("byte 0x{:02x}", bytes.get(valid).copied().unwrap_or_default()) };
    let message = format!("the file is not UTF-8 ({kind}): save it as UTF-8");
    let text = String::from_utf8_lossy(bytes);
    Diagnostics::new(name, &text, vec![Diagnostic::new(Place { line, column, length: 1 }, message, "")])
}

/// A file named in the inventory: a preset or a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// Absolute, or relative to the current folder.
    pub path: PathBuf,
    /// At most as many bytes as requested, plus one if the file is longer.
    pub bytes: Vec<u8>,
}

/// Why a file named in the inventory was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    Missing,
    /// The error message.
    Other(String),
}

/// Reads at most so many bytes of a file named in the inventory. Relative paths start at the inventory's folder.
pub type ReadFile<'a> = &'a dyn Fn(&Path, usize) -> Result<NamedFile, Unread>;

/// Parses the text of an inventory, without the files named in it; `file_name` is for messages. Any version of Kubernetes is accepted.
///
/// # Errors
/// All errors, each with its place. A syntax error of YAML is the only one.
pub fn parse(text: &str, file_name: &str) -> Result<Inventory, Diagnostics> {
    parse_with(text, file_name, None, None)
}

/// As [`parse`], with the files named in the inventory, which `read` reads, and only with one of these versions of Kubernetes.
///
/// # Errors
/// As [`parse`]; errors of a file are reported where it is named.
pub fn parse_with(text: &str, file_name: &str, read: Option<ReadFile>, versions: Option<&Versions>) -> Result<Inventory, Diagnostics> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut problems = Problems::default();
    let inventory = match tree::parse(text) {
        Ok(root) => inventory(text, &root, read, versions, &mut problems),
        Err(diagnostic) => {
            problems.found.push(diagnostic);
            None
        }
    };
    match inventory {
        Some(inventory) if problems.found.is_empty() => Ok(inventory),
        _ => {
            if problems.found.is_empty() {
                // Every omission has an error; if one is missing, this is better than an empty list.
                let place = Place { line: 1, column: 1, length: 1 };
                problems.add(place, "the inventory is not valid", schema::INVENTORY.keys[0].shown());
            }
            Err(Diagnostics::new(file_name, text, problems.found))
        }
    }
}

fn inventory(
    text: &str,
    root: &tree::Node,
    read: Option<ReadFile>,
    versions: Option<&Versions>,
    problems: &mut Problems,
) -> Option<Inventory> {
    let fields = Fields::read(root, root.place, &INVENTORY, problems)?;
    let ssh = fields.get("ssh", problems).and_then(|field| Fields::read(field.node, field.place, &schema::SSH, problems));
    // Its errors are those of its own reader.
    let installs = fields.get("os", &mut Problems::default()).is_some();
    let ssh = ssh.map_or_else(Connection::default, |ssh| connection::read(&ssh, installs, problems));
    let machines = machine::read(&fields, &ssh, problems);
    let cluster = cluster::read(&fields, &machines, versions, problems);
    let pods = cluster.as_ref().map(|cluster| cluster.pod_subnet);
    let snapshots = cluster::snapshots(&fields, pods, problems);
    let notify = notify::read(&fields, read, problems);
    let transcode = transcode::read(&fields, &machines, pods, read, problems);
    let os = os::read(&fields, &machines, problems);
    let kubeadm = fragment::kubeadm(&fields, problems);
    let containerd = fragment::containerd(&fields, problems);
    let ignore_preflight_errors = fragment::ignored(&fields, problems);
    let warnings = std::mem::take(&mut problems.warnings);
    (!machines.machines.is_empty()).then_some(())?;
    let inventory = Inventory {
        text: text.to_owned(),
        cluster: cluster?,
        machines: machines.machines,
        roles_written: machines.roles_written,
        kubeadm,
        containerd,
        ignore_preflight_errors,
        snapshots: snapshots?,
        notify,
        transcode,
        os,
        versions: versions.cloned().unwrap_or_default(),
        warnings,
    };
    conflict::check(&inventory, problems);
    Some(inventory)
}
