//! `hostler os`: the image of a machine's system.

use anyhow::Result;
use clap::Subcommand;
use hostler_core::inventory::Release;
use hostler_core::quantity;

use super::help;
use crate::os::image;
use crate::report::Reporter;

/// Build the system that `provision` and `rebuild --os` install
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Build the image of a machine's system, if it does not exist yet
    ///
    /// The image has Debian with its own kernel, sshd and sudo, and every package that `hostler up` would install. Building it takes a few
    /// minutes, and downloads 250 MB from Debian's mirror. `hostler provision` does this by itself.
    #[command(after_long_help = help::end(&[
        ("Build the image in advance and keep it in the cache", "hostler os create"),
        ("Build it with the newest packages, in place of the one in the cache", "hostler os create --again"),
    ], help::CAREFUL))]
    Create {
        /// Build it even if it exists, for newer packages; machines keep their systems until `hostler rebuild --os`
        #[arg(long)]
        again: bool,
    },
}

/// # Errors
/// The image can't be built.
pub async fn run(verb: &Verb, reporter: &Reporter) -> Result<()> {
    match verb {
        Verb::Create { again } => {
            // This verb reads no inventory.
            let release = Release::default();
            let there = !again && image::at_hand(release)?.is_some();
            let events = reporter.events();
            let image = if *again { image::again(release, &events).await? } else { image::ready(release, &events).await? };
            image.warn_of_age(release, &events);
            let state = if there { "already exists" } else { "was built" };
            let size = quantity::size(image.known.size);
            reporter
                .result(&format!("the image of Debian {release} of {}, {size}, {state}: {}", image.date(), image.folder.display()))
                .await;
            Ok(())
        }
    }
}
