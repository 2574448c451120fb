//! The status page's contents for a terminal.

use crate::report::wrap;
use crate::transcode::view::View;

/// The view for a terminal.
pub fn text(view: &View) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    for notice in view.trouble.iter().chain(&view.hold) {
        line(wrap::lines(&format!("! {notice}"), wrap::width(&console::Term::stdout())).into_owned());
    }
    for film in &view.working {
        let left = film.left.as_ref().map(|left| format!(", {left} left")).unwrap_or_default();
        let silent = film.silent.as_ref().map(|silent| format!(", no progress for {silent}")).unwrap_or_default();
        line(format!("{:<12} {:>5.1} %  {} ({}, {} fps{left}{silent})", film.machine, film.percent, film.name, film.doing, film.rate));
    }
    for machine in view.machines.iter().filter(|machine| !view.working.iter().any(|film| film.is_on(&machine.name))) {
        let about = Some(&machine.about).filter(|about| !about.is_empty()).map(|about| format!(" ({about})")).unwrap_or_default();
        line(format!("{:<12} {}{about}", machine.name, machine.doing));
    }
    for film in &view.arriving {
        line(format!("arriving     {}: {}", film.name, film.why));
    }
    for film in &view.queue {
        let published = if film.published { "; its original is in the library" } else { "" };
        line(format!("waiting      {}: {}{published}", film.name, film.why));
    }
    for film in &view.held {
        let verb = if film.asks_name { "name" } else { "titles" };
        let (place, id) = (if film.asks_name { "NAME" } else { "NUMBERS" }, &film.id);
        line(format!("held         {}: {}\n             answer: `hostler transcode {verb} {id} {place}`", film.name, film.question));
    }
    for film in &view.failed {
        line(format!("failed       {}: {}\n             retry: `hostler transcode retry {}`", film.name, film.reason, film.id));
    }
    for film in view.done.iter().take(10) {
        let remarks = film.remarks.iter().map(|remark| format!("\n             {remark}")).collect::<String>();
        let score = film.score.as_ref().map(|score| format!("\n             {score}")).unwrap_or_default();
        line(format!("done         {} ({} -> {}, {}, {}){score}{remarks}", film.name, film.was, film.is, film.machine, film.when));
    }
    for server in view.media_servers.iter().filter(|server| !server.fine) {
        line(format!("! {}, {}", server.text, server.when));
    }
    if let Some(saved) = &view.saved {
        line(format!("the encoded films are {saved} smaller than the originals"));
    }
    let counts = view.counts;
    let held = if counts.held > 0 { format!(" {} held,", counts.held) } else { String::new() };
    let spaces = view.spaces.iter().map(|space| format!("; {}: {} free of {}", space.share, space.free, space.total)).collect::<String>();
    line(format!("{} in progress, {} waiting,{held} {} done, {} failed{spaces}", counts.working, counts.queue, counts.done, counts.failed));
    text
}
