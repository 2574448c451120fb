//! What steps hand on to steps on other machines, and the only forms that it may have: a control plane's word goes to other machines as one of
//! these, or not at all.

use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::facts::ca_public_key_sha256;
use crate::protocol::archive;
use crate::step::Output;

/// Bytes: kubeadm's CA has about 1,100; a few may be in one file while the CA is changed.
const MOST_CA: usize = 64 << 10;
/// Bytes of an archive with eight certificates and keys.
const MOST_PKI: usize = 1 << 20;
/// The block of tar (POSIX.1-1988, ustar).
const BLOCK: usize = 512;

/// Checks that `value` is what `output` says that it is.
///
/// # Errors
/// What it should be; never what it is, as that may be secret.
pub fn check(output: Output, value: &str) -> Result<(), &'static str> {
    let (fits, what) = match output {
        Output::Token => (is_token(value), "a bootstrap token"),
        Output::Ca => (decoded(value, MOST_CA).is_some_and(|pem| is_certificate(&pem)), "a certificate"),
        Output::Pki => (decoded(value, MOST_PKI).is_some_and(|tar| is_pki(&tar)), "an archive of the cluster's certificate authorities"),
    };
    if fits { Ok(()) } else { Err(what) }
}

fn decoded(value: &str, most: usize) -> Option<Vec<u8>> {
    if value.len() > most.div_ceil(3) * 4 {
        return None;
    }
    BASE64_STANDARD.decode(value).ok()
}

/// `abcdef.0123456789abcdef`, as Kubernetes defines it.
fn is_token(value: &str) -> bool {
    let of =
        |part: &str, length: usize| part.len() == length && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    value.split_once('.').is_some_and(|(id, secret)| of(id, 6) && of(secret, 16))
}

/// PEM with certificates alone, of which the first can be read.
fn is_certificate(pem: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(pem) else { return false };
    let labels = |word: &str| text.lines().filter(|line| line.starts_with(word)).count();
    let (begins, ends) = (labels("-----BEGIN CERTIFICATE-----"), labels("-----END CERTIFICATE-----"));
    let all = text.lines().filter(|line| line.starts_with("-----")).count();
    begins > 0 && begins == ends && all == begins + ends && ca_public_key_sha256(pem).is_some()
}

/// A tar with exactly the files of [`archive::PKI`], each a regular file and no larger than its archive.
fn is_pki(tar: &[u8]) -> bool {
    let mut found = BTreeSet::new();
    let mut rest = tar;
    while let Some((header, after)) = rest.split_first_chunk::<BLOCK>() {
        if header.iter().all(|byte| *byte == 0) {
            // What follows the end is only zeros.
            if after.iter().any(|byte| *byte != 0) {
                return false;
            }
            break;
        }
        let Some((name, size)) = regular_file(header) else { return false };
        if !found.insert(name) || size > after.len() {
            return false;
        }
        rest = after.get(size.next_multiple_of(BLOCK)..).unwrap_or_default();
    }
    found == archive::PKI.into_iter().collect()
}

/// Name, among those that there may be, and size of the file that a header is of. `None`: it is of something else, e.g. a link.
fn regular_file(header: &[u8; BLOCK]) -> Option<(&'static str, usize)> {
    let text = |from: usize, to: usize| {
        let field = &header[from..to];
        str::from_utf8(field.split(|byte| *byte == 0).next()?).ok()
    };
    let name = text(0, 100)?;
    let known = archive::PKI.into_iter().find(|known| *known == name)?;
    let plain = matches!(header[156], b'0' | 0) && text(345, 500)?.is_empty();
    let size = usize::from_str_radix(text(124, 136)?.trim(), 8).ok()?;
    plain.then_some((known, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CA: &str = include_str!("../../../../src/cli/render/ca.pem");

    fn header(name: &str, kind: u8, size: usize) -> Vec<u8> {
        let mut header = vec![0; BLOCK];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
        header[156] = kind;
        header
    }

    fn archive_of(files: &[(&str, u8)]) -> String {
        let mut tar = Vec::new();
        for (name, kind) in files {
            tar.extend(header(name, *kind, 3));
            tar.extend([b"key".as_slice(), &[0; BLOCK - 3]].concat());
        }
        tar.extend([0; 2 * BLOCK]);
        BASE64_STANDARD.encode(tar)
    }

    #[test]
    fn an_output_has_its_own_form_or_is_refused() {
        let whole: Vec<(&str, u8)> = archive::PKI.into_iter().map(|name| (name, b'0')).collect();
        assert_eq!(check(Output::Token, "abcdef.0123456789abcdef"), Ok(()));
        assert_eq!(check(Output::Ca, &BASE64_STANDARD.encode(CA)), Ok(()));
        assert_eq!(check(Output::Ca, &BASE64_STANDARD.encode(CA.repeat(2))), Ok(()));
        assert_eq!(check(Output::Pki, &archive_of(&whole)), Ok(()));
        for token in
            ["", "abcdef", "abcdef.0123456789ABCDEF", "abcdef.0123456789abcde", "a\"; rm.0123456789abcdef", "abcdef.0123456789abcdef\n"]
        {
            assert_eq!(check(Output::Token, token), Err("a bootstrap token"), "{token:?}");
        }
        let more = [CA, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"].concat();
        for ca in ["", "certificate", &CA[..200], &more] {
            assert_eq!(check(Output::Ca, &BASE64_STANDARD.encode(ca)), Err("a certificate"), "{ca:?}");
        }
        assert_eq!(check(Output::Ca, &"A".repeat(MOST_CA * 2)), Err("a certificate"));
        let with = |name: &'static str, kind: u8| [whole.as_slice(), &[(name, kind)]].concat();
        let link = [&[("ca.crt", b'2')], &whole[1..]].concat();
        for files in
            [Vec::new(), whole[1..].to_vec(), with("../../etc/cron.d/x", b'0'), with("/etc/passwd", b'0'), with("ca.crt", b'0'), link]
        {
            assert!(check(Output::Pki, &archive_of(&files)).is_err(), "{files:?}");
        }
        let hidden = BASE64_STANDARD.decode(archive_of(&whole)).expect("it was encoded");
        let hidden = [hidden, header("../x", b'0', 0)].concat();
        assert!(check(Output::Pki, &BASE64_STANDARD.encode(hidden)).is_err(), "a file after the end");
    }
}
