//! A file -> an inventory, or all that is wrong with it.

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Result;
use nix::fcntl::OFlag;

use super::diagnostic::{Diagnostic, Diagnostics, Place};
use super::read::{Fields, Problems};
use super::schema::INVENTORY;
use super::{Connection, Inventory, cluster, connection, fragment, machine, schema, transcode, tree};
use crate::report::{ExitStatus, Failure};

/// Reads the inventory in `path`.
///
/// # Errors
/// A [`Failure`] with [`ExitStatus::Usage`]: the file can't be read, or something in it is wrong.
pub fn load(path: &Path) -> Result<Inventory> {
    let name = path.display().to_string();
    let bytes = regular_file(path, tree::MOST_BYTES).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => "`hostler init` writes an inventory; `--inventory FILE` names another",
            std::io::ErrorKind::IsADirectory => "name the file in it: `--inventory FILE`",
            _ => "`--inventory FILE` names another",
        };
        Failure::new(ExitStatus::Usage, format!("can't read the inventory {name}: {error}"), hint)
    })?;
    let parsed = match String::from_utf8(bytes) {
        Ok(text) => parse_beside(&text, &name, path.parent()),
        Err(error) => Err(not_utf8(error.as_bytes(), error.utf8_error().valid_up_to(), &name)),
    };
    let hint = "`hostler schema` prints all that an inventory can say";
    Ok(parsed.map_err(|wrong| Failure::new(ExitStatus::Usage, wrong.to_string().trim_end(), hint))?)
}

/// At most `most` bytes of a file, and one more where it has more. What isn't a regular file may never end, or never begin.
///
/// # Errors
/// It can't be read, or is no regular file.
pub fn regular_file(path: &Path, most: usize) -> std::io::Result<Vec<u8>> {
    // Opening a pipe would wait for whoever writes into it.
    let file = std::fs::File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    if !kind.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn not_utf8(bytes: &[u8], valid: usize, name: &str) -> Diagnostics {
    let before = String::from_utf8_lossy(&bytes[..valid]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    let wide = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let kind = if wide { "UTF-16".to_owned() } else { format!("byte 0x{:02x}", bytes.get(valid).copied().unwrap_or_default()) };
    let message = format!("the file isn't UTF-8 ({kind}): save it as UTF-8");
    let text = String::from_utf8_lossy(bytes);
    Diagnostics::new(name, &text, vec![Diagnostic::new(Place { line, column, length: 1 }, message, "")])
}

/// Reads an inventory's text alone; `file_name` is for the messages. The files that it names aren't looked at.
///
/// # Errors
/// All that is wrong, each with its place. What makes the text unreadable as YAML comes alone.
pub fn parse(text: &str, file_name: &str) -> Result<Inventory, Diagnostics> {
    parse_beside(text, file_name, None)
}

/// As [`parse`], with the files that the inventory names, which are in the folder `beside` or below it.
///
/// # Errors
/// As [`parse`]; a file that is missing or wrong is wrong where it is named.
pub fn parse_beside(text: &str, file_name: &str, beside: Option<&Path>) -> Result<Inventory, Diagnostics> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut problems = Problems::default();
    let read = match tree::parse(text) {
        Ok(root) => inventory(&root, beside, &mut problems),
        Err(diagnostic) => {
            problems.found.push(diagnostic);
            None
        }
    };
    match read {
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

fn inventory(root: &tree::Node, beside: Option<&Path>, problems: &mut Problems) -> Option<Inventory> {
    let fields = Fields::read(root, root.place, &INVENTORY, problems)?;
    let ssh = fields.get("ssh", problems).and_then(|field| Fields::read(field.node, field.place, &schema::SSH, problems));
    let ssh = ssh.map_or_else(Connection::default, |ssh| connection::read(&ssh, problems));
    let machines = machine::read(&fields, &ssh, problems);
    let cluster = cluster::read(&fields, &machines, problems);
    let snapshots = cluster::snapshots(&fields, problems);
    let transcode = transcode::read(&fields, &machines, beside, problems);
    let kubeadm = fragment::kubeadm(&fields, problems);
    let containerd = fragment::containerd(&fields, problems);
    let ignore_preflight_errors = fragment::ignored(&fields, problems);
    let warnings = std::mem::take(&mut problems.warnings);
    (!machines.machines.is_empty()).then_some(())?;
    Some(Inventory {
        cluster: cluster?,
        machines: machines.machines,
        kubeadm,
        containerd,
        ignore_preflight_errors,
        snapshots,
        transcode,
        warnings,
    })
}
