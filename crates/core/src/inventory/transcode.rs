//! `transcode`: the transcoding workload.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ipnet::IpNet;
use jiff::civil::Time;

use super::diagnostic::{Place, shown};
use super::encode::Films;
use super::load::ReadFile;
use super::notify::{self, Address};
use super::read::{Fields, Problems, Text};
use super::schema::{FOLDER, MEDIA_SERVER, NOTIFY_FILMS, ORIGINALS, OWNER, PAGE, TRANSCODE};
use super::{MachineName, NoToken, encode, machine::Machines, path, preset, share, size, token, url};
use crate::films::encoder::{self, EncoderChoice};
use crate::films::settings::{Audio, Folder, Hours, MediaServer, MediaServerKind, Originals, Preset, Publish, Quality, Settings, Titles};
use crate::films::{Actions, Owner, language};
use crate::share::Share;
use crate::words::did_you_mean;

/// The transcoding workload.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcode {
    /// Where films are dropped. The folders `watch`, `work`, `trash`, `failed` and a few more are created in it.
    pub inbox: Share,
    pub library: Share,
    pub owner: Owner,
    /// The settings for pods, except [`Settings::at_once`], which depends on the machines. Films in `watch/NAME` of the inbox are published to
    /// `NAME` in the library: there is at least one folder, in the file's order.
    pub settings: Settings,
    /// Texts of presets exported from HandBrake, by their file names in the settings. Empty if the inventory was parsed without its files.
    pub presets: BTreeMap<String, String>,
    /// For the media servers in the settings, in their order.
    pub tokens: Vec<Token>,
    /// Where its messages go, if not to the inventory's own address.
    pub notify: Option<Address>,
    /// The machines that encode, in the file's order; empty: all that run ordinary pods.
    pub machines: Vec<MachineName>,
    /// The encoder's image, with a tag or digest; `None`: the bundle's.
    pub image: Option<String>,
    /// The status page's port on every machine.
    pub page_port: u16,
    /// What the page asks of those who act on it.
    pub page_actions: Actions,
}

/// A media server's token on the user's computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub of: MediaServerKind,
    /// As in the inventory: a leading `~/` is the user's home.
    pub named: PathBuf,
    pub file: Result<TokenFile, NoToken>,
}

/// A file with a token. The token itself is read only when it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFile {
    /// Absolute, or relative to the current folder.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// Of its content, in hex, to detect a changed token.
    pub sha256: String,
}

/// The folder with the tokens in pods, mounted from Secrets.
const TOKENS_IN_POD: &str = "/media-server";
const PAGE_PORT: u16 = 30080;
/// Folders of the inbox, which must not overlap with the library.
const INBOX_FOLDERS: [&str; 7] = ["watch", "claim", "work", "ledger", "trash", "failed", "requests"];

/// `reader` reads presets and tokens; without it they are not read. `pods`: the pod subnet, as far as it is known.
pub fn read(
    inventory: &Fields,
    machines: &Machines,
    pods: Option<IpNet>,
    reader: Option<ReadFile>,
    problems: &mut Problems,
) -> Option<Transcode> {
    let field = inventory.get("transcode", problems)?;
    let fields = Fields::read(field.node, field.place, &TRANSCODE, problems)?;
    let inbox = fields.text("inbox", problems).and_then(|text| share::read(text, "inbox: nfs://192.168.1.11/srv/films", pods, problems));
    let library_text = fields.text("library", problems);
    let library = library_text.and_then(|text| share::read(text, "library: nfs://192.168.1.3/Plex", pods, problems));
    let owner = below(&fields, "owner", &OWNER, problems).and_then(|owner| {
        let id = |name: &str, problems: &mut Problems| owner.number(name, problems).and_then(|id| u32::try_from(id).ok());
        let (uid, gid) = (id("uid", problems), id("gid", problems));
        Some(Owner { uid: uid?, gid: gid? })
    });
    let languages = languages(&fields, problems);
    let originals = originals(&fields, problems);
    let mut presets = BTreeMap::new();
    let folders = folders(&fields, reader, &mut presets, problems);
    if let (Some(inbox), Some(library), Some(text)) = (&inbox, &library, library_text) {
        apart(inbox, library, text.place, &folders, problems);
    }
    let min_saving = fields.text("minSaving", problems).map_or(Settings::default().min_saving, |text| min_saving(text, problems));
    let split = fields.text("split", problems).map_or(Settings::default().split, |text| split(text, problems));
    let hours = fields.text("hours", problems).and_then(|text| hours(text, problems));
    let servers = MediaServerKind::ALL.into_iter().filter_map(|kind| media_server(kind, &fields, reader, problems));
    let (media_servers, tokens) = servers.unzip();
    let reserve =
        fields.text("reserve", problems).and_then(|text| size::read(text, 1, "at least one film must fit", "reserve: 100GB", problems));
    let notify = notify::fields(&fields, &NOTIFY_FILMS, problems).and_then(|notify| {
        let text = notify.text("url", problems)?;
        notify::address(text, "url: https://ntfy.sh/films-of-ada", reader, problems)
    });
    let encoders = encoders(&fields, machines, problems);
    let encoder = match fields.choice("encoder", problems) {
        Some("auto") => EncoderChoice::Auto,
        _ => EncoderChoice::Software,
    };
    encode::check(machines, &encoders, &Films { folders: &folders, presets: &presets, encoder }, field.place, problems);
    let encoders = encoders.into_iter().map(|(name, _)| name).collect();
    let image = fields.text("image", problems).and_then(|text| image(text, problems));
    let page = below(&fields, "page", &PAGE, problems);
    let page_actions =
        page.as_ref().and_then(|page| page.choice("actions", problems)).and_then(|word| word.parse().ok()).unwrap_or_default();
    let page_port = page.and_then(|page| u16::try_from(page.number("nodePort", problems)?).ok()).unwrap_or(PAGE_PORT);
    let folders = folders.into_iter().map(|(name, folder)| (name.text.to_owned(), folder)).collect();
    Some(Transcode {
        inbox: inbox?,
        library: library?,
        owner: owner?,
        settings: Settings {
            folders,
            languages,
            originals,
            min_saving,
            split,
            hours,
            encoder,
            reserve,
            media_servers,
            ..Settings::default()
        },
        presets,
        tokens,
        notify,
        machines: encoders,
        image,
        page_port,
        page_actions,
    })
}

fn below<'a>(fields: &Fields<'a>, name: &str, section: &'static super::schema::Section, problems: &mut Problems) -> Option<Fields<'a>> {
    let field = fields.get(name, problems)?;
    Fields::read(field.node, field.place, section, problems)
}

fn languages(fields: &Fields, problems: &mut Problems) -> Vec<String> {
    const EXAMPLE: &str = "languages: [eng]";
    let mut languages: Vec<String> = Vec::new();
    let texts = fields.texts("languages", problems);
    for text in texts.iter().copied() {
        let word = text.text;
        if word.eq_ignore_ascii_case("all") || word.eq_ignore_ascii_case("any") {
            problems.add(text.place, format!("`{}` is not a language: omit `languages` to keep all languages", shown(word)), EXAMPLE);
        } else if language::names_none(word) {
            problems.add(text.place, format!("`{word}` does not name a language: omit it"), EXAMPLE);
        } else if !language::is_code(word) {
            // What is listed already is no way out.
            let near = language::suggest(word).filter(|code| texts.iter().all(|other| !language::same(other.text, code)));
            let guess = near.map_or_else(String::new, |code| format!("; did you mean `{code}`?"));
            let message = format!("`{}` is not a language code: write a lower-case ISO 639-2 code, such as `eng`{guess}", shown(word));
            problems.add(text.place, message, near.map_or_else(|| EXAMPLE.to_owned(), |code| format!("languages: [{code}]")));
        } else if languages.iter().any(|other| language::same(other, word)) {
            let first = languages.iter().find(|other| language::same(other, word)).filter(|other| *other != word);
            let message =
                first.map_or_else(|| format!("duplicate language `{word}`"), |other| format!("`{word}` is the same language as `{other}`"));
            problems.add(text.place, message, "");
        } else {
            languages.push(word.to_owned());
        }
    }
    languages
}

fn originals(fields: &Fields, problems: &mut Problems) -> Originals {
    let mut originals = Originals::default();
    let Some(section) = below(fields, "originals", &ORIGINALS, problems) else { return originals };
    if let Some(text) = section.text("keep", problems) {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.text.strip_suffix('d').filter(|days| digits(days)).map(|days| whole(days).unwrap_or(u64::MAX)) {
            _ if text.text == "forever" => originals.keep_days = None,
            None if digits(text.text) => {
                let message = format!("`{}` has no unit: write `{}d` for days, or `forever`", shown(text.text), shown(text.text));
                problems.add(text.place, message, "keep: 60d");
            }
            Some(days @ 1..=3650) => originals.keep_days = u32::try_from(days).ok(),
            Some(_) => problems.add(text.place, format!("`{}` is out of range: write 1 day to 10 years", shown(text.text)), "keep: 60d"),
            None => {
                let guess = did_you_mean(text.text, ["forever"]);
                let message = format!("`{}` is neither a number of days nor `forever`{guess}", shown(text.text));
                problems.add(text.place, message, if guess.is_empty() { "keep: 60d" } else { "keep: forever" });
            }
        }
    }
    originals.at_most =
        section.text("atMost", problems).and_then(|text| size::read(text, 1, "at least one film must fit", "atMost: 400GB", problems));
    originals
}

/// Digits only.
fn whole(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn folders<'a>(
    fields: &Fields<'a>,
    reader: Option<ReadFile>,
    presets: &mut BTreeMap<String, String>,
    problems: &mut Problems,
) -> Vec<(Text<'a>, Folder)> {
    const EXAMPLE: &str = "folders: { Movies: {} }";
    let named = fields.named("folders", problems);
    if let Some(field) = fields.get("folders", &mut Problems::default())
        && matches!(&field.node.data, super::tree::Data::Mapping(entries) if entries.is_empty())
    {
        problems.add(field.place, "`folders` is empty: list at least one folder to drop films into", EXAMPLE);
    }
    let mut folders = Vec::new();
    for (name, node) in named {
        let word = shown(name.text);
        let why = if name.text.is_empty() || name.text.trim() != name.text {
            "is empty, or begins or ends with a space"
        } else if name.text.starts_with('.') {
            "is hidden: it begins with `.`"
        } else if name.text.chars().any(char::is_control) {
            "contains a control character: remove it"
        } else if name.text.contains('/') {
            "is a path: write only the name of a folder that is directly in `watch`"
        } else if name.text.len() > 255 {
            "is too long for a file name"
        } else {
            ""
        };
        if !why.is_empty() {
            problems.add(name.place, format!("the folder name `{word}` {why}"), EXAMPLE);
        }
        if node.is_null() {
            problems.add(name.place, format!("the folder `{word}` has no value: write `{{}}` for all defaults"), format!("{word}: {{}}"));
            continue;
        }
        let Some(section) = Fields::read(node, name.place, &FOLDER, problems) else { continue };
        let exported = section.text("preset", problems).and_then(|text| preset::read(text, reader, problems));
        let preset = exported.map(|exported| {
            // Files in different folders may have the same name.
            let file = format!("preset-{}.json", folders.len());
            let hardware = encode::encoder(&exported.json).is_some_and(|family| encoder::is_hardware(&family));
            presets.insert(file.clone(), exported.json);
            Preset { file: file.into(), name: exported.name, hardware }
        });
        let titles = match section.choice("titles", problems) {
            Some("longest") => Titles::Longest,
            _ => Titles::All,
        };
        let audio = match section.choice("audio", problems) {
            Some("original") => Audio::Original,
            _ => Audio::Encoded,
        };
        let publish = match section.choice("publish", problems) {
            Some("original") => Publish::Original,
            _ => Publish::Encoded,
        };
        let quality = section.choice("quality", problems).map(|word| match word {
            "best" => Quality::Best,
            "good" => Quality::Good,
            _ => Quality::Small,
        });
        if preset.is_some()
            && let Some(second) = section.get("quality", &mut Problems::default())
        {
            problems.add(second.place, "`preset` and `quality` conflict: keep one of them", "");
        }
        folders.push((name, Folder { preset, quality, titles, audio, publish }));
    }
    folders
}

/// Reports overlaps in which published films would be taken for new ones, or be deleted with the trash.
fn apart(inbox: &Share, library: &Share, place: Place, folders: &[(Text, Folder)], problems: &mut Problems) {
    let (same, inbox, library) = match (inbox, library) {
        (Share::Path(inbox), Share::Path(library)) => (true, inbox, library),
        (Share::Nfs { server, path: inbox }, Share::Nfs { server: other, path: library }) => (server == other, inbox, library),
        _ => (false, &String::new(), &String::new()),
    };
    if !same {
        return;
    }
    let taken = INBOX_FOLDERS.map(|own| (own, format!("{inbox}/{own}")));
    if let Some((own, _)) = taken.iter().find(|(_, taken)| path::within(library, taken)) {
        let message = format!("the library is in the folder `{own}` of the inbox, which hostler uses: choose another folder");
        return problems.add(place, message, "");
    }
    for (name, _) in folders {
        let target = format!("{library}/{}", name.text);
        let word = shown(name.text);
        if path::within(inbox, &target) {
            problems.add(
                name.place,
                format!("the folder `{word}` of the library contains the inbox: choose another folder for one of them"),
                "",
            );
        } else if let Some((own, _)) = taken.iter().find(|(_, taken)| path::within(&target, taken)) {
            let message = format!(
                "the folder `{word}` of the library is in the folder `{own}` of the inbox, which hostler uses: choose \
                another folder"
            );
            problems.add(name.place, message, "");
        }
    }
}

/// `None`: whatever its size.
fn min_saving(text: Text, problems: &mut Problems) -> Option<u32> {
    let percent = text.text.strip_suffix('%').map(str::trim_end).and_then(whole);
    match percent {
        _ if text.text == "off" => return None,
        Some(percent @ 0..=99) => return u32::try_from(percent).ok(),
        Some(_) => problems.add(text.place, format!("`{}` is out of range: write 0% to 99%", shown(text.text)), "minSaving: 10%"),
        None => problems.add(text.place, format!("`{}` is neither a percentage nor `off`", shown(text.text)), "minSaving: 10%"),
    }
    None
}

/// Seconds; `None`: off.
fn split(text: Text, problems: &mut Problems) -> Option<u64> {
    const EXAMPLE: &str = "split: 10m";
    let (digits, unit) = text.text.split_at(text.text.len() - text.text.chars().next_back().map_or(0, char::len_utf8));
    let seconds = match unit {
        "m" => whole(digits).map(|minutes| minutes.saturating_mul(60)),
        "s" => whole(digits),
        _ => None,
    };
    match seconds.filter(|_| !digits.is_empty()) {
        _ if text.text == "off" => return None,
        Some(seconds @ 10..=36_000) => return Some(seconds),
        Some(_) => problems.add(text.place, format!("`{}` is out of range: write 10s to 600m", shown(text.text)), EXAMPLE),
        None => problems.add(
            text.place,
            format!("`{}` is not a duration: write a number followed by `m` or `s`, from 10s to 600m, or `off`", shown(text.text)),
            EXAMPLE,
        ),
    }
    None
}

/// `22:00-07:00`.
pub(super) fn hours(text: Text, problems: &mut Problems) -> Option<Hours> {
    let time = |text: &str| {
        let (hour, minute) = text.split_once(':')?;
        let digits = (1..=2).contains(&hour.len()) && minute.len() == 2;
        let number = |text: &str| whole(text).and_then(|number| i8::try_from(number).ok());
        digits.then(|| Time::new(number(hour)?, number(minute)?, 0, 0).ok())?
    };
    let parts = text.text.split_once('-').and_then(|(from, to)| Some((time(from.trim())?, time(to.trim())?)));
    let why = match parts {
        Some((from, to)) if from == to => "has the same start and end: omit `hours` for all day",
        Some((from, to)) => return Some(Hours { from, to }),
        None => "is not a time range: write FROM-TO, each from 00:00 to 23:59",
    };
    problems.add(text.place, format!("`{}` {why}", shown(text.text)), "hours: \"22:00-07:00\"");
    None
}

fn media_server(kind: MediaServerKind, fields: &Fields, reader: Option<ReadFile>, problems: &mut Problems) -> Option<(MediaServer, Token)> {
    let section = below(fields, kind.key(), &MEDIA_SERVER, problems)?;
    let example = match kind {
        MediaServerKind::Plex => "url: http://192.168.1.3:32400",
        MediaServerKind::Jellyfin => "url: http://192.168.1.3:8096",
    };
    let url = section.text("url", problems).and_then(|text| url::base(text, example, problems));
    let token_file = section.text("tokenFile", problems).and_then(|text| {
        let right = !text.text.trim().is_empty() && !text.text.chars().any(char::is_control);
        if !right {
            let fix = "tokenFile: ~/.config/hostler/plex-token";
            problems.add(text.place, "`tokenFile` must be the path of a file with the token", fix);
        }
        right.then(|| PathBuf::from(text.text))
    });
    let library_as_seen = section.text("libraryAsSeen", problems).and_then(|text| as_seen(text, problems));
    let (url, named) = (url?, token_file?);
    let file = reader.map_or(Err(NoToken::Missing), |reader| token::find(&named, reader));
    let in_pod = PathBuf::from(TOKENS_IN_POD).join(kind.key());
    Some((MediaServer { kind, url, token_file: in_pod, library_as_seen }, Token { of: kind, named, file }))
}

/// A path on the media server, whose operating system may differ.
fn as_seen(text: Text, problems: &mut Problems) -> Option<String> {
    let drive = text.text.as_bytes().get(..2).is_some_and(|start| start[0].is_ascii_alphabetic() && start[1] == b':');
    let absolute = text.text.starts_with('/') || text.text.starts_with("\\\\") || drive;
    if !absolute || text.text.chars().any(char::is_control) {
        let message = format!("`{}` is not absolute: write the library's path on the media server", shown(text.text));
        problems.add(text.place, message, "libraryAsSeen: /data");
        return None;
    }
    Some(text.text.trim_end_matches('/').to_owned())
}

fn encoders(fields: &Fields, machines: &Machines, problems: &mut Problems) -> Vec<(MachineName, Place)> {
    let before = problems.found.len();
    let texts = fields.texts("machines", problems);
    if let Some(field) = fields.get("machines", &mut Problems::default())
        && texts.is_empty()
        && problems.found.len() == before
    {
        problems.add(field.place, "`machines` is empty: list at least one machine, or omit the key to use all machines", field.key.shown());
    }
    let mut encoders: Vec<(MachineName, Place)> = Vec::new();
    for text in texts.iter().copied() {
        let word = shown(text.text);
        let Some(name) = MachineName::new(text.text).filter(|name| machines.names.contains_key(name.as_str())) else {
            // What is listed already is no way out.
            let free = |name: &&str| texts.iter().all(|other| other.text != *name);
            let mut known: Vec<&str> = machines.names.keys().map(String::as_str).filter(free).collect();
            known.sort_unstable();
            let guess = did_you_mean(text.text, known);
            problems.add(text.place, format!("the inventory has no machine `{word}`{guess}"), "");
            continue;
        };
        if encoders.iter().any(|(other, _)| *other == name) {
            problems.add(text.place, format!("duplicate machine `{word}`"), "");
            continue;
        }
        // A machine with other errors was already reported.
        if machines.machines.get(&name).is_some_and(|machine| machine.dedicated) {
            let message = format!(
                "{name} is dedicated, so it can't encode films: remove the machine from this list, or remove \
                `dedicated` from it"
            );
            problems.add(text.place, message, "");
            continue;
        }
        encoders.push((name, text.place));
    }
    encoders
}

fn image(text: Text, problems: &mut Problems) -> Option<String> {
    let word = shown(text.text);
    let name = text.text.rsplit('/').next().unwrap_or_default();
    let why = if text.text.trim() != text.text || text.text.parse::<oci_spec::distribution::Reference>().is_err() {
        "is not an image reference"
    } else if !name.contains([':', '@']) {
        "has no tag or digest: add one, because otherwise the image could change unnoticed"
    } else {
        return Some(text.text.to_owned());
    };
    problems.add(text.place, format!("`{word}` {why}"), "image: registry.example.org/handbrake:1.9.2");
    None
}
