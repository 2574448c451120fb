//! Files encrypted in the age format (C2SP's `age-encryption.org/v1`), with a passphrase or to public keys (recipients `scrypt` and `X25519`):
//! `age --decrypt` opens them without hostler.
//!
//! This is own code because the crate `age` (0.12) calls itself a beta and adds 44 packages, among them translations. It implements only the
//! framing, on the primitives of ring, scrypt and curve25519-dalek; its tests open files that `age` wrote.

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD as BASE64;
use curve25519_dalek::MontgomeryPoint;
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
/// Letters of a full line of a stanza's body; a shorter line ends it.
const LINE: usize = 64;
/// Stanzas that are read of a header, at most: each costs a multiplication.
const MOST_STANZAS: usize = 1000;

/// A public or secret key of X25519.
pub type Key = [u8; 32];

/// Who is to open a file.
#[derive(Clone, Copy)]
pub enum Lock<'a> {
    /// Who knows the passphrase; the work factor is [`WORK`].
    Passphrase(&'a str, u8),
    /// Who has the secret key of one of these public keys.
    Recipients(&'a [Key]),
}

/// What opens a file.
#[derive(Clone, Copy)]
pub enum Opener<'a> {
    Passphrase(&'a str),
    /// Secret keys.
    Identities(&'a [Key]),
}

/// What a file needs to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    Passphrase,
    Identity,
}

/// What a file with this beginning needs to be opened; `None`: it is not encrypted.
pub fn needs(beginning: &[u8]) -> Option<Needs> {
    let rest = beginning.strip_prefix(VERSION.as_bytes())?;
    Some(if rest.starts_with(b"-> scrypt ") { Needs::Passphrase } else { Needs::Identity })
}

/// Encrypts `content`.
///
/// # Errors
/// No random numbers or not enough memory; a public key that is not one.
pub fn encrypt(lock: Lock<'_>, content: &[u8]) -> Result<Vec<u8>> {
    let (file_key, nonce) = (random::<FILE_KEY>()?, random::<16>()?);
    let stanzas = match lock {
        Lock::Passphrase(passphrase, work) => {
            let salt = random::<16>()?;
            let wrapped = wrap(&wrapping_key(passphrase, &salt, work)?, &file_key)?;
            format!("-> scrypt {} {work}\n{}\n", BASE64.encode(salt), BASE64.encode(wrapped))
        }
        Lock::Recipients(recipients) => {
            ensure!(!recipients.is_empty(), "there is no public key to encrypt to");
            recipients.iter().map(|recipient| for_recipient(recipient, &file_key)).collect::<Result<_>>()?
        }
    };
    let header = format!("{VERSION}{stanzas}---");
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

/// Decrypts a file of [`encrypt`] or `age`.
///
/// # Errors
/// A wrong passphrase or key, or a file that is truncated, corrupted or encrypted differently.
pub fn decrypt(opener: Opener<'_>, file: &[u8]) -> Result<Vec<u8>> {
    let (header, rest) = Header::read(file).context("the file is not an age file")?;
    let file_key = header.file_key(opener)?;
    hmac::verify(&header_key(&file_key)?, header.signed, &header.mac).ok().context("its header is corrupted")?;
    let (nonce, rest) = rest.split_first_chunk::<16>().context("it is truncated")?;
    let key = payload_key(&file_key, nonce)?;
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
    stanzas: Vec<Stanza<'a>>,
    /// The bytes that `mac` authenticates.
    signed: &'a [u8],
    mac: Vec<u8>,
}

/// The file key, encrypted for one who may open the file.
struct Stanza<'a> {
    words: Vec<&'a str>,
    body: Vec<u8>,
}

impl Header<'_> {
    /// The header and the rest; `None` if there is none.
    fn read(file: &[u8]) -> Option<(Header<'_>, &[u8])> {
        let mut rest = file.strip_prefix(VERSION.as_bytes())?;
        let mut stanzas = Vec::new();
        loop {
            let signed = &file[..file.len() - rest.len() + "---".len().min(rest.len())];
            let (first, below) = line(rest)?;
            rest = below;
            if let Some(mac) = first.strip_prefix("--- ") {
                return Some((Header { stanzas, signed, mac: BASE64.decode(mac).ok()? }, rest));
            }
            let words = first.strip_prefix("-> ")?.split(' ').collect();
            let mut letters = String::new();
            loop {
                let (part, below) = line(rest)?;
                rest = below;
                letters.push_str(part);
                if part.len() < LINE {
                    break;
                }
            }
            stanzas.push(Stanza { words, body: BASE64.decode(letters).ok()? });
            if stanzas.len() > MOST_STANZAS {
                return None;
            }
        }
    }

    fn file_key(&self, opener: Opener<'_>) -> Result<[u8; FILE_KEY]> {
        match opener {
            Opener::Passphrase(passphrase) => {
                // age allows no other stanza beside one for a passphrase.
                let [Stanza { words, body }] = self.stanzas.as_slice() else { bail!("it is not encrypted with a passphrase") };
                let ["scrypt", salt, work] = words.as_slice() else { bail!("it is not encrypted with a passphrase") };
                let (salt, work) = (BASE64.decode(salt)?, work.parse()?);
                ensure!(salt.len() == 16, "its header is corrupted");
                ensure!(work <= MOST_WORK, "its scrypt work factor is too high: 2^{work}");
                unwrap(&wrapping_key(passphrase, &salt, work)?, body).context("wrong passphrase")
            }
            Opener::Identities(identities) => {
                let shares = self.stanzas.iter().filter_map(|stanza| match stanza.words.as_slice() {
                    ["X25519", share] => Some((<Key>::try_from(BASE64.decode(share).ok()?).ok()?, &stanza.body)),
                    _ => None,
                });
                for (share, body) in shares {
                    for identity in identities {
                        let own = MontgomeryPoint::mul_base_clamped(*identity).to_bytes();
                        let found = agreed(*identity, &share, &share, &own).ok().and_then(|key| unwrap(&key, body));
                        if let Some(file_key) = found {
                            return Ok(file_key);
                        }
                    }
                }
                bail!("it is not encrypted to any of the keys in the identity file")
            }
        }
    }
}

/// A stanza for one public key, by a key pair that is used once.
fn for_recipient(recipient: &Key, file_key: &[u8; FILE_KEY]) -> Result<String> {
    let once = random::<32>()?;
    let share = MontgomeryPoint::mul_base_clamped(once).to_bytes();
    let wrapped = wrap(&agreed(once, recipient, &share, recipient)?, file_key)?;
    Ok(format!("-> X25519 {}\n{}\n", BASE64.encode(share), BASE64.encode(wrapped)))
}

/// The key that both sides agree on: `own` is secret, `other` is the other side's; `share` and `recipient` are the public ones.
fn agreed(own: Key, other: &Key, share: &Key, recipient: &Key) -> Result<LessSafeKey> {
    let secret = MontgomeryPoint(*other).mul_clamped(own).to_bytes();
    // Of a point of low order: everyone would know the key.
    ensure!(secret != [0; 32], "a public key is not valid");
    chacha(&derived(&secret, &[share.as_slice(), recipient].concat(), b"age-encryption.org/v1/X25519")?)
}

fn wrap(key: &LessSafeKey, file_key: &[u8; FILE_KEY]) -> Result<Vec<u8>> {
    let mut wrapped = file_key.to_vec();
    key.seal_in_place_append_tag(first_nonce(), Aad::empty(), &mut wrapped).ok().context("the file's key can't be encrypted")?;
    Ok(wrapped)
}

fn unwrap(key: &LessSafeKey, wrapped: &[u8]) -> Option<[u8; FILE_KEY]> {
    // Of another length it could be made to fit several keys.
    let mut wrapped = <[u8; FILE_KEY + TAG]>::try_from(wrapped).ok()?;
    let opened = key.open_in_place(first_nonce(), Aad::empty(), &mut wrapped).ok()?;
    (&*opened).try_into().ok()
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).ok().context("the kernel provided no random numbers")?;
    Ok(bytes)
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
    use hostler_core::bech32;

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
            assert_eq!(needs(file), Some(Needs::Passphrase));
            assert!(decrypt(Opener::Passphrase("correct horse battery staple"), file).unwrap() == content, "{} bytes", content.len());
            assert_eq!(decrypt(Opener::Passphrase("correct horse"), file).unwrap_err().to_string(), "wrong passphrase");
        }
    }

    #[test]
    fn encrypted_content_can_be_decrypted() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK] {
            let content: Vec<u8> = (0..length).map(|number| number as u8).collect();
            let file = encrypt(Lock::Passphrase("a pass phrase", LITTLE), &content).unwrap();
            assert!(decrypt(Opener::Passphrase("a pass phrase"), &file).unwrap() == content, "{length} bytes");
            assert!(length < 100 || !file.windows(content.len()).any(|part| part == content), "the content is readable");
        }
        // Two files with the same content have only the version in common, and by chance a character or two of their salts.
        let (one, other) =
            (encrypt(Lock::Passphrase("a", LITTLE), b"content").unwrap(), encrypt(Lock::Passphrase("a", LITTLE), b"content").unwrap());
        let common = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
        assert!(common < VERSION.len() + "-> scrypt ".len() + 6, "{common} bytes are the same");
    }

    #[test]
    fn truncated_or_changed_files_are_rejected() {
        let file = encrypt(Lock::Passphrase("a", LITTLE), &vec![7; 2 * CHUNK + 10]).unwrap();
        let end_of_first = file.len() - (2 * CHUNK + 10 + 3 * TAG) + CHUNK + TAG;
        for length in [0, 1, VERSION.len(), 60, 120, 180, end_of_first, end_of_first + CHUNK + TAG, file.len() - 1] {
            decrypt(Opener::Passphrase("a"), &file[..length]).expect_err(&format!("truncated to {length} bytes"));
        }
        for place in [3, VERSION.len() + 12, 70, 140, 170, 200, 70_000, file.len() - 1] {
            let mut changed = file.clone();
            changed[place] ^= 1;
            decrypt(Opener::Passphrase("a"), &changed).expect_err(&format!("byte {place} changed"));
        }
    }

    #[test]
    fn an_excessive_work_factor_is_rejected() {
        let file = encrypt(Lock::Passphrase("a", LITTLE), b"content").unwrap();
        let text = String::from_utf8_lossy(&file[..80]).replacen(" 4\n", " 63\n", 1);
        let changed = [text.as_bytes(), &file[80..]].concat();
        assert!(decrypt(Opener::Passphrase("a"), &changed).unwrap_err().to_string().contains("2^63"));
    }

    fn identity(text: &str) -> Key {
        let line = text.lines().find(|line| !line.starts_with('#')).expect("a key");
        bech32::key(bech32::IDENTITY, line).expect("it is valid")
    }

    #[test]
    fn files_that_age_encrypted_to_public_keys_are_opened_with_the_secret_key_of_one() {
        let own = identity(include_str!("age/identity.txt"));
        let made: [(&[u8], Vec<u8>); 2] = [
            (include_bytes!("age/recipient.age"), b"etcd and its keys\n".to_vec()),
            (include_bytes!("age/two-recipients.age"), vec![7; CHUNK + 10]),
        ];
        for (file, content) in made {
            assert_eq!(needs(file), Some(Needs::Identity));
            assert!(decrypt(Opener::Identities(&[[3; 32], own]), file).unwrap() == content, "{} bytes", content.len());
            for other in [&[][..], &[[3; 32]]] {
                let error = decrypt(Opener::Identities(other), file).unwrap_err().to_string();
                assert_eq!(error, "it is not encrypted to any of the keys in the identity file");
            }
            let error = decrypt(Opener::Passphrase("a"), file).unwrap_err().to_string();
            assert_eq!(error, "it is not encrypted with a passphrase");
        }
        let error = decrypt(Opener::Identities(&[own]), include_bytes!("age/short.age")).unwrap_err().to_string();
        assert_eq!(error, "it is not encrypted to any of the keys in the identity file");
    }

    #[test]
    fn each_recipient_opens_a_file_and_a_changed_one_is_rejected() {
        let secrets = [[1; 32], [2; 32]];
        let public = secrets.map(|secret| MontgomeryPoint::mul_base_clamped(secret).to_bytes());
        let content = vec![9; CHUNK + 1];
        let file = encrypt(Lock::Recipients(&public), &content).unwrap();
        for secret in secrets {
            assert!(decrypt(Opener::Identities(&[secret]), &file).unwrap() == content);
        }
        for place in (0..300).chain([file.len() - 1]) {
            let mut changed = file.clone();
            changed[place] ^= 1;
            decrypt(Opener::Identities(&secrets), &changed).expect_err(&format!("byte {place} changed"));
            decrypt(Opener::Identities(&secrets), &file[..place]).expect_err(&format!("truncated to {place} bytes"));
        }
        encrypt(Lock::Recipients(&[]), b"").expect_err("there is no recipient");
        encrypt(Lock::Recipients(&[[0; 32]]), b"").expect_err("it is a point of low order");
    }

    #[test]
    fn age_opens_what_is_encrypted_to_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let (file, key) = (folder.path().join("a.age"), folder.path().join("key"));
        let public = bech32::key(bech32::RECIPIENT, "age129r7uy7yv2r38gzcjdtdlgn2hk33uw78897yvyd52cds4md7hu2qpln020").unwrap();
        std::fs::write(&file, encrypt(Lock::Recipients(&[public]), &vec![5; 2 * CHUNK]).unwrap()).unwrap();
        std::fs::write(&key, include_str!("age/identity.txt")).unwrap();
        let opened = std::process::Command::new("age").arg("--decrypt").arg("-i").arg(&key).arg(&file).output().expect("age is installed");
        assert!(opened.status.success() && opened.stdout == vec![5; 2 * CHUNK], "{}", String::from_utf8_lossy(&opened.stderr));
    }
}
