//! How a run looks: events become lines, bars, JSON and a log. Nothing else prints while a [`Reporter`] is there.
//!
//! Results go to standard output, all the rest to standard error.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hostler_core::plan::Plan;
use indicatif::ProgressDrawTarget;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::event::{Event, Events};

pub mod ask;
mod broken_off;
pub mod closing;
pub mod critical_path;
pub mod error;
mod lines;
pub mod log;
pub mod paint;
pub mod plan;
pub mod record;
pub mod redact;
mod running;
pub mod status;
pub mod table;
mod terminal;
#[cfg(test)]
mod tests;

pub use ask::Asker;
pub use broken_off::BrokenOff;
pub use closing::Closing;
pub use critical_path::critical_path;
pub use error::error_text;
pub use paint::Paint;
pub use plan::{Detail, Layout, plan_text};
pub use record::Record;
pub use redact::Redactor;
pub use status::status_text;
pub(crate) use table::row;
pub use table::table;

use ask::Question;
use lines::Lines;
use log::RunLog;
use terminal::Terminal;

/// How often the clock is looked at, and a terminal drawn.
const TICK: Duration = Duration::from_millis(100);

/// How long the last words of a run that is broken off may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The shortest time between two JSON events about the bytes of one step or task.
const JSON_PROGRESS: Duration = Duration::from_millis(500);

/// What events look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A line a machine that is drawn anew all the time, on standard error.
    Terminal,
    /// One line after another, on standard error.
    Lines,
    /// One JSON object a line, on standard output.
    Json,
}

impl Style {
    /// JSON when asked for; else bars where standard error is a terminal that is not dumb, and lines elsewhere.
    pub fn detect(json: bool) -> Style {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        match (json, io::stderr().is_terminal() && !dumb) {
            (true, _) => Style::Json,
            (false, true) => Style::Terminal,
            (false, false) => Style::Lines,
        }
    }
}

/// Reports a run until it is [finished](Reporter::finish).
#[derive(Debug)]
pub struct Reporter {
    events: Events,
    requests: mpsc::UnboundedSender<Request>,
    redactor: Arc<Redactor>,
    asks: bool,
    /// How much of a plan is shown.
    detail: Detail,
    task: JoinHandle<Record>,
}

/// What a reporter is asked to do besides showing events. It first shows all events sent before.
#[derive(Debug)]
pub(crate) enum Request {
    Ask(Question, oneshot::Sender<io::Result<String>>),
    Plan(Box<Plan>, Detail, oneshot::Sender<()>),
    /// A result, for standard output.
    Result(String, oneshot::Sender<()>),
    Finish(Box<Option<Plan>>),
    /// The run is told to end, by whom.
    BreakOff(&'static str, oneshot::Sender<()>),
}

impl Reporter {
    /// Begins to report. Where `log_folder` is given, a log named by `verb` is written there (see [`log::default_folder`]); if that
    /// can't be done, a warning says so and the run goes on.
    ///
    /// Must be called within a tokio runtime.
    pub fn start(style: Style, verb: &str, log_folder: Option<PathBuf>) -> Reporter {
        let paint = Paint::wanted(io::stderr().is_terminal());
        let face = match style {
            Style::Terminal => {
                Face::Terminal(Box::new(Terminal::new(ProgressDrawTarget::stderr_with_hz(10), Box::new(io::stderr()), paint)))
            }
            Style::Lines => Face::Lines(Lines::alone(paint), Box::new(io::stderr())),
            Style::Json => Face::Json(Json::default()),
        };
        let log = log_folder.map(|folder| {
            RunLog::create(&folder, verb, Timestamp::now()).map_err(|error| format!("no log of this run: {}: {error}", folder.display()))
        });
        Reporter::with(face, Box::new(io::stdout()), log.transpose(), ask::somebody_is_there())
    }

    fn with(face: Face, results: Box<dyn Write + Send>, log: Result<Option<RunLog>, String>, asks: bool) -> Reporter {
        let (events, received) = mpsc::unbounded_channel();
        let (requests, requested) = mpsc::unbounded_channel();
        let events = Events(events);
        let redactor = Arc::<Redactor>::default();
        let log = log.unwrap_or_else(|line| {
            events.send(Event::Warning { line });
            None
        });
        let record = Record { log: log.as_ref().map(|log| log.path().to_owned()), ..Record::default() };
        let results_paint = Paint::wanted(io::stdout().is_terminal());
        let desk = Desk { face, results, results_paint, log, record, plan: None, redactor: redactor.clone(), begun: Instant::now() };
        let task = tokio::spawn(desk.run(received, requested));
        Reporter { events, requests, redactor, asks, detail: Detail::Grouped, task }
    }

    /// Where to send what happens.
    pub fn events(&self) -> Events {
        self.events.clone()
    }

    /// Where secrets are added: all that goes out from then on is without them.
    pub fn redactor(&self) -> Arc<Redactor> {
        self.redactor.clone()
    }

    /// Who can be asked: the person at the terminal, or nobody.
    pub fn asker(&self) -> Asker {
        Asker { requests: self.asks.then(|| self.requests.clone()), redactor: self.redactor.clone() }
    }

    /// Prints `text` on standard output, after all events sent before. A missing newline at its end is added.
    ///
    /// As JSON it is an event `result` with the text, so that every line stays an object; a verb whose result is itself JSON reports
    /// in another style.
    pub async fn result(&self, text: &str) {
        self.printed(|printed| Request::Result(text.to_owned(), printed)).await;
    }

    /// Prints `plan` on standard output, after all events sent before: for a person, or as an event `plan`.
    pub async fn plan(&self, plan: &Plan) {
        self.printed(|printed| Request::Plan(Box::new(plan.clone()), self.detail, printed)).await;
    }

    /// The same, with so much detail in plans.
    #[must_use]
    pub fn with_detail(self, detail: Detail) -> Reporter {
        Reporter { detail, ..self }
    }

    /// How much of a plan is shown.
    pub fn detail(&self) -> Detail {
        self.detail
    }

    /// Tells what is half done, as the run ends at once. A terminal that somebody is just asked on, or that takes nothing more, is not
    /// waited for.
    pub async fn break_off(&self, by: &'static str) {
        let told = self.printed(|printed| Request::BreakOff(by, printed));
        if tokio::time::timeout(LAST_WORDS, told).await.is_err() {
            let _ = writeln!(io::stderr(), "\nbroken off by {by}");
        }
    }

    async fn printed(&self, request: impl FnOnce(oneshot::Sender<()>) -> Request) {
        let (printed, done) = oneshot::channel();
        if self.requests.send(request(printed)).is_ok() {
            // An error means that the reporter has ended, which nobody else can make it.
            let _ = done.await;
        }
    }

    /// Shows what was sent so far, ends the report with the closing table if `plan` (what was carried out) is given, and returns
    /// what came of the run. Events sent later are lost.
    pub async fn finish(self, plan: Option<&Plan>) -> Record {
        let _ = self.requests.send(Request::Finish(Box::new(plan.cloned())));
        match self.task.await {
            Ok(record) => record,
            // A panic of the reporter's own is not swallowed.
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Record::default(),
            },
        }
    }
}

/// Where all that is reported passes, and in which shape.
struct Desk {
    face: Face,
    results: Box<dyn Write + Send>,
    results_paint: Paint,
    log: Option<RunLog>,
    record: Record,
    /// The last that was shown.
    plan: Option<Plan>,
    redactor: Arc<Redactor>,
    begun: Instant,
}

enum Face {
    Terminal(Box<Terminal>),
    Lines(Lines, Box<dyn Write + Send>),
    Json(Json),
}

impl Desk {
    async fn run(mut self, mut events: mpsc::UnboundedReceiver<Event>, mut requests: mpsc::UnboundedReceiver<Request>) -> Record {
        let mut clock = tokio::time::interval(TICK);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(event) = events.recv() => self.event(event),
                request = requests.recv() => {
                    while let Ok(event) = events.try_recv() {
                        self.event(event);
                    }
                    match request {
                        Some(Request::Ask(question, answer)) => {
                            // Whoever asked may have gone; then the answer is nobody's.
                            let _ = answer.send(self.ask(question).await);
                        }
                        Some(Request::Plan(plan, detail, printed)) => {
                            self.plan(&plan, detail);
                            let _ = printed.send(());
                        }
                        Some(Request::Result(text, printed)) => {
                            self.result(&text);
                            let _ = printed.send(());
                        }
                        Some(Request::BreakOff(by, printed)) => {
                            self.break_off(by);
                            let _ = printed.send(());
                        }
                        Some(Request::Finish(plan)) => return self.finish(plan.as_ref().as_ref()),
                        None => return self.finish(None),
                    }
                }
                _ = clock.tick() => self.tick(),
            }
        }
    }

    fn event(&mut self, event: Event) {
        let event = self.redactor.redact_event(event);
        let now = self.begun.elapsed();
        self.record.apply(now, &event);
        self.write_log(|log| log.event(Timestamp::now(), &event));
        match &mut self.face {
            Face::Terminal(terminal) => terminal.event(now, &event),
            Face::Lines(lines, output) => {
                let lines = lines.event(now, &event);
                print(output, &lines);
            }
            Face::Json(json) => {
                if let Some(line) = json.event(now, Timestamp::now(), &event) {
                    print(&mut self.results, &[line]);
                }
            }
        }
    }

    fn tick(&mut self) {
        let now = self.begun.elapsed();
        match &mut self.face {
            Face::Terminal(terminal) => terminal.tick(now),
            Face::Lines(lines, output) => {
                let lines = lines.tick(now);
                print(output, &lines);
            }
            Face::Json(_) => {}
        }
    }

    fn plan(&mut self, plan: &Plan, detail: Detail) {
        let text = plan_text(plan, Layout::LOG, Paint { on: false });
        match &self.face {
            Face::Json(_) => print(&mut self.results, &[Json::line("plan", &serde_json::json!({ "plan": plan }))]),
            _ => self.show(&plan_text(plan, Layout::of_terminal(detail), self.results_paint)),
        }
        self.write_log(|log| log.text(&text));
        self.plan = Some(plan.clone());
    }

    fn result(&mut self, text: &str) {
        let text = self.redactor.redact(text);
        match &mut self.face {
            Face::Json(_) => print(&mut self.results, &[Json::line("result", &serde_json::json!({ "text": text.trim_end() }))]),
            _ => self.show(&text),
        }
        self.write_log(|log| log.text(&text));
    }

    /// Prints `text` on standard output for a person.
    fn show(&mut self, text: &str) {
        if let Face::Terminal(terminal) = &mut self.face {
            terminal.quiet();
        }
        print(&mut self.results, &[text.trim_end_matches('\n').to_owned()]);
    }

    async fn ask(&mut self, question: Question) -> io::Result<String> {
        if let Face::Terminal(terminal) = &mut self.face {
            terminal.quiet();
        }
        // Nothing is drawn meanwhile: it is this task that draws. Events wait in their channel.
        tokio::task::spawn_blocking(move || ask::on_terminal(&question)).await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    fn finish(mut self, plan: Option<&Plan>) -> Record {
        self.record.took = self.begun.elapsed();
        if let Face::Terminal(terminal) = &mut self.face {
            terminal.quiet();
        }
        if plan.is_some() {
            let closing = Closing::new(plan, &self.record);
            self.write_log(|log| log.text(&format!("\n{}", closing.text(Paint { on: false }))));
            match &mut self.face {
                Face::Terminal(terminal) => terminal.above(&text_lines(&closing.text(terminal.paint()))),
                Face::Lines(lines, output) => print(output, &text_lines(&closing.text(lines.paint))),
                Face::Json(_) => print(&mut self.results, &[Json::line("closing", &closing)]),
            }
        }
        self.record
    }

    fn break_off(&mut self, by: &str) {
        let told = BrokenOff::new(by, self.plan.as_ref(), &self.record);
        // The log first: a terminal that was closed takes nothing.
        self.write_log(|log| log.text(&format!("\n{}", told.text(Paint { on: false }))));
        match &mut self.face {
            Face::Terminal(terminal) => {
                terminal.quiet();
                terminal.above(&text_lines(&told.text(terminal.paint())));
            }
            Face::Lines(lines, output) => print(output, &text_lines(&told.text(lines.paint))),
            Face::Json(_) => print(&mut self.results, &[Json::line("brokenOff", &told)]),
        }
    }

    /// Writes to the log. The first error ends the log, not the run.
    fn write_log(&mut self, write: impl FnOnce(&mut RunLog) -> io::Result<()>) {
        let Some(log) = &mut self.log else { return };
        if let Err(error) = write(log) {
            let line = format!("the log of this run ends here: {}: {error}", log.path().display());
            self.log = None;
            self.event(Event::Warning { line });
        }
    }
}

fn text_lines(text: &str) -> Vec<String> {
    std::iter::once(String::new()).chain(text.lines().map(str::to_owned)).collect()
}

/// A reader that is gone (`| head`) is no reason to stop the work.
fn print(output: &mut impl Write, lines: &[String]) {
    if !lines.is_empty() {
        let _ = output.write_all(format!("{}\n", lines.join("\n")).as_bytes());
        let _ = output.flush();
    }
}

/// Events as JSON lines.
#[derive(Debug, Default)]
struct Json {
    /// When the last number of a step or task was told.
    told: std::collections::HashMap<String, Duration>,
}

#[derive(Serialize)]
struct Stamped<T: Serialize> {
    /// RFC 3339, in UTC, to the millisecond.
    time: String,
    #[serde(flatten)]
    event: T,
}

impl Json {
    fn event(&mut self, now: Duration, time: Timestamp, event: &Event) -> Option<String> {
        if event.log_only() {
            return None;
        }
        let moved = match event {
            Event::TaskProgress { task, done, total, .. } => Some((task.clone(), done == total)),
            Event::StepProgress { step, done, total } => Some((step.to_string(), done == total)),
            _ => None,
        };
        if let Some((subject, all)) = moved {
            let soon = self.told.get(&subject).is_some_and(|told| now.saturating_sub(*told) < JSON_PROGRESS);
            if soon && !all {
                return None;
            }
            self.told.insert(subject, now);
        }
        json(&Stamped { time: stamp(time), event })
    }

    /// An event of the reporter's own: the keys of `body` after its time and kind.
    fn line(kind: &'static str, body: &impl Serialize) -> String {
        #[derive(Serialize)]
        struct Own<'a, T: Serialize> {
            event: &'static str,
            #[serde(flatten)]
            body: &'a T,
        }
        json(&Stamped { time: stamp(Timestamp::now()), event: Own { event: kind, body } }).unwrap_or_default()
    }
}

fn stamp(time: Timestamp) -> String {
    format!("{time:.3}")
}

fn json(value: &impl Serialize) -> Option<String> {
    // Every key of an event is a string, so this can't fail; nothing is lost if it does but one line.
    serde_json::to_string(value).ok()
}
