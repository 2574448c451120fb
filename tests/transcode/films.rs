//! Films made with ffmpeg, and what ffprobe says of them.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::Value;

/// A film that is made once.
#[derive(Clone, Copy)]
pub enum Made {
    /// 10 s, 640x360, two audio tracks, subtitles, three chapters.
    Whole,
    /// 1 s, tiny.
    Short,
    /// No picture.
    Sound,
    /// 1 s, DTS as on a Blu-ray.
    Dts,
    /// 9 s, a third of it 30 frames a second and the rest 24, as DVDs of the NTSC countries have it.
    Varying,
    /// 8 s in a transport stream, whose length is in no head.
    Stream,
    /// 1 s in HDR10.
    Hdr,
}

static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let chapters = "[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=4\ntitle=One\n[CHAPTER]\nTIMEBASE=1/1\nSTART=4\nEND=7\ntitle=Two\n\
        [CHAPTER]\nTIMEBASE=1/1\nSTART=7\nEND=10\ntitle=Three\n";
    std::fs::write(folder.path().join("chapters"), format!(";FFMETADATA1\n{chapters}")).expect("written");
    std::fs::write(folder.path().join("text.srt"), "1\n00:00:01,000 --> 00:00:04,000\nHello.\n\n2\n00:00:05,000 --> 00:00:08,000\nBye.\n")
        .expect("written");
    let arguments = "-f lavfi -i testsrc2=size=640x360:rate=25:duration=10 -f lavfi -i sine=440:duration=10 -f lavfi -i sine=880:duration=10 \
        -i text.srt -f ffmetadata -i chapters -map 0 -map 1 -map 2 -map 3 -map_metadata 4 -map_chapters 4 -c:v libx264 -preset ultrafast -g 25 \
        -c:a ac3 -c:s srt -metadata:s:a:0 language=eng -metadata:s:a:1 language=deu -metadata:s:s:0 language=eng film.mkv";
    made(folder.path(), arguments)
});

static SHORT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = "-f lavfi -i testsrc2=size=320x180:rate=25:duration=1 -f lavfi -i sine=440:duration=1 -c:v libx264 -preset ultrafast \
        -c:a ac3 film.mkv";
    made(folder.path(), arguments)
});

static SOUND: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    made(folder.path(), "-f lavfi -i sine=440:duration=5 -c:a ac3 film.mkv")
});

static DTS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = "-f lavfi -i testsrc2=size=320x180:rate=25:duration=1 -f lavfi -i sine=440:duration=1:sample_rate=48000 -c:v libx264 \
        -preset ultrafast -c:a dca -strict -2 -ac 6 film.mkv";
    made(folder.path(), arguments)
});

static VARYING: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = "-f lavfi -i testsrc2=size=320x180:rate=30000/1001:duration=3 -f lavfi -i testsrc2=size=320x180:rate=24000/1001:duration=6 \
        -f lavfi -i sine=440:duration=9:sample_rate=48000 \
        -filter_complex [0:v]settb=1/90000[a];[1:v]settb=1/90000,setpts=PTS+3/TB[b];[a][b]interleave[v] -map [v] -map 2 -fps_mode vfr -c:v libx264 \
        -preset ultrafast -g 12 -c:a ac3 film.mkv";
    made(folder.path(), arguments)
});

static STREAM: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = "-f lavfi -i testsrc2=size=320x180:rate=25:duration=8 -f lavfi -i sine=440:duration=8:sample_rate=48000 -c:v mpeg2video \
        -q:v 4 -g 12 -c:a ac3 -f mpegts film.mkv";
    made(folder.path(), arguments)
});

static HDR: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = "-f lavfi -i testsrc2=size=160x120:rate=25:duration=1 -f lavfi -i sine=440:duration=1 -c:v libx265 -preset ultrafast \
        -pix_fmt yuv420p10le -x265-params log-level=none:repeat-headers=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:hdr10=1 \
        -color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc -c:a aac film.mkv";
    made(folder.path(), arguments)
});

impl Made {
    pub fn bytes(self) -> Vec<u8> {
        match self {
            Made::Whole => WHOLE.clone(),
            Made::Short => SHORT.clone(),
            Made::Sound => SOUND.clone(),
            Made::Dts => DTS.clone(),
            Made::Varying => VARYING.clone(),
            Made::Stream => STREAM.clone(),
            Made::Hdr => HDR.clone(),
        }
    }
}

/// A DVD of one title, in its folder `disc`.
pub fn disc() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments =
        "-f lavfi -i testsrc2=size=720x576:rate=25:duration=3 -f lavfi -i sine=440:duration=3 -target pal-dvd -b:v 800k film.mkv";
    let bytes = made(folder.path(), &arguments.replace("film.mkv", "-f dvd film.mkv"));
    std::fs::write(folder.path().join("film.mpg"), bytes).expect("written");
    for arguments in [&["-o", "disc", "-t", "film.mpg"][..], &["-o", "disc", "-T"]] {
        let mut command = Command::new("dvdauthor");
        command.current_dir(folder.path()).env("VIDEO_FORMAT", "PAL").args(arguments);
        output(command);
    }
    folder
}

fn made(folder: &Path, arguments: &str) -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command.current_dir(folder).args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"]).args(arguments.split_whitespace());
    output(command);
    std::fs::read(folder.join("film.mkv")).expect("ffmpeg made it")
}

fn output(mut command: Command) -> Output {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().unwrap_or_else(|error| panic!("{name}: {error}; apt-get install ffmpeg handbrake-cli"));
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// What ffprobe finds.
#[derive(Debug)]
pub struct Found {
    /// Seconds.
    pub duration: f64,
    pub width: u64,
    pub chapters: usize,
    /// Kind, codec and language of each stream.
    pub streams: Vec<String>,
}

pub fn probe(film: &Path) -> Found {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-of", "json", "-show_format", "-show_streams", "-show_chapters", "-i"]).arg(film);
    let value: Value = serde_json::from_slice(&output(command).stdout).expect("JSON");
    let streams = value["streams"].as_array().expect("a list");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let describe = |stream: &Value| {
        let language = if stream["codec_type"] == "video" { String::new() } else { text(&stream["tags"]["language"]) };
        format!("{} {} {language}", text(&stream["codec_type"]), text(&stream["codec_name"]))
    };
    Found {
        duration: text(&value["format"]["duration"]).parse().expect("a number"),
        width: streams.iter().find_map(|stream| stream["width"].as_u64()).unwrap_or_default(),
        chapters: value["chapters"].as_array().map_or(0, Vec::len),
        streams: streams.iter().map(describe).collect(),
    }
}
