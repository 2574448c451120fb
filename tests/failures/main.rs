//! No script relies on `set -e` where the shell ignores it: in what `&&`, `||`, `!`, `if` and `while` look at, all that a function or a group
//! does before its last command may fail, and nobody notices.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::process::{Command as Process, Stdio};

use hostler_core::template::render;
use scripts::{on_a_folder, scripts};
use shell::{AndOr, Command, List, Operator, Pipeline, parse, substitutions};

mod hosts;
#[path = "../scripts/mod.rs"]
mod scripts;
mod shell;

/// Commands that only ask, as the left side of `&&`: that they say no is no failure.
const QUESTIONS: [&str; 7] = ["[", "test", "grep", "command", "kill", "no_answer", "umask"];

/// Commands that can't fail, or whose failure says nothing.
const HARMLESS: [&str; 22] = [
    "echo",
    "printf",
    ":",
    "true",
    "shift",
    "unset",
    "set",
    "export",
    "trap",
    "return",
    "exit",
    "continue",
    "break",
    "read",
    "local",
    "sleep",
    "announce",
    "say",
    "output",
    "fail",
    "temporary",
    "not_started",
];

/// Functions of hostler's scripts that run their other arguments where the shell ignores `set -e`.
const RUNNERS: [(&str, usize); 2] = [("await", 3), ("aloud", 1)];

/// What is wrong with a script: the line, and what may fail unnoticed.
type Found = BTreeSet<(usize, String)>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A failure ends the script.
    Heard,
    /// The shell ignores it, unless it is the last command's: somebody looks at that.
    Ignored,
}

struct Script {
    functions: BTreeMap<String, Command>,
    /// Functions that were looked at where failures are ignored.
    known: BTreeSet<String>,
    found: Found,
}

fn unheard(text: &str) -> Found {
    let list = parse(text);
    let mut script = Script { functions: BTreeMap::new(), known: BTreeSet::new(), found: Found::new() };
    functions(&list, &mut script.functions);
    script.list(&list, Place::Heard, true);
    script.found
}

/// All functions, wherever they are defined.
fn functions(list: &List, found: &mut BTreeMap<String, Command>) {
    for and_or in list {
        for command in pipelines(and_or).flat_map(|pipeline| &pipeline.commands) {
            match command {
                Command::Function(name, body) => {
                    found.insert(name.clone(), (**body).clone());
                    functions(&vec![simple(body)], found);
                }
                Command::Group(list) | Command::Subshell(list) | Command::Loop { body: list, .. } => functions(list, found),
                Command::If { bodies, .. } | Command::Case(bodies) => bodies.iter().for_each(|list| functions(list, found)),
                Command::Simple(_) => {}
            }
        }
    }
}

fn simple(command: &Command) -> AndOr {
    AndOr { first: Pipeline { negated: false, commands: vec![command.clone()], line: 0 }, rest: Vec::new() }
}

fn pipelines(and_or: &AndOr) -> impl Iterator<Item = &Pipeline> {
    std::iter::once(&and_or.first).chain(and_or.rest.iter().map(|(_, pipeline)| pipeline))
}

impl Script {
    /// `looked_at`: somebody looks at the status of the last command.
    fn list(&mut self, list: &List, place: Place, looked_at: bool) {
        for (number, and_or) in list.iter().enumerate() {
            let last = number + 1 == list.len() && looked_at;
            self.and_or(and_or, place, last);
        }
    }

    fn and_or(&mut self, and_or: &AndOr, place: Place, looked_at: bool) {
        let all: Vec<&Pipeline> = pipelines(and_or).collect();
        for (number, pipeline) in all.iter().enumerate() {
            let last = number + 1 == all.len();
            let follows = and_or.rest.get(number).map(|(operator, _)| *operator);
            let caught = and_or.rest[number.min(and_or.rest.len())..].iter().any(|(operator, _)| *operator == Operator::Or);
            // `a && b`: where `a` fails, `b` is left out, and the script goes on.
            let leaves = all.get(number + 1).is_some_and(|next| leaves(next));
            if follows == Some(Operator::And) && !caught && !looked_at && !leaves && !is_question(pipeline) {
                self.found.insert((pipeline.line, format!("a failure before `&&` is lost: {}", words(pipeline))));
            }
            if last && !pipeline.negated {
                if place == Place::Ignored && !looked_at && !is_harmless(pipeline) {
                    self.found.insert((pipeline.line, format!("`set -e` is off here: {}", words(pipeline))));
                }
                self.pipeline(pipeline, place, looked_at);
            } else {
                self.pipeline(pipeline, Place::Ignored, true);
            }
        }
    }

    fn pipeline(&mut self, pipeline: &Pipeline, place: Place, looked_at: bool) {
        for (number, command) in pipeline.commands.iter().enumerate() {
            self.command(command, place, looked_at && number + 1 == pipeline.commands.len());
        }
    }

    fn command(&mut self, command: &Command, place: Place, looked_at: bool) {
        match command {
            Command::Group(list) => self.list(list, place, looked_at),
            Command::Subshell(list) => self.list(list, place, true),
            Command::If { conditions, bodies } => {
                conditions.iter().for_each(|list| self.list(list, Place::Ignored, true));
                bodies.iter().for_each(|list| self.list(list, place, looked_at));
            }
            Command::Loop { condition, body } => {
                self.list(condition, Place::Ignored, true);
                self.list(body, place, false);
            }
            Command::Case(bodies) => bodies.iter().for_each(|list| self.list(list, place, looked_at)),
            // Where it is called.
            Command::Function(_, body) => self.command(body, Place::Heard, true),
            Command::Simple(words) => {
                let mut called = Vec::from([words[0].as_str()]);
                let mut ignored = place == Place::Ignored;
                if let Some((_, skipped)) = RUNNERS.iter().find(|(runner, _)| *runner == words[0]) {
                    called = words.get(*skipped).map(String::as_str).into_iter().collect();
                    ignored = true;
                }
                for word in called.into_iter().filter(|_| ignored) {
                    if let Some(body) = self.functions.get(word).cloned()
                        && self.known.insert(word.to_owned())
                    {
                        self.command(&body, Place::Ignored, true);
                    }
                }
                for list in words.iter().flat_map(|word| substitutions(word)) {
                    self.list(&list, place, true);
                }
            }
        }
    }
}

/// `a && return`: where `a` says no, the script goes on, as it is meant.
fn leaves(pipeline: &Pipeline) -> bool {
    matches!(pipeline.commands.as_slice(), [Command::Simple(words)] if ["return", "exit", "continue", "break"].contains(&words[0].as_str()))
}

fn is_question(pipeline: &Pipeline) -> bool {
    pipeline.negated
        || matches!(pipeline.commands.last(), Some(Command::Simple(words)) if QUESTIONS.contains(&words[0].as_str())
            || words[0] == "systemctl" && words.iter().any(|word| word.starts_with("is-")))
}

/// Whether nothing is lost where it fails and the script goes on. What is in compounds is looked at on its own.
fn is_harmless(pipeline: &Pipeline) -> bool {
    match pipeline.commands.last() {
        Some(Command::Simple(words)) => {
            let assigned = words.iter().all(|word| word.contains('=') && !word.contains("$(") && !word.starts_with(['<', '>', '-']));
            assigned || HARMLESS.contains(&words[0].as_str())
        }
        Some(Command::Subshell(_)) => false,
        _ => true,
    }
}

fn words(pipeline: &Pipeline) -> String {
    let text = |command: &Command| match command {
        Command::Simple(words) => words.join(" "),
        Command::Function(name, _) => format!("{name}()"),
        _ => "...".to_owned(),
    };
    pipeline.commands.iter().map(text).collect::<Vec<_>>().join(" | ")
}

#[test]
fn no_failure_of_a_script_is_lost() {
    let mut wrong = BTreeMap::new();
    let mut looked_at = 0;
    for (name, text) in scripts() {
        // facts.sh says what it finds, and goes on where it finds nothing.
        if !text.lines().any(|line| line == "set -eu") {
            continue;
        }
        looked_at += 1;
        // What several scripts share is told once.
        wrong.extend(unheard(&text).into_iter().map(|(line, what)| (what, format!("{name}:{line}"))));
    }
    assert!(looked_at > 40, "{looked_at}");
    let wrong: Vec<String> = wrong.into_iter().map(|(what, place)| format!("{place}: {what}")).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_set_e_does_not_hear_is_found() {
    let lost = [
        "cp a b && rm a\necho done",
        "mv a b || { cat a > b && rm a; }\necho done",
        "f() { cp a b; rm a; }\nif f; then echo done; fi",
        "f() { cp a b; rm a; }\nf || exit 1",
        "f() { cp a b; rm a; }\ng() { f; }\nwhile ! g; do sleep 1; done",
        "f() { x=$(cat a); echo \"$x\"; }\ny=$(f) || y=",
        "f() {\n    cp a b\n    rm a\n}\nawait 5 \"it\" f",
        "{ cp a b; rm a; } || exit 1",
        "(cp a b; rm a) || exit 1",
        "for x in a b; do cp \"$x\" c && rm \"$x\"; done",
        "f() { case $1 in a) cp a b; rm a ;; esac; }\nf a && echo done",
    ];
    for script in lost {
        assert_eq!(unheard(script).len(), 1, "{script}: {:?}", unheard(script));
    }
    let heard = [
        "cp a b\nrm a",
        "[ -e a ] && rm a\necho done",
        "cp a b && rm a",
        "f() { cp a b && rm a; }\nf",
        "f() { cp a b && rm a; }\nf || exit 1",
        "f() { cp a b || return; rm a; }\nif f; then echo done; fi",
        "cp a b && rm a || exit 1",
        "mv a b || { cat a > b; rm a; }",
        "f() { cp a b; rm a; }\nf",
        "x=$(cat a) || x=",
        "if [ \"$(cat a)\" = b ] && grep -q c d; then rm a; fi",
        "case $x in a | b) rm a ;; *) [ -z \"$x\" ] || rm b ;; esac",
        "cat << END\na && b\nEND\nrm a",
        "echo 'a && b' \"$(echo \"c && d\")\" # e && f\nrm a",
    ];
    for script in heard {
        assert!(unheard(script).is_empty(), "{script}: {:?}", unheard(script));
    }
}

/// What hosts.sh ends with and says where these of its programs fail.
fn hosts(failing: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(folder.path().join("etc")).expect("a folder");
    fs::create_dir_all(folder.path().join("run")).expect("a folder");
    fs::write(folder.path().join("etc/hosts"), "127.0.0.1 localhost\n").expect("a file");
    let block = "192.168.1.12 rarity\n";
    let body = render("machine/hosts.sh", serde_json::json!({ "block": { "size": block.len() } })).expect("the template fits");
    let script = on_a_folder(&folder.path().display().to_string(), "hosts", false, &format!("{failing}\n{body}"));
    let mut dash = Process::new("dash");
    dash.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = dash.spawn().expect("dash; apt-get install dash");
    child.stdin.take().expect("piped").write_all(block.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn hosts_that_can_not_be_written_are_a_failure() {
    assert_eq!(hosts(""), (Some(0), String::new()));
    // A file that is mounted there can only be written, and one with `chattr +i` not even that.
    let mounted = "mv() { case $* in */etc/hosts) return 1 ;; *) command mv \"$@\" ;; esac; }";
    assert_eq!(hosts(mounted), (Some(0), String::new()));
    let lost = format!("{mounted}\n{}", "cat() { case $1 in *hosts.hostler-new) return 1 ;; *) command cat \"$@\" ;; esac; }");
    let (status, said) = hosts(&lost);
    assert!(status == Some(1) && said.contains("/etc/hosts can't be written"), "{status:?} {said}");
    let (status, said) = hosts("chmod() { return 1; }");
    assert_eq!(status, Some(1), "{said}");
}

/// packages.sh on a machine whose apt-get is this script: its status, what it said, and how apt-get was called.
fn packages(apt: &str) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().display().to_string();
    fs::create_dir_all(folder.path().join("run")).expect("a folder");
    fs::write(folder.path().join("apt-get"), format!("#!/bin/sh\necho \"$*\" >> {root}/calls\n{apt}\n")).expect("a file");
    fs::write(folder.path().join("dpkg"), "#!/bin/sh\n").expect("a file");
    let body = render("machine/packages.sh", serde_json::json!({ "packages": ["conntrack", "socat"] })).expect("the template fits");
    let body = format!("chmod 755 {root}/apt-get {root}/dpkg\nPATH={root}:$PATH\n{body}");
    let script = on_a_folder(&root, "packages", false, &body);
    let output = Process::new("dash").args(["-c", &script]).stdin(Stdio::null()).output().expect("dash; apt-get install dash");
    let calls = fs::read_to_string(folder.path().join("calls")).unwrap_or_default();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned(), calls)
}

#[test]
fn a_machine_without_a_way_out_says_so_soon() {
    let (status, said, calls) = packages("exit 0");
    assert_eq!(status, Some(0), "{said}");
    assert!(!calls.contains("update"), "{calls}");
    let offline = "case \"$*\" in\n*update) echo \"W: Failed to fetch http://archive.ubuntu.com/ubuntu/dists/noble/InRelease  Could not resolve 'archive.ubuntu.com'\" ;;\n\
        *) echo \"E: Unable to locate package conntrack\"; exit 100 ;;\nesac";
    let (status, said, calls) = packages(offline);
    assert!(
        status == Some(1)
            && said.ends_with(
                "apt can't fetch conntrack socat: Failed to fetch \
        http://archive.ubuntu.com/ubuntu/dists/noble/InRelease  Could not resolve 'archive.ubuntu.com'\n"
            ),
        "{status:?} {said}"
    );
    // Whatever goes to the network has limits.
    let bounded = |call: &&str| call.contains("Acquire::http::Timeout=20") && call.contains("Acquire::Retries=1");
    assert!(calls.lines().count() == 3 && calls.lines().all(|call| bounded(&call)), "{calls}");
    // A broken source that is not needed is in nobody's way.
    let odd = "case \"$*\" in\n*update) touch \"$0.updated\"; exit 100 ;;\n*) [ -e \"$0.updated\" ] ;;\nesac";
    let (status, said, _) = packages(odd);
    assert_eq!(status, Some(0), "{said}");
    let (status, said, calls) = packages("case \"$*\" in *--download-only*) ;; *) exit 100 ;; esac");
    assert!(status == Some(1) && said.contains("apt can't install conntrack socat"), "{said}");
    assert!(calls.lines().last().is_some_and(|call| !call.contains("Acquire")), "{calls}");
}

/// What is in a node's way is told in kubelet's words and the newest warning about its own pods.
#[test]
fn a_node_that_is_not_ready_is_told_with_its_newest_warning() {
    let context = serde_json::json!({ "nodes": ["rarity", "rainbowdash"], "manifest": { "size": 1 }, "spread_dns": false });
    let text = render("kubernetes/probe.sh", context).expect("the template fits");
    let (_, text) = text.split_once("not_ready() {").expect("it has the function");
    let (body, _) = text.split_once("\n}\n").expect("it ends");
    let kubectl = r#"kubectl() {
        case "$*" in
        *"get events"*)
            printf 'rainbowdash\tkube-flannel-ds-a: an older one\n'
            printf 'rainbowdash\tkube-flannel-ds-a: Failed to create pod sandbox: open /run/systemd/resolve/resolv.conf: no such file\n'
            printf 'rarity\tother: not its own\n' ;;
        *"get node rarity"*) printf 'Ready True kubelet is posting ready status\n' ;;
        *) printf 'DiskPressure False no pressure\nReady False container runtime network not ready\n' ;;
        esac
    }"#;
    let script = format!("set -eu\n{kubectl}\nnot_ready() {{{body}\n}}\nnot_ready\n");
    let output = Process::new("dash").args(["-c", &script]).output().expect("dash; apt-get install dash");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "node rainbowdash is not Ready: container runtime network not ready; its newest warning: kube-flannel-ds-a: Failed to create pod sandbox: \
         open /run/systemd/resolve/resolv.conf: no such file\n"
    );
}

/// Why etcd keeps a member is said while it is waited for.
#[test]
fn etcds_reason_to_keep_a_member_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(folder.path().join("run")).expect("a folder");
    let context = serde_json::json!({ "node": "rarity", "member": "rarity", "peer": "https://10.0.0.1:2380" });
    let body = render("kubernetes/remove-member.sh", context).expect("the template fits");
    let etcdctl = r#"etcdctl() {
        case "$*" in
        *"member list") echo 'abc, started, rarity, https://10.0.0.1:2380, https://10.0.0.1:2379, false' ;;
        *) printf '{"level":"warn","error":"rpc error"}\nError: etcdserver: unhealthy cluster\n' >&2; return 1 ;;
        esac
    }"#;
    let script = on_a_folder(&folder.path().display().to_string(), "member", false, &format!("{etcdctl}\n{body}"));
    let output = Process::new("dash").args(["-c", &script]).stdin(Stdio::null()).output().expect("dash; apt-get install dash");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.ends_with("@wait etcd to remove member rarity, which failed with: etcdserver: unhealthy cluster\n"), "{said}");
    assert_eq!(output.status.code(), Some(75));
}

/// An API server that stops in the middle of a step is waited for; any other failure stays one.
#[test]
fn an_api_server_that_goes_away_in_a_step_is_waited_for() {
    let ended = |api_is_gone: bool, script: &str, context: serde_json::Value| {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("run")).expect("a folder");
        let begin = render("kubernetes/cluster.sh", serde_json::json!({})).expect("the template fits");
        let body = render(script, context).expect("the template fits");
        let gone = folder.path().join("gone");
        let fails = if api_is_gone { format!(": > {}", gone.display()) } else { ":".to_owned() };
        // It takes the place of the one in cluster.sh, which runs the real program.
        let kubectl = format!(
            "kubectl() {{\n    case \"$*\" in\n    *readyz*) [ ! -e {} ] ;;\n    *'get node'*) echo node ;;\n    *) {fails}; echo refused >&2; return 1 ;;\n    esac\n}}\n",
            gone.display()
        );
        let begin = begin.replace("\napi\n", &format!("\n{kubectl}api\n"));
        let script = on_a_folder(&folder.path().display().to_string(), "probe", false, &format!("{begin}\n{body}"));
        let output = Process::new("dash").args(["-c", &script]).stdin(Stdio::null()).output().expect("dash; apt-get install dash");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), said)
    };
    let drain = || ("kubernetes/drain.sh", serde_json::json!({ "node": "rarity", "force_after": 1, "returns": false }));
    let probe = || ("kubernetes/probe.sh", serde_json::json!({ "nodes": ["rarity"], "manifest": { "size": 1 }, "spread_dns": false }));
    for (script, context) in [drain(), probe()] {
        let (status, said) = ended(true, script, context);
        assert!(status == Some(75) && said.contains("@wait the API server to answer"), "{script}: {status:?} {said}");
    }
    for (script, context) in [drain(), probe()] {
        let (status, said) = ended(false, script, context);
        assert!(status == Some(1) && !said.contains("@wait"), "{script}: {status:?} {said}");
    }
}
