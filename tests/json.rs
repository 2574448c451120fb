//! docs/json.md names the fields of hostler's JSON as they are. Values are built field by field, so that a new field does not compile until it
//! stands here, and is compared with the document then.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use hostler::event::Event;
use hostler::report::closing::{Failed, NotDone, PathStep, StageTime};
use hostler::report::{Closing, Interrupted, RunningStep};
use hostler::snapshot::Listed;
use hostler_core::action::machine::SwapOff;
use hostler_core::arch::Arch;
use hostler_core::facts::RebootDue;
use hostler_core::facts::Snapshot;
use hostler_core::failure::ExitStatus;
use hostler_core::health::{CertificateKind, CertificateStatus, Drift, MachineFacts, MachineStatus, MemberStatus, NodeStatus, Status};
use hostler_core::inventory::MachineName;
use hostler_core::manifest::{Blob, Component, File, FileKind, Image, Manifest};

use hostler_core::plan::hint::Hint;
use hostler_core::plan::refusal::{Refusal, Why};
use hostler_core::plan::{Finding, NotReached, Plan, Step, Warning};
use hostler_core::step::{Stage, StepId, StepKind};
use serde_json::{Value, json};

fn document() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/json.md")).expect("the document can be read")
}

fn machine() -> MachineName {
    MachineName::new("rainbowdash").expect("a name")
}

fn step() -> StepId {
    StepKind::Swap.of(&machine())
}

fn value(of: impl serde::Serialize) -> Value {
    serde_json::to_value(of).expect("it can be written")
}

fn plan() -> Value {
    value(Plan {
        schema: 1,
        steps: vec![Step {
            id: step(),
            stage: Stage::Prepare,
            machine: machine(),
            reason: String::new(),
            action: SwapOff {}.into(),
            needs: BTreeSet::new(),
            after: BTreeSet::new(),
        }],
        refusals: vec![Refusal { machine: None, why: Why::NoSystemd, hint: Hint::InstallDebian }],
        warnings: vec![Warning { machine: None, text: String::new() }],
        findings: vec![Finding { machine: machine(), what: "", place: String::new(), matters: "", then: "" }],
        unreachable: vec![NotReached { machine: machine(), reason: String::new() }],
        reached: 0,
        withdrawn: false,
    })
}

fn status() -> Value {
    let facts = MachineFacts {
        version: String::new(),
        disk_free: 0,
        disk_size: 0,
        memory_available: 0,
        memory: 0,
        load: String::new(),
        cpus: 0,
        temperature: None,
        uptime: 0,
        reboot_due: Some(RebootDue::default()),
        reboot_due_for: None,
    };
    let node = NodeStatus {
        name: String::new(),
        ready: true,
        message: String::new(),
        version: String::new(),
        cordoned: false,
        cordoned_for: None,
        in_inventory: true,
    };
    value(Status {
        schema: 1,
        healthy: true,
        problems: Vec::new(),
        machines: vec![MachineStatus { name: machine(), role: "worker", unreachable: None, hint: None, facts: Some(facts) }],
        api_down: None,
        no_cluster: false,
        api_denied: false,
        nodes: vec![node],
        members: vec![MemberStatus { name: String::new(), healthy: true, error: String::new(), learner: false }],
        certificates: vec![CertificateStatus {
            machine: machine(),
            kind: CertificateKind::ControlPlane,
            name: String::new(),
            ends: 0,
            days: 0,
            soon: false,
        }],
        snapshot: None,
        snapshot_age: None,
        drift: Some(Drift { differs: false, steps: 0, refusals: 0, verified: Some(true), first: None }),
        next: None,
    })
}

fn manifest() -> Value {
    value(Manifest {
        schema: 1,
        kubernetes: String::new(),
        arch: Arch::Amd64,
        files: vec![File {
            name: String::new(),
            version: String::new(),
            kind: FileKind::Program,
            size: 0,
            sha256: String::new(),
            source: String::new(),
        }],
        images: vec![Image {
            component: Component::Pause,
            reference: String::new(),
            digest: String::new(),
            media_type: String::new(),
            manifest_size: 0,
            blobs: vec![Blob { digest: String::new(), size: 0 }],
            source: String::new(),
        }],
    })
}

fn listed() -> Value {
    value(Listed { file: PathBuf::new(), cluster: String::new(), taken: jiff::Timestamp::UNIX_EPOCH, size: 0, encrypted: false })
}

fn verified() -> Value {
    value(Snapshot {
        file: PathBuf::new(),
        archive: PathBuf::new(),
        sha256: String::new(),
        size: 0,
        taken: String::new(),
        nodes: BTreeSet::new(),
        ca: String::new(),
    })
}

fn closing() -> Value {
    let took = Duration::ZERO;
    value(Closing {
        took,
        done: 0,
        times: vec![StageTime { machine: machine(), stage: Stage::Prepare, took }],
        critical_path: vec![PathStep { step: step(), machine: machine(), line: String::new(), action: String::new(), took }],
        unreachable: std::iter::empty().collect(),
        lost: Vec::new(),
        failed: vec![Failed { what: String::new(), reason: String::new(), hint: String::new() }],
        not_done: vec![NotDone { step: step(), by: None }],
        log: None,
    })
}

fn interrupted() -> Value {
    value(Interrupted {
        by: String::new(),
        done: 0,
        running: vec![RunningStep { step: step(), line: String::new() }],
        not_started: 0,
        log: None,
    })
}

/// What the page shows, with what the verb adds.
fn films() -> Value {
    let mut view = value(hostler::transcode::view::View::default());
    view["schema"] = json!(1);
    view
}

/// The rows of the first table after a heading, cell by cell.
fn rows(document: &str, heading: &str) -> Vec<Vec<String>> {
    let at = document.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("{heading} is there"));
    let lines = document[at + 1..].lines().skip(1).take_while(|line| !line.starts_with('#')).skip_while(|line| !line.starts_with('|'));
    let rows = lines.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()).collect()
}

fn spans(cell: &str) -> impl Iterator<Item = String> + '_ {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

fn fields(heading: &str) -> BTreeSet<String> {
    rows(&document(), heading).iter().flat_map(|cells| spans(&cells[0]).collect::<Vec<_>>()).collect()
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().expect("an object").keys().cloned().collect()
}

#[test]
fn tables_name_all_fields() {
    let (plan, status, manifest) = (plan(), status(), manifest());
    for (heading, value) in [
        ("## plan", &plan),
        ("### steps", &plan["steps"][0]),
        ("### refusals", &plan["refusals"][0]),
        ("### warnings", &plan["warnings"][0]),
        ("### findings", &plan["findings"][0]),
        ("### unreachable", &plan["unreachable"][0]),
        ("## status", &status),
        ("### machines", &status["machines"][0]),
        ("### facts", &status["machines"][0]["facts"]),
        ("### nodes", &status["nodes"][0]),
        ("### members", &status["members"][0]),
        ("### certificates", &status["certificates"][0]),
        ("### drift", &status["drift"]),
        ("## bundle show", &manifest),
        ("### files", &manifest["files"][0]),
        ("### images", &manifest["images"][0]),
        ("## snapshot list", &listed()),
        ("## snapshot verify", &verified()),
        ("### closing", &closing()),
        ("### interrupted", &interrupted()),
        ("## transcode status", &films()),
    ] {
        assert_eq!(fields(heading), keys(value), "{heading}");
    }
}

/// Lists in the last events: their fields stand at the beginning of what the table says.
#[test]
fn the_end_of_a_run_names_all_fields() {
    for (heading, value) in [("### closing", closing()), ("### interrupted", interrupted())] {
        for cells in rows(&document(), heading) {
            let Some(Value::Array(list)) = spans(&cells[0]).next().map(|field| value[field].clone()) else { continue };
            let named: BTreeSet<String> = spans(cells[1].split(':').next().unwrap_or_default()).collect();
            assert_eq!(named, keys(&list[0]), "{heading} {}", cells[0]);
        }
    }
}

/// Every event, by the examples that a test of the report prints as JSON, and those that the report adds itself.
#[test]
fn every_event_names_all_fields() {
    let snapshot = concat!(env!("CARGO_MANIFEST_DIR"), "/src/report/snapshots/hostler__report__tests__every_kind_of_event_as_json.snap");
    let mut printed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in std::fs::read_to_string(snapshot).expect("the snapshot can be read").lines().filter(|line| line.starts_with('{')) {
        let mut event: Value = serde_json::from_str(line).expect("an event");
        event.as_object_mut().expect("an object").remove("time");
        let name = event["event"].as_str().expect("its name").to_owned();
        let fields: BTreeSet<String> = keys(&event).into_iter().filter(|key| key != "event").collect();
        assert_eq!(printed.entry(name).or_insert_with(|| fields.clone()), &fields, "{line}");
    }
    let own = [("plan", json!({ "plan": 0 })), ("result", json!({ "text": "" }))];
    printed.extend(own.map(|(name, value)| (name.to_owned(), keys(&value))));
    printed.extend(["closing", "interrupted"].map(|name| (name.to_owned(), BTreeSet::new())));
    let named: BTreeMap<String, BTreeSet<String>> = rows(&document(), "## Events")
        .iter()
        .map(|cells| {
            let fields = cells[1].split(':').next().unwrap_or_default();
            // Values of `unit` stand in parentheses.
            let fields = fields.split(" (").map(|part| part.split_once(')').map_or(part, |(_, rest)| rest)).collect::<String>();
            (spans(&cells[0]).next().expect("an event"), spans(&fields).collect())
        })
        .collect();
    assert_eq!(named, printed);
    // An event that only the log has is in neither.
    assert!(Event::StepOutput { step: step(), line: String::new() }.log_only());
}

#[test]
fn every_stage_is_named() {
    let row = rows(&document(), "### steps").into_iter().find(|cells| cells[0] == "`stage`").expect("the row of stages");
    let stages: BTreeSet<String> = Stage::ALL.iter().map(|(stage, _)| value(stage).as_str().expect("a string").to_owned()).collect();
    assert_eq!(spans(&row[1]).collect::<BTreeSet<_>>(), stages);
}

#[test]
fn every_exit_status_is_named() {
    let named: Vec<String> = rows(&document(), "## Exit status").into_iter().map(|cells| cells[0].clone()).collect();
    let statuses = [ExitStatus::Done, ExitStatus::Failed, ExitStatus::Usage, ExitStatus::Refused, ExitStatus::Unreachable];
    let mut expected: Vec<String> = statuses.iter().map(|status| (*status as u8).to_string()).collect();
    expected.push("128 + n".to_owned());
    assert_eq!(named, expected);
}
