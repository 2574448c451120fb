//! Which encoder a title gets, and what stands in for one in hardware that does not work.

use std::path::Path;

use hostler_core::films::encoder::{in_hardware, in_software, is_hardware};
use hostler_core::films::settings::{Preset, family};

use super::super::ffmpeg::Probe;
use super::super::handbrake::Title;
use super::super::order::{self, Order, Wishes};
use super::super::record::Phase;
use super::super::verify::Flaw;
use super::{Encoder, HandBrakeRun, Stopped};

/// HandBrake's exit status where the encoder, or the folder of the output, is missing.
const NOT_STARTED: i32 = 3;

impl HandBrakeRun {
    /// Whether nothing was encoded because the machine lacks the encoder: an unknown one ends with status 0.
    fn lacks_encoder(&self) -> bool {
        self.status == Some(NOT_STARTED) || self.status == Some(0) && self.work_done.is_none()
    }
}

impl Encoder<'_> {
    /// HandBrake's name of the encoder for a title.
    pub(super) fn encoder(&self, title: &Title, preset: Option<(&Preset, &Path)>, remarks: &mut Vec<String>) -> Result<String, Flaw> {
        let usual = order::encoder(title, preset).map_err(|error| Flaw::permanent(format!("{error:#}")))?;
        let takes_hardware = self.task.hardware && self.task.settings.takes_hardware(&self.film.folder);
        let fast = if is_hardware(&usual) { Some(usual.clone()) } else { in_hardware(&usual) };
        if let Some(fast) = fast.filter(|fast| takes_hardware && self.encodes_with(family(fast))) {
            return Ok(fast);
        }
        let encoder = in_software(&usual).unwrap_or_else(|| usual.clone());
        if !self.encodes_with(family(&encoder)) {
            return Err(Flaw::lacks(&self.task.machine, family(&encoder)));
        }
        if encoder != usual {
            remarks.push(format!("encoded with {encoder}: {} has no {usual}", self.task.machine));
        }
        Ok(encoder)
    }

    /// Encodes a title. Where an encoder in hardware turns out not to work, its counterpart in software does it at once: that is no fault of the
    /// film.
    pub(super) async fn encode(
        &mut self,
        input: &Path,
        title: &Title,
        probe: Option<&Probe>,
        mut wishes: Wishes<'_>,
        remarks: &mut Vec<String>,
    ) -> Result<Result<(Order, HandBrakeRun), Flaw>, Stopped> {
        loop {
            let order = match order::order(input, self.part, title, probe, &wishes) {
                Ok(order) => order,
                Err(error) => return Ok(Err(Flaw::permanent(format!("{error:#}")))),
            };
            let run = match self.handbrake(order.arguments.clone(), Phase::Encoding).await? {
                Ok(run) => run,
                Err(flaw) => return Ok(Err(flaw)),
            };
            let Some(software) = in_software(&wishes.encoder).filter(|_| run.lacks_encoder()) else { return Ok(Ok((order, run))) };
            if !self.encodes_with(family(&software)) {
                return Ok(Err(Flaw::lacks(&self.task.machine, family(&software))));
            }
            remarks.push(format!("encoded with {software}: {} does not work on {}", wishes.encoder, self.task.machine));
            wishes.encoder = software;
        }
    }
}
