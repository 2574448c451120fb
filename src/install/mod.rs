//! The installer: hostler as the first process of a machine that was started from a stick, or that a running system started so. It follows the
//! order for this machine, once, and then restarts, or switches the machine off whose disk it erased. It never goes on after a mistake: it says what is wrong, and waits for a person.

pub mod disks;
mod erase;
mod firmware;
mod font;
mod kernel;
mod medium;
mod screen;
mod system;
mod table;

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use hostler_core::install::content::Content;
use hostler_core::install::disk::{Disk, choose};
use hostler_core::install::mark::{Mark, Turn, turn};
use hostler_core::install::order::{Machine, Order};
use hostler_core::protocol::installer;

use kernel::End;
use medium::Medium;
use screen::Screen;
use system::System;

/// Where the kernel finds the first program of an initrd.
const INIT: &str = "/init";

/// Limit for the stick and the network cards to appear.
const APPEARS_WITHIN: Duration = Duration::from_secs(60);
/// Disks are complete when none has appeared for so long: one that comes late must not make another the only one.
const DISKS_SETTLE: Duration = Duration::from_secs(5);
/// How long the last screen waits for the stick to be pulled.
const PULLED_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(200);

/// Whether this process is the first one of an initrd.
pub fn is_init() -> bool {
    std::process::id() == 1 && std::env::args_os().next().is_some_and(|name| Path::new(&name) == Path::new(INIT))
}

/// Installs the machine, or erases its disk. Never returns.
pub fn run() -> ! {
    let mounted = kernel::mount_own();
    let screen = Screen::open();
    let work = std::panic::AssertUnwindSafe(|| {
        mounted?;
        follow(&screen)
    });
    match std::panic::catch_unwind(work) {
        Ok(Ok(end)) => kernel::end(end),
        Ok(Err(error)) => screen.failed(&format!("{error:#}")),
        Err(_) => screen.failed("the installer stopped because of a bug"),
    }
    loop {
        // Ctrl-Alt-Del restarts: that is the kernel's.
        std::thread::park();
    }
}

/// From the start of the installer to its end.
fn follow(screen: &Screen) -> Result<End> {
    kernel::load_modules(screen)?;
    let parameter = kernel::parameter(installer::MEDIUM)?
        .with_context(|| format!("the kernel was started without the parameter `{}...`: make the stick again", installer::MEDIUM))?;
    screen.line("looking for what to do on this machine");
    let medium = until(APPEARS_WITHIN, || Medium::find(&parameter))?.context(
        "the stick that the installer was started from can't be found: try another \
            USB port",
    )?;
    if let Some(erasure) = medium.erasure()? {
        erase::follow(screen, &medium, &erasure)?;
        return Ok(End::SwitchOff);
    }
    install_by_order(screen, &medium)?;
    Ok(End::Restart)
}

fn install_by_order(screen: &Screen, medium: &Medium) -> Result<()> {
    if !medium.is_stick()
        && let Err(error) = firmware::forget(installer::ENTRY)
    {
        // The order is used, whatever comes of it: nobody is to choose this entry again.
        screen.line(&format!("{error:#}"));
    }
    let order = medium.order()?;
    screen.line(&format!("order {}, for {}", order.short_id(), hostler_core::words::counted(order.machines.len(), "machine")));
    let Some((mac, machine)) = this_machine(&order)? else {
        return unknown(screen, medium);
    };
    screen.line(&format!("this is {} ({mac})", machine.name));
    match turn(medium.mark(mac)?.as_deref()) {
        Turn::Done => done(screen, medium, machine),
        // Nothing is written: the mark says so already.
        Turn::Failed(reason) => {
            bail!("{}: an earlier installation from this stick failed: {reason}\n{} to retry", machine.name, medium.again())
        }
        Turn::Install(mark) => {
            medium.set_mark(mac, &mark).context(
                "the stick can't be written to, so the machine would be installed again the next \
                time it boots from the stick",
            )?;
            let installed = install(screen, medium, &order, mac, machine);
            let mark = match &installed {
                Ok(()) => Mark::Done,
                Err(error) => Mark::Failed { reason: format!("{error:#}") },
            };
            let marked = medium.set_mark(mac, &mark);
            installed.with_context(|| machine.name.to_string())?;
            marked.context("the system is installed, but this can't be recorded on the stick: pull the stick out")?;
            done(screen, medium, machine)
        }
    }
}

/// The machine of the order that has one of this computer's network cards.
///
/// # Errors
/// Two have.
fn this_machine(order: &Order) -> Result<Option<(&str, &Machine)>> {
    let ours = || -> Result<Vec<(&str, &Machine)>> {
        let cards = kernel::network_cards()?;
        Ok(order.machines.iter().filter(|(mac, _)| cards.contains(mac)).map(|(mac, machine)| (mac.as_str(), machine)).collect())
    };
    let found = until(Duration::from_secs(20), || Ok(Some(ours()?).filter(|found| !found.is_empty())))?;
    match found.as_deref() {
        None => Ok(None),
        Some([one]) => Ok(Some(*one)),
        Some(several) => {
            let names: Vec<String> = several.iter().map(|(_, machine)| machine.name.to_string()).collect();
            bail!("this computer has the MAC addresses of {}: correct `mac` in the inventory", hostler_core::words::and(&names))
        }
    }
}

/// Shows what a person needs to write this machine into the inventory.
fn unknown(screen: &Screen, medium: &Medium) -> Result<()> {
    if !medium.is_stick() {
        bail!("this computer has none of the MAC addresses of the order: correct `mac` in the inventory, then {}", medium.again());
    }
    let mut lines = vec!["This machine is not in the inventory. Nothing was changed.".to_owned()];
    lines.extend(kernel::network_cards()?.into_iter().map(|mac| format!("mac: \"{mac}\"")));
    lines.extend(disks::all(medium.disk())?.iter().map(|disk| format!("disk: {disk}")));
    screen.large("NEW", &lines);
    loop {
        std::thread::park();
    }
}

fn install(screen: &Screen, medium: &Medium, order: &Order, mac: &str, machine: &Machine) -> Result<()> {
    screen.line("looking for disks");
    let mut found = settled_disks(medium)?;
    for disk in &mut found {
        if disk.content == (Content::Installed { order: order.short_id().to_owned() }) {
            if system::was_started(&table::system_device(&disk.name))? {
                return Ok(());
            }
            // This order was interrupted after it had named its partitions, and before anyone used the system.
            disk.content = Content::Unfinished;
        }
    }
    for disk in &found {
        screen.line(&format!("disk {disk}"));
    }
    let disk = choose(&found, &machine.wish()).map_err(|refusal| {
        let list: Vec<String> = found.iter().map(ToString::to_string).collect();
        anyhow!("{refusal}\n{}", list.join("\n"))
    })?;
    let partitions = table::write(disk, machine.system_size)?;
    screen.line(&format!("writing Debian to {}", disk.name));
    system::write_image(screen, medium, &order.image, &partitions)?;
    screen.line("the image's checksum matches; setting up the system for this machine");
    let system = System::mount(screen, &partitions)?;
    let rejoins = (!medium.is_stick()).then(|| order.short_id());
    system.make_own(mac, machine, rejoins)?;
    // Before it can be started: a system that may be in use must not look unfinished.
    table::finish(disk, order.short_id())?;
    system.make_bootable()?;
    system.unmount()
}

/// All disks, when none has appeared for [`DISKS_SETTLE`].
fn settled_disks(medium: &Medium) -> Result<Vec<Disk>> {
    let begun = Instant::now();
    let (mut names, mut since) = (disks::names()?, Instant::now());
    while since.elapsed() < DISKS_SETTLE {
        if begun.elapsed() > APPEARS_WITHIN {
            bail!("the list of disks keeps changing: check the cables of the disks");
        }
        sleep(POLL);
        let now = disks::names()?;
        if now != names {
            (names, since) = (now, Instant::now());
        }
    }
    disks::all(medium.disk())
}

fn done(screen: &Screen, medium: &Medium, machine: &Machine) -> Result<()> {
    if !medium.is_stick() {
        screen.large("DONE", &[format!("{} is installed, and restarts.", machine.name)]);
        return Ok(());
    }
    screen
        .large("DONE", &[format!("{} is installed. Pull the stick out.", machine.name), "The machine then restarts by itself.".to_owned()]);
    let is_pulled = || Ok((!medium.is_plugged_in()).then_some(()));
    // A firmware that starts from a stick first would lead back here, each time.
    match firmware::start_next(firmware::DEBIAN) {
        Ok(true) => drop(until(PULLED_WITHIN, is_pulled)?),
        not => {
            let why = not.err().map_or_else(|| "the firmware has no boot entry for it".to_owned(), |error| format!("{error:#}"));
            screen.line(&format!("the installed system can't be started while the stick is in: {why}"));
            while until(PULLED_WITHIN, is_pulled)?.is_none() {}
        }
    }
    Ok(())
}

/// Asks again until there is an answer; `None` after the limit.
fn until<T>(limit: Duration, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
    let begun = Instant::now();
    loop {
        match ask()? {
            Some(answer) => return Ok(Some(answer)),
            None if begun.elapsed() > limit => return Ok(None),
            None => sleep(POLL),
        }
    }
}
