//! Access to the lab's network namespaces from this process: a socket stays in the namespace of the thread that created it.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use super::name;

/// The namespace with the bridge and the computer's address on it; its name is the prefix of the machines' namespaces.
pub fn of_lab() -> String {
    name::named("hostler-lab")
}

/// Where iproute2 keeps named namespaces.
pub const NAMED: &str = "/run/netns";

/// The namespace of a machine.
pub fn of_machine(name: &str) -> String {
    format!("{}-{name}", of_lab())
}

/// The file that stands for a namespace.
pub fn file(namespace: &str) -> PathBuf {
    Path::new(NAMED).join(namespace)
}

/// The identity of a namespace, as in `/proc/PID/ns/net`; `None` if it does not exist.
pub fn identity(namespace: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(namespace).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Moves the calling thread into a namespace, permanently: only for a thread of its own, or right before exec.
pub fn enter(namespace: &str) -> io::Result<()> {
    setns(File::open(file(namespace))?, CloneFlags::CLONE_NEWNET)?;
    Ok(())
}

/// Runs `make` in a thread of its own in the lab's network.
fn inside<T: Send + 'static>(make: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let thread = std::thread::Builder::new().spawn(move || {
        enter(&of_lab())?;
        make()
    })?;
    thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread in the lab's network namespace ended unexpectedly")))
}

/// Connects from the computer's address in the lab. Blocks for `limit` at most.
pub fn connect(address: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    inside(move || TcpStream::connect_timeout(&address, limit))
}
