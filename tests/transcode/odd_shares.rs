//! Shares on file systems that run full, or take fewer names: mounted for the test, which needs root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::films::{Made, probe};
use super::shares::Shares;

const SETTINGS: &str = r#"{"folders": {"Movies": {}}, "stableSeconds": 0, "reserve": 0, "minSaving": null}"#;

/// Unmounted with the test, however that ends.
struct Mounted(PathBuf);

impl Mounted {
    fn new(at: &Path, program: &str, arguments: &[&str]) -> Mounted {
        let output = Command::new(program).args(arguments).arg(at).output().unwrap_or_else(|error| panic!("{program}: {error}"));
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        Mounted(at.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: a program of the test may still be in it.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// NTFS as a USB disk has it: through the kernel's FUSE, with the names that Windows takes.
#[test]
fn a_library_on_ntfs_gets_films_by_names_that_windows_takes() {
    let image = tempfile::NamedTempFile::new().expect("a file");
    image.as_file().set_len(64 << 20).expect("as long");
    let image = image.path().to_str().expect("a path");
    let made = Command::new("mkntfs").args(["--force", "--fast", "--quiet", image]).output().expect("apt-get install ntfs-3g");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let shares = Shares::new(SETTINGS);
    let library = Mounted::new(&shares.in_library(""), "ntfs-3g", &["-o", "windows_names,big_writes", image]);
    fs::write(shares.in_library(".hostler-share"), "").expect("written");
    assert!(fs::write(shares.in_library("a?"), "").is_err(), "it refuses such names");
    let film = Made::Short.bytes();
    for path in ["Alien: Covenant (2017).mkv", "Who is it?.mkv", "con.mkv", "Folder dot./One.mkv", "Up.mkv"] {
        shares.drop(&format!("Movies/{path}"), film.clone());
    }
    let watcher = shares.watch();
    shares.wait("all films", || shares.films_in_library().len() == 5 && shares.is_idle());
    drop(watcher);
    let wanted = ["Alien - Covenant (2017).mkv", "Folder dot/One.mkv", "Up.mkv", "Who is it.mkv", "con_.mkv"];
    assert_eq!(shares.films_in_library(), wanted.map(|name| format!("Movies/{name}")), "and no hidden files");
    for name in wanted {
        assert!((probe(&shares.in_library("Movies").join(name)).duration - 1.0).abs() < 0.2, "{name}");
    }
    assert_eq!(shares.reasons(), [""; 0]);
    assert_eq!(shares.in_trash().len(), 5);
    drop(library);
}

/// HandBrake may end with status 0 on a disk that is full, and a film that has no end.
#[test]
fn an_inbox_that_runs_full_fails_no_film_at_whatever_byte() {
    let shares = Shares::new(SETTINGS);
    let _mounted = Mounted::new(&shares.inbox(""), "mount", &["-t", "tmpfs", "-o", "size=128m", "tmpfs"]);
    fs::create_dir_all(shares.inbox("watch/Movies")).expect("made");
    fs::write(shares.inbox(".hostler-share"), "").expect("written");
    let film = shares.drop("Movies/first.mkv", Made::Whole.bytes());
    let watcher = shares.watch();
    shares.wait("the first film", || shares.is_idle() && shares.films_in_library().len() == 1);
    drop(watcher);
    let mut full = 0;
    let encoded = fs::metadata(shares.in_library("Movies/first.mkv")).expect("a film").len();
    let filler = shares.inbox("filler");
    for (number, most) in [encoded.saturating_sub(100 << 10), encoded.saturating_sub(8 << 10)].into_iter().enumerate() {
        let name = format!("Movies/{number}.mkv");
        let published = shares.in_library(&name);
        shares.drop(&name, film.clone());
        let watcher = shares.watch();
        shares.wait("its encoding", || shares.encoded_bytes() > 0 || published.exists());
        // Before that hostler would wait for room.
        fill(&filler, most.saturating_sub(shares.encoded_bytes()));
        shares.wait("the reason, or the film", || published.exists() || shares.status().contains("inbox is full"));
        assert_eq!(shares.reasons(), [""; 0], "with room for {most} of {encoded} bytes");
        full += usize::from(!published.exists());
        fs::remove_file(&filler).expect("removed");
        shares.wait("the film once there is room", || published.exists() && shares.is_idle());
        drop(watcher);
        assert!((probe(&published).duration - 10.0).abs() < 0.2, "with room for {most} of {encoded} bytes");
    }
    assert!(full > 0, "it was never full");
    assert_eq!(shares.reasons(), [""; 0]);
    assert_eq!(shares.left_over(), [""; 0]);
}

/// Takes all room but so many bytes, or all of it, where the encoder was faster.
fn fill(filler: &Path, room: u64) {
    let found = nix::sys::statvfs::statvfs(filler.parent().expect("a folder")).expect("a file system");
    let free = found.blocks_available() * found.fragment_size();
    let written = fs::write(filler, vec![1; usize::try_from(free.saturating_sub(room)).expect("fits")]);
    assert!(!written.is_err_and(|error| error.kind() != std::io::ErrorKind::StorageFull));
}
