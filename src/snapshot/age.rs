//! Files encrypted with a passphrase in the age format (C2SP's `age-encryption.org/v1`, scrypt recipient): `age --decrypt` opens them without
//! hostler.
//!
//! This is own code because the crate `age` (0.12) calls itself a beta and adds 44 packages, among them translations. It implements only the
//! framing, on ring's and scrypt's primitives; its tests open files that `age` wrote.

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD as BASE64;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

/// The first line of every such file.
const VERSION: &str = "age-encryption.org/v1\n";
/// Work factor against guessing the passphrase: 2^18 rounds of scrypt take a second and 256 MiB, as in age.
pub const WORK: u8 = 18;
/// A higher work factor is an attack on the reader's memory: 4 GiB.
const MOST_WORK: u8 = 22;
/// Each chunk of the content is encrypted separately.
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
const FILE_KEY: usize = 16;

/// Whether a file with this beginning is encrypted.
pub fn is_encrypted(beginning: &[u8]) -> bool {
    beginning.starts_with(VERSION.as_bytes())
}

/// Encrypts `content` with `passphrase`; `work` is [`WORK`].
///
/// # Errors
/// No random numbers or not enough memory.
pub fn encrypt(passphrase: &str, work: u8, content: &[u8]) -> Result<Vec<u8>> {
    let (mut salt, mut file_key, mut nonce) = ([0; 16], [0; FILE_KEY], [0; 16]);
    let random = SystemRandom::new();
    for bytes in [&mut salt, &mut file_key, &mut nonce] {
        random.fill(bytes).ok().context("the kernel provided no random numbers")?;
    }
    let mut wrapped = file_key.to_vec();
    let wrap = wrapping_key(passphrase, &salt, work)?;
    wrap.seal_in_place_append_tag(first_nonce(), Aad::empty(), &mut wrapped).ok().context("the file's key can't be encrypted")?;
    let header = format!("{VERSION}-> scrypt {} {work}\n{}\n---", BASE64.encode(salt), BASE64.encode(wrapped));
    let mac = hmac::sign(&header_key(&file_key)?, header.as_bytes());
    let mut file = format!("{header} {}\n", BASE64.encode(mac)).into_bytes();
    file.extend(nonce);
    let key = payload_key(&file_key, &nonce)?;
    let mut chunks = content.chunks(CHUNK).peekable();
    let mut number = 0;
    loop {
        let mut chunk = chunks.next().unwrap_or_default().to_vec();
        let last = chunks.peek().is_none();
        key.seal_in_place_append_tag(chunk_nonce(number, last), Aad::empty(), &mut chunk).ok().context("the content can't be encrypted")?;
        file.extend(chunk);
        if last {
            return Ok(file);
        }
        number += 1;
    }
}

/// Decrypts a file of [`encrypt`] or `age --passphrase`.
///
/// # Errors
/// A wrong passphrase, or a file that is truncated, corrupted or encrypted differently.
pub fn decrypt(passphrase: &str, file: &[u8]) -> Result<Vec<u8>> {
    let (header, rest) = Header::read(file).context("the file is not an age file that is encrypted with a passphrase")?;
    if header.work > MOST_WORK {
        bail!("its scrypt work factor is too high: 2^{}", header.work);
    }
    let mut wrapped = header.wrapped;
    let wrap = wrapping_key(passphrase, &header.salt, header.work)?;
    let file_key = wrap.open_in_place(first_nonce(), Aad::empty(), &mut wrapped).ok().context("wrong passphrase")?;
    hmac::verify(&header_key(file_key)?, header.signed, &header.mac).ok().context("its header is corrupted")?;
    let (nonce, rest) = rest.split_first_chunk::<16>().context("it is truncated")?;
    let key = payload_key(file_key, nonce)?;
    let mut content = Vec::with_capacity(rest.len());
    let mut chunks = rest.chunks(CHUNK + TAG).peekable();
    let mut number = 0;
    while let Some(chunk) = chunks.next() {
        let mut chunk = chunk.to_vec();
        // The last chunk must be marked as such: this reveals a file that was truncated between two chunks.
        let nonce = chunk_nonce(number, chunks.peek().is_none());
        let plain = key.open_in_place(nonce, Aad::empty(), &mut chunk).ok().context("it is truncated or corrupted")?;
        content.extend_from_slice(plain);
        number += 1;
    }
    if number == 0 {
        bail!("it is truncated");
    }
    Ok(content)
}

struct Header<'a> {
    salt: [u8; 16],
    work: u8,
    /// The file key, encrypted with the passphrase.
    wrapped: Vec<u8>,
    /// The bytes that `mac` authenticates.
    signed: &'a [u8],
    mac: Vec<u8>,
}

impl Header<'_> {
    /// The header and the rest; `None` if there is none, or if it is not for a passphrase.
    fn read(file: &[u8]) -> Option<(Header<'_>, &[u8])> {
        let rest = file.strip_prefix(VERSION.as_bytes())?;
        let (stanza, rest) = line(rest)?;
        let (salt, work) = stanza.strip_prefix("-> scrypt ")?.split_once(' ')?;
        let (wrapped, rest) = line(rest)?;
        let signed = &file[..file.len() - rest.len() + "---".len().min(rest.len())];
        let (mac, rest) = line(rest)?;
        let wrapped = BASE64.decode(wrapped).ok().filter(|wrapped| wrapped.len() == FILE_KEY + TAG)?;
        let header = Header {
            salt: BASE64.decode(salt).ok()?.try_into().ok()?,
            work: work.parse().ok()?,
            wrapped,
            signed,
            mac: BASE64.decode(mac.strip_prefix("--- ")?).ok()?,
        };
        Some((header, rest))
    }
}

/// The first line, and all after it.
fn line(text: &[u8]) -> Option<(&str, &[u8])> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    Some((std::str::from_utf8(&text[..end]).ok()?, &text[end + 1..]))
}

fn wrapping_key(passphrase: &str, salt: &[u8], work: u8) -> Result<LessSafeKey> {
    let salt = [b"age-encryption.org/v1/scrypt", salt].concat();
    let mut key = [0; 32];
    scrypt::scrypt(passphrase.as_bytes(), &salt, &scrypt::Params::new(work, 8, 1)?, &mut key)?;
    chacha(&key)
}

fn header_key(file_key: &[u8]) -> Result<hmac::Key> {
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &derived(file_key, &[], b"header")?))
}

fn payload_key(file_key: &[u8], nonce: &[u8]) -> Result<LessSafeKey> {
    chacha(&derived(file_key, nonce, b"payload")?)
}

fn derived(file_key: &[u8], salt: &[u8], what_for: &[u8]) -> Result<[u8; 32]> {
    let mut key = [0; 32];
    let extracted = Salt::new(HKDF_SHA256, salt).extract(file_key);
    extracted.expand(&[what_for], HKDF_SHA256).and_then(|expanded| expanded.fill(&mut key)).ok().context("a key can't be derived")?;
    Ok(key)
}

fn chacha(key: &[u8; 32]) -> Result<LessSafeKey> {
    Ok(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).ok().context("the key has the wrong length")?))
}

/// For a key that is used once.
fn first_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

/// The number of the chunk, and whether it is the last one.
fn chunk_nonce(number: u64, last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(last);
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small: a test's passphrase need not resist guessing.
    const LITTLE: u8 = 4;

    #[test]
    fn files_made_by_age_can_be_decrypted() {
        let made: [(&[u8], Vec<u8>); 3] = [
            (include_bytes!("age/short.age"), b"etcd and its keys\n".to_vec()),
            (include_bytes!("age/long.age"), vec![7; CHUNK + 10]),
            (include_bytes!("age/empty.age"), vec![]),
        ];
        for (file, content) in made {
            assert!(is_encrypted(file));
            assert!(decrypt("correct horse battery staple", file).unwrap() == content, "{} bytes", content.len());
            assert_eq!(decrypt("correct horse", file).unwrap_err().to_string(), "wrong passphrase");
        }
    }

    #[test]
    fn encrypted_content_can_be_decrypted() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK] {
            let content: Vec<u8> = (0..length).map(|number| number as u8).collect();
            let file = encrypt("a pass phrase", LITTLE, &content).unwrap();
            assert!(decrypt("a pass phrase", &file).unwrap() == content, "{length} bytes");
            assert!(length < 100 || !file.windows(content.len()).any(|part| part == content), "the content is readable");
        }
        // Two files with the same content have only the version in common.
        let (one, other) = (encrypt("a", LITTLE, b"content").unwrap(), encrypt("a", LITTLE, b"content").unwrap());
        assert_eq!(one.iter().zip(&other).take_while(|(one, other)| one == other).count(), VERSION.len() + "-> scrypt ".len());
    }

    #[test]
    fn truncated_or_changed_files_are_rejected() {
        let file = encrypt("a", LITTLE, &vec![7; 2 * CHUNK + 10]).unwrap();
        let end_of_first = file.len() - (2 * CHUNK + 10 + 3 * TAG) + CHUNK + TAG;
        for length in [0, 1, VERSION.len(), 60, 120, 180, end_of_first, end_of_first + CHUNK + TAG, file.len() - 1] {
            decrypt("a", &file[..length]).expect_err(&format!("truncated to {length} bytes"));
        }
        for place in [3, VERSION.len() + 12, 70, 140, 170, 200, 70_000, file.len() - 1] {
            let mut changed = file.clone();
            changed[place] ^= 1;
            decrypt("a", &changed).expect_err(&format!("byte {place} changed"));
        }
    }

    #[test]
    fn an_excessive_work_factor_is_rejected() {
        let file = encrypt("a", LITTLE, b"content").unwrap();
        let text = String::from_utf8_lossy(&file[..80]).replacen(" 4\n", " 63\n", 1);
        let changed = [text.as_bytes(), &file[80..]].concat();
        assert!(decrypt("a", &changed).unwrap_err().to_string().contains("2^63"));
    }
}
