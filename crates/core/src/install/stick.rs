//! Which disk a stick is written to: the one that its owner named, if it is on USB, free, and empty. Where one of these is not certain, nothing is
//! written.

use std::fmt;

use super::content::Content;
use super::disk::{Bus, Disk};
use crate::quantity::size;
use crate::words::and;

/// Why the disk is not written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoStick {
    /// There is no disk of this name. The others: disks on USB.
    Unknown(String, Vec<String>),
    NotUsb(String, Bus),
    NoMedium(String),
    ReadOnly(String),
    /// Its size and the required one, in bytes.
    TooSmall(String, u64, u64),
    InUse(String, Vec<String>),
    Holds(String, Content),
}

impl fmt::Display for NoStick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoStick::Unknown(name, sticks) if sticks.is_empty() => {
                write!(f, "{name} is not a whole disk, and this computer has no USB disk")
            }
            NoStick::Unknown(name, sticks) => write!(f, "{name} is not a whole disk: the USB disks are {}", and(sticks)),
            NoStick::NotUsb(name, bus) => write!(f, "{name} is not a USB stick ({bus}), so nothing is written to it"),
            NoStick::NoMedium(name) => write!(f, "no medium is inserted in {name}"),
            NoStick::ReadOnly(name) => write!(f, "{name} is read-only: remove its write protection, or use another stick"),
            NoStick::TooSmall(name, own, least) => write!(f, "{name} has only {}, but {} are needed", size(*own), size(*least)),
            NoStick::InUse(name, users) => write!(f, "{name} is in use ({}): unmount it first", users.join(", ")),
            NoStick::Holds(name, content) => write!(f, "{name} is not empty: it has {content}"),
        }
    }
}

/// The disk that the stick is written to. `erase`: what it holds may be erased, because its owner said so or it is an older stick of hostler's.
/// `least`: bytes.
///
/// # Errors
/// Why not. Nothing may be written to it then.
pub fn choose<'a>(disks: &'a [Disk], name: &str, least: u64, erase: bool) -> Result<&'a Disk, NoStick> {
    let own = || name.to_owned();
    let Some(disk) = disks.iter().find(|disk| disk.name == name) else {
        let sticks = disks.iter().filter(|disk| disk.bus == Bus::Usb && disk.size > 0).map(|disk| format!("/dev/{}", disk.name));
        return Err(NoStick::Unknown(own(), sticks.collect()));
    };
    // Whether it says that it can be removed: many sticks say that they can't.
    if disk.bus != Bus::Usb {
        return Err(NoStick::NotUsb(own(), disk.bus));
    }
    if disk.size == 0 {
        return Err(NoStick::NoMedium(own()));
    }
    if disk.read_only {
        return Err(NoStick::ReadOnly(own()));
    }
    if disk.size < least {
        return Err(NoStick::TooSmall(own(), disk.size, least));
    }
    if !disk.users.is_empty() {
        return Err(NoStick::InUse(own(), disk.users.clone()));
    }
    if disk.content.is_data() && !erase {
        return Err(NoStick::Holds(own(), disk.content.clone()));
    }
    Ok(disk)
}
