//! Uploads to machines side by side, against OpenSSH's own: `cargo bench --bench upload [-- MACHINES...]`.
//!
//! A real sshd on loopback takes 256 MiB per machine and throws them away; each number is the median of five, in seconds, with the
//! connection's setup. OpenSSH runs with its own choice of cipher and with hostler's.

#[allow(dead_code)]
#[path = "../tests/ssh/sshd.rs"]
mod sshd;

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Instant;

use hostler::ssh::{Part, Session};

use crate::sshd::{Sshd, strict};

const SIZE: u64 = 256 << 20;
const ROUNDS: usize = 5;

fn main() {
    let counts: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let counts = if counts.is_empty() { vec![1, 5, 20] } else { counts };
    let sshd = Sshd::start();
    let file = sshd.path("payload");
    std::io::copy(&mut std::io::Read::take(File::open("/dev/urandom").unwrap(), SIZE), &mut File::create(&file).unwrap()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!("machines  hostler  openssh  openssh aes128-gcm");
    for count in counts {
        let (mut ours, mut theirs, mut same) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(timed(|| runtime.block_on(upload(&sshd, count))));
            theirs.push(timed(|| openssh(&sshd, count, &[])));
            same.push(timed(|| openssh(&sshd, count, &["-c", "aes128-gcm@openssh.com"])));
        }
        println!("{count:8}  {:7.2}  {:7.2}  {:18.2}", median(ours), median(theirs), median(same));
    }
}

async fn upload(sshd: &Sshd, count: usize) {
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..count {
        let (target, file) = (sshd.target(), sshd.path("payload"));
        running.spawn(async move {
            let session = Session::connect(&target, &strict()).await.unwrap();
            session.run("exec cat >/dev/null", vec![Part::File { path: file, len: SIZE }], |_| {}, |_| {}).await.unwrap();
        });
    }
    running.join_all().await;
}

fn openssh(sshd: &Sshd, count: usize, options: &[&str]) {
    let running: Vec<_> = (0..count)
        .map(|_| {
            Command::new("ssh")
                .args(["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"])
                .args(["-o", "IdentityAgent=none", "-p", &sshd.port.to_string(), "-i"])
                .arg(sshd.path("user_key"))
                .args(options)
                .args(["127.0.0.1", "exec cat >/dev/null"])
                .stdin(Stdio::from(File::open(sshd.path("payload")).unwrap()))
                .spawn()
                .unwrap()
        })
        .collect();
    for mut one in running {
        assert!(one.wait().unwrap().success());
    }
}

fn timed(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
