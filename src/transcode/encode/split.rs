//! Plans a film in pieces, and makes one piece, or the sound of all of them.

use std::path::Path;
use std::time::Duration;

use hostler_core::films::encoder::is_hardware;
use hostler_core::films::settings::{Preset, family};
use jiff::Timestamp;

use super::super::ffmpeg::{FFPROBE, Probe};
use super::super::layout;
use super::super::measure::{Crop, Measured, Pair};
use super::super::observe;
use super::super::order::{self, Wishes};
use super::super::record::{Phase, Stamp};
use super::super::split::{self, Done, Facts, PLAN, Plan, Work, form};
use super::super::verify::{self, Attempt, Flaw};
use super::finish::SHORT;
use super::ready::Ready;
use super::{Encoder, Stopped};
use crate::user_file;

impl<'a> Encoder<'a> {
    /// What the settings say of this film's folder.
    pub(super) fn wishes(&self, encoder: String, crf: Option<u32>) -> Wishes<'a> {
        Wishes {
            preset: self.preset(),
            languages: &self.task.settings.languages,
            audio: self.folder().map(|folder| folder.audio).unwrap_or_default(),
            crf,
            encoder,
        }
    }

    /// The folder's own preset, and the folder that it is in.
    pub(super) fn preset(&self) -> Option<(&'a Preset, &'a Path)> {
        self.folder()?.preset.as_ref().map(|preset| (preset, self.task.settings_folder.as_path()))
    }

    /// How to encode the film in pieces; `None`: this encoder encodes all of it.
    pub(super) fn planned(&mut self, ready: &Ready, source: Stamp, remarks: &[String]) -> Option<Plan> {
        if self.film.machines < 2 || self.film.whole.is_some() || self.plan.is_some() {
            return None;
        }
        let Ready { source: title, probe, encoder, crf, .. } = ready;
        let wishes = self.wishes(encoder.clone(), *crf);
        let facts = Facts {
            machines: self.film.machines,
            least: self.task.settings.split,
            own_preset: wishes.preset.is_none(),
            hardware: is_hardware(encoder),
            accepted: self.film.accepted,
            title,
            probe: probe.as_ref(),
        };
        let [top, bottom, left, right] = title.crop;
        let crop = Crop { top, bottom, left, right };
        let arguments = || order::in_pieces(title, probe.as_ref(), &wishes, crop);
        let ((pieces, rate), (picture, sound)) = match split::cuts(&facts).and_then(|cuts| Ok((cuts, arguments()?))) {
            Ok(plan) => plan,
            Err(why) => {
                tracing::info!("{}: encoded in one piece: {why}", self.task.id);
                self.note = Some(format!("in one piece: {why}"));
                return None;
            }
        };
        Some(Plan {
            who: self.task.who.clone(),
            source,
            round: self.film.round,
            encoder: encoder.clone(),
            crf: *crf,
            crop,
            rate,
            pieces,
            picture,
            sound,
            remarks: remarks.to_vec(),
            at: Timestamp::now(),
        })
    }

    /// Encodes the pictures of one piece, and counts them.
    pub(super) async fn piece(&mut self, plan: &Plan, number: u16) -> Result<Result<Done, Flaw>, Stopped> {
        let Some(piece) = plan.piece(number).copied() else { return Ok(Err(Flaw::permanent("the plan has no such piece"))) };
        if !self.encodes_with(family(&plan.encoder)) {
            return Ok(Err(Flaw::lacks(&self.task.machine, family(&plan.encoder))));
        }
        let mut words = plan.picture.clone();
        for (word, ticks) in [("--start-at", piece.start), ("--stop-at", piece.length)] {
            words.extend(ticks.into_iter().flat_map(|ticks| [word.to_owned(), format!("pts:{ticks}")]));
        }
        let done = self.made(plan, Work::Piece(number), &words).await?;
        Ok(done.and_then(|done| {
            let wrong = split::miscounted(&piece, &done);
            wrong.map_or(Ok(done), |wrong| Err(Flaw::permanent(wrong)))
        }))
    }

    /// Sound, subtitles and chapters of the whole film, with pictures as small as can be: they tell when those of the film are shown.
    pub(super) async fn sound(&mut self, plan: &Plan) -> Result<Result<Done, Flaw>, Stopped> {
        self.made(plan, Work::Sound, &plan.sound).await
    }

    async fn made(&mut self, plan: &Plan, work: Work, words: &[String]) -> Result<Result<Done, Flaw>, Stopped> {
        let (input, stamp) = match self.source() {
            Ok(source) => source,
            Err(flaw) => return Ok(Err(flaw)),
        };
        let run = match self.handbrake(order::arguments(&input, self.part, words), Phase::Encoding).await? {
            Ok(run) => run,
            Err(flaw) => return Ok(Err(flaw)),
        };
        let size = self.part.metadata().map_or(0, |metadata| metadata.len());
        let attempt = Attempt { status: run.status, work_done: run.work_done, frames: run.frames, pace: run.pace, size, picture: None };
        if let Err(flaw) = verify::succeeded(&attempt) {
            return Ok(Err(self.outside_if_full(flaw)));
        }
        if Stamp::of(&self.claimed()).ok() != Some(stamp) {
            return Ok(Err(Flaw::passing("the file changed while it was being encoded")));
        }
        self.show(Phase::Verifying, None);
        let (Some(packets), Some(probe)) = (self.packets(self.part).await?, self.probe(self.part).await?) else {
            return Ok(Err(self.outside_if_full(Flaw::passing("what was encoded can't be opened"))));
        };
        let form = self.tool(FFPROBE, form::arguments(self.part), SHORT).await?.and_then(|output| form::form(&probe, &output.stdout));
        let Some(form) = form else { return Ok(Err(Flaw::passing("ffprobe can't determine the codec parameters of what was encoded"))) };
        let measured = match work {
            Work::Piece(number) => self.compared(plan, number, &input, &probe, run.took).await?,
            Work::Sound | Work::Join => None,
        };
        let file = format!("{}.{work}.mkv", self.task.who);
        let kept = user_file::regular(self.part).and_then(|part| part.sync_all());
        if let Err(error) = kept.and_then(|()| layout::rename(self.part, &self.work.join(&file))) {
            return Ok(Err(Flaw::outside(format!("the piece can't be saved: {error}"))));
        }
        Ok(Ok(Done {
            plan: plan.who.clone(),
            file,
            size,
            frames: run.frames.unwrap_or_default(),
            pace: run.pace.map(|pace| (pace.slowest, pace.average)),
            pictures: packets.pictures,
            form,
            machine: self.task.machine.clone(),
            took: run.took.as_secs_f64(),
            measured,
            at: Timestamp::now(),
        }))
    }
}

impl Encoder<'_> {
    /// How a piece compares with its part of the original: here, so that all machines do so side by side. `None`: that can't be told.
    async fn compared(&self, plan: &Plan, number: u16, input: &Path, piece: &Probe, took: Duration) -> Result<Option<Measured>, Stopped> {
        let Some(original) = self.probe(input).await? else { return Ok(None) };
        let span = Some(plan.span(number));
        let pair = Pair { original: (input, &original), film: (self.part, piece), crop: plan.crop, sound: None, span };
        self.piece_measured(&pair, took, plan.share(number)).await
    }
}

/// Removes what was joined. What an interruption leaves goes with the work folder.
pub(super) fn remove_pieces(work: &Path, plan: &Plan) {
    let done = observe::done(work, plan).unwrap_or_default();
    let _ = std::fs::remove_file(work.join(PLAN));
    for (part, done) in done {
        let _ = std::fs::remove_file(work.join(done.file));
        let _ = std::fs::remove_file(work.join(part.result()));
    }
}

/// The machines that encoded a film's pieces.
pub(super) fn machines(work: &Path, plan: &Plan) -> String {
    let done = observe::done(work, plan).unwrap_or_default();
    let mut names: Vec<String> =
        done.into_iter().filter(|(part, _)| matches!(part, Work::Piece(_))).map(|(_, done)| done.machine).collect();
    names.sort();
    names.dedup();
    names.join(", ")
}
