//! The keys of `transcode`.

use super::{FILE, Form, Key, Kind, LABEL, Section};

const SHARE: Form = Form { what: "nfs://HOST/PATH or path:/PATH", pattern: "^(nfs://[^/]+|path:)/.+" };
const LANGUAGE: Form = Form { what: "a language", pattern: "^[a-z]{3}$" };
const DAYS: Form = Form { what: "days, or `forever`", pattern: "^([0-9]+d|forever)$" };
const SIZE: Form = Form { what: "a size", pattern: "^[0-9]+ *(GB|TB|GiB|TiB)$" };
const FOLDER_NAME: Form = Form { what: "a folder's name", pattern: "^[^./][^/]*$" };
const HOURS: Form = Form { what: "FROM-TO", pattern: "^([01]?[0-9]|2[0-3]):[0-5][0-9] *- *([01]?[0-9]|2[0-3]):[0-5][0-9]$" };
const URL: Form = Form { what: "a server's address", pattern: "^https?://[^\\s]+$" };
const AS_SEEN: Form = Form { what: "an absolute path", pattern: "^(/|[A-Za-z]:|\\\\\\\\)" };
const IMAGE: Form = Form { what: "an image with tag or digest", pattern: "^[^\\s]+[:@][^\\s/]+$" };

pub static TRANSCODE: Section = Section {
    what: "`transcode`",
    path: "transcode",
    doc: "Storage is mounted by pods, so that every machine has to reach it.",
    keys: &[
        Key {
            name: "inbox",
            kind: Kind::Text(&SHARE),
            required: true,
            default: "",
            doc: "Where films are dropped, in `watch/FOLDER`. It holds what is worked on, the trash and what failed, too. `path:` is a folder that is the same on every machine.",
            example: "nfs://192.168.1.11/srv/films",
        },
        Key {
            name: "library",
            kind: Kind::Text(&SHARE),
            required: true,
            default: "",
            doc: "Where they come out. It may be the same share as the inbox.",
            example: "nfs://192.168.1.3/Plex",
        },
        Key {
            name: "owner",
            kind: Kind::Object(&OWNER),
            required: true,
            default: "",
            doc: "Whom the films belong to.",
            example: "{ uid: 1000, gid: 100 }",
        },
        Key {
            name: "folders",
            kind: Kind::Named(&FOLDER_NAME, &Kind::Object(&FOLDER)),
            required: true,
            default: "",
            doc: "`watch/NAME` of the inbox leads to `NAME` in the library. `{}` leaves all to defaults.",
            example: "{ Movies: {}, Cartoons: { preset: ./cartoons.json } }",
        },
        Key {
            name: "languages",
            kind: Kind::List(&Kind::Text(&LANGUAGE)),
            required: false,
            default: "`[]`: all are kept",
            doc: "Audio and subtitles that are kept, the preferred language first: three letters each, of ISO 639-2.",
            example: "[eng]",
        },
        Key {
            name: "originals",
            kind: Kind::Object(&ORIGINALS),
            required: false,
            default: "",
            doc: "How long originals stay in the inbox's trash.",
            example: "{ keep: 14d, atMost: 400GB }",
        },
        Key {
            name: "hours",
            kind: Kind::Text(&HOURS),
            required: false,
            default: "always",
            doc: "When machines may begin to encode.",
            example: "\"22:00-07:00\"",
        },
        Key {
            name: "plex",
            kind: Kind::Object(&MEDIA_SERVER),
            required: false,
            default: "",
            doc: "A Plex server that is asked to look when the library has changed. Either this or `jellyfin`.",
            example: "\n  url: http://192.168.1.3:32400\n  tokenFile: ~/.config/hostler/plex-token",
        },
        Key {
            name: "jellyfin",
            kind: Kind::Object(&MEDIA_SERVER),
            required: false,
            default: "",
            doc: "A Jellyfin server, likewise.",
            example: "\n  url: http://192.168.1.3:8096\n  tokenFile: ~/.config/hostler/jellyfin-token",
        },
        Key {
            name: "notify",
            kind: Kind::Object(&NOTIFY),
            required: false,
            default: "nobody",
            doc: "Who hears that a film failed, a machine is lost or a disk runs full.",
            example: "{ url: https://ntfy.sh/films-of-ada }",
        },
        Key {
            name: "machines",
            kind: Kind::List(&Kind::Text(&LABEL)),
            required: false,
            default: "all that take work",
            doc: "Which machines encode, by name.",
            example: "[rainbowdash]",
        },
        Key {
            name: "image",
            kind: Kind::Text(&IMAGE),
            required: false,
            default: "the bundle's",
            doc: "An image with HandBrakeCLI.",
            example: "registry.example.org/handbrake:1.9.2",
        },
        Key {
            name: "page",
            kind: Kind::Object(&PAGE),
            required: false,
            default: "",
            doc: "The status page.",
            example: "{ nodePort: 30080 }",
        },
    ],
};

pub static OWNER: Section = Section {
    what: "`owner`",
    path: "transcode.owner",
    doc: "Numbers, as `id` prints them; they have to be right for the shares.",
    keys: &[
        Key {
            name: "uid",
            kind: Kind::Number(1, 4_294_967_294),
            required: true,
            default: "",
            doc: "The user. Not root: the pods may not be.",
            example: "1000",
        },
        Key { name: "gid", kind: Kind::Number(0, 4_294_967_294), required: true, default: "", doc: "The group.", example: "100" },
    ],
};

pub static ORIGINALS: Section = Section {
    what: "`originals`",
    path: "transcode.originals",
    doc: "The oldest goes first.",
    keys: &[
        Key { name: "keep", kind: Kind::Text(&DAYS), required: false, default: "`14d`", doc: "How long one stays.", example: "14d" },
        Key {
            name: "atMost",
            kind: Kind::Text(&SIZE),
            required: false,
            default: "no limit",
            doc: "What all of them may take: GB and TB count in thousands, GiB and TiB in steps of 1024.",
            example: "400GB",
        },
    ],
};

pub static FOLDER: Section = Section {
    what: "a folder",
    path: "transcode.folders.NAME",
    doc: "What is done with films of this folder.",
    keys: &[Key {
        name: "preset",
        kind: Kind::Text(&FILE),
        required: false,
        default: "hostler's own, for TV boxes: x264, CRF 20, MKV",
        doc: "A file with one preset that HandBrake exported, seen from the inventory.",
        example: "./cartoons.json",
    }],
};

pub static MEDIA_SERVER: Section = Section {
    what: "a media server",
    path: "transcode.plex, transcode.jellyfin",
    doc: "How it is asked.",
    keys: &[
        Key {
            name: "url",
            kind: Kind::Text(&URL),
            required: true,
            default: "",
            doc: "The server, as machines reach it.",
            example: "http://192.168.1.3:32400",
        },
        Key {
            name: "tokenFile",
            kind: Kind::Text(&FILE),
            required: true,
            default: "",
            doc: "A file of your computer with the token in it; `~/` is your home.",
            example: "~/.config/hostler/plex-token",
        },
        Key {
            name: "libraryAsSeen",
            kind: Kind::Text(&AS_SEEN),
            required: false,
            default: "Plex's folders are asked for and known by their names; Jellyfin looks at all of its library",
            doc: "What the server calls the library's root, which for a server in a container or on another system has another path.",
            example: "/data",
        },
    ],
};

pub static NOTIFY: Section = Section {
    what: "`notify`",
    path: "transcode.notify",
    doc: "One address.",
    keys: &[Key {
        name: "url",
        kind: Kind::Text(&URL),
        required: true,
        default: "",
        doc: "A topic of ntfy, or a webhook.",
        example: "https://ntfy.sh/films-of-ada",
    }],
};

pub static PAGE: Section = Section {
    what: "`page`",
    path: "transcode.page",
    doc: "Where to look at it.",
    keys: &[Key {
        name: "nodePort",
        kind: Kind::Number(30000, 32767),
        required: false,
        default: "`30080`",
        doc: "The port on every machine.",
        example: "30080",
    }],
};
