use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::handbrake::Duration;
use super::super::record::{Phase, Progress};
use super::*;

fn title(seconds: f64) -> Title {
    let text =
        r#"{"Index": 1, "Duration": {"Ticks": 0}, "Type": 3, "Container": "matroska,webm", "FrameRate": {"Num": 24000, "Den": 1001}}"#;
    Title { duration: Duration::of(seconds), ..serde_json::from_str(text).expect("a title") }
}

fn probe(rates: (&str, &str), starts: (&str, &str)) -> Probe {
    let text = format!(
        r#"{{"format": {{"start_time": "{}"}}, "streams": [{{"index": 0, "codec_type": "video", "r_frame_rate": "{}", "avg_frame_rate": "{}",
            "start_time": "{}"}}]}}"#,
        starts.0, rates.0, rates.1, starts.1
    );
    serde_json::from_str(&text).expect("a probe")
}

/// Why a film is encoded in one piece, or in how many.
#[test]
fn a_film_is_split_or_the_reason_is_told() {
    let steady = probe(("24000/1001", "24000/1001"), ("0.000000", "0.042000"));
    let long = title(5400.0);
    let usual =
        Facts { machines: 3, least: Some(600), own_preset: true, hardware: false, accepted: false, title: &long, probe: Some(&steady) };
    let interlaced = Title { interlace_detected: true, ..long.clone() };
    let (disc, fast) = (Title { kind: 0, ..long.clone() }, Title { frame_rate: Fraction { num: 30, den: 1 }, ..long.clone() });
    let (short, half_an_hour) = (title(1199.0), title(1800.5));
    let varies = probe(("30000/1001", "25000/1001"), ("0", "0"));
    let estimated = probe(("24000/1001", "23980/1000"), ("0", "0"));
    let (unknown, nowhere) = (probe(("0/0", "0/0"), ("0", "0")), probe(("24000/1001", "24000/1001"), ("0", "N/A")));
    let rows: [(&str, Facts, Result<usize, &str>); 18] = [
        ("a long film on three machines", usual.clone(), Ok(3)),
        ("no more pieces than machines", Facts { machines: 2, ..usual.clone() }, Ok(2)),
        ("no piece of less than ten minutes", Facts { machines: 8, ..usual.clone() }, Ok(8)),
        ("half an hour", Facts { machines: 8, title: &half_an_hour, ..usual.clone() }, Ok(3)),
        ("an average that ffmpeg estimated", Facts { probe: Some(&estimated), ..usual.clone() }, Ok(3)),
        ("no machine is idle", Facts { machines: 1, ..usual.clone() }, Err("no other machine is idle")),
        ("the watcher told of none", Facts { machines: 0, ..usual.clone() }, Err("no other machine is idle")),
        ("less than twenty minutes", Facts { title: &short, ..usual.clone() }, Err("it is shorter than two pieces of 10 min")),
        ("pieces of 90 s", Facts { title: &title(179.0), least: Some(90), ..usual.clone() }, Err("it is shorter than two pieces of 90 s")),
        ("off", Facts { least: None, ..usual.clone() }, Err("`split` is off")),
        (
            "a preset of one's own",
            Facts { own_preset: false, ..usual.clone() },
            Err("a custom preset may have filters or a bitrate that need the whole film"),
        ),
        ("Quick Sync", Facts { hardware: true, ..usual.clone() }, Err("it is encoded with Quick Sync")),
        ("a disc", Facts { title: &disc, ..usual.clone() }, Err("it is a disc")),
        ("accepted", Facts { accepted: true, ..usual.clone() }, Err("it was accepted although it failed the verification")),
        (
            "interlaced",
            Facts { title: &interlaced, ..usual.clone() },
            Err("it is interlaced, and the filter needs the frames around each \
            frame"),
        ),
        ("HandBrake finds another rate", Facts { title: &fast, ..usual.clone() }, Err("its frame rate varies")),
        ("a rate that varies", Facts { probe: Some(&varies), ..usual.clone() }, Err("its frame rate varies")),
        ("no rate", Facts { probe: Some(&unknown), ..usual.clone() }, Err("its frame rate is not known")),
    ];
    for (what, facts, expected) in rows {
        let found = cuts(&facts).map(|(pieces, _)| pieces.len());
        assert_eq!(found.as_ref().map_err(String::as_str), expected.as_ref().map_err(|why| *why), "{what}");
    }
    let no_probe = cuts(&Facts { probe: None, ..usual.clone() }).expect_err("no ffprobe");
    assert_eq!(no_probe, "the encoder's image has no ffprobe");
    let no_start = cuts(&Facts { probe: Some(&nowhere), ..usual }).expect_err("no start");
    assert_eq!(no_start, "it is not known where its picture begins");
}

#[test]
fn cuts_are_half_a_frame_before_a_picture() {
    let rate = Fraction { num: 25, den: 1 };
    // A frame takes 3600 ticks.
    assert_eq!(
        pieces(1001, 1001, rate, 0.02, 3),
        [
            Piece { start: None, length: Some(333 * 3600 - 1800), pictures: 333 },
            Piece { start: Some(1800 + 333 * 3600 - 1800), length: Some(334 * 3600 - 1800), pictures: 334 },
            Piece { start: Some(1800 + 667 * 3600 - 1800), length: None, pictures: 334 },
        ]
    );
}

/// The machine of the first one makes the sound, too.
#[test]
fn the_first_piece_is_smaller_but_no_smaller_than_pieces_may_be() {
    let counts = |least, count| pieces(9000, least, Fraction { num: 25, den: 1 }, 0.0, count).iter().map(|piece| piece.pictures).collect();
    let all: [Vec<u64>; 3] = [counts(100, 3), counts(2900, 3), counts(1, 20)];
    assert_eq!(all[0], [2400, 3300, 3300]);
    assert_eq!(all[1], [2900, 3050, 3050]);
    assert_eq!((all[2][0], all[2].len(), all[2].iter().sum::<u64>()), (1, 20, 9000));
}

#[expect(clippy::cast_precision_loss, reason = "no film is that long")]
fn float(number: u64) -> f64 {
    number as f64
}

proptest! {
    /// Each picture is in one piece, and no cut is near enough to a picture for rounding to matter.
    #[test]
    fn no_picture_is_lost_or_doubled(
        rate in prop_oneof![
            prop::sample::select(vec![(24000, 1001), (30000, 1001), (60000, 1001), (120_000, 1001), (24, 1), (25, 1), (30, 1), (50, 1), (10, 1)]),
            (1000_u32..120_000, 999_u32..1002),
        ],
        pictures in 64_u64..2_000_000,
        count in 2_usize..64,
        head in 0.0_f64..5.0,
        least in 0_u64..40_000,
    ) {
        let (num, den) = rate;
        let found = pieces(pictures, least, Fraction { num, den }, head, count);
        prop_assert_eq!(found.len(), count);
        prop_assert_eq!(found.iter().map(|piece| piece.pictures).sum::<u64>(), pictures);
        let most = found.iter().map(|piece| piece.pictures).max().unwrap_or_default();
        prop_assert!(found.iter().skip(1).all(|piece| piece.pictures + 1 >= most), "all others are of the same length");
        prop_assert!(found[0].pictures >= least.clamp(1, pictures / count as u64), "none is too small");
        let frame = |number: u64| float(number) * f64::from(den) / f64::from(num) * 90_000.0;
        // HandBrake's times of pictures are whole ticks, and MKV's are whole milliseconds: 90 ticks.
        let apart = frame(1) / 2.0 - 2.0;
        let mut first = 0;
        for (number, piece) in found.iter().enumerate() {
            prop_assert_eq!(piece.start.is_none(), number == 0);
            prop_assert_eq!(piece.length.is_none(), number + 1 == count);
            if let Some(start) = piece.start {
                let at = float(start) - head * 90_000.0;
                prop_assert!(at - frame(first - 1) > apart && frame(first) - at > apart, "piece {} starts at {}", number, at);
            }
            if let Some(length) = piece.length.map(float) {
                prop_assert!(length - frame(piece.pictures - 1) > apart && frame(piece.pictures) - length > apart);
            }
            first += piece.pictures;
        }
    }
}

#[test]
fn names_of_parts_survive() {
    for work in [Work::Piece(1), Work::Piece(64), Work::Sound, Work::Join] {
        assert_eq!(work.to_string().parse(), Ok(work));
    }
    for wrong in ["", "piece", "piece0", "piece-1", "pieceX", "Sound", "piece99999"] {
        assert!(wrong.parse::<Work>().is_err(), "{wrong}");
    }
    assert_eq!(Work::Piece(2).failure(), "piece2.failure.json");
}

fn plan(count: usize) -> Plan {
    let rate = Fraction { num: 25, den: 1 };
    Plan {
        who: "planner".to_owned(),
        source: Stamp { size: 1000, modified: 7 },
        round: 1,
        encoder: "x264".to_owned(),
        crf: None,
        crop: Crop::default(),
        rate,
        pieces: pieces(1000, 1000, rate, 0.0, count),
        picture: Vec::new(),
        sound: Vec::new(),
        remarks: Vec::new(),
        at: "2026-11-23T21:00:00Z".parse().expect("a time"),
    }
}

fn done(frames: (u64, u64), pictures: u64) -> Done {
    Done {
        plan: "planner".to_owned(),
        file: "a.piece1.mkv".to_owned(),
        size: 1,
        frames,
        pace: None,
        pictures,
        form: "h264".to_owned(),
        machine: "rarity".to_owned(),
        took: 1.0,
        measured: None,
        at: "2026-11-23T21:10:00Z".parse().expect("a time"),
    }
}

#[test]
fn a_plan_is_for_one_original() {
    let stamp = Stamp { size: 1000, modified: 7 };
    assert!(plan(2).is_for(stamp, 1) && plan(64).is_for(stamp, 1));
    assert!(!plan(2).is_for(stamp, 2) && !plan(2).is_for(Stamp { size: 1001, modified: 7 }, 1));
    let one = Plan { pieces: plan(2).pieces[..1].to_vec(), ..plan(2) };
    let many = Plan { pieces: vec![plan(2).pieces[0]; 65], ..plan(2) };
    assert!(!one.is_for(stamp, 1) && !many.is_for(stamp, 1), "an encoder wrote it, which may do anything");
}

#[test]
fn a_piece_has_the_pictures_of_its_plan() {
    let pieces = plan(3).pieces;
    let wrong = |number: usize, frames, pictures| miscounted(&pieces[number], &done(frames, pictures));
    assert_eq!(pieces[1].pictures, 334);
    assert_eq!(wrong(1, (334, 334), 334), None);
    assert_eq!(wrong(1, (333, 334), 333).as_deref(), Some("333 frames were decoded and 333 encoded, expected 334"));
    assert_eq!(wrong(1, (333, 334), 334).as_deref(), Some("333 frames were decoded and 334 encoded, expected 334"), "one was doubled");
    assert_eq!(wrong(2, (320, 333), 320), None, "the length of a film is that of its sound");
    assert!(wrong(2, (320, 333), 333).is_some() && wrong(2, (0, 333), 0).is_some());
}

#[test]
fn the_page_shows_a_film_in_pieces() {
    let plan = plan(2);
    let at = |text: &str| -> Timestamp { text.parse().expect("a time") };
    let progress = |machine: &str, phase, done, rate, eta_seconds| Progress {
        who: "a".to_owned(),
        machine: machine.to_owned(),
        phase,
        done,
        rate,
        eta_seconds,
        note: None,
        began: at("2026-11-23T21:01:00Z"),
        at: at("2026-11-23T21:02:00Z"),
    };
    assert_eq!(shown(&plan, &BTreeMap::new(), &BTreeMap::new()), None);
    let (one, two) = (Work::Piece(1), Work::Piece(2));
    let both = BTreeMap::from([
        (Work::Sound, progress("fluttershy", Phase::Encoding, 0.9, 300.0, Some(9))),
        (one, progress("rarity", Phase::Encoding, 0.5, 20.0, Some(60))),
        (two, progress("applejack", Phase::Encoding, 0.25, 10.0, Some(120))),
    ]);
    let found = shown(&plan, &BTreeMap::new(), &both).expect("it has begun");
    assert_eq!((found.machine.as_str(), found.note.as_deref()), ("applejack, rarity", Some("in 2 pieces, 0 done")));
    assert_eq!((found.done, found.rate, found.eta_seconds), (0.375, 30.0, Some(120)));
    let found = shown(&plan, &BTreeMap::from([(one, done((500, 500), 500))]), &both).expect("it has begun");
    assert_eq!((found.done, found.machine.as_str(), found.note.as_deref()), (0.625, "applejack", Some("in 2 pieces, 1 done")));
    let joined = BTreeMap::from([(Work::Join, progress("rarity", Phase::Verifying, 0.1, 0.0, None))]);
    assert_eq!(shown(&plan, &BTreeMap::new(), &joined).map(|found| (found.phase, found.done)), Some((Phase::Verifying, 0.1)));
}
