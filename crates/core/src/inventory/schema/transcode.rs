//! The keys of `transcode`.

use super::forms::{AS_SEEN, BASE_URL, DAYS, FILE, FOLDER_NAME, HOURS, IMAGE, LABEL, LANGUAGE, PIECE, SAVING, SHARE, SIZE, URL};
use super::{Key, Kind, Section};

pub static TRANSCODE: Section = Section {
    what: "`transcode`",
    path: "transcode",
    doc: "Pods mount the storage, so every machine must be able to reach it.",
    keys: &[
        Key {
            name: "inbox",
            kind: Kind::Text(&SHARE),
            required: true,
            default: "",
            doc: "The share that films are dropped into, in `watch/FOLDER`. It also holds intermediate files, the trash and failed films. `path:` is a folder that is the same on every machine.",
            example: "nfs://192.168.1.11/srv/films",
        },
        Key {
            name: "library",
            kind: Kind::Text(&SHARE),
            required: true,
            default: "",
            doc: "The share that encoded films are published to. It may be the same one as the inbox.",
            example: "nfs://192.168.1.3/Plex",
        },
        Key {
            name: "owner",
            kind: Kind::Object(&OWNER),
            required: true,
            default: "",
            doc: "The owner of the films.",
            example: "{ uid: 1000, gid: 100 }",
        },
        Key {
            name: "folders",
            kind: Kind::Filled(&Kind::Named(&FOLDER_NAME, &Kind::Object(&FOLDER))),
            required: true,
            default: "",
            doc: "Films in `watch/NAME` of the inbox are published to `NAME` in the library. `{}` means all defaults.",
            example: "{ Movies: {}, Cartoons: { preset: ./cartoons.json } }",
        },
        Key {
            name: "languages",
            kind: Kind::Set(&Kind::Text(&LANGUAGE)),
            required: false,
            default: "`[]`: keep all",
            doc: "Languages of audio and subtitles to keep, the preferred one first: three-letter codes of ISO 639-2.",
            example: "[eng]",
        },
        Key {
            name: "originals",
            kind: Kind::Object(&ORIGINALS),
            required: false,
            default: "",
            doc: "How long to keep originals in the inbox's trash.",
            example: "{ keep: 60d, atMost: 400GB }",
        },
        Key {
            name: "reserve",
            kind: Kind::Text(&SIZE),
            required: false,
            default: "twice the size of the largest film, but at least 10 GiB and at most 100 GB; films wait only below 5 GiB",
            doc: "If the inbox has less free space than this, hostler sends a notification and starts no film that would need this \
                space.",
            example: "100GB",
        },
        Key {
            name: "minSaving",
            kind: Kind::Text(&SAVING),
            required: false,
            default: "`10%`",
            doc: "How much smaller than its original an encoded film must be. If it is not, the original's streams are published \
                unchanged, as MKV. `off`: the encoded film is published, whatever its size.",
            example: "10%",
        },
        Key {
            name: "split",
            kind: Kind::Text(&PIECE),
            required: false,
            default: "`10m`",
            doc: "The minimum length of a piece, from `10s` to `600m`: if machines would otherwise be idle, a film is encoded in pieces, \
                one on each of these machines. `off`: each film is encoded by one machine.",
            example: "10m",
        },
        Key {
            name: "hours",
            kind: Kind::Text(&HOURS),
            required: false,
            default: "always",
            doc: "The hours during which encoding may start.",
            example: "\"22:00-07:00\"",
        },
        Key {
            name: "plex",
            kind: Kind::Object(&MEDIA_SERVER),
            required: false,
            default: "",
            doc: "A Plex server to notify when the library has changed.",
            example: "\n  url: http://192.168.1.3:32400\n  tokenFile: ~/.config/hostler/plex-token",
        },
        Key {
            name: "jellyfin",
            kind: Kind::Object(&MEDIA_SERVER),
            required: false,
            default: "",
            doc: "A Jellyfin server to notify when the library has changed.",
            example: "\n  url: http://192.168.1.3:8096\n  tokenFile: ~/.config/hostler/jellyfin-token",
        },
        Key {
            name: "notify",
            kind: Kind::Object(&NOTIFY_FILMS),
            required: false,
            default: "the `url` of the inventory's `notify`",
            doc: "Where to send notifications about failed films and low disk space, if not to the URL of all other notifications.",
            example: "{ url: https://ntfy.sh/films-of-ada }",
        },
        Key {
            name: "encoder",
            kind: Kind::Choice(&[
                ("software", "the CPU"),
                ("auto", "Quick Sync of an Intel chip on machines where it works, otherwise the CPU"),
            ]),
            required: false,
            default: "`software`",
            doc: "What films are encoded with. Quick Sync is much faster, but films are larger at the same quality. The bundle's image \
                supports Intel graphics of Tiger Lake (11th generation Core, as in NUC 11) and newer.",
            example: "auto",
        },
        Key {
            name: "machines",
            kind: Kind::Filled(&Kind::Set(&Kind::Scalar(&LABEL))),
            required: false,
            default: "all that run ordinary pods",
            doc: "Names of the machines that encode films.",
            example: "[rainbowdash]",
        },
        Key {
            name: "image",
            kind: Kind::Text(&IMAGE),
            required: false,
            default: "the bundle's",
            doc: "A container image with HandBrakeCLI, ffmpeg and ffprobe. Without the last two, names and flags of tracks are lost, \
                and an encoded film may be larger than its original.",
            example: "registry.example.org/handbrake:1.9.2",
        },
        Key {
            name: "page",
            kind: Kind::Object(&PAGE),
            required: false,
            default: "",
            doc: "The status page.",
            example: "{ nodePort: 30080, actions: token }",
        },
    ],
    rules: &[],
};

/// What a machine may be limited to: families of HandBrake's encoders.
const ENCODERS: &[&str] = &["x264", "x265", "svt_av1", "qsv_h264", "qsv_h265", "qsv_av1", "VP9", "mpeg4", "mpeg2"];

pub static ENCODE: Section = Section {
    what: "`encode`",
    path: "machines.NAME.encode",
    doc: "When and what a machine encodes.",
    keys: &[
        Key {
            name: "hours",
            kind: Kind::Text(&HOURS),
            required: false,
            default: "as in `transcode`",
            doc: "The hours during which this machine may start to encode a film.",
            example: "\"22:00-07:00\"",
        },
        Key {
            name: "encoders",
            kind: Kind::Filled(&Kind::Set(&Kind::Word("an encoder", ENCODERS))),
            required: false,
            default: "all",
            doc: "The HandBrake encoders that this machine may use, at any bit depth. hostler's own preset uses x264, and x265 for HDR.",
            example: "[x264]",
        },
    ],
    rules: &[],
};

pub static OWNER: Section = Section {
    what: "`owner`",
    path: "transcode.owner",
    doc: "Numeric IDs, as `id` prints them. This owner must be able to write to both shares.",
    keys: &[
        Key {
            name: "uid",
            kind: Kind::Number(1, 4_294_967_294),
            required: true,
            default: "",
            doc: "The user. Not root: the pods are restricted.",
            example: "1000",
        },
        Key { name: "gid", kind: Kind::Number(0, 4_294_967_294), required: true, default: "", doc: "The group.", example: "100" },
    ],
    rules: &[],
};

pub static ORIGINALS: Section = Section {
    what: "`originals`",
    path: "transcode.originals",
    doc: "If there are too many originals, the oldest is deleted first.",
    keys: &[
        Key {
            name: "keep",
            kind: Kind::Text(&DAYS),
            required: false,
            default: "`60d`",
            doc: "How long to keep each original. An original that was changed after it was encoded is encoded again instead of deleted.",
            example: "60d",
        },
        Key {
            name: "atMost",
            kind: Kind::Text(&SIZE),
            required: false,
            default: "no limit",
            doc: "The maximum total size of originals. GB and TB are powers of 1000, GiB and TiB powers of 1024.",
            example: "400GB",
        },
    ],
    rules: &[],
};

pub static FOLDER: Section = Section {
    what: "a folder",
    path: "transcode.folders.NAME",
    doc: "How to encode films of this folder.",
    keys: &[
        Key {
            name: "preset",
            kind: Kind::Scalar(&FILE),
            required: false,
            default: "hostler's own, for TV boxes: x264, CRF 20, MKV; HDR stays HDR, with x265",
            doc: "Path of a file with one preset exported from HandBrake, relative to the inventory.",
            example: "./cartoons.json",
        },
        Key {
            name: "quality",
            kind: Kind::Choice(&[("best", "a score of 0.985"), ("good", "a score of 0.97"), ("small", "a score of 0.95")]),
            required: false,
            default: "CRF 20, or 22 for HDR",
            doc: "The SSIM score that films encoded with hostler's own preset must reach. Samples of each film are encoded first, to find \
                its CRF.",
            example: "good",
        },
        Key {
            name: "titles",
            kind: Kind::Choice(&[
                ("all", "every title that is long enough for a film, except one that plays the others in sequence"),
                ("longest", "the longest title"),
            ]),
            required: false,
            default: "`all`",
            doc: "Which titles of a disc are encoded.",
            example: "longest",
        },
        Key {
            name: "audio",
            kind: Kind::Choice(&[("encoded", "as AAC, and the first track also as AC3"), ("original", "as in the original")]),
            required: false,
            default: "`encoded`",
            doc: "How audio is encoded. A preset of your own overrides this.",
            example: "original",
        },
        Key {
            name: "publish",
            kind: Kind::Choice(&[("encoded", "once they are encoded"), ("original", "immediately and unchanged; they are encoded later")]),
            required: false,
            default: "`encoded`",
            doc: "When films are published. Discs are always encoded first.",
            example: "original",
        },
    ],
    rules: &[],
};

pub static MEDIA_SERVER: Section = Section {
    what: "a media server",
    path: "transcode.plex, transcode.jellyfin",
    doc: "How to reach the media server.",
    keys: &[
        Key {
            name: "url",
            kind: Kind::Text(&BASE_URL),
            required: true,
            default: "",
            doc: "The URL of the server, as machines reach it.",
            example: "http://192.168.1.3:32400",
        },
        Key {
            name: "tokenFile",
            kind: Kind::Scalar(&FILE),
            required: true,
            default: "",
            doc: "Path of the file on your computer that holds the token; `~/` is your home directory.",
            example: "~/.config/hostler/plex-token",
        },
        Key {
            name: "libraryAsSeen",
            kind: Kind::Text(&AS_SEEN),
            required: false,
            default: "Plex's folders are matched by name; Jellyfin scans its whole library",
            doc: "The path of the library's root on the media server, if it differs there, e.g. in a container.",
            example: "/data",
        },
    ],
    rules: &[],
};

pub static NOTIFY_FILMS: Section = Section {
    what: "`notify`",
    path: "transcode.notify",
    doc: "Where to send notifications.",
    keys: &[Key {
        name: "url",
        kind: Kind::Text(&URL),
        required: true,
        default: "",
        doc: "The URL of an ntfy topic or a webhook.",
        example: "https://ntfy.sh/films-of-ada",
    }],
    rules: &[],
};

pub static PAGE: Section = Section {
    what: "`page`",
    path: "transcode.page",
    doc: "How to reach the status page.",
    keys: &[
        Key {
            name: "nodePort",
            kind: Kind::Number(30000, 32767),
            required: false,
            default: "`30080`",
            doc: "Its port on every machine.",
            example: "30080",
        },
        Key {
            name: "actions",
            kind: Kind::Choice(&[
                ("token", "only with the link that `hostler up` and `hostler transcode link` print"),
                ("open", "anyone who can reach the page"),
                ("off", "no one: the page has no buttons"),
            ]),
            required: false,
            default: "`token`",
            doc: "Who may use the page's buttons to retry films, encode them again, or pause. Anyone who can reach the page may view \
                it. The commands of `hostler transcode` always work.",
            example: "token",
        },
    ],
    rules: &[],
};
