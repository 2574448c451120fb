use std::os::unix::fs::symlink;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::*;

fn usage(error: &anyhow::Error) -> bool {
    ExitStatus::of(error) == ExitStatus::Usage
}

#[test]
fn a_destination_is_what_the_path_leads_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().canonicalize().unwrap().join(name);
    fs::write(path("file"), "").unwrap();
    symlink("file", path("link")).unwrap();
    symlink("none", path("dangling")).unwrap();
    symlink("loop", path("loop")).unwrap();
    mkfifo(&path("pipe"), Mode::from_bits_truncate(0o600)).unwrap();
    let of = |name: &str| Destination::of(&path(name));
    assert_eq!(of("file").unwrap(), Destination::File(path("file")));
    assert_eq!(of("link").unwrap(), Destination::File(path("file")));
    assert_eq!(of("dangling").unwrap(), Destination::New(path("none")));
    assert_eq!(of("pipe").unwrap(), Destination::Stream(path("pipe")));
    assert_eq!(Destination::of(Path::new("-")).unwrap(), Destination::Stdout);
    for wrong in ["", "loop", "file/below", "new/"] {
        assert!(usage(&of(wrong).unwrap_err()), "{wrong}");
    }
    assert!(usage(&Destination::new_file(&path("link")).unwrap_err()));
    fs::set_permissions(path("file"), fs::Permissions::from_mode(0o444)).unwrap();
    assert!(of("link").unwrap_err().to_string().contains("can't be written"));
}

#[test]
fn what_is_written_is_where_the_path_leads() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    symlink("new", path("dangling")).unwrap();
    let place = Destination::of(&path("dangling")).unwrap();
    place.write(b"one", 0o600).unwrap();
    assert_eq!(fs::read_to_string(path("new")).unwrap(), "one");
    assert!(path("dangling").is_symlink());
    // What has come there meanwhile is not replaced.
    assert_eq!(place.write(b"two", 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    Destination::of(&path("dangling")).unwrap().write(b"two", 0o640).unwrap();
    assert_eq!(fs::read_to_string(path("new")).unwrap(), "two");
    assert_eq!(path("new").metadata().unwrap().mode() & 0o777, 0o640);
    // This folder is not in the user's home.
    assert!(Destination::of(&path("a/b/c")).unwrap_err().to_string().contains("a/b does not exist"));
    Destination::New(path("a/b/c")).write(b"three", 0o600).unwrap();
    assert_eq!(fs::read_to_string(path("a/b/c")).unwrap(), "three");
    assert_eq!(path("a/b").metadata().unwrap().mode() & 0o777, 0o700);
}

#[test]
fn a_pipe_is_written_to_and_one_without_a_reader_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    mkfifo(&pipe, Mode::from_bits_truncate(0o600)).unwrap();
    let place = Destination::of(&pipe).unwrap();
    place.write(b"one", 0o600).expect_err("nobody reads it");
    let mut reader = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&pipe).unwrap();
    place.write(b"one", 0o600).unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "one");
}

#[test]
fn an_edit_keeps_links_owner_and_mode_and_what_others_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("file"), "one").unwrap();
    fs::set_permissions(path("file"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::hard_link(path("file"), path("twin")).unwrap();
    symlink("file", path("link")).unwrap();
    edit(&path("link"), b"one", b"two").unwrap();
    assert_eq!(fs::read_to_string(path("twin")).unwrap(), "two");
    assert!(path("link").is_symlink() && path("file").metadata().unwrap().mode() & 0o777 == 0o640);
    for changed in ["", "three", "two, and more"] {
        fs::write(path("file"), changed).unwrap();
        assert!(usage(&edit(&path("link"), b"two", b"four").unwrap_err()));
        assert_eq!(fs::read_to_string(path("file")).unwrap(), changed);
    }
    fs::set_permissions(path("file"), fs::Permissions::from_mode(0o440)).unwrap();
    assert!(usage(&may_edit(&path("file")).unwrap_err()));
    mkfifo(&path("pipe"), Mode::from_bits_truncate(0o600)).unwrap();
    for wrong in ["pipe", "none", ""] {
        assert!(usage(&may_edit(&path(wrong)).unwrap_err()), "{wrong}");
    }
    assert!(usage(&may_edit(Path::new("-")).unwrap_err()));
}

#[test]
fn only_what_ends_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("file"), "12345").unwrap();
    assert_eq!(read(&path("file"), 3).unwrap(), b"1234");
    mkfifo(&path("pipe"), Mode::from_bits_truncate(0o600)).unwrap();
    for wrong in ["/dev/zero", "/dev/tty0", path("pipe").to_str().unwrap(), folder.path().to_str().unwrap()] {
        read(Path::new(wrong), 3).expect_err(wrong);
    }
    read_or_listen(Path::new("/dev/zero"), 3).expect_err("a device never ends");
    let pipe = open(&path("pipe")).unwrap();
    let error = listen(pipe, 3, Duration::from_millis(1), Duration::from_millis(1)).unwrap_err();
    assert!(error.to_string().contains("no program writes to it"), "{error}");
    let pipe = open(&path("pipe")).unwrap();
    let mut writer = stream(&path("pipe")).unwrap();
    writer.write_all(b"12345").unwrap();
    let silent = listen(pipe, 9, Duration::from_millis(1), Duration::from_millis(1)).unwrap_err();
    assert!(silent.to_string().contains("nothing was written"), "{silent}");
    let pipe = open(&path("pipe")).unwrap();
    let mut writer = stream(&path("pipe")).unwrap();
    writer.write_all(b"12345").unwrap();
    drop(writer);
    assert_eq!(listen(pipe, 3, SILENCE, SILENCE).unwrap(), b"1234");
}

/// A file or pipe that another user has put into a shared folder gets no secret, and stays as it is.
#[test]
fn a_secret_is_not_written_to_what_another_user_has_put_there() {
    if !geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().canonicalize().unwrap().join(name);
    for name in ["shared", "own"] {
        fs::create_dir(path(name)).unwrap();
        fs::write(path(name).join("file"), "before").unwrap();
        fs::set_permissions(path(name).join("file"), fs::Permissions::from_mode(0o666)).unwrap();
        nix::unistd::mkfifo(&path(name).join("pipe"), nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
        for there in ["file", "pipe"] {
            std::os::unix::fs::chown(path(name).join(there), Some(12), Some(34)).unwrap();
        }
    }
    fs::set_permissions(path("shared"), fs::Permissions::from_mode(0o1777)).unwrap();
    for there in ["shared/file", "shared/pipe"] {
        let error = Destination::of(&path(there)).unwrap().write(b"secret", 0o600).unwrap_err();
        assert!(error.to_string().contains("another user"), "{there}: {error}");
    }
    assert_eq!(fs::read_to_string(path("shared/file")).unwrap(), "before");
    // What is no secret is the user's to put there.
    Destination::of(&path("shared/file")).unwrap().write(b"open", 0o644).unwrap();
    Destination::of(&path("own/file")).unwrap().write(b"secret", 0o600).unwrap();
    let there = fs::metadata(path("own/file")).unwrap();
    assert_eq!((there.uid(), there.mode() & 0o777), (12, 0o600));
}

#[test]
fn only_nothing_or_an_empty_folder_becomes_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().canonicalize().unwrap().join(name);
    for name in ["empty", "full"] {
        fs::create_dir(path(name)).unwrap();
    }
    fs::write(path("full/file"), "").unwrap();
    symlink("empty", path("link")).unwrap();
    symlink("none", path("dangling")).unwrap();
    let of = |name: &str| new_folder(&path(name), |_| false);
    assert_eq!(of("empty").unwrap(), path("empty"));
    assert_eq!(of("link").unwrap(), path("empty"));
    assert_eq!(of("dangling").unwrap(), path("none"));
    assert_eq!(of("new/er/").unwrap(), path("new/er"));
    for wrong in ["full", "full/", "full/file", "full/file/below"] {
        assert!(usage(&of(wrong).unwrap_err()), "{wrong}");
    }
    assert_eq!(new_folder(&path("full"), |_| true).unwrap(), path("full"));
    let shared = Path::new("/dev/shm");
    if fs::metadata(shared).is_ok_and(|there| fs::metadata("/dev").is_ok_and(|around| there.dev() != around.dev())) {
        assert!(new_folder(shared, |_| true).unwrap_err().to_string().contains("is a mount point"));
    }
}
/// Neither a pipe, a device nor a folder holds anyone up.
#[test]
fn what_is_no_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    for path in [pipe.as_path(), Path::new("/dev/zero"), folder.path()] {
        assert!(read(path, 10).is_err() && text(path).is_err() && whole(path).is_err(), "{path:?}");
        assert!(regular(path).is_err() && seekable(path).is_err(), "{path:?}");
    }
    let file = folder.path().join("file");
    fs::write(&file, vec![b'a'; MOST_BYTES]).unwrap();
    assert_eq!(text(&file).unwrap().len(), MOST_BYTES);
    fs::write(&file, vec![b'a'; MOST_BYTES + 1]).unwrap();
    assert_eq!((text(&file).is_err(), whole(&file).unwrap().len()), (true, MOST_BYTES + 1));
}
