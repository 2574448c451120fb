//! How each kind of event looks in each style, and the reporter as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use hostler_core::action::Action;
use hostler_core::action::kubeadm::{CreateToken, Init};
use hostler_core::action::machine::{ImportImages, InstallPackages, SwapOff};
use hostler_core::failure::ExitStatus;
use hostler_core::inventory::MachineName;
use hostler_core::plan::hint::Hint;
use hostler_core::plan::refusal::Why;
use hostler_core::plan::{NotReached, Refusal, Step, Warning};
use hostler_core::quantity;
use hostler_core::step::{Stage, StepId, StepKind};
use indicatif::{InMemoryTerm, ProgressDrawTarget, TermLike};

use super::*;
use crate::event::Unit;

mod plans;

const PLAIN: Paint = Paint { on: false };

fn machine(name: &str) -> MachineName {
    MachineName::new(name).unwrap()
}

fn id(name: &str, what: &str) -> StepId {
    StepKind::parse(what).expect("a kind of step").of(&machine(name))
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn started(name: &str, what: &str, stage: Stage, line: &str) -> Event {
    let action = line.rsplit(": ").next().unwrap_or_default().to_owned();
    Event::StepStarted { step: id(name, what), stage, machine: machine(name), line: line.to_owned(), action }
}

fn finished(name: &str, what: &str, took: u64) -> Event {
    Event::StepFinished { step: id(name, what), took: ms(took) }
}

/// One of every kind, as a run would send them; the number is when, in milliseconds.
fn run() -> Vec<(u64, Event)> {
    let bundle = || "bundle".to_owned();
    let token = || id("rainbowdash", "join");
    vec![
        (0, Event::TaskStarted { task: bundle(), what: "fetch kubelet".to_owned() }),
        (500, Event::TaskProgress { task: bundle(), done: 20_000_000, total: 60_000_000, unit: Unit::Bytes }),
        (2_500, Event::TaskProgress { task: bundle(), done: 40_000_000, total: 60_000_000, unit: Unit::Bytes }),
        (2_600, Event::TaskLine { task: bundle(), line: "the connection to the machine was lost: continuing at 40 MB".to_owned() }),
        (7_200, Event::TaskFinished { task: bundle(), took: ms(7_200) }),
        (7_200, Event::TaskStarted { task: "images".to_owned(), what: "read the archive".to_owned() }),
        (7_300, Event::TaskProgress { task: "images".to_owned(), done: 3, total: 11, unit: Unit::Items }),
        (7_400, Event::TaskFailed { task: "images".to_owned(), reason: "the archive is truncated\nat byte 512".to_owned() }),
        (8_000, Event::Gathering { machine: machine("twilightsparkle") }),
        (8_000, Event::Gathering { machine: machine("fluttershy") }),
        (8_400, Event::Gathered { machine: machine("twilightsparkle"), took: ms(400) }),
        (
            9_000,
            Event::Unreachable {
                machine: machine("fluttershy"),
                reason: "connection refused".to_owned(),
                hint: "check with `ssh fluttershy` that sshd is running".to_owned(),
            },
        ),
        (9_000, Event::PlanStarted { steps: BTreeMap::from([(machine("twilightsparkle"), 2), (machine("rainbowdash"), 3)]) }),
        (9_000, started("twilightsparkle", "images-control-plane", Stage::Images, "2 images are missing: send, import and pin 2 images")),
        (9_000, started("rainbowdash", "packages", Stage::Prepare, "socat is missing: install socat")),
        (9_000, Event::StepScript { step: id("rainbowdash", "packages"), text: "set -eu\napt-get install -y socat\n".to_owned() }),
        (9_100, Event::StepProgress { step: id("twilightsparkle", "images-control-plane"), done: 0, total: 270_000_000 }),
        (9_200, Event::StepOutput { step: id("rainbowdash", "packages"), line: "Reading package lists...".to_owned() }),
        (9_300, Event::StepWaiting { step: id("rainbowdash", "packages"), what: "the apt lock".to_owned(), limit: ms(300_000) }),
        (10_300, Event::StepWaiting { step: id("rainbowdash", "packages"), what: "the apt lock".to_owned(), limit: ms(300_000) }),
        (14_100, Event::StepProgress { step: id("twilightsparkle", "images-control-plane"), done: 180_000_000, total: 270_000_000 }),
        (15_200, Event::StepExited { step: id("rainbowdash", "packages"), status: 0 }),
        (15_200, finished("rainbowdash", "packages", 6_200)),
        (16_400, finished("twilightsparkle", "images-control-plane", 7_400)),
        (16_450, started("rainbowdash", "programs", Stage::Programs, "no Kubernetes binaries installed: send 17 programs")),
        (16_460, Event::StepDeferred { step: id("rainbowdash", "programs") }),
        (16_500, started("twilightsparkle", "init", Stage::FirstControlPlane, "there is no cluster: kubeadm init")),
        (
            81_000,
            Event::StepFailed {
                step: id("twilightsparkle", "init"),
                reason: "the step's script ended with exit status 1\ntimed out waiting for the kubelet".to_owned(),
                hint: "the run log has all it printed".to_owned(),
            },
        ),
        (81_000, Event::StepBlocked { step: token(), by: id("twilightsparkle", "init") }),
        (81_000, Event::StepBlocked { step: id("rainbowdash", "labels"), by: token() }),
        (81_100, Event::Note { line: "run `hostler up` again to continue".to_owned() }),
        (81_100, Event::Warning { line: "an even number of control planes tolerates no more failures than one less".to_owned() }),
    ]
}

fn step(name: &str, what: &str, stage: Stage, reason: &str, action: Action, needs: &[StepId]) -> Step {
    let needs: BTreeSet<StepId> = needs.iter().cloned().collect();
    Step { id: id(name, what), stage, machine: machine(name), reason: reason.to_owned(), action, needs, after: BTreeSet::new() }
}

fn plan() -> Plan {
    let swap = || Action::from(SwapOff {});
    let packages = |name| {
        step(name, "packages", Stage::Prepare, "socat is missing", InstallPackages { packages: vec!["socat".to_owned()] }.into(), &[])
    };
    let init = Init { config: String::new(), again: false, record: BTreeMap::new() };
    Plan {
        schema: 1,
        steps: vec![
            step("twilightsparkle", "swap", Stage::Prepare, "swap is on (/dev/sda3)", swap(), &[]),
            packages("rainbowdash"),
            packages("fluttershy"),
            step(
                "twilightsparkle",
                "images-control-plane",
                Stage::Images,
                "2 images are missing",
                ImportImages { arch: hostler_core::arch::Arch::Amd64, images: vec![] }.into(),
                &[],
            ),
            step(
                "twilightsparkle",
                "init",
                Stage::FirstControlPlane,
                "there is no cluster",
                init.into(),
                &[id("twilightsparkle", "swap"), id("twilightsparkle", "images-control-plane")],
            ),
            step(
                "rainbowdash",
                "token",
                Stage::Workers,
                "it is not a node",
                CreateToken {}.into(),
                &[id("twilightsparkle", "init"), id("rainbowdash", "packages")],
            ),
        ],
        refusals: vec![Refusal {
            machine: Some(machine("applejack")),
            why: Why::OtherCluster { server: Some("https://orchard:6443".to_owned()) },
            hint: Hint::TakeOutOfEither,
        }],
        warnings: vec![Warning { machine: None, text: "its certificates end in 12 days".to_owned() }],
        findings: Vec::new(),
        unreachable: Vec::new(),
        reached: 0,
        withdrawn: false,
    }
}

/// Time and text of each printed line; lines that the clock caused are marked.
fn printed(lines: &mut Lines, events: Vec<(u64, Event)>) -> String {
    let mut text = String::new();
    let mut tell = |now: Duration, mark: &str, printed: Vec<String>| {
        for line in printed {
            text.push_str(&format!("{:>5}{mark} {line}\n", quantity::duration(now)));
        }
    };
    let mut clock = 0;
    for (at, event) in events {
        while clock < at {
            tell(ms(clock), "*", lines.tick(ms(clock)));
            clock += 100;
        }
        tell(ms(at), " ", lines.event(ms(at), &event));
    }
    text
}

#[test]
fn every_kind_of_event_as_lines() {
    insta::assert_snapshot!(printed(&mut Lines::alone(PLAIN), run()));
}

#[test]
fn what_scrolls_above_the_bars() {
    insta::assert_snapshot!(printed(&mut Lines::above_bars(PLAIN), run()));
}

#[test]
fn lines_with_colors() {
    let run = run().into_iter().filter(|(at, _)| *at > 80_000);
    let text = printed(&mut Lines::alone(Paint { on: true }), run.collect());
    insta::assert_snapshot!(guarded(&text).replace('\u{1b}', "^"));
}

#[test]
fn no_silence_is_longer_than_five_seconds() {
    let mut lines = Lines::alone(PLAIN);
    let mut last = Duration::ZERO;
    let mut printed = 0;
    for (event_at, event) in [(0, started("rainbowdash", "init", Stage::Prepare, "x")), (60_000, finished("rainbowdash", "init", 60_000))] {
        for at in (last.as_millis() as u64..event_at).step_by(100) {
            if !lines.tick(ms(at)).is_empty() {
                assert!(ms(at) - last <= ms(5_000), "silent from {last:?} to {at} ms");
                last = ms(at);
                printed += 1;
            }
        }
        lines.event(ms(event_at), &event);
    }
    assert_eq!(printed, 13);
    // And nothing is printed while nothing is running.
    assert!(lines.tick(ms(600_000)).is_empty());
}

#[test]
fn every_kind_of_event_as_json() {
    let mut faces = Json::default();
    let time = Timestamp::UNIX_EPOCH;
    let lines = run().into_iter().filter_map(|(at, event)| faces.event(ms(at), time + ms(at), &event));
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
}

#[test]
fn why_a_machine_can_not_be_reached_is_printed_once() {
    let lost =
        |reason: &str| Event::Unreachable { machine: machine("fluttershy"), reason: reason.to_owned(), hint: "turn it on".to_owned() };
    let mut lines = Lines::alone(PLAIN);
    let mut count = |event| lines.event(ms(0), &event).len();
    assert_eq!([count(lost("no answer")), count(lost("no answer")), count(lost("refused")), count(lost(""))], [2, 0, 2, 0]);
    assert_eq!([count(Event::Gathered { machine: machine("fluttershy"), took: ms(1) }), count(lost("refused"))], [1, 2]);
}

#[test]
fn json_progress_is_printed_twice_a_second_and_always_at_the_end() {
    let mut faces = Json::default();
    let told: Vec<u64> = (0..=10)
        .filter(|tenth| {
            let event = Event::StepProgress { step: id("rainbowdash", "images-control-plane"), done: *tenth, total: 10 };
            faces.event(ms(tenth * 100), Timestamp::UNIX_EPOCH, &event).is_some()
        })
        .collect();
    assert_eq!(told, [0, 5, 10]);
    let mut faces = Json::default();
    let event = |done| Event::StepProgress { step: id("rainbowdash", "images-control-plane"), done, total: 10 };
    assert!(faces.event(ms(0), Timestamp::UNIX_EPOCH, &event(1)).is_some());
    assert!(faces.event(ms(1), Timestamp::UNIX_EPOCH, &event(10)).is_some());
}

/// Writes to a terminal in memory, as to a real one.
struct Screen(InMemoryTerm);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_str(&String::from_utf8_lossy(bytes).replace('\n', "\r\n"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn on_screen(screen: &InMemoryTerm) -> Terminal {
    Terminal::new(ProgressDrawTarget::term_like(Box::new(screen.clone())), None, Box::new(Screen(screen.clone())), PLAIN)
}

#[test]
fn a_terminal_shows_a_line_per_machine() {
    let screen = InMemoryTerm::new(30, 110);
    let mut terminal = on_screen(&screen);
    let mut seen = String::new();
    let mut look = |terminal: &mut Terminal, at: u64| {
        terminal.tick(ms(at));
        seen.push_str(&format!("--- {}\n{}\n", quantity::duration(ms(at)), screen.contents()));
    };
    for (at, event) in run() {
        // The screen before the event, at the interesting times.
        if [2_600, 7_400, 9_300, 15_200, 81_000].contains(&at) && !matches!(event, Event::StepBlocked { .. } | Event::StepFinished { .. }) {
            look(&mut terminal, at);
        }
        terminal.event(ms(at), &event);
    }
    look(&mut terminal, 81_200);
    insta::assert_snapshot!(seen);
}

#[test]
fn a_waiting_machine_keeps_its_line() {
    let screen = InMemoryTerm::new(10, 80);
    let mut terminal = on_screen(&screen);
    terminal.event(ms(0), &Event::PlanStarted { steps: BTreeMap::from([(machine("rainbowdash"), 2), (machine("twilightsparkle"), 2)]) });
    terminal.event(ms(0), &started("rainbowdash", "swap", Stage::Prepare, "a"));
    terminal.event(ms(0), &started("twilightsparkle", "swap", Stage::Prepare, "a"));
    terminal.event(ms(500), &finished("rainbowdash", "swap", 500));
    terminal.tick(ms(1_000));
    let contents = screen.contents();
    let foot: Vec<&str> = contents.lines().skip(1).map(|line| line.split_once(' ').unwrap().0).collect();
    assert_eq!(foot, ["rainbowdash", "twilightsparkle"], "{contents}");
}

#[test]
fn a_long_line_is_truncated_to_the_width_of_the_terminal() {
    let screen = InMemoryTerm::new(5, 40);
    let mut terminal = on_screen(&screen);
    terminal.event(ms(0), &started("rainbowdash", "swap", Stage::Prepare, "a reason that is long: an action that is longer"));
    terminal.tick(ms(1_000));
    assert_eq!(screen.contents().lines().count(), 1, "{}", screen.contents());
    terminal.quiet();
    assert_eq!(screen.contents(), "");
}

#[test]
fn the_log_of_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("state/runs");
    let mut log = RunLog::create(&runs, "up", Timestamp::UNIX_EPOCH).unwrap();
    for (at, event) in run() {
        log.event(Timestamp::UNIX_EPOCH + ms(at), &event).unwrap();
    }
    // Nothing was flushed or closed: this is the state after a `kill -9`.
    let text = std::fs::read_to_string(log.path()).unwrap();
    let (first, rest) = text.split_once('\n').unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(first, format!("hostler {version} up, 1970-01-01T00:00:00Z, process {}", std::process::id()));
    insta::assert_snapshot!(rest);
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(log.path()), mode(&runs)), (0o600, 0o700));
}

#[test]
fn the_newest_fifty_logs_are_kept_and_other_files_stay() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("notes.log"), "mine").unwrap();
    let mut paths = Vec::new();
    for second in 0..52 {
        paths.push(RunLog::create(folder.path(), "lab up", Timestamp::from_second(second).unwrap()).unwrap().path().to_owned());
    }
    // Two runs in the same second have two logs.
    paths.push(RunLog::create(folder.path(), "lab up", Timestamp::from_second(51).unwrap()).unwrap().path().to_owned());
    let there: Vec<bool> = paths.iter().map(|path| path.exists()).collect();
    assert_eq!(there, [vec![false; 3], vec![true; 50]].concat());
    assert!(paths[51].ends_with("19700101T000051Z-lab-up.log") && paths[52].ends_with("19700101T000051Z-lab-up-2.log"));
    assert!(folder.path().join("notes.log").exists());
}

#[test]
fn a_plan_for_a_person() {
    insta::assert_snapshot!(plan_text(&plan(), Layout::LOG, PLAIN, &Commands::default()));
}

#[test]
fn the_summary_of_a_plan() {
    let empty = Plan { steps: vec![], refusals: vec![], warnings: vec![], ..plan() };
    assert_eq!(plan_text(&empty, Layout::LOG, PLAIN, &Commands::default()), "up to date, nothing to do\n");
    let refused = Plan { steps: vec![], warnings: vec![], ..plan() };
    assert_eq!(plan::summary(&refused), "no steps: blocked by 1 refusal");
    assert_eq!(plan::summary(&plan()), "6 steps on 3 machines, 1 refusal, 1 warning");
    let lost = |name: &str| NotReached { machine: machine(name), reason: "no answer".to_owned() };
    let unreachable = vec![lost("rainbowdash"), lost("fluttershy")];
    let partly = Plan { unreachable: unreachable.clone(), reached: 1, ..empty };
    assert_eq!(plan::summary(&partly), "nothing to do on the reachable machines; unreachable: rainbowdash and fluttershy");
    let none = Plan { reached: 0, ..partly };
    assert_eq!(plan::summary(&none), "no plan: rainbowdash and fluttershy can't be reached");
    let some = Plan { unreachable, ..plan() };
    assert_eq!(plan::summary(&some), "6 steps on 3 machines, 1 refusal, 1 warning; unreachable: rainbowdash and fluttershy");
}

fn times(steps: &[(&str, &str, u64)]) -> BTreeMap<StepId, Duration> {
    steps.iter().map(|(name, what, took)| (id(name, what), ms(*took))).collect()
}

#[test]
fn the_critical_path_is_the_longest_over_needs() {
    let measured = times(&[
        ("twilightsparkle", "swap", 300),
        ("rainbowdash", "packages", 9_000),
        // The longest of all, but no other step needs it.
        ("fluttershy", "packages", 15_000),
        ("twilightsparkle", "images-control-plane", 6_000),
        ("twilightsparkle", "init", 9_500),
        ("rainbowdash", "token", 1_000),
    ]);
    let path = |measured: &BTreeMap<StepId, Duration>| -> Vec<String> {
        critical_path(&plan(), measured).iter().map(|(step, took)| format!("{step} {}", took.as_millis())).collect()
    };
    assert_eq!(path(&measured), ["twilightsparkle/images-control-plane 6000", "twilightsparkle/init 9500", "rainbowdash/token 1000"]);
    // The opposite if the packages take longer than images and init.
    let mut slow = measured.clone();
    slow.insert(id("rainbowdash", "packages"), ms(16_000));
    assert_eq!(path(&slow), ["rainbowdash/packages 16000", "rainbowdash/token 1000"]);
    // Steps that did not run are not part of it.
    let mut broken = measured.clone();
    broken.remove(&id("twilightsparkle", "init"));
    broken.remove(&id("rainbowdash", "token"));
    assert_eq!(path(&broken), ["fluttershy/packages 15000"]);
    assert!(path(&BTreeMap::new()).is_empty());
    // A second round that needs steps of the first one counts each step once, and terminates.
    let mut rounds = plan();
    let mut again = rounds.steps[0].clone();
    again.needs.insert(id("rainbowdash", "token"));
    rounds.steps.push(again);
    let twice = critical_path(&rounds, &measured);
    assert_eq!(twice.iter().map(|(_, took)| took.as_millis()).collect::<Vec<_>>(), [6_000, 9_500, 1_000, 300]);
}

fn record(events: &[(u64, Event)]) -> Record {
    let mut record = Record::default();
    for (at, event) in events {
        record.apply(ms(*at), event);
    }
    record
}

#[test]
fn the_closing_of_a_run_that_went_well() {
    let at = |from: u64, name: &str, what: &str, stage, took: u64| {
        let line = plan().steps.iter().find(|step| step.id == id(name, what)).unwrap().line();
        [(from, started(name, what, stage, &line)), (from + took, finished(name, what, took))]
    };
    let mut events = [
        at(0, "twilightsparkle", "swap", Stage::Prepare, 300),
        at(0, "rainbowdash", "packages", Stage::Prepare, 2_000),
        at(300, "twilightsparkle", "images-control-plane", Stage::Images, 6_000),
        at(6_300, "twilightsparkle", "init", Stage::FirstControlPlane, 64_000),
        at(70_300, "rainbowdash", "token", Stage::Workers, 1_000),
    ]
    .concat();
    events.sort_by_key(|(at, _)| *at);
    let record = Record { log: Some("/home/ash/.local/state/hostler/runs/x.log".into()), ..record(&events) };
    let without_fluttershy =
        Plan { steps: plan().steps.into_iter().filter(|step| step.machine != machine("fluttershy")).collect(), ..plan() };
    let closing = Closing::new(&[without_fluttershy], &record);
    insta::assert_snapshot!(closing.text(PLAIN));
    assert_eq!(record.exit_status(), ExitStatus::Done);
    assert!(closing.not_done.is_empty());
}

#[test]
fn the_closing_of_a_run_that_went_wrong() {
    let record = record(&run());
    insta::assert_snapshot!(Closing::new(&[plan()], &record).text(PLAIN));
    assert_eq!(record.exit_status(), ExitStatus::Unreachable);
}

#[test]
fn an_interrupted_run_shows_what_may_still_be_running() {
    let log = Some("/home/ash/.local/state/hostler/runs/x.log".into());
    let so_far = Record { log, ..record(&run().into_iter().filter(|(at, _)| *at < 16_450).collect::<Vec<_>>()) };
    insta::assert_snapshot!(Interrupted::new("Ctrl-C", Some(&plan()), &so_far).text(PLAIN), @r"
    interrupted: Ctrl-C
    no step was running: 2 steps done, 4 not started
    log: /home/ash/.local/state/hostler/runs/x.log
    ");
    let halves = record(&run().into_iter().filter(|(at, _)| *at < 16_000).collect::<Vec<_>>());
    insta::assert_snapshot!(Interrupted::new("Ctrl-C", Some(&plan()), &halves).text(PLAIN), @r"
    interrupted: Ctrl-C
    not finished: twilightsparkle/images-control-plane: 2 images are missing: send, import and pin 2 images
    1 step done, 4 not started
    hint: run the same command again to continue; it waits for scripts that are still running on machines
    ");
    insta::assert_snapshot!(Interrupted::new("Ctrl-C", Some(&plan()), &Record::default()).text(PLAIN), @r"
    interrupted: Ctrl-C
    nothing was started on any machine
    ");
}

/// A writer whose content can be read later.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test]
async fn a_reporter_keeps_the_order_and_the_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let (progress, results) = (Kept::default(), Kept::default());
    let log = RunLog::create(folder.path(), "up", Timestamp::UNIX_EPOCH).unwrap();
    let path = log.path().to_owned();
    let output = Output::Lines(Lines::alone(PLAIN), Box::new(progress.clone()));
    let reporter = Reporter::with(output, Box::new(results.clone()), Ok(Some(log)), false, Commands::default());
    reporter.redactor().add("abcdef.0123456789abcdef");
    let events = reporter.events();
    events.send(Event::Note { line: "the token is abcdef.0123456789abcdef".to_owned() });
    reporter.result("node  ready\nabcdef.0123456789abcdef  yes\n").await;
    assert_eq!(progress.text(), "the token is [secret]\n", "events sent before a result are shown before it");
    events.send(started("rainbowdash", "token", Stage::Workers, "it is not a node: run kubeadm join as a worker"));
    let script = "token=abcdef.01234\n56789abcdef".to_owned();
    events.send(Event::StepScript { step: id("rainbowdash", "token"), text: script });
    events.send(Event::StepFailed { step: id("rainbowdash", "token"), reason: "no".to_owned(), hint: String::new() });
    let record = reporter.finish(Some(vec![plan()])).await;
    assert_eq!(record.exit_status(), ExitStatus::Failed);
    assert_eq!(record.log.as_deref(), Some(path.as_path()));
    assert_eq!(results.text(), "node  ready\n[secret]  yes\n");
    assert!(progress.text().contains(&format!("log: {}", path.display())), "{}", progress.text());
    let log = std::fs::read_to_string(&path).unwrap();
    for piece in [
        "rainbowdash/token  | token=[secret]",
        "rainbowdash/token  | [secret]",
        "[secret]  yes",
        "critical path",
        "failed: rainbowdash/token: no",
    ] {
        assert!(log.contains(piece), "{piece} is missing in:\n{log}");
    }
    assert!(!log.contains("abcdef"), "{log}");
    // Later events are ignored.
    events.send(Event::Note { line: "late".to_owned() });
}

#[tokio::test]
async fn every_line_of_json_is_an_object_and_the_last_the_closing() {
    let results = Kept::default();
    let reporter = Reporter::with(Output::Json(Json::default()), Box::new(results.clone()), Ok(None), false, Commands::default());
    reporter.plan(&plan()).await;
    reporter.result("node  ready\n").await;
    reporter.events().send(started("rainbowdash", "join", Stage::Workers, "x"));
    reporter.finish(Some(vec![plan()])).await;
    let lines: Vec<serde_json::Value> = results.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!((&lines[0]["event"], &lines[0]["plan"]["schema"]), (&"plan".into(), &1.into()));
    assert_eq!((&lines[1]["event"], &lines[1]["text"]), (&"result".into(), &"node  ready".into()));
    assert_eq!((&lines[2]["event"], &lines[2]["stage"]), (&"stepStarted".into(), &"workers".into()));
    assert_eq!(lines[3]["event"], "closing");
    assert_eq!(lines[3]["notDone"].as_array().unwrap().len(), 6, "{}", lines[3]);
}

#[tokio::test]
async fn a_log_that_cannot_be_written_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("runs"), "a file").unwrap();
    let reporter = Reporter::start(Style::Lines, "up", Some(folder.path().join("runs")), Commands::default());
    assert_eq!(reporter.finish(None).await.log, None);

    let progress = Kept::default();
    let output = Output::Lines(Lines::alone(PLAIN), Box::new(progress.clone()));
    let reporter = Reporter::with(
        output,
        Box::new(Kept::default()),
        Err("the log of this run can't be written: x".to_owned()),
        false,
        Commands::default(),
    );
    reporter.finish(None).await;
    assert_eq!(progress.text(), "warning: the log of this run can't be written: x\n");
}
