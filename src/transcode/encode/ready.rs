//! What is known of a title before it is encoded.

use std::path::Path;

use super::super::ffmpeg::Probe;
use super::super::handbrake::{self, Title};
use super::super::verify::Flaw;
use super::finish::Packets;
use super::{Encoder, Stopped};

/// A title, and how it is to be encoded.
pub(super) struct Ready {
    pub(super) source: Title,
    pub(super) probe: Option<Probe>,
    /// `None`: they were not read.
    pub(super) packets: Option<Packets>,
    /// HandBrake's name.
    pub(super) encoder: String,
    /// `None`: the preset's.
    pub(super) crf: Option<u32>,
}

impl Encoder<'_> {
    pub(super) async fn ready(
        &mut self,
        input: &Path,
        mut source: Title,
        remarks: &mut Vec<String>,
    ) -> Result<Result<Ready, Flaw>, Stopped> {
        let probe = if source.on_disc() { None } else { self.probe(input).await? };
        if let Some(probe) = &probe {
            if let Some(profile @ 5) = probe.dolby_vision() {
                let reason = format!(
                    "the film is in Dolby Vision profile {profile}: encoding would lose the Dolby Vision data, and its colors \
                        would be wrong; use a copy in HDR10 or SDR"
                );
                return Ok(Err(Flaw::permanent(reason)));
            }
            probe.complete(&mut source);
        }
        // The head of a stream that was written live has no length.
        let unknown = source.seconds() < 0.1 && !source.on_disc();
        let packets = if unknown { self.packets(input).await? } else { None };
        if let Some(packets) = &packets {
            source.duration = handbrake::Duration::of(packets.end);
        }
        if let Some(plan) = self.plan {
            // What its pieces were made with.
            remarks.extend(plan.remarks.iter().cloned());
            return Ok(Ok(Ready { source, probe, packets, encoder: plan.encoder.clone(), crf: plan.crf }));
        }
        let encoder = match self.encoder(&source, self.preset(), remarks) {
            Ok(encoder) => encoder,
            Err(flaw) => return Ok(Err(flaw)),
        };
        let crf = match self.crf(input, &source, probe.as_ref()).await? {
            Ok(crf) => crf,
            Err(flaw) => return Ok(Err(flaw)),
        };
        remarks.extend(crf.iter().map(|(_, remark)| remark.clone()));
        Ok(Ok(Ready { source, probe, packets, encoder, crf: crf.map(|(crf, _)| crf) }))
    }
}
