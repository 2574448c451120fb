//! What is known of a title before it is encoded.

use std::path::Path;

use super::super::ffmpeg::Probe;
use super::super::handbrake::Title;
use super::super::verify::Flaw;
use super::finish::Packets;
use super::{Encoder, Stopped};

/// Seconds: a film may begin a few pictures late.
const LATE: f64 = 0.2;

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
            if probe.only_dolby_vision() {
                return Ok(Err(Flaw::permanent(
                    "the film is in Dolby Vision profile 5: encoding would lose the Dolby Vision data, and its colors would be wrong; \
                        use a copy in HDR10 or SDR, or accept the film to keep it as it is",
                )));
            }
            probe.complete(&mut source);
        }
        // The head of a stream that was written live has no length, and that of one whose times begin late may have another one.
        let unknown = source.seconds() < 0.1 || source.exact() && probe.as_ref().is_some_and(|probe| probe.begins() > LATE);
        let packets = if unknown && !source.on_disc() { self.packets(input).await? } else { None };
        if let Some(packets) = &packets {
            packets.correct(&mut source);
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
