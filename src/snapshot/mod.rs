//! Snapshots of a control plane: archives that `templates/kubernetes/snapshot.sh` makes and a lost control plane is restored from. They
//! hold every secret of their cluster: nothing here prints any of it, and only the owner can read the files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Cursor, Read, Seek, Write};
use std::os::fd::IntoRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use hostler_core::digest::sha256;
use hostler_core::facts::{Snapshot, ca_public_key_sha256};
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::inventory::is_node_name;
use hostler_core::protocol::{archive, needed};
use hostler_core::quantity::size;
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{home, user_file};

pub mod age;
mod copies;

pub use copies::{Copied, is_new, may_come};

/// File name extensions of plain and of encrypted snapshots.
const ENDS: [&str; 2] = [".tar.gz", ".tar.gz.age"];

/// The folder of copied regular snapshots, below the one of all others: of these the oldest are deleted.
pub const REGULAR: &str = "regular";

/// Bytes of an archive, at most: etcd's data is compressed in it.
pub const MOST: u64 = 1 << 30;
/// Bytes of what is in an archive, at most: etcd keeps 2 GiB by default, and the rest is small.
const MOST_UNPACKED: u64 = (2 << 30) + (64 << 20);

/// What is in a gzipped archive. A small one can unpack to any size, so it is read no further than it may.
fn unpacked(archive: &[u8]) -> Result<Vec<u8>> {
    ensure!(archive.len() as u64 <= MOST, "the file is too large: the limit is {}", size(MOST));
    let mut plain = Vec::new();
    GzDecoder::new(archive).take(MOST_UNPACKED + 1).read_to_end(&mut plain)?;
    ensure!(plain.len() as u64 <= MOST_UNPACKED, "the unpacked file is too large: the limit is {}", size(MOST_UNPACKED));
    Ok(plain)
}

/// Reads and verifies an archive. `opener`: for one that [needs](needs) it.
///
/// # Errors
/// It can't be read or decrypted, is not an archive of hostler's, or is incomplete.
pub fn open(file: &Path, opener: Option<age::Opener<'_>>) -> Result<Snapshot> {
    // Encrypted, it has a few bytes more for each block.
    let most = usize::try_from(MOST + MOST / 16).unwrap_or(usize::MAX);
    let bytes = user_file::read(file, most).map_err(|error| user_file::unreadable(file, &error))?;
    if bytes.len() > most {
        return Err(invalid(file, &anyhow::anyhow!("the file is too large: the limit is {}", size(MOST))));
    }
    let Some(opener) = opener else {
        return parse(file, &bytes).map_err(|error| invalid(file, &error));
    };
    let failure = |error: anyhow::Error| {
        let message = format!("{} can't be decrypted: {error:#}", file.display());
        let hint = match opener {
            age::Opener::Passphrase(_) => "check the passphrase; if it is correct, the file is corrupted: use another snapshot",
            age::Opener::Identities(_) => "check the key; if it is the right one, the file is corrupted: use another snapshot",
        };
        Failure::new(ExitStatus::Usage, message, hint)
    };
    let archive = age::decrypt(opener, &bytes).map_err(failure)?;
    let snapshot = parse(file, &archive).map_err(|error| invalid(file, &error))?;
    Ok(Snapshot { archive: in_memory(&archive)?, ..snapshot })
}

/// The archive of an [opened](open) snapshot, decrypted.
///
/// # Errors
/// It can't be read.
pub fn archive(snapshot: &Snapshot) -> Result<Vec<u8>> {
    let most = usize::try_from(MOST).unwrap_or(usize::MAX);
    user_file::read(&snapshot.archive, most).with_context(|| format!("{} can't be read", snapshot.file.display()))
}

/// As [`open`], for an archive that is to be written to `file`.
///
/// # Errors
/// It is truncated or incomplete.
pub fn parse(file: &Path, bytes: &[u8]) -> Result<Snapshot> {
    let (mut found, mut taken, mut ca, mut nodes) = (Vec::new(), None, None, String::new());
    // Read to the end, where the checksum is: it reveals a truncated or changed archive.
    let plain = unpacked(bytes)?;
    for entry in tar::Archive::new(plain.as_slice()).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        match path.as_str() {
            archive::TAKEN => {
                let mut text = String::new();
                entry.read_to_string(&mut text)?;
                taken = Some(text.trim().to_owned());
            }
            archive::NODES => drop(entry.read_to_string(&mut nodes)?),
            archive::ETCD => {
                let mut data = Vec::new();
                entry.read_to_end(&mut data)?;
                etcd_is_whole(&data)?;
            }
            "pki/ca.crt" => {
                let mut text = Vec::new();
                entry.read_to_end(&mut text)?;
                ca = ca_public_key_sha256(&text);
            }
            _ => {}
        }
        found.push(path);
    }
    if let Some(missing) = needed().find(|needed| !found.contains(needed)) {
        bail!("{missing} is missing");
    }
    let ca = ca.context("pki/ca.crt is not a certificate")?;
    let taken = taken.context("the time of the snapshot is missing")?;
    ensure!(taken.parse::<jiff::Timestamp>().is_ok(), "the time of the snapshot is not a valid timestamp");
    let (file, archive) = (file.to_owned(), file.to_owned());
    let nodes = node_names(&nodes)?;
    Ok(Snapshot { file, archive, sha256: sha256(bytes), size: bytes.len() as u64, taken, nodes, ca })
}

/// The nodes that a control plane listed, a line each.
fn node_names(text: &str) -> Result<BTreeSet<String>> {
    ensure!(text.lines().all(is_node_name), "{} lists a name that is not a valid node name", archive::NODES);
    Ok(text.lines().map(str::to_owned).collect())
}

fn invalid(file: &Path, error: &anyhow::Error) -> anyhow::Error {
    let message = format!("{} is not a valid snapshot: {error:#}", file.display());
    Failure::new(ExitStatus::Usage, message, "`hostler snapshot list` shows the snapshots on this computer").into()
}

/// What is needed to open the file; `None`: it is not encrypted.
///
/// # Errors
/// It can't be read.
pub fn needs(file: &Path) -> Result<Option<age::Needs>> {
    let beginning = user_file::read(file, 64).map_err(|error| user_file::unreadable(file, &error))?;
    Ok(age::needs(&beginning))
}

/// etcd ends its snapshots with a checksum.
fn etcd_is_whole(data: &[u8]) -> Result<()> {
    match data.split_last_chunk::<32>() {
        Some((data, sum)) if Sha256::digest(data)[..] == sum[..] => Ok(()),
        _ => bail!("{} does not match its checksum", archive::ETCD),
    }
}

/// A path to `content` in memory, valid as long as this process lives: decrypted secrets must not reach a disk.
fn in_memory(content: &[u8]) -> Result<PathBuf> {
    let memory = memfd_create("snapshot", MFdFlags::MFD_CLOEXEC).context("not enough memory for the snapshot")?;
    let mut file = File::from(memory);
    file.write_all(content).and_then(|()| file.rewind()).context("not enough memory for the snapshot")?;
    Ok(PathBuf::from(format!("/proc/self/fd/{}", file.into_raw_fd())))
}

/// Those of these files that `archive` has.
///
/// # Errors
/// `archive` is not a gzipped tar.
pub fn entries(archive: &[u8], names: &[&str]) -> Result<BTreeMap<String, Vec<u8>>> {
    let plain = unpacked(archive)?;
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(plain.as_slice()).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        if names.contains(&name.as_str()) {
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            found.insert(name, content);
        }
    }
    Ok(found)
}

/// `archive` with the file `name` added.
///
/// # Errors
/// `archive` is not a gzipped tar.
pub fn with(archive: &[u8], name: &str, content: &[u8]) -> Result<Vec<u8>> {
    let plain = unpacked(archive).context("the snapshot was corrupted in transit")?;
    let mut old = tar::Archive::new(Cursor::new(plain));
    let mut new = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for entry in old.entries()? {
        let entry = entry?;
        let header = entry.header().clone();
        new.append(&header, entry)?;
    }
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o600);
    new.append_data(&mut header, name, content)?;
    Ok(new.into_inner()?.finish()?)
}

/// The folder for snapshots among what is kept in `data`.
pub fn folder_in(data: &Path) -> PathBuf {
    data.join("snapshots")
}

/// Where snapshots are kept by default.
///
/// # Errors
/// This user has no home.
pub fn default_folder() -> Result<PathBuf> {
    Ok(folder_in(&home::data()?))
}

/// The newest snapshot of `cluster` in `folder` or its `regular`: names sort by time.
pub fn newest(folder: &Path, cluster: &str) -> Option<PathBuf> {
    let both = [newest_in(folder, cluster), newest_in(&folder.join(REGULAR), cluster)];
    both.into_iter().flatten().max_by(|one, other| one.file_name().cmp(&other.file_name()))
}

/// Deletes the copies of `cluster` in `folder` that need not stay, with `keep` of the newest.
///
/// # Errors
/// One can't be deleted.
pub fn prune(folder: &Path, cluster: &str, keep: usize) -> Result<()> {
    let copies: Vec<Listed> = list_in(folder)?.into_iter().filter(|listed| listed.cluster == cluster).collect();
    let taken: Vec<i64> = copies.iter().map(|copy| copy.taken.as_second()).collect();
    for (old, _) in copies.iter().zip(copies::stay(&taken, keep)).filter(|(_, stays)| !stays) {
        std::fs::remove_file(&old.file).with_context(|| format!("{} can't be deleted", old.file.display()))?;
    }
    Ok(())
}

/// The copies of `cluster` in `folder`.
///
/// # Errors
/// The folder can't be read.
pub fn copied(folder: &Path, cluster: &str) -> Result<Vec<Copied>> {
    let copies = list_in(folder)?.into_iter().filter(|listed| listed.cluster == cluster);
    // A file's own time is that of what it is of; when it changed last, the kernel wrote.
    let arrived = |file: &Path| std::fs::metadata(file).map(|found| found.ctime());
    copies
        .map(|copy| {
            let arrived = arrived(&copy.file).with_context(|| format!("{} can't be read", copy.file.display()))?;
            Ok(Copied { taken: copy.taken.as_second(), arrived })
        })
        .collect()
}

/// The newest snapshot of `cluster` in `folder` itself.
pub fn newest_in(folder: &Path, cluster: &str) -> Option<PathBuf> {
    let files = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    files.filter(|file| file.is_file() && file.file_name().is_some_and(|name| stamp(&name.to_string_lossy(), cluster).is_some())).max()
}

/// The file name of a snapshot of `cluster` taken at `time`.
pub fn file_name(cluster: &str, time: jiff::Timestamp, encrypted: bool) -> String {
    format!("{cluster}-{}{}", time.strftime("%Y%m%dT%H%M%SZ"), ENDS[usize::from(encrypted)])
}

/// When the snapshot of `cluster` in `file` was taken, by its name: seconds since the epoch.
pub fn taken(file: &Path, cluster: &str) -> Option<i64> {
    let name = file.file_name()?.to_string_lossy();
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", stamp(&name, cluster)?).ok()?;
    Some(jiff::tz::TimeZone::UTC.to_timestamp(time).ok()?.as_second())
}

/// A snapshot in a folder, as far as its name and size tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    pub file: PathBuf,
    pub cluster: String,
    pub taken: jiff::Timestamp,
    /// Bytes.
    pub size: u64,
    pub encrypted: bool,
}

/// The snapshots in `folder` and its `regular`, by cluster, the newest first. Other files are ignored, and so is a missing folder.
///
/// # Errors
/// A folder can't be read.
pub fn list(folder: &Path) -> Result<Vec<Listed>> {
    let mut listed = list_in(folder)?;
    listed.extend(list_in(&folder.join(REGULAR))?);
    sort(&mut listed);
    Ok(listed)
}

fn sort(listed: &mut [Listed]) {
    listed.sort_by(|a, b| a.cluster.cmp(&b.cluster).then(b.taken.cmp(&a.taken)));
}

fn list_in(folder: &Path) -> Result<Vec<Listed>> {
    let context = || format!("{} can't be read", folder.display());
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(context),
    };
    let mut listed = Vec::new();
    for entry in entries {
        let entry = entry.with_context(context)?;
        let (file, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let Some(encrypted) = ENDS.iter().position(|end| name.ends_with(end)).map(|end| end == 1) else { continue };
        let Some((cluster, _)) = name.rsplit_once('-') else { continue };
        let Some(taken) = taken(&file, cluster).and_then(|taken| jiff::Timestamp::from_second(taken).ok()) else { continue };
        // Neither a folder nor a pipe is one, whatever it is called, nor a link to nothing.
        let Some(size) = std::fs::metadata(&file).ok().filter(std::fs::Metadata::is_file).map(|found| found.len()) else { continue };
        listed.push(Listed { cluster: cluster.to_owned(), file, taken, size, encrypted });
    }
    sort(&mut listed);
    Ok(listed)
}

/// The `20260301T120000Z` in a file's name, if it is a snapshot of `cluster`: one cluster's name may be a prefix of another's.
fn stamp<'a>(name: &'a str, cluster: &str) -> Option<&'a str> {
    let name = name.strip_prefix(cluster)?.strip_prefix('-')?;
    let stamp = ENDS.iter().find_map(|end| name.strip_suffix(end))?;
    (stamp.len() == 16 && stamp.ends_with('Z') && stamp.bytes().filter(u8::is_ascii_digit).count() == 14).then_some(stamp)
}

#[cfg(test)]
mod tests {
    use std::fs::write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use sha2::{Digest, Sha256};

    use super::age;
    use hostler_core::protocol::needed;

    use super::{list, needs as needs_to_open, newest, newest_in, open, prune, with};
    use hostler_core::digest::sha256;
    use hostler_core::facts::ca_public_key_sha256;

    const CA: &str = "\
-----BEGIN CERTIFICATE-----
MIIBQDCB86ADAgECAhQlEnsTWABWLOhD+P+LtlnEOn2c2DAFBgMrZXAwFTETMBEG
A1UEAwwKa3ViZXJuZXRlczAgFw0yNjExMjQwMDQzMDhaGA8yMTI2MTAzMTAwNDMw
OFowFTETMBEGA1UEAwwKa3ViZXJuZXRlczAqMAUGAytlcAMhAAYxEgYYPdRWB6Ee
d7WGBzAM7EMYL7evc1yZM8QZVE1to1MwUTAdBgNVHQ4EFgQUgNM+felsyc1ZYP9v
7kcueDbjL3QwHwYDVR0jBBgwFoAUgNM+felsyc1ZYP9v7kcueDbjL3QwDwYDVR0T
AQH/BAUwAwEB/zAFBgMrZXADQQByLzhNiDH8t8kBgKaha5POaraJ3OjAubmIuo4z
Jc+XqnAW8XuCwxy5CX7/tfqS4g1nBA9taaEd62k5i3ev/LEL
-----END CERTIFICATE-----
";

    fn archive(without: &str) -> Vec<u8> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for name in needed().chain(["taken".to_owned()]).filter(|name| name != without) {
            let mut header = tar::Header::new_gnu();
            let content = match name.as_str() {
                "taken" => b"2026-03-01T12:00:00Z\n".to_vec(),
                "pki/ca.crt" => CA.as_bytes().to_vec(),
                "nodes" => b"rainbowdash\ntwilightsparkle\n".to_vec(),
                "etcd.db" => [b"data".as_slice(), &Sha256::digest(b"data")].concat(),
                name => name.as_bytes().to_vec(),
            };
            header.set_size(content.len() as u64);
            header.set_mode(0o600);
            tar.append_data(&mut header, &name, content.as_slice()).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn a_valid_archive_has_a_time_and_nodes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.tar.gz");
        let bytes = with(&archive(""), "inventory.yaml", b"machines: {}\n").unwrap();
        write(&file, &bytes).unwrap();
        let found = open(&file, None).unwrap();
        assert_eq!((found.taken.as_str(), found.size), ("2026-03-01T12:00:00Z", bytes.len() as u64));
        assert_eq!(Vec::from_iter(&found.nodes), ["rainbowdash", "twilightsparkle"]);
        assert_eq!((Some(found.ca), found.sha256), (ca_public_key_sha256(CA.as_bytes()), sha256(&bytes)));
    }

    #[test]
    fn an_incomplete_archive_is_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.tar.gz");
        for missing in needed().chain(["taken".to_owned()]) {
            write(&file, archive(&missing)).unwrap();
            let error = open(&file, None).unwrap_err().to_string();
            assert!(error.contains(&missing) || missing == "taken", "{error}");
        }
        let whole = archive("");
        for length in [0, 1, whole.len() / 2, whole.len() - 12] {
            write(&file, &whole[..length]).unwrap();
            open(&file, None).expect_err("it is truncated");
        }
        let other = with(&archive("etcd.db"), "etcd.db", &[0; 100]).unwrap();
        write(&file, &other).unwrap();
        let error = open(&file, None).unwrap_err().to_string();
        assert!(error.contains("etcd.db does not match its checksum"), "{error}");
    }

    #[test]
    fn an_encrypted_snapshot_needs_its_passphrase_and_is_decrypted_in_memory_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.tar.gz.age");
        let whole = archive("");
        write(&file, age::encrypt(age::Lock::Passphrase("open sesame", 4), &whole).unwrap()).unwrap();
        assert_eq!(needs_to_open(&file).unwrap(), Some(age::Needs::Passphrase));
        let found = open(&file, Some(age::Opener::Passphrase("open sesame"))).unwrap();
        assert_eq!((found.size, &found.sha256, &found.file), (whole.len() as u64, &sha256(&whole), &file));
        // As often as a step is retried.
        for _ in 0..2 {
            assert!(std::fs::read(&found.archive).unwrap() == whole);
        }
        let kept: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(kept, std::slice::from_ref(&file));
        let error = open(&file, Some(age::Opener::Passphrase("open"))).unwrap_err().to_string();
        assert!(error.contains("wrong passphrase"), "{error}");
        write(&file, &whole).unwrap();
        assert_eq!(needs_to_open(&file).unwrap(), None);
    }

    #[test]
    fn the_newest_snapshot_of_a_cluster_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["home-20260301T120000Z.tar.gz", "home-20260302T120000Z.tar.gz", "home-two-20260303T120000Z.tar.gz", "home-new.tar.gz"];
        for name in names {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(newest(folder.path(), "home"), Some(folder.path().join(names[1])));
        assert_eq!(newest(folder.path(), "elsewhere"), None);
        let encrypted = folder.path().join("home-20260303T120000Z.tar.gz.age");
        std::fs::write(&encrypted, "").unwrap();
        assert_eq!(newest(folder.path(), "home"), Some(encrypted));
        let listed: Vec<String> = list(folder.path())
            .unwrap()
            .iter()
            .map(|snapshot| format!("{} {} {}", snapshot.cluster, snapshot.taken, snapshot.encrypted))
            .collect();
        assert_eq!(
            listed,
            [
                "home 2026-03-03T12:00:00Z true",
                "home 2026-03-02T12:00:00Z false",
                "home 2026-03-01T12:00:00Z false",
                "home-two 2026-03-03T12:00:00Z false"
            ]
        );
        assert_eq!(list(&folder.path().join("missing")).unwrap(), []);
    }

    #[test]
    fn of_copied_snapshots_the_newest_stay_and_others_are_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let regular = folder.path().join("regular");
        std::fs::create_dir(&regular).unwrap();
        for day in 1..6 {
            std::fs::write(regular.join(format!("home-2026030{day}T120000Z.tar.gz{}", if day == 4 { ".age" } else { "" })), "").unwrap();
        }
        let others =
            [folder.path().join("home-20250101T120000Z.tar.gz"), regular.join("home-two-20250101T120000Z.tar.gz"), regular.join("notes")];
        for other in &others {
            std::fs::write(other, "").unwrap();
        }
        assert_eq!(newest(folder.path(), "home"), Some(regular.join("home-20260305T120000Z.tar.gz")));
        prune(&regular, "home", 2).unwrap();
        let mut left: Vec<String> =
            list(folder.path()).unwrap().iter().map(|found| found.file.file_name().unwrap().to_string_lossy().into_owned()).collect();
        left.sort();
        let expected = [
            "home-20250101T120000Z.tar.gz",
            // The first of its month.
            "home-20260301T120000Z.tar.gz",
            "home-20260304T120000Z.tar.gz.age",
            "home-20260305T120000Z.tar.gz",
            "home-two-20250101T120000Z.tar.gz",
        ];
        assert_eq!(left, expected);
        assert!(others.iter().all(|other| other.exists()));
        assert_eq!(newest_in(&regular, "home"), Some(regular.join("home-20260305T120000Z.tar.gz")));
    }
}
