//! No circle between modules: each stands on a layer, and uses what stands on lower ones alone. docs/architecture.md shows the same tables.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The modules of a crate, lowest layer first. Those of one layer don't use each other.
struct Crate {
    source: &'static str,
    /// What paths to its own modules begin with.
    roots: &'static [&'static str],
    layers: &'static [&'static [&'static str]],
}

const CORE: Crate = Crate {
    source: "crates/core/src",
    roots: &["crate"],
    layers: &[
        &["arch", "bech32", "digest", "failure", "protocol", "quantity", "share", "version", "visible", "words"],
        &["manifest", "static_pod", "template"],
        &["films", "kubeadm_files"],
        &["inventory"],
        &["document", "install", "pins"],
        &["record", "step"],
        &["facts"],
        &["action", "trusted"],
        &["plan"],
        &["health"],
        &["notify"],
    ],
};

const PROGRAM: Crate = Crate {
    source: "src",
    roots: &["crate", "hostler"],
    layers: &[
        &["atomic", "event", "home", "interrupt", "own_api", "probe", "web"],
        &["user_file"],
        &["pins"],
        &["inventory_file", "report", "snapshot", "transcode", "workstation"],
        &["artifact", "lab", "os", "ssh"],
        &["execute", "install", "scratch"],
        &["connect", "kubeconfig", "notify", "renewal"],
        &["apply"],
        &["cli"],
        &["main"],
    ],
};

impl Crate {
    fn layer(&self, module: &str) -> Option<usize> {
        self.layers.iter().position(|layer| layer.contains(&module))
    }

    fn table(&self) -> String {
        let mut table = String::from("| layer | modules |\n|-------|---------|\n");
        for (number, layer) in self.layers.iter().enumerate().rev() {
            let modules: Vec<String> = layer.iter().map(|module| format!("`{module}`")).collect();
            writeln!(table, "| {} | {} |", number + 1, modules.join(", ")).unwrap();
        }
        table
    }

    /// What is wrong, a line each.
    fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut found = Vec::new();
        for file in files(&root().join(self.source), &["rs"]) {
            let below = file.strip_prefix(root().join(self.source)).unwrap().with_extension("");
            let mut path: Vec<String> = below.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
            path.pop_if(|last| last == "mod");
            let module = path[0].clone();
            if module == "lib" || path.iter().any(|part| part == "tests") {
                continue;
            }
            let place = format!("{}/{}", self.source, file.strip_prefix(root().join(self.source)).unwrap().display());
            let Some(layer) = self.layer(&module) else {
                wrong.push(format!("{place}: `{module}` stands on no layer"));
                continue;
            };
            found.push(module.clone());
            let text = code(&std::fs::read_to_string(&file).unwrap());
            for (line, used) in uses(&text, self.roots, path.len()) {
                match self.layer(&used) {
                    _ if used == module => {}
                    None => wrong.push(format!("{place}:{line}: `{used}` stands on no layer")),
                    Some(other) if other < layer => {}
                    Some(other) => {
                        wrong.push(format!("{place}:{line}: `{module}` (layer {}) uses `{used}` (layer {})", layer + 1, other + 1));
                    }
                }
            }
        }
        let absent = self.layers.iter().copied().flatten().filter(|module| !found.iter().any(|found| found == *module));
        wrong.extend(absent.map(|module| format!("{}: there is no `{module}`", self.source)));
        wrong
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// All files below a folder whose names end so.
fn files(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extensions));
        } else if path.extension().is_some_and(|extension| extensions.iter().any(|known| extension == *known)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The text without comments and without its test module; lines keep their numbers.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let mut code = String::new();
    for line in text[..end].lines() {
        // An address has two slashes as well.
        let comment = line.match_indices("//").find(|(at, _)| !line[..*at].ends_with(':')).map_or(line.len(), |(at, _)| at);
        code.push_str(&line[..comment]);
        code.push('\n');
    }
    code
}

/// The top-level modules that paths lead to, and the line of each: `crate::a`, `crate::{a, b::c}`, and `super::` as often as the file is deep.
fn uses(code: &str, roots: &[&str], depth: usize) -> Vec<(usize, String)> {
    let upwards = "super::".repeat(depth);
    let mut found = Vec::new();
    for prefix in roots.iter().map(|root| format!("{root}::")).chain([upwards]) {
        for (at, _) in code.match_indices(&prefix) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            found.extend(named(code, at + prefix.len()));
        }
    }
    found
}

/// The names at `at`: one, or those of a group in braces.
fn named(code: &str, at: usize) -> Vec<(usize, String)> {
    let line = |at: usize| code[..at].matches('\n').count() + 1;
    let word = |at: usize| -> String { code[at..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
    if !code[at..].starts_with('{') {
        return vec![(line(at), word(at))];
    }
    let mut found = Vec::new();
    let (mut depth, mut expects) = (0, false);
    for (offset, c) in code[at..].char_indices() {
        match c {
            '{' => {
                depth += 1;
                expects = depth == 1;
            }
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' => expects = depth == 1,
            c if expects && (c.is_alphabetic() || c == '_') => {
                found.push((line(at + offset), word(at + offset)));
                expects = false;
            }
            _ => {}
        }
    }
    found
}

#[test]
fn modules_use_lower_layers_alone() {
    let wrong: Vec<String> = [CORE, PROGRAM].iter().flat_map(Crate::wrong).collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn the_documents_show_the_same_layers() {
    let text = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    for part in [CORE, PROGRAM] {
        let table = part.table();
        assert!(text.contains(&table), "docs/architecture.md lacks the layers of {}:\n\n{table}", part.source);
    }
}

#[test]
fn the_documents_name_files_that_are_there() {
    let text = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let quoted = text.split('`').skip(1).step_by(2);
    let paths = quoted.filter(|word| ["src/", "crates/", "templates/", "tests/", "docs/"].iter().any(|folder| word.starts_with(folder)));
    let absent: Vec<&str> = paths.filter(|path| !root().join(path).exists()).collect();
    assert!(absent.is_empty(), "docs/architecture.md names {absent:?}");
}

#[test]
fn paths_are_found_however_they_are_written() {
    let code = code(
        "use crate::plan::Plan;\nuse crate::{\n    facts, // of crate::lab\n    step::{self, Stage},\n};\nlet x = crate::words::counted(1);\n\
         use hostler_core::crate_::a; use super::super::up; mycrate::no(\"https://crate\");\n#[cfg(test)]\nmod tests {\n    use crate::cli;\n",
    );
    let mut found = uses(&code, &["crate"], 2);
    found.sort();
    let is = |line: usize, name: &str| (line, name.to_owned());
    assert_eq!(found, [is(1, "plan"), is(3, "facts"), is(4, "step"), is(6, "words"), is(7, "up")]);
}

/// Whose word about the cluster counts is decided in one place: nothing else reads what a machine says of it.
#[test]
fn one_module_reads_what_machines_say_of_the_cluster() {
    let ways = ["facts.cluster", ".cluster.as_ref()", ".cluster.as_mut()", ".cluster.clone()", ".cluster.is_some"];
    let allowed = |file: &Path| ["core/src/trusted.rs", "core/src/facts/"].iter().any(|place| file.to_string_lossy().contains(place));
    let mut wrong = Vec::new();
    for source in [CORE.source, PROGRAM.source] {
        for file in files(&root().join(source), &["rs"]).into_iter().filter(|file| !allowed(file)) {
            let text = std::fs::read_to_string(&file).unwrap();
            let lines = text.lines().enumerate().filter(|(_, line)| ways.iter().any(|way| line.contains(way)));
            wrong.extend(lines.map(|(number, line)| format!("{}:{}: {}", file.display(), number + 1, line.trim())));
        }
    }
    assert!(wrong.is_empty(), "only crates/core/src/trusted.rs may read this:\n{}", wrong.join("\n"));
}

/// A file is about one thing: what people write and read here has no more lines than this.
#[test]
fn no_file_is_long() {
    const MOST: usize = 600;
    let folders = ["src", "crates", "templates", "tests", "benches"];
    let read = ["rs", "sh", "py", "awk", "yaml", "toml", "html", "css", "js"];
    let all = folders.iter().flat_map(|folder| files(&root().join(folder), &read));
    // What a program writes is read by nobody from its beginning to its end.
    let all = all.filter(|path| !path.components().any(|part| part.as_os_str() == "goldens"));
    let long: Vec<String> = all
        .filter_map(|path| {
            let lines = std::fs::read_to_string(&path).ok()?.lines().count();
            (lines > MOST).then(|| format!("{}: {lines} lines", path.strip_prefix(root()).unwrap_or(&path).display()))
        })
        .collect();
    assert!(long.is_empty(), "more than {MOST} lines: {long:?}");
}
