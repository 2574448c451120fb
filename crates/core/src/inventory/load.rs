//! A text -> an inventory, or all that is wrong with it.

use std::path::{Path, PathBuf};

use super::diagnostic::{Diagnostic, Diagnostics, Place};
use super::read::{Fields, Problems};
use super::schema::INVENTORY;
use super::{Connection, Inventory, cluster, connection, fragment, machine, schema, transcode, tree};

/// What is wrong with a file that is no text: `valid` bytes of it are, before the first that is not.
pub fn not_utf8(bytes: &[u8], valid: usize, name: &str) -> Diagnostics {
    let before = String::from_utf8_lossy(&bytes[..valid]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    let wide = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let kind = if wide { "UTF-16".to_owned() } else { format!("byte 0x{:02x}", bytes.get(valid).copied().unwrap_or_default()) };
    let message = format!("the file isn't UTF-8 ({kind}): save it as UTF-8");
    let text = String::from_utf8_lossy(bytes);
    Diagnostics::new(name, &text, vec![Diagnostic::new(Place { line, column, length: 1 }, message, "")])
}

/// A file that the inventory names: a preset, a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// Absolute, or relative to where hostler was started.
    pub path: PathBuf,
    /// At most as many as were asked for, and one more where the file has more.
    pub bytes: Vec<u8>,
}

/// Why a file that the inventory names was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    Missing,
    /// In a person's words.
    Other(String),
}

/// Reads a file that the inventory names, at most so many bytes of it. Relative paths start at the inventory's folder.
pub type ReadFile<'a> = &'a dyn Fn(&Path, usize) -> Result<NamedFile, Unread>;

/// Reads an inventory's text alone; `file_name` is for the messages. The files that it names aren't looked at.
///
/// # Errors
/// All that is wrong, each with its place. What makes the text unreadable as YAML comes alone.
pub fn parse(text: &str, file_name: &str) -> Result<Inventory, Diagnostics> {
    parse_with(text, file_name, None)
}

/// As [`parse`], with the files that the inventory names, which `read` reads.
///
/// # Errors
/// As [`parse`]; a file that is missing or wrong is wrong where it is named.
pub fn parse_with(text: &str, file_name: &str, read: Option<ReadFile>) -> Result<Inventory, Diagnostics> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut problems = Problems::default();
    let inventory = match tree::parse(text) {
        Ok(root) => inventory(&root, read, &mut problems),
        Err(diagnostic) => {
            problems.found.push(diagnostic);
            None
        }
    };
    match inventory {
        Some(inventory) if problems.found.is_empty() => Ok(inventory),
        _ => {
            if problems.found.is_empty() {
                // Nothing is left out without a complaint; were it otherwise, this is better than an empty one.
                let place = Place { line: 1, column: 1, length: 1 };
                problems.add(place, "this inventory can't be understood", schema::INVENTORY.keys[0].shown());
            }
            Err(Diagnostics::new(file_name, text, problems.found))
        }
    }
}

fn inventory(root: &tree::Node, read: Option<ReadFile>, problems: &mut Problems) -> Option<Inventory> {
    let fields = Fields::read(root, root.place, &INVENTORY, problems)?;
    let ssh = fields.get("ssh", problems).and_then(|field| Fields::read(field.node, field.place, &schema::SSH, problems));
    let ssh = ssh.map_or_else(Connection::default, |ssh| connection::read(&ssh, problems));
    let machines = machine::read(&fields, &ssh, problems);
    let cluster = cluster::read(&fields, &machines, problems);
    let snapshots = cluster::snapshots(&fields, problems);
    let transcode = transcode::read(&fields, &machines, read, problems);
    let kubeadm = fragment::kubeadm(&fields, problems);
    let containerd = fragment::containerd(&fields, problems);
    let ignore_preflight_errors = fragment::ignored(&fields, problems);
    let warnings = std::mem::take(&mut problems.warnings);
    (!machines.machines.is_empty()).then_some(())?;
    Some(Inventory {
        cluster: cluster?,
        machines: machines.machines,
        roles_written: machines.roles_written,
        kubeadm,
        containerd,
        ignore_preflight_errors,
        snapshots,
        transcode,
        warnings,
    })
}
