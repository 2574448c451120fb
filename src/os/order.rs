//! What all orders of this computer have: an id that no other has, and the image in the cache.

use anyhow::{Context, Result};
use hostler_core::digest::hex;
use hostler_core::install::order::Image;
use ring::rand::{SecureRandom, SystemRandom};

use super::image::{self, SYSTEM};

/// A new [id](hostler_core::install::order::Order::id) of an order for this image.
///
/// # Errors
/// The kernel has no random numbers.
pub fn new_id(image: &Image) -> Result<String> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).ok().context("the kernel provided no random numbers")?;
    let (begins, random) = (image.id_begins(), hex(&bytes));
    Ok(format!("{begins}{}", &random[begins.len()..]))
}

impl From<&image::Image> for Image {
    fn from(image: &image::Image) -> Image {
        Image { file: SYSTEM.to_owned(), size: image.known.size, sha256: image.known.sha256.clone() }
    }
}
