//! An inbox and a library in folders of this computer, and the real program that works on them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

/// No film of these tests needs nearly as long, on the slowest of computers.
const LIMIT: Duration = Duration::from_secs(180);

pub struct Shares {
    root: tempfile::TempDir,
    /// Elsewhere, so that a rename can't carry a film there where the computer has a file system in memory.
    library: tempfile::TempDir,
    as_nobody: AtomicBool,
}

/// Ends with the test, however that goes.
pub struct Watcher(Child);

impl Watcher {
    pub fn terminate(&self) {
        let pid = i32::try_from(self.0.id()).expect("a pid");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM).expect("it is there");
    }

    /// Its exit status.
    pub fn ends(&mut self) -> Option<i32> {
        self.0.wait().expect("a child").code()
    }

    pub fn kill_after(&mut self, life: Duration) {
        let end = Instant::now() + life;
        while Instant::now() < end && self.0.try_wait().expect("a child").is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.0.kill().expect("it can be killed");
        self.0.wait().expect("it ends");
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Shares {
    pub fn new(settings: &str) -> Shares {
        let memory = Path::new("/dev/shm");
        let library = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder");
        let shares = Shares { root: tempfile::tempdir().expect("a folder"), library, as_nobody: AtomicBool::new(false) };
        fs::create_dir_all(shares.inbox("watch/Movies")).expect("made");
        fs::create_dir(shares.root.path().join("settings")).expect("made");
        for marker in [shares.inbox(".hostler-share"), shares.in_library(".hostler-share")] {
            fs::write(marker, "").expect("written");
        }
        shares.settings(settings);
        shares
    }

    pub fn inbox(&self, path: &str) -> PathBuf {
        self.root.path().join("inbox").join(path)
    }

    pub fn in_library(&self, path: &str) -> PathBuf {
        self.library.path().join(path)
    }

    pub fn settings(&self, settings: &str) {
        // As a ConfigMap changes: whole.
        self.setting_file("new.json", settings);
        let folder = self.root.path().join("settings");
        fs::rename(folder.join("new.json"), folder.join("settings.json")).expect("renamed");
    }

    pub fn settings_folder(&self) -> PathBuf {
        self.root.path().join("settings")
    }

    pub fn setting_file(&self, name: &str, text: &str) {
        fs::write(self.root.path().join("settings").join(name), text).expect("written");
    }

    /// A script that watchers find before the program of that name.
    pub fn program(&self, name: &str, script: &str) {
        let folder = self.root.path().join("programs");
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join(name), script).expect("written");
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).expect("changed");
    }

    /// Copies a film into `watch/`, and gives its bytes back.
    pub fn drop(&self, path: &str, bytes: Vec<u8>) -> Vec<u8> {
        let path = self.inbox("watch").join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, &bytes).expect("written");
        bytes
    }

    pub fn watch(&self) -> Watcher {
        let as_nobody = self.as_nobody.load(Ordering::Relaxed);
        let mut command = if as_nobody { Command::new(self.nobodys_program()) } else { Command::new(env!("CARGO_BIN_EXE_hostler")) };
        command.args(["transcode", "watch", "--inbox"]).arg(self.inbox("")).arg("--here").arg(self.library.path());
        command.arg("--settings").arg(self.root.path().join("settings/settings.json")).stdin(Stdio::null());
        let programs = self.root.path().join("programs");
        if programs.is_dir() {
            let path = std::env::var("PATH").unwrap_or_default();
            command.env("PATH", format!("{}:{path}", programs.display()));
        }
        // As in an image that holds nothing else.
        command.env("SSL_CERT_FILE", "/nonexistent").env("SSL_CERT_DIR", "/nonexistent");
        if as_nobody {
            command.uid(65534).gid(65534).current_dir("/");
        }
        let log = fs::OpenOptions::new().create(true).append(true).open(self.root.path().join("log")).expect("made");
        command.stderr(log);
        Watcher(command.spawn().expect("hostler starts"))
    }

    /// One attempt at a film, as its pod runs it.
    pub fn encode(&self, id: &str, who: &str) -> Watcher {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostler"));
        command.args(["transcode", "encode", "--id", id, "--who", who, "--inbox"]).arg(self.inbox(""));
        command.arg("--settings").arg(self.settings_folder().join("settings.json")).stdin(Stdio::null());
        Watcher(command.spawn().expect("hostler starts"))
    }

    /// One attempt at a part of a film in pieces, as its pod runs it.
    pub fn encode_part(&self, id: &str, who: &str, part: &str) -> Watcher {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostler"));
        command.args(["transcode", "encode", "--id", id, "--who", who, "--part", part, "--inbox"]).arg(self.inbox(""));
        command.arg("--settings").arg(self.settings_folder().join("settings.json")).stdin(Stdio::null());
        Watcher(command.spawn().expect("hostler starts"))
    }

    /// A film that is claimed, and nothing more; its id.
    pub fn claimed(&self, bytes: Vec<u8>) -> String {
        self.drop("Movies/Up.mkv", bytes);
        // Paused: it is claimed, and not begun.
        fs::write(self.inbox("paused"), "").expect("written");
        let watcher = self.watch();
        self.wait("its claim", || {
            fs::read_dir(self.inbox("claim")).is_ok_and(|mut listed| listed.next().is_some()) && self.status().contains("paused")
        });
        drop(watcher);
        let listed = fs::read_dir(self.inbox("claim")).expect("a folder").next().expect("claimed").expect("listed");
        listed.file_name().into_string().expect("an id")
    }

    /// What the watcher does for a claimed film before its encoder starts.
    pub fn prepare(&self, id: &str) {
        let work = self.inbox("work").join(id);
        fs::create_dir_all(&work).expect("made");
        fs::copy(self.inbox("ledger").join(format!("{id}.json")), work.join("task.json")).expect("copied");
    }

    /// The status page, and its address.
    pub fn page(&self) -> (Watcher, String) {
        self.page_with(&[])
    }

    /// With these arguments, too.
    pub fn page_with(&self, arguments: &[&str]) -> (Watcher, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostler"));
        command
            .args(["transcode", "page", "--listen", "127.0.0.1:0", "--inbox"])
            .arg(self.inbox(""))
            .arg("--library")
            .arg(self.in_library(""))
            .args(arguments);
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("hostler starts");
        let mut line = String::new();
        BufReader::new(child.stderr.take().expect("piped")).read_line(&mut line).expect("it tells its address");
        let address = line.trim_end().rsplit("http://").next().expect("an address").to_owned();
        (Watcher(child), address)
    }

    /// From now on the watcher runs as a user who owns the shares, but not the film.
    pub fn give_to_nobody(&self) {
        for path in [self.inbox(""), self.inbox("watch"), self.inbox("watch/Movies"), self.in_library(""), self.root.path().to_owned()] {
            chown(path, Some(65534), Some(65534)).expect("root may");
        }
        fs::copy(env!("CARGO_BIN_EXE_hostler"), self.nobodys_program()).expect("copied");
        self.as_nobody.store(true, Ordering::Relaxed);
    }

    /// The project may be in a folder that is closed to others, as root's home is.
    fn nobodys_program(&self) -> PathBuf {
        self.root.path().join("hostler")
    }

    /// Looks until it is so.
    pub fn wait(&self, what: &str, is_so: impl FnMut() -> bool) {
        self.wait_for(what, LIMIT, is_so);
    }

    /// As [`Shares::wait`], for what takes longer.
    pub fn wait_for(&self, what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) {
        let end = Instant::now() + limit;
        while !is_so() {
            assert!(Instant::now() < end, "waited for {what}; there is {:?}\n{}", self.left_over(), self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the watchers, encoders and publishers told.
    pub fn log(&self) -> String {
        fs::read_to_string(self.root.path().join("log")).unwrap_or_default()
    }

    /// Of a film that is being encoded.
    pub fn encoded_bytes(&self) -> u64 {
        let parts = files(&self.inbox("work"));
        let parts = parts.iter().filter(|path| path.to_string_lossy().ends_with(".part.mkv"));
        parts.filter_map(|path| fs::metadata(path).ok()).map(|part| part.len()).sum()
    }

    /// Whether every film that was taken up has ended, and none is waiting to be.
    pub fn is_idle(&self) -> bool {
        let Ok(ledger) = fs::read_dir(self.inbox("ledger")) else { return false };
        let ended = |file: PathBuf| {
            let film: Value = serde_json::from_slice(&fs::read(file).unwrap_or_default()).unwrap_or_default();
            matches!(film["stage"]["is"].as_str(), Some("done" | "failed"))
        };
        ledger.map(|entry| entry.expect("listed").path()).filter(|file| file.extension().is_some_and(|end| end == "json")).all(ended)
            && files(&self.inbox("watch")).is_empty()
    }

    /// Whether nothing is done with any film: each has ended, or waits for its owner.
    pub fn all_ended(&self) -> bool {
        let ended = |file: PathBuf| {
            let film: Value = serde_json::from_slice(&fs::read(file).unwrap_or_default()).unwrap_or_default();
            matches!(film["stage"]["is"].as_str(), Some("done" | "failed" | "held"))
        };
        let Ok(ledger) = fs::read_dir(self.inbox("ledger")) else { return false };
        let mut records =
            ledger.map(|entry| entry.expect("listed").path()).filter(|file| file.extension().is_some_and(|end| end == "json")).peekable();
        records.peek().is_some() && records.all(ended)
    }

    /// What is left in `claim/` and `work/`.
    pub fn left_over(&self) -> Vec<String> {
        let listed = ["claim", "work"].into_iter().flat_map(|part| fs::read_dir(self.inbox(part)).into_iter().flatten());
        listed.map(|entry| entry.expect("listed").path().display().to_string()).collect()
    }

    /// Contents of all films in the trash, sorted.
    pub fn in_trash(&self) -> Vec<Vec<u8>> {
        let mut contents: Vec<Vec<u8>> = files(&self.inbox("trash")).iter().map(|film| fs::read(film).expect("a film")).collect();
        contents.sort();
        contents
    }

    pub fn films_in_library(&self) -> Vec<String> {
        let found = files(self.library.path());
        let relative = found.iter().map(|path| path.strip_prefix(self.library.path()).expect("inside").to_string_lossy().into_owned());
        let mut films: Vec<String> = relative.filter(|path| !path.starts_with('.')).collect();
        films.sort();
        films
    }

    /// The texts in `failed/`.
    pub fn reasons(&self) -> Vec<String> {
        let found = files(&self.inbox("failed"));
        let texts = found.iter().filter(|path| path.extension().is_some_and(|extension| extension == "txt"));
        texts.map(|path| fs::read_to_string(path).unwrap_or_default()).collect()
    }

    /// The reason, and the film beside it.
    pub fn reason_of(&self, name: &str) -> (String, PathBuf) {
        let reason = self.reasons().into_iter().find(|text| text.starts_with(&format!("Movies/{name}\n")));
        let film = files(&self.inbox("failed")).into_iter().find(|path| path.file_name().is_some_and(|found| found == name));
        (reason.unwrap_or_else(|| panic!("no reason for {name}")), film.unwrap_or_else(|| panic!("{name} is not in failed/")))
    }

    pub fn status(&self) -> String {
        fs::read_to_string(self.inbox("status.json")).unwrap_or_default()
    }
}

/// All files below a folder; links as they are.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("listed").path();
        match path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => found.extend(files(&path)),
            Ok(metadata) if metadata.nlink() > 0 => found.push(path),
            _ => {}
        }
    }
    found
}
