//! How a run looks: events become lines, bars, JSON and a log. Nothing else prints while there is a [`Reporter`].
//!
//! Results go to standard output, everything else to standard error.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hostler_core::plan::Plan;
use hostler_core::visible::visible_json;
use indicatif::ProgressDrawTarget;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::event::{Event, Events};

pub mod ask;
pub mod closing;
mod commands;
pub mod critical_path;
pub mod error;
mod interrupted;
mod lines;
pub mod log;
pub mod output;
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
pub mod wrap;

pub use ask::Asker;
pub use closing::Closing;
pub use commands::Commands;
pub use critical_path::critical_path;
pub use error::{Told, error_text};
pub use interrupted::{Interrupted, RunningStep};
pub use paint::{Paint, guarded};
pub use plan::{Detail, Layout, plan_text};
pub use record::Record;
pub use redact::Redactor;
pub use status::status_text;
pub(crate) use table::row;
pub use table::table;

use ask::Question;
use lines::Lines;
use log::RunLog;
use output::{Lost, Results};
use terminal::Terminal;

/// Empties a terminal, and goes to its top.
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

/// How often the terminal is redrawn.
const TICK: Duration = Duration::from_millis(100);

/// Limit for printing the end of an interrupted run.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The shortest time between two JSON progress events of one step or task.
const JSON_PROGRESS: Duration = Duration::from_millis(500);

/// What events look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A line per machine that is redrawn all the time, on standard error.
    Terminal,
    /// One line after another, on standard error.
    Lines,
    /// One JSON object per line, on standard output.
    Json,
}

impl Style {
    /// JSON if requested; else bars if standard error is a terminal that is not dumb, else lines.
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
    commands: Arc<Commands>,
    asks: bool,
    /// How much of a plan is shown.
    detail: Detail,
    lost: Lost,
    task: JoinHandle<Record>,
}

/// Requests to a reporter. It first shows all events that were sent before.
#[derive(Debug)]
pub(crate) enum Request {
    Ask(Question, oneshot::Sender<io::Result<String>>),
    Plan(Box<Plan>, Detail, oneshot::Sender<()>),
    /// A result, for standard output.
    Result(String, oneshot::Sender<()>),
    /// A result that is JSON.
    Value(String, oneshot::Sender<()>),
    /// A result, and what in it is to be in no log.
    Secret(String, String, oneshot::Sender<()>),
    /// A result that replaces what is on the terminal.
    Screen(String, oneshot::Sender<()>),
    Finish(Option<Vec<Plan>>),
    /// The run is interrupted, by what.
    Interrupt(&'static str, oneshot::Sender<()>),
}

impl Reporter {
    /// Starts to report. If `log_folder` is given, a log named after `verb` is written there (see [`log::default_folder`]); if that fails,
    /// a warning says so and the run continues. `commands`: what the commands get that messages name.
    ///
    /// Must be called within a tokio runtime.
    pub fn start(style: Style, verb: &str, log_folder: Option<PathBuf>, commands: Commands) -> Reporter {
        let paint = Paint::wanted(io::stderr().is_terminal());
        let output = match style {
            Style::Terminal => {
                let width = wrap::width(&console::Term::stderr());
                Output::Terminal(Box::new(Terminal::new(ProgressDrawTarget::stderr_with_hz(10), width, Box::new(io::stderr()), paint)))
            }
            Style::Lines => Output::Lines(Lines::alone(paint), Box::new(io::stderr())),
            Style::Json => Output::Json(Json::default()),
        };
        let log = log_folder.map(|folder| {
            RunLog::create(&folder, verb, Timestamp::now())
                .map_err(|error| format!("the log of this run can't be written: {}: {error}", folder.display()))
        });
        Reporter::with(output, Box::new(io::stdout()), log.transpose(), ask::has_terminal(), commands)
    }

    fn with(
        output: Output,
        results: Box<dyn Write + Send>,
        log: Result<Option<RunLog>, String>,
        asks: bool,
        commands: Commands,
    ) -> Reporter {
        let (events, received) = mpsc::unbounded_channel();
        let (requests, requested) = mpsc::unbounded_channel();
        let events = Events::new(events);
        let redactor = Arc::<Redactor>::default();
        let commands = Arc::new(commands);
        let log = log.unwrap_or_else(|line| {
            events.send(Event::Warning { line });
            None
        });
        let record = Record { log: log.as_ref().map(|log| log.path().to_owned()), ..Record::default() };
        let results_paint = Paint::wanted(io::stdout().is_terminal());
        let lost = Lost::default();
        let results = Results::new(results, lost.clone());
        let task = ReporterTask {
            output,
            results,
            results_paint,
            log,
            record,
            plan: None,
            redactor: redactor.clone(),
            commands: commands.clone(),
            started: Instant::now(),
        };
        let task = tokio::spawn(task.run(received, requested));
        Reporter { events, requests, redactor, commands, asks, detail: Detail::Grouped, lost, task }
    }

    /// Where to send events.
    pub fn events(&self) -> Events {
        self.events.clone()
    }

    /// Why results can no longer be written, if so.
    pub fn lost(&self) -> Lost {
        self.lost.clone()
    }

    /// Where to add secrets: they are masked in all later output.
    pub fn redactor(&self) -> Arc<Redactor> {
        self.redactor.clone()
    }

    /// Asks the user at the terminal, if there is one.
    pub fn asker(&self) -> Asker {
        Asker { requests: self.asks.then(|| self.requests.clone()), redactor: self.redactor.clone() }
    }

    /// Prints `text` on standard output, after all events sent before. Adds a missing newline at the end.
    ///
    /// As JSON it is an event `result` with the text, so that every line is an object; verbs whose result is itself JSON print it with
    /// [`value`](Reporter::value), in another style.
    pub async fn result(&self, text: &str) {
        self.printed(|printed| Request::Result(text.to_owned(), printed)).await;
    }

    /// As [`result`](Reporter::result), of a value that is printed as JSON.
    ///
    /// # Errors
    /// As [`json_text`].
    pub async fn value(&self, value: &impl Serialize) -> serde_json::Result<()> {
        let mut value = serde_json::to_value(value)?;
        self.commands.complete_value(&mut value);
        let text = json_text(&value)?;
        self.printed(|printed| Request::Value(text, printed)).await;
        Ok(())
    }

    /// As [`result`](Reporter::result), but the run log gets the text without `secret`.
    pub async fn secret_result(&self, text: &str, secret: &str) {
        self.printed(|printed| Request::Secret(text.to_owned(), secret.to_owned(), printed)).await;
    }

    /// As [`result`](Reporter::result), at the top of an empty terminal.
    pub async fn screen(&self, text: &str) {
        self.printed(|printed| Request::Screen(text.to_owned(), printed)).await;
    }

    /// Prints `plan` on standard output, after all events sent before: as text, or as an event `plan`.
    pub async fn plan(&self, plan: &Plan) {
        self.printed(|printed| Request::Plan(Box::new(plan.clone()), self.detail, printed)).await;
    }

    /// The same, with so much detail in plans.
    #[must_use]
    pub fn with_detail(self, detail: Detail) -> Reporter {
        Reporter { detail, ..self }
    }

    /// What commands get that are named.
    pub fn commands(&self) -> &Commands {
        &self.commands
    }

    /// How much of a plan is shown.
    pub fn detail(&self) -> Detail {
        self.detail
    }

    /// Prints what may still be running, as the run ends at once. It does not wait for a terminal that shows a prompt or accepts no output.
    pub async fn interrupt(&self, by: &'static str) {
        let told = self.printed(|printed| Request::Interrupt(by, printed));
        if tokio::time::timeout(LAST_WORDS, told).await.is_err() {
            output::say(&format!("\ninterrupted: {by}\n"));
        }
    }

    async fn printed(&self, request: impl FnOnce(oneshot::Sender<()>) -> Request) {
        let (printed, done) = oneshot::channel();
        if self.requests.send(request(printed)).is_ok() {
            // An error means that the reporter has ended; only this type can end it.
            let _ = done.await;
        }
    }

    /// Shows what was sent so far, prints the closing table if `plans` (what was applied) are given, and returns the result of the run. Later
    /// events are lost.
    pub async fn finish(self, plans: Option<Vec<Plan>>) -> Record {
        let _ = self.requests.send(Request::Finish(plans));
        match self.task.await {
            Ok(record) => record,
            // A panic of the reporter's task must not be swallowed.
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Record::default(),
            },
        }
    }
}

/// The task through which all output passes.
struct ReporterTask {
    output: Output,
    results: Results,
    results_paint: Paint,
    log: Option<RunLog>,
    record: Record,
    /// The last one that was shown.
    plan: Option<Plan>,
    redactor: Arc<Redactor>,
    commands: Arc<Commands>,
    started: Instant,
}

enum Output {
    Terminal(Box<Terminal>),
    Lines(Lines, Box<dyn Write + Send>),
    Json(Json),
}

impl ReporterTask {
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
                            // The receiver may be gone: then the prompt was abandoned.
                            let _ = answer.send(self.ask(question).await);
                        }
                        Some(Request::Plan(plan, detail, printed)) => {
                            self.plan(&plan, detail);
                            let _ = printed.send(());
                        }
                        Some(Request::Result(text, printed)) => {
                            self.result(&text, None);
                            let _ = printed.send(());
                        }
                        Some(Request::Value(text, printed)) => {
                            let text = self.redactor.redact(&text);
                            self.show(&text);
                            self.write_log(|log| log.text(&text));
                            let _ = printed.send(());
                        }
                        Some(Request::Secret(text, secret, printed)) => {
                            self.result(&text, Some(&secret));
                            let _ = printed.send(());
                        }
                        Some(Request::Screen(text, printed)) => {
                            self.results.clear(CLEAR);
                            self.result(&text, None);
                            let _ = printed.send(());
                        }
                        Some(Request::Interrupt(by, printed)) => {
                            self.interrupt(by);
                            let _ = printed.send(());
                        }
                        Some(Request::Finish(plans)) => return self.finish(plans),
                        None => return self.finish(None),
                    }
                }
                _ = clock.tick() => self.tick(),
            }
        }
    }

    fn event(&mut self, event: Event) {
        let mut event = self.redactor.redact_event(event);
        for text in event.messages_mut() {
            if let Cow::Owned(completed) = self.commands.complete(text) {
                *text = completed;
            }
        }
        let now = self.started.elapsed();
        if let Output::Json(json) = &mut self.output {
            // JSON has escapes of its own: a program gets the text as it is.
            if let Some(line) = json.event(now, Timestamp::now(), &event) {
                self.results.print(&format!("{line}\n"));
            }
        }
        let event = event.shown();
        self.record.apply(now, &event);
        self.write_log(|log| log.event(Timestamp::now(), &event));
        match &mut self.output {
            Output::Terminal(terminal) => terminal.event(now, &event),
            Output::Lines(lines, output) => {
                let lines = lines.event(now, &event);
                print(output, &lines);
            }
            Output::Json(_) => {}
        }
    }

    fn tick(&mut self) {
        let now = self.started.elapsed();
        match &mut self.output {
            Output::Terminal(terminal) => terminal.tick(now),
            Output::Lines(lines, output) => {
                let lines = lines.tick(now);
                print(output, &lines);
            }
            Output::Json(_) => {}
        }
    }

    fn plan(&mut self, plan: &Plan, detail: Detail) {
        let plan_text = |layout, paint| plan_text(plan, layout, paint, &self.commands);
        let text = plan_text(Layout::LOG, Paint { on: false });
        match &self.output {
            Output::Json(_) => {
                let mut value = serde_json::json!({ "plan": plan });
                self.commands.complete_value(&mut value);
                self.results.print(&format!("{}\n", Json::line("plan", &value)));
            }
            _ => {
                let text = plan_text(Layout::of_terminal(detail), self.results_paint);
                self.show(&text);
            }
        }
        self.write_log(|log| log.text(&text));
        self.plan = Some(plan.clone());
    }

    fn result(&mut self, text: &str, secret: Option<&str>) {
        let text = self.redactor.redact(&self.commands.complete(text));
        match &mut self.output {
            Output::Json(_) => self.results.print(&format!("{}\n", Json::line("result", &serde_json::json!({ "text": text.trim_end() })))),
            _ => self.show(&text),
        }
        let text = secret.map_or_else(|| text.clone(), |secret| text.replace(secret, "[redacted]"));
        self.write_log(|log| log.text(&text));
    }

    /// Prints `text` on standard output.
    fn show(&mut self, text: &str) {
        if let Output::Terminal(terminal) = &mut self.output {
            terminal.quiet();
        }
        self.results.print(&format!("{}\n", text.trim_end_matches('\n')));
    }

    async fn ask(&mut self, question: Question) -> io::Result<String> {
        if let Output::Terminal(terminal) = &mut self.output {
            terminal.quiet();
        }
        // Nothing is drawn meanwhile, as this task does the drawing. Events wait in their channel.
        tokio::task::spawn_blocking(move || ask::on_terminal(&question)).await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    fn finish(mut self, plans: Option<Vec<Plan>>) -> Record {
        self.record.took = self.started.elapsed();
        if let Output::Terminal(terminal) = &mut self.output {
            terminal.quiet();
        }
        if let Some(plans) = plans {
            let closing = Closing::new(&plans, &self.record);
            self.write_log(|log| log.text(&format!("\n{}", closing.text(Paint { on: false }))));
            match &mut self.output {
                Output::Terminal(terminal) => terminal.above(&text_lines(&closing.text(terminal.paint()))),
                Output::Lines(lines, output) => print(output, &text_lines(&closing.text(lines.paint))),
                Output::Json(_) => self.results.print(&format!("{}\n", Json::line("closing", &closing))),
            }
        }
        self.record
    }

    fn interrupt(&mut self, by: &str) {
        let interrupted = Interrupted::new(by, self.plan.as_ref(), &self.record);
        // The log first: a closed terminal accepts no output.
        self.write_log(|log| log.text(&format!("\n{}", interrupted.text(Paint { on: false }))));
        match &mut self.output {
            Output::Terminal(terminal) => {
                terminal.quiet();
                terminal.above(&text_lines(&interrupted.text(terminal.paint())));
            }
            Output::Lines(lines, output) => print(output, &text_lines(&interrupted.text(lines.paint))),
            Output::Json(_) => self.results.print(&format!("{}\n", Json::line("interrupted", &interrupted))),
        }
    }

    /// Writes to the log. The first error ends the log, not the run.
    fn write_log(&mut self, write: impl FnOnce(&mut RunLog) -> io::Result<()>) {
        let Some(log) = &mut self.log else { return };
        if let Err(error) = write(log) {
            let line = format!("the log of this run is incomplete: {}: {error}", log.path().display());
            self.log = None;
            self.event(Event::Warning { line });
        }
    }
}

fn text_lines(text: &str) -> Vec<String> {
    std::iter::once(String::new()).chain(text.lines().map(str::to_owned)).collect()
}

/// Prints progress. Errors are ignored: a terminal that is gone must not stop the work.
fn print(output: &mut impl Write, lines: &[String]) {
    if !lines.is_empty() {
        let _ = output.write_all(format!("{}\n", guarded(&lines.join("\n"))).as_bytes());
        let _ = output.flush();
    }
}

/// Events as JSON lines.
#[derive(Debug, Default)]
struct Json {
    /// When the last progress of a step or task was printed.
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

    /// An event of the reporter itself: time and kind, then the keys of `body`.
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
    // All keys of an event are strings, so this can't fail; if it does, only one line is lost.
    serde_json::to_string(value).ok().map(|text| visible_json(&text).into_owned())
}

/// A value as JSON for a person or a program, on several lines: safe to print, and the same value.
///
/// # Errors
/// Only a bug: a key is not a string.
pub fn json_text(value: &impl Serialize) -> serde_json::Result<String> {
    Ok(visible_json(&serde_json::to_string_pretty(value)?).into_owned())
}
