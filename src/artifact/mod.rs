//! Everything that is installed on machines: programs and container images, each identified by its digest.
//!
//! A *bundle* is a folder with `manifest.json`, the programs under `files/` (named by their sha256) and one OCI archive, `images.tar`, with
//! all images; layers that several images share are in it once.

mod archive;
mod bundle;
mod bundles;
mod download;
pub mod encoder;
mod known;
mod layer;
mod locate;
mod lock;
mod registry;
mod release;
mod source;
mod update;
mod writer;

pub use bundle::{Bundle, Content, manifest_of};
pub use bundles::Bundles;
pub use download::Sites;
pub use known::{Known, known, outline};
pub use locate::{Missing, Origin, Request, cached, create, locate, own_arch, room_needed};
pub use release::Fetching;
pub use source::Parts;
pub use update::{Updated, update};

/// Names in a bundle's folder.
const MANIFEST: &str = "manifest.json";
const FILES: &str = "files";
const ARCHIVE: &str = "images.tar";

/// The largest manifest that is read; one has 20 kB.
const MOST_BYTES: usize = 4 << 20;

/// The reference of hostler's own image. It is in no registry.
pub const HOSTLER_IMAGE: &str = concat!("hostler.local/hostler:", env!("CARGO_PKG_VERSION"));
