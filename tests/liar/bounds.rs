//! How much a machine may say, and how long it may take. One that knows no end is unreachable, with the reason, and nothing waits for it longer
//! than its limit.

use std::fs;
use std::time::{Duration, Instant};

use crate::lab::{Lab, blank};

/// Much more than any command takes, on a loaded computer.
const SOON: Duration = Duration::from_secs(60);

#[test]
fn facts_without_an_end_are_bounded() {
    // Long lines, short lines, no line at all; on either output.
    for (what, output) in [("yes hostler-facts", "1"), ("yes", "1"), ("cat /dev/zero", "1"), ("yes hostler-facts", "2")] {
        let mut lab = Lab::new();
        let endless =
            format!("#!/bin/sh\necho 'hostler begins'\necho 'hostler begins' >&2\necho 'hostler-facts 1'\nexec {what} >&{output}\n");
        lab.answering("apple", "10.77.0.13", "worker", &endless);
        let start = Instant::now();
        let ran = lab.hostler_within(&["plan"], 400 << 20);
        assert!(start.elapsed() < SOON, "{what}: {:?}", start.elapsed());
        assert!(ran.err.contains("apple") && ran.err.contains("unreachable: the output was larger than 17 MB"), "{what}: {}", ran.all());
        assert!(ran.out.contains("one: kubelet is not running with"), "{what}: {}", ran.all());
    }
}

#[test]
fn noise_before_the_facts_is_bounded_too() {
    let mut lab = Lab::new();
    lab.answering("apple", "10.77.0.13", "worker", "#!/bin/sh\nexec yes noise\n");
    let ran = lab.hostler_within(&["status"], 400 << 20);
    assert!(ran.out.contains("apple can't be reached: the output was larger than 17 MB"), "{}", ran.all());
}

/// A sudo that says what a file says, or never answers.
const SUDO: &str = "#!/bin/sh\ncase $SSH_ORIGINAL_COMMAND in\n*' -n true'*) WHAT ;;\n*) cat DIR/facts ;;\nesac\n";

#[test]
fn a_sudo_that_never_answers_ends_at_its_limit() {
    for (what, reason) in [
        ("exec timeout 60 tail -f /dev/null", "sudo did not answer within 10 s"),
        ("exec yes >&2", "the output was larger than 66 kB"),
        ("exec yes", "the output was larger than 66 kB"),
    ] {
        let mut lab = Lab::new();
        lab.answering("apple", "10.77.0.13", "worker", &SUDO.replace("WHAT", what));
        fs::write(lab.path("apple/facts"), blank("apple", "")).unwrap();
        let inventory = lab.inventory("").replace("  apple:\n", "  apple:\n    become: true\n");
        fs::write(lab.path("inventory.yaml"), inventory).unwrap();
        let start = Instant::now();
        let ran = lab.hostler(&["status"]);
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
        assert!(ran.out.contains(&format!("can't be reached: {reason}")), "{what}: {}", ran.all());
        assert!(ran.out.contains("one   ") && ran.status == 4, "{what}: {}", ran.all());
    }
}

#[test]
fn a_small_archive_that_unpacks_to_much_is_no_snapshot() {
    use std::io::Write;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..(2 << 10) + 65 {
        packed.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let lab = Lab::new();
    let file = lab.path("bomb.tar.gz");
    fs::write(&file, packed.finish().unwrap()).unwrap();
    let error = hostler::snapshot::open(&file, None).unwrap_err().to_string();
    assert!(error.contains("the unpacked file is too large"), "{error}");
}
