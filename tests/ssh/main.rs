//! The SSH layer against a real OpenSSH sshd, run as this user on a loopback port.

mod auth;
mod channels;
mod faults;
mod host_keys;
mod reach;
mod runs;
mod security_key;
mod sshd;
mod sudo;
