//! Scripts: how they arrive, what comes back, how they end.

use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hostler::ssh::{Bounds, Exit, Part, RunError};
use sha2::{Digest, Sha256};

use crate::sshd::*;

const MIB: usize = 1 << 20;

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of every value, in no order that a shell or a terminal could take for its own.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_end_as_they_end() {
    let sshd = Sshd::start();
    let session = connect(&sshd.target(), &strict()).await;
    for (script, expected) in [
        ("", Exit::Status(0)),
        ("exit 0", Exit::Status(0)),
        ("exit 75", Exit::Status(75)),
        ("exit 255", Exit::Status(255)),
        ("false", Exit::Status(1)),
        ("/nowhere", Exit::Status(127)),
        ("set -eu; echo $undefined", Exit::Status(2)),
        ("kill -KILL $$", Exit::Signal("KILL".to_owned())),
        ("kill -TERM $$", Exit::Signal("TERM".to_owned())),
        ("kill -SEGV $$", Exit::Signal("SEGV".to_owned())),
        ("exec sh -c 'kill -INT $$'", Exit::Signal("INT".to_owned())),
    ] {
        let exit = limited(session.run(script, Vec::new(), |_| {}, |_| {})).await.unwrap();
        assert_eq!(exit, expected, "{script}");
    }
    assert_eq!(Exit::Status(7).to_string() + ", " + &Exit::Signal("KILL".to_owned()).to_string(), "status 7, signal KILL");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_arrives_as_it_is() {
    let sshd = Sshd::start();
    let session = connect(&sshd.target(), &strict()).await;
    let text = "it's \"quoted\" \\n $HOME `x` ! ünï ☃ %s *\ttab  two\n\n";
    let script = format!("cat <<'END'\n{text}END\n");
    assert_eq!(output(&session, &script).await, text);
    // Long, without a last line break, and with an alias for a marker in it.
    let long = format!("# {}\n# hostler script 5\nhostler() {{ :; }}\nprintf done", "x".repeat(300_000));
    assert_eq!(output(&session, &long).await, "done\n");
    assert_eq!(
        output(&session, "umask; echo $LC_ALL; case $PATH in /usr/local/sbin:*:/sbin:/bin) echo path;; esac; echo $#").await,
        "0022\nC\npath\n0\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_come_line_by_line_while_the_script_runs() {
    let sshd = Sshd::start();
    let session = connect(&sshd.target(), &strict()).await;
    // The script goes on only when its first line has been heard.
    let fifo = sshd.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let script = format!("echo first; cat '{}'; printf 'no end'; printf 'error\\n' >&2", fifo.display());
    let heard = Mutex::new(Vec::new());
    let line = |text: &str| {
        if text == "first" {
            let fifo = fifo.clone();
            std::thread::spawn(move || std::fs::write(fifo, "second\n").unwrap());
        }
        heard.lock().unwrap().push(text.to_owned());
    };
    assert_eq!(limited(session.run(&script, Vec::new(), |_| {}, line)).await.unwrap(), Exit::Status(0));
    let mut heard = heard.into_inner().unwrap();
    assert_eq!(heard[..2], ["first", "second"]);
    heard.sort();
    assert_eq!(heard, ["error", "first", "no end", "second"]);
    let (mut out, mut err) = (String::new(), String::new());
    session.read(Bounds::FILE, "echo out; echo err >&2; printf '\\377\\n'", &mut out, &mut err).await.unwrap();
    assert_eq!((out.as_str(), err.as_str()), ("out\n\u{fffd}\n", "err\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_arrives_to_the_byte() {
    let sshd = Sshd::start();
    let session = connect(&sshd.target(), &strict()).await;
    let bytes = noise(50 * MIB);
    let file = sshd.path("payload");
    std::fs::write(&file, &bytes[MIB..49 * MIB]).unwrap();
    let parts = vec![
        Part::Bytes(bytes[..MIB].to_vec()),
        Part::File { path: file, len: 48 * MIB as u64 },
        Part::Stream { stream: Box::new(std::io::Cursor::new(bytes[49 * MIB..].to_vec())), len: MIB as u64 },
        Part::Bytes(b"hostler script 3\nabc".to_vec()),
    ];
    assert_eq!(parts.iter().map(Part::len).sum::<u64>(), 50 * MIB as u64 + 20);
    let script = format!("head -c {} | sha256sum; head -c 17; cat; echo; echo end", bytes.len());
    let (mut heard, mut sent) = (String::new(), Vec::new());
    let line = |text: &str| heard.push_str(&format!("{text}\n"));
    assert_eq!(limited(session.run(&script, parts, |done| sent.push(done), line)).await.unwrap(), Exit::Status(0));
    assert_eq!(heard, format!("{}  -\nhostler script 3\nabc\nend\n", hex(&bytes)));
    assert!(sent.is_sorted() && sent.len() > 90 && *sent.last().unwrap() == 50 * MIB as u64 + 20, "{sent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_leaves_its_input_ends_all_the_same() {
    let sshd = Sshd::start();
    let session = connect(&sshd.target(), &strict()).await;
    for (script, expected) in [("exit 3", 3), ("head -c 10 >/dev/null; exit 4", 4), ("exec 0<&-; exit 5", 5)] {
        let exit = limited(session.run(script, vec![Part::Bytes(noise(50 * MIB))], |_| {}, |_| {})).await.unwrap();
        assert_eq!(exit, Exit::Status(expected));
        assert_eq!(output(&session, "echo next").await, "next\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_file_that_is_too_short_ends_the_run() {
    let sshd = Sshd::start();
    let session = connect(&sshd.target(), &strict()).await;
    let file = sshd.path("short");
    std::fs::write(&file, "short").unwrap();
    for (path, len, expected) in [(file.clone(), 6, "is 1 bytes too short"), (sshd.path("gone"), 1, "no such file or directory")] {
        let parts = vec![Part::File { path, len }];
        let error = limited(session.run("cat >/dev/null", parts, |_| {}, |_| {})).await.unwrap_err();
        assert!(matches!(&error, RunError::Payload(why) if why.contains(expected)), "{error}");
    }
    // More than was said is not sent.
    let parts = vec![Part::File { path: file, len: 2 }];
    let mut heard = String::new();
    limited(session.run("cat", parts, |_| {}, |line| heard.push_str(line))).await.unwrap();
    assert_eq!(heard, "sh");
}

#[tokio::test(flavor = "multi_thread")]
async fn much_output_comes_whole() {
    let sshd = Sshd::start();
    let session = connect(&sshd.target(), &strict()).await;
    let (mut lines, mut sum) = (0_u64, 0_u64);
    let line = |text: &str| {
        lines += 1;
        sum += text.parse::<u64>().unwrap();
    };
    limited(session.run("seq 1 1000000", Vec::new(), |_| {}, line)).await.unwrap();
    assert_eq!((lines, sum), (1_000_000, 500_000_500_000));
    // A line without an end comes in pieces.
    let mut len = 0;
    limited(session.run("head -c 5000000 /dev/zero | tr '\\0' x", Vec::new(), |_| {}, |text| len += text.len())).await.unwrap();
    assert_eq!(len, 5_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_side_by_side_share_a_connection() {
    let sshd = Sshd::start();
    let session = connect(&sshd.target(), &strict()).await;
    let fifo = sshd.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // Each needs the other: one after the other would never end.
    let (reads, writes) = (format!("cat '{}'", fifo.display()), format!("echo met >'{}'", fifo.display()));
    let upload = session.run("cat >/dev/null", vec![Part::Bytes(noise(20 * MIB))], |_| {}, |_| {});
    let (read, written, uploaded) = limited(async { tokio::join!(output(&session, &reads), output(&session, &writes), upload) }).await;
    assert_eq!((read.as_str(), written.as_str(), uploaded.unwrap()), ("met\n", "", Exit::Status(0)));
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_run_does_not_hold_the_others_up() {
    let sshd = Sshd::start();
    let session = connect(&sshd.target(), &strict()).await;
    let fifo = sshd.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // Takes none of its input until told to.
    let stuck = format!("read word <'{}'; cat >/dev/null", fifo.display());
    let others = async {
        for _ in 0..5 {
            assert_eq!(output(&session, "echo free").await, "free\n");
        }
        output(&session, &format!("echo go >'{}'", fifo.display())).await
    };
    let (stuck, _) = limited(async { tokio::join!(session.run(&stuck, vec![Part::Bytes(noise(20 * MIB))], |_| {}, |_| {}), others) }).await;
    assert_eq!(stuck.unwrap(), Exit::Status(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_session_at_a_time_runs_wait_for_each_other() {
    let sshd = Sshd::with(&["ed25519"], "MaxSessions 1\n");
    let session = connect(&sshd.target(), &strict()).await;
    let counter = sshd.path("counter");
    let script = format!("n=$(cat '{0}' 2>/dev/null || echo 0); echo $((n + 1)) >'{0}'", counter.display());
    limited(async {
        tokio::join!(output(&session, &script), output(&session, &script), output(&session, &script), output(&session, &script))
    })
    .await;
    assert_eq!(std::fs::read_to_string(&counter).unwrap(), "4\n");
    // A run that is given up gives its session back.
    let forever = session.run("cat", Vec::new(), |_| {}, |_| {});
    drop(tokio::time::timeout(Duration::from_millis(300), forever).await);
    assert_eq!(output(&session, "echo again").await, "again\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_sessions_says_so() {
    let sshd = Sshd::with(&["ed25519"], "MaxSessions 0\n");
    let session = connect(&sshd.target(), &strict()).await;
    let begun = Instant::now();
    let error = limited(session.run("true", Vec::new(), |_| {}, |_| {})).await.unwrap_err();
    assert!(matches!(error, RunError::Refused { .. }), "{error}");
    assert!(error.hint().contains("MaxSessions"), "{}", error.hint());
    assert!(begun.elapsed() > Duration::from_secs(5), "it may be a passing state");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_login_says_is_not_the_scripts() {
    let config = "Banner DIR/banner\nPrintMotd yes\nSetEnv HOME=DIR LANG=de_DE.UTF-8 LC_ALL=de_DE.UTF-8\n\
                  ForceCommand sh -c 'umask 077; echo noise; echo noise >&2; printf half; echo; eval \"$SSH_ORIGINAL_COMMAND\"'\n";
    let sshd = Sshd::with(&["ed25519"], config);
    std::fs::write(sshd.path("banner"), "Friendship is magic\n".repeat(100)).unwrap();
    let session = connect(&sshd.target(), &strict()).await;
    let (mut out, mut err) = (String::new(), String::new());
    limited(session.read(Bounds::FILE, "umask; echo $LC_ALL; ls /nowhere; cat", &mut out, &mut err)).await.unwrap();
    assert_eq!(out, "0022\nC\n");
    assert!(err.contains("No such file or directory") && !err.contains("noise"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_runs_nothing_says_why() {
    let sshd = Sshd::with(&["ed25519"], "ForceCommand sh -c 'echo this account is not available; exit 1'\n");
    let session = connect(&sshd.target(), &strict()).await;
    let error = limited(session.run("true", Vec::new(), |_| {}, |_| {})).await.unwrap_err();
    assert_eq!(error.to_string(), "rainbowdash: can't run scripts: the login shell ended with status 1: this account is not available");
}

/// `templates/ssh/loader.sh` as a shell gets it.
fn loader() -> &'static str {
    include_str!("../../templates/ssh/loader.sh").lines().last().unwrap()
}

#[test]
fn a_script_cut_at_any_byte_does_not_run() {
    let script = "touch ran\necho ran\n";
    let whole = format!("a password\nhostler script {}\n{script}", script.len());
    for shell in ["dash", "bash"] {
        for cut in 0..=whole.len() {
            let dir = tempfile::tempdir().unwrap();
            let mut child = Command::new(shell)
                .args(["-c", loader()])
                .current_dir(dir.path())
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap_or_else(|error| panic!("{shell}: {error}: apt-get install {shell}"));
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), &whole.as_bytes()[..cut]).unwrap();
            let status = child.wait().unwrap();
            let complete = cut == whole.len();
            assert_eq!((status.code(), dir.path().join("ran").exists()), (Some(if complete { 0 } else { 65 }), complete), "{shell} {cut}");
        }
    }
}

#[test]
fn the_loader_is_what_every_login_shell_reads_alike() {
    let terminal = include_str!("../../templates/ssh/terminal.sh").lines().last().unwrap();
    for forbidden in ['\'', '\\', '!', '\n'] {
        assert!(!loader().contains(forbidden) && !terminal.contains(forbidden), "{forbidden:?}");
    }
}
