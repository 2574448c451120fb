//! Arguments -> command -> exit status.

use std::process::ExitCode;

use clap::Parser;
use hostler::cli::{Cli, Command};
use hostler::event::{Event, Events};
use hostler::{command, lab};
use tokio::sync::mpsc::unbounded_channel;

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Lab(arguments) = Cli::parse().command;
    let (sender, mut receiver) = unbounded_channel();
    let printer = tokio::spawn(async move {
        while let Some(event) = receiver.recv().await {
            print(&event);
        }
    });
    let result = command::lab::run(arguments, &Events(sender)).await;
    let _ = printer.await;
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if error.is::<lab::Refused>() { 3 } else { 1 })
        }
    }
}

fn print(event: &Event) {
    match event {
        Event::TaskStarted { task, what } => eprintln!("{task}: {what}"),
        Event::TaskProgress { task, done, total, .. } => eprintln!("{task}: {} of about {} MiB", done >> 20, total >> 20),
        Event::TaskLine { task, line } => eprintln!("{task}: {line}"),
        Event::TaskFinished { task, took } => eprintln!("{task}: done in {:.1} s", took.as_secs_f64()),
        Event::Note { line } | Event::Warning { line } => eprintln!("{line}"),
        _ => {}
    }
}
