//! The status page for Prometheus.

use super::{Counts, View, Working};

/// The view in the format of Prometheus.
pub fn metrics(view: &View) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    let mut family = |name: &str, help: &str, values: &[(String, f64)]| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in values {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    };
    #[expect(clippy::cast_precision_loss, reason = "counts of films are small")]
    let state = |name: &str, count: usize| (format!("{{state=\"{name}\"}}"), count as f64);
    let Counts { working, queue, failed, held, done } = view.counts;
    let states = [state("working", working), state("queued", queue), state("failed", failed), state("held", held), state("done", done)];
    family("hostler_transcode_films", "Films by state.", &states);
    let label = |working: &Working| format!("{{machine=\"{}\",film=\"{}\"}}", escaped(&working.machine), working.id);
    let progress: Vec<_> = view.working.iter().map(|working| (label(working), working.percent / 100.0)).collect();
    family("hostler_transcode_progress_ratio", "Encoded fraction of a film.", &progress);
    let rates: Vec<_> = view.working.iter().map(|working| (label(working), working.rate)).collect();
    family("hostler_transcode_frames_per_second", "Encoding speed of a film.", &rates);
    #[expect(clippy::cast_precision_loss, reason = "only shown")]
    let free: Vec<_> = view.spaces.iter().map(|space| (format!("{{share=\"{}\"}}", space.share), space.free_bytes as f64)).collect();
    family("hostler_transcode_free_bytes", "Free space of a share.", &free);
    family(
        "hostler_transcode_up",
        "1 if there are no problems, else 0.",
        &[(String::new(), if view.trouble.is_none() { 1.0 } else { 0.0 })],
    );
    text
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
