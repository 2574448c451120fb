//! Ciphers, fastest first. OpenSSH offers all of them by default.

use russh::cipher::{AES_128_CTR, AES_128_GCM, AES_192_CTR, AES_256_CTR, AES_256_GCM, CHACHA20_POLY1305, Name};

/// AES-GCM first if this computer's processor has AES instructions: sending is then a third faster than with ChaCha20 (measured in
/// `benches/upload.rs`). Without them ChaCha20 is faster.
pub fn order() -> Vec<Name> {
    let (fast, slow) = ([AES_128_GCM, AES_256_GCM], [CHACHA20_POLY1305]);
    let last = [AES_128_CTR, AES_192_CTR, AES_256_CTR];
    if does_aes() { [&fast[..], &slow, &last].concat() } else { [&slow[..], &fast, &last].concat() }
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn does_aes() -> bool {
    is_x86_feature_detected!("aes") && is_x86_feature_detected!("pclmulqdq")
}

#[cfg(target_arch = "aarch64")]
fn does_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
fn does_aes() -> bool {
    false
}
