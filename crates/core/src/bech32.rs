//! Keys as age writes them: `age1...` and `AGE-SECRET-KEY-1...`, 32 bytes with a checksum that finds typing errors (Bech32, BIP 173).

const LETTERS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
/// Letters of the checksum.
const SUM: usize = 6;
const KEY: usize = 32;

/// Of a public key of age: X25519.
pub const RECIPIENT: &str = "age";
/// Of the secret key.
pub const IDENTITY: &str = "age-secret-key-";

/// The key in `text`; `None` if its prefix differs, or a letter is wrong, missing or too many. Upper case is the same, mixed case is not valid.
pub fn key(prefix: &str, text: &str) -> Option<[u8; KEY]> {
    let lower = text.to_ascii_lowercase();
    if lower != text && text.to_ascii_uppercase() != text {
        return None;
    }
    let letters = lower.strip_prefix(prefix)?.strip_prefix('1')?;
    let fives: Vec<u8> = letters.bytes().map(digit).collect::<Option<_>>()?;
    let expanded = prefix.bytes().map(|byte| byte >> 5).chain([0]).chain(prefix.bytes().map(|byte| byte & 31));
    if checksum(expanded.chain(fives.iter().copied())) != 1 {
        return None;
    }
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0u32, 0);
    for five in &fives[..fives.len().checked_sub(SUM)?] {
        held = held << 5 | u32::from(*five);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xff) as u8);
        }
    }
    // The bits that fill the last letter are zero.
    let padding = held & ((1 << bits) - 1);
    bytes.try_into().ok().filter(|_| bits < 5 && padding == 0)
}

fn digit(letter: u8) -> Option<u8> {
    u8::try_from(LETTERS.iter().position(|known| *known == letter)?).ok()
}

fn checksum(values: impl Iterator<Item = u8>) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    values.fold(1, |sum, value| {
        let top = sum >> 25;
        let sum = (sum & 0x1ff_ffff) << 5 ^ u32::from(value);
        GENERATOR.iter().enumerate().filter(|(bit, _)| top >> bit & 1 == 1).fold(sum, |sum, (_, generator)| sum ^ generator)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by age-keygen.
    const PUBLIC: &str = "age129r7uy7yv2r38gzcjdtdlgn2hk33uw78897yvyd52cds4md7hu2qpln020";

    #[test]
    fn a_key_of_age_has_32_bytes_and_a_typing_error_is_found() {
        assert!(key(RECIPIENT, PUBLIC).is_some());
        assert_eq!(key(RECIPIENT, &PUBLIC.to_ascii_uppercase()), key(RECIPIENT, PUBLIC));
        for at in 0..PUBLIC.len() {
            for letter in ['q', 'p', 'l'] {
                let wrong: String = PUBLIC.chars().enumerate().map(|(place, old)| if place == at { letter } else { old }).collect();
                assert!(wrong == PUBLIC || key(RECIPIENT, &wrong).is_none(), "{wrong}");
            }
            assert_eq!(key(RECIPIENT, &PUBLIC[..at]), None);
        }
        for other in ["", "age1", "age", "ssh-ed25519 AAAA", &format!("{PUBLIC}q"), &format!("A{}", &PUBLIC[1..]), &format!("{PUBLIC}é")] {
            assert_eq!(key(RECIPIENT, other), None, "{other}");
        }
        assert_eq!(key(IDENTITY, PUBLIC), None);
    }
}
