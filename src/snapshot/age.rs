//! Files that only a passphrase opens, in age's own format (C2SP's `age-encryption.org/v1`, its scrypt recipient): whoever has the passphrase
//! and no hostler opens them with `age --decrypt`.
//!
//! Own code, as the crate `age` (0.12) calls itself a beta and brings 44 packages, translations among them; this is the framing alone, on
//! ring's and scrypt's primitives, and its tests open files that `age` wrote.

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD as BASE64;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

/// The first line of every such file.
const VERSION: &str = "age-encryption.org/v1\n";
/// How hard a passphrase is to guess: 2^18 rounds of scrypt take a second and 256 MiB, as age itself has it.
pub const WORK: u8 = 18;
/// Whoever wrote more into a file wants its reader's memory: 4 GiB.
const MOST_WORK: u8 = 22;
/// Each piece of the content is encrypted by itself.
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
const FILE_KEY: usize = 16;

/// Whether a file that begins so is encrypted.
pub fn is_encrypted(beginning: &[u8]) -> bool {
    beginning.starts_with(VERSION.as_bytes())
}

/// `content`, to be opened by `passphrase`; `work` is [`WORK`].
///
/// # Errors
/// This computer has no chance, or no memory, to offer.
pub fn encrypt(passphrase: &str, work: u8, content: &[u8]) -> Result<Vec<u8>> {
    let (mut salt, mut file_key, mut nonce) = ([0; 16], [0; FILE_KEY], [0; 16]);
    let random = SystemRandom::new();
    for bytes in [&mut salt, &mut file_key, &mut nonce] {
        random.fill(bytes).ok().context("this computer gives no random numbers")?;
    }
    let mut wrapped = file_key.to_vec();
    let wrap = wrapping_key(passphrase, &salt, work)?;
    wrap.seal_in_place_append_tag(first_nonce(), Aad::empty(), &mut wrapped).ok().context("the file's key can't be wrapped")?;
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
        key.seal_in_place_append_tag(chunk_nonce(number, last), Aad::empty(), &mut chunk).ok().context("it can't be encrypted")?;
        file.extend(chunk);
        if last {
            return Ok(file);
        }
        number += 1;
    }
}

/// What [`encrypt`], or `age --passphrase`, was given.
///
/// # Errors
/// Another passphrase, or a file that is cut, changed, or encrypted for somebody else.
pub fn decrypt(passphrase: &str, file: &[u8]) -> Result<Vec<u8>> {
    let (header, rest) = Header::read(file).context("it is not encrypted by a passphrase as age does it")?;
    if header.work > MOST_WORK {
        bail!("it asks for 2^{} rounds of scrypt, which is more than anybody wants", header.work);
    }
    let mut wrapped = header.wrapped;
    let wrap = wrapping_key(passphrase, &header.salt, header.work)?;
    let file_key = wrap.open_in_place(first_nonce(), Aad::empty(), &mut wrapped).ok().context("this is not its passphrase")?;
    hmac::verify(&header_key(file_key)?, header.signed, &header.mac).ok().context("its first lines were changed")?;
    let (nonce, rest) = rest.split_first_chunk::<16>().context("it is cut")?;
    let key = payload_key(file_key, nonce)?;
    let mut content = Vec::with_capacity(rest.len());
    let mut chunks = rest.chunks(CHUNK + TAG).peekable();
    let mut number = 0;
    while let Some(chunk) = chunks.next() {
        let mut chunk = chunk.to_vec();
        // Where the file ends a piece must say that it is the last one: a file that was cut between two is none.
        let nonce = chunk_nonce(number, chunks.peek().is_none());
        let plain = key.open_in_place(nonce, Aad::empty(), &mut chunk).ok().context("it is cut, or was changed")?;
        content.extend_from_slice(plain);
        number += 1;
    }
    if number == 0 {
        bail!("it is cut");
    }
    Ok(content)
}

struct Header<'a> {
    salt: [u8; 16],
    work: u8,
    /// The file's key, encrypted by the passphrase.
    wrapped: Vec<u8>,
    /// What `mac` is of.
    signed: &'a [u8],
    mac: Vec<u8>,
}

impl Header<'_> {
    /// The header, and what follows it; `None` if there is none, or one for others than a passphrase.
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
    extracted.expand(&[what_for], HKDF_SHA256).and_then(|expanded| expanded.fill(&mut key)).ok().context("no key can be derived")?;
    Ok(key)
}

fn chacha(key: &[u8; 32]) -> Result<LessSafeKey> {
    Ok(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).ok().context("the key does not fit")?))
}

/// For a key that encrypts once.
fn first_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

/// The piece's number, and whether it is the last one.
fn chunk_nonce(number: u64, last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(last);
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Little: a test's passphrase need not resist anybody.
    const LITTLE: u8 = 4;

    #[test]
    fn what_age_made_is_opened() {
        let made: [(&[u8], Vec<u8>); 3] = [
            (include_bytes!("age/short.age"), b"etcd and its keys\n".to_vec()),
            (include_bytes!("age/long.age"), vec![7; CHUNK + 10]),
            (include_bytes!("age/empty.age"), vec![]),
        ];
        for (file, content) in made {
            assert!(is_encrypted(file));
            assert!(decrypt("correct horse battery staple", file).unwrap() == content, "{} bytes", content.len());
            assert_eq!(decrypt("correct horse", file).unwrap_err().to_string(), "this is not its passphrase");
        }
    }

    #[test]
    fn what_is_encrypted_is_opened_again() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK] {
            let content: Vec<u8> = (0..length).map(|number| number as u8).collect();
            let file = encrypt("a pass phrase", LITTLE, &content).unwrap();
            assert!(decrypt("a pass phrase", &file).unwrap() == content, "{length} bytes");
            assert!(length < 100 || !file.windows(content.len()).any(|part| part == content), "it is there to be read");
        }
        // Two of the same content have nothing in common but the version.
        let (one, other) = (encrypt("a", LITTLE, b"content").unwrap(), encrypt("a", LITTLE, b"content").unwrap());
        assert_eq!(one.iter().zip(&other).take_while(|(one, other)| one == other).count(), VERSION.len() + "-> scrypt ".len());
    }

    #[test]
    fn what_is_cut_or_changed_is_none() {
        let file = encrypt("a", LITTLE, &vec![7; 2 * CHUNK + 10]).unwrap();
        let end_of_first = file.len() - (2 * CHUNK + 10 + 3 * TAG) + CHUNK + TAG;
        for length in [0, 1, VERSION.len(), 60, 120, 180, end_of_first, end_of_first + CHUNK + TAG, file.len() - 1] {
            decrypt("a", &file[..length]).expect_err(&format!("cut after {length} bytes"));
        }
        for place in [3, VERSION.len() + 12, 70, 140, 170, 200, 70_000, file.len() - 1] {
            let mut changed = file.clone();
            changed[place] ^= 1;
            decrypt("a", &changed).expect_err(&format!("byte {place} is another"));
        }
    }

    #[test]
    fn nobody_is_made_to_work_for_ever() {
        let file = encrypt("a", LITTLE, b"content").unwrap();
        let text = String::from_utf8_lossy(&file[..80]).replacen(" 4\n", " 63\n", 1);
        let changed = [text.as_bytes(), &file[80..]].concat();
        assert!(decrypt("a", &changed).unwrap_err().to_string().contains("2^63"));
    }
}
