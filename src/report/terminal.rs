//! A terminal: running items at the bottom, one line each; finished ones scroll above them.

use std::io::Write;
use std::time::Duration;

use hostler_core::quantity;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::lines::Lines;
use super::paint::{Paint, guarded};
use super::running::Item;
use super::wrap;
use crate::event::Event;

/// Width of a bar, in cells.
const BAR: usize = 16;

/// The bottom lines of the terminal. Nothing else may write to it without [`quiet`](Terminal::quiet).
pub struct Terminal {
    lines: Lines,
    foot: MultiProgress,
    /// The same terminal, for the lines that scroll.
    output: Box<dyn Write + Send>,
    /// Columns, where they are known.
    width: Option<usize>,
    /// One per line, from the top.
    bars: Vec<ProgressBar>,
}

impl Terminal {
    /// `width`: its columns.
    pub fn new(target: ProgressDrawTarget, width: Option<usize>, output: Box<dyn Write + Send>, paint: Paint) -> Terminal {
        Terminal { lines: Lines::above_bars(paint), foot: MultiProgress::with_draw_target(target), output, width, bars: Vec::new() }
    }

    pub fn event(&mut self, now: Duration, event: &Event) {
        let lines = self.lines.event(now, event);
        self.above(&lines);
    }

    /// Prints `lines` above the bars.
    pub fn above(&mut self, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        // indicatif's own println pads the line and leaves the cursor there: later output could overwrite it.
        let text = lines.join("\n");
        let text = format!("{}\n", guarded(&wrap::lines(&text, self.width)));
        // A terminal that is gone must not stop the work.
        self.foot.suspend(|| {
            let _ = self.output.write_all(text.as_bytes());
        });
    }

    pub fn paint(&self) -> Paint {
        self.lines.paint
    }

    /// Draws what is running now.
    pub fn tick(&mut self, now: Duration) {
        let lines = foot(&self.lines, now);
        while self.bars.len() > lines.len() {
            if let Some(bar) = self.bars.pop() {
                bar.finish_and_clear();
                self.foot.remove(&bar);
            }
        }
        while self.bars.len() < lines.len() {
            // The line is built here; indicatif truncates it to the width and draws it. The template is a valid constant.
            let style = ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
            self.bars.push(self.foot.add(ProgressBar::new_spinner().with_style(style)));
        }
        for (bar, line) in self.bars.iter().zip(lines) {
            bar.set_message(guarded(&line).into_owned());
            bar.tick();
        }
    }

    /// Removes the bars, so that other output can be written. The next [`tick`](Terminal::tick) draws them again.
    pub fn quiet(&mut self) {
        while let Some(bar) = self.bars.pop() {
            bar.finish_and_clear();
            self.foot.remove(&bar);
        }
        let _ = self.foot.clear();
    }
}

/// The bottom lines: tasks and machines in the order in which they first appeared.
fn foot(lines: &Lines, now: Duration) -> Vec<String> {
    let mut foot: Vec<(usize, String)> = Vec::new();
    for item in lines.running.items() {
        foot.push((lines.running.order(&item.subject), live(lines, item, now)));
    }
    for (machine, next, total) in lines.running.idle() {
        let line = lines.line(machine.as_str(), &[&place(Some((next, total))), &lines.paint.faint("waiting for other machines")]);
        foot.push((lines.running.order(machine.as_str()), line));
    }
    foot.sort_by_key(|(order, _)| *order);
    foot.into_iter().map(|(_, line)| line).collect()
}

/// `rainbowdash   4/14    12s  ━━━━━━━━────────  182 of 270 MB, 4s left  no images: send, import and pin 11 images`
fn live(lines: &Lines, item: &Item, now: Duration) -> String {
    let elapsed = format!("{:>5}", quantity::duration(now.saturating_sub(item.since)));
    let bar = item.share().map_or(String::new(), |share| {
        let full = (share * BAR as f64) as usize;
        format!("{}{}", lines.paint.good(&"━".repeat(full)), lines.paint.faint(&"─".repeat(BAR - full)))
    });
    lines.line(&item.subject, &[&place(item.place), &elapsed, &bar, &lines.paint.odd(&item.state(now)), &item.what])
}

fn place(place: Option<(usize, usize)>) -> String {
    place.map_or(String::new(), |(number, total)| format!("{:>5}", format!("{number}/{total}")))
}
