//! What texts have to look like, as regular expressions of JSON Schema (ECMA 262). The readers say more than a pattern can; whatever they read
//! fits the pattern.

use super::Form;

/// A number from 0 to 255.
macro_rules! octet {
    () => {
        "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
    };
}
macro_rules! v4 {
    () => {
        concat!(octet!(), "(\\.", octet!(), "){3}")
    };
}
/// Not every such text is an IPv6 address.
macro_rules! v6 {
    () => {
        "[0-9a-fA-F:.]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*"
    };
}
/// At the beginning of what has an address: none of any computer alone.
macro_rules! no_special {
    () => {
        "(?!127\\.|169\\.254\\.|(22[4-9]|23[0-9])\\.|0\\.0\\.0\\.0$|255\\.255\\.255\\.255$|::1?$|[fF][eE][89abAB]|[fF][fF])"
    };
}
macro_rules! label {
    () => {
        "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
    };
}
/// The value of a label, and the name in its key.
macro_rules! part {
    () => {
        "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
    };
}
macro_rules! qualified {
    () => {
        concat!("(", label!(), "(\\.", label!(), ")*/)?", part!())
    };
}
/// A path on a machine, without its first `/`: no part is empty, `.` or `..`, and there is no wildcard.
macro_rules! below {
    () => {
        "(?!\\.{1,2}(/|$))[^/*?\\x00-\\x1f]+(/(?!\\.{1,2}(/|$))[^/*?\\x00-\\x1f]+)*/*"
    };
}
// `nfs://HOST`, where the host is not each machine itself.
macro_rules! nfs {
    () => {
        concat!("nfs://(?!localhost/)([^/:@\\[\\]\\s]+|\\[", v6!(), "\\])")
    };
}
macro_rules! server {
    () => {
        "^https?://(?![^/]*@)(?!(localhost|127\\.[0-9.]+|0\\.0\\.0\\.0|\\[::1?\\])([:/]|$))"
    };
}

/// Three numbers.
pub const VERSION: Form = Form { what: "a version", pattern: "^(0|[1-9][0-9]{0,4})(\\.(0|[1-9][0-9]{0,4})){2}$" };
pub const LABEL: Form = Form { what: "a name", pattern: concat!("^", label!(), "$") };
pub const MACHINE_NAME: Form = Form { what: "a name", pattern: concat!("^(?!localhost$)", label!(), "$") };
/// The last part of a DNS name is no number: that would be an address.
pub const HOST: Form =
    Form { what: "a DNS name", pattern: concat!("^(?!localhost$)(?!(.*\\.)?[0-9]+$)", label!(), "(\\.", label!(), ")*$") };
pub const HOST_PORT: Form = Form { what: "HOST:PORT", pattern: "^.+:[0-9]+$" };
pub const ADDRESS: Form = Form { what: "an IP address", pattern: concat!("^", no_special!(), "(", v4!(), "|", v6!(), ")$") };
pub const POD_SUBNET: Form = Form {
    what: "a subnet",
    pattern: concat!(
        "^(?!127\\.|169\\.254\\.|22[4-9]\\.|2[3-5][0-9]\\.|[fF][eE][89abAB]|[fF][fF])(",
        v4!(),
        "/([89]|1[0-9]|2[0-4])|",
        v6!(),
        "/(4[89]|5[0-9]|6[0-4]))$"
    ),
};
pub const SERVICE_SUBNET: Form = Form {
    what: "a subnet",
    pattern: concat!(
        "^(?!127\\.|169\\.254\\.|22[4-9]\\.|2[3-5][0-9]\\.|[fF][eE][89abAB]|[fF][fF])(",
        v4!(),
        "/(1[2-9]|2[0-8])|",
        v6!(),
        "/(10[89]|11[0-9]|12[0-4]))$"
    ),
};
/// Of machines: it has room for two of them and their router.
pub const LAN_SUBNET: Form = Form {
    what: "a subnet",
    pattern: concat!("^", no_special!(), "(", v4!(), "/([1-9]|[12][0-9])|", v6!(), "/([1-9]|[1-9][0-9]|1[01][0-9]|12[0-5]))$"),
};
/// What a shell takes for more than letters is in no name of a user: `proxyCommand` may be given it.
pub const USER: Form = Form { what: "a user", pattern: "^(?!-)[^\\s\\x00-\\x1f@:/'`\"$;&<>|(){}]*[^\\s\\x00-\\x1f@:/'`\"$;&<>|(){}\\\\]$" };
pub const FILE: Form = Form { what: "a file", pattern: "" };
pub const PATH: Form = Form { what: "a path", pattern: concat!("^/", below!(), "$") };
pub const JUMP: Form = Form { what: "[USER@]HOST[:PORT]", pattern: "^\\S+$" };
pub const COMMAND: Form = Form { what: "a command", pattern: "" };
pub const HOST_KEY: Form =
    Form { what: "a host key", pattern: "^\\s*(SHA256:[A-Za-z0-9+/]{43}=?|(ssh-|ecdsa-sha2-|sk-)\\S+\\s+[A-Za-z0-9+/]+=*(\\s.*)?)\\s*$" };
/// The last bit of the first byte is set in addresses of groups; none has all bytes 0.
pub const MAC: Form =
    Form { what: "a MAC address", pattern: "^(?![0:-]+$)[0-9a-fA-F][02468aceACE][:-]([0-9a-fA-F]{2}[:-]){4}[0-9a-fA-F]{2}$" };
pub const LABEL_KEY: Form = Form {
    what: "a label",
    pattern: concat!(
        "^(?!kubernetes\\.io/hostname$|(beta\\.)?kubernetes\\.io/(os|arch)$|node-role\\.kubernetes\\.io/control-plane$)",
        qualified!(),
        "$"
    ),
};
pub const LABEL_VALUE: Form = Form { what: "a value", pattern: concat!("^(", part!(), ")?$") };
pub const TAINT: Form = Form {
    what: "KEY[=VALUE]:EFFECT",
    pattern: concat!(
        "^(?!node-role\\.kubernetes\\.io/control-plane[=:]|node(\\.cloudprovider)?\\.kubernetes\\.io/)",
        qualified!(),
        "(=(",
        part!(),
        ")?)?:(NoSchedule|PreferNoSchedule|NoExecute)$"
    ),
};
pub const TOML_NAME: Form = Form { what: "a file name", pattern: "^(?!.*\\.toml$)[A-Za-z0-9][-A-Za-z0-9_.]{0,99}$" };
pub const TOML: Form = Form { what: "TOML", pattern: "" };
pub const CHECK: Form = Form { what: "the name of a check", pattern: "^[-A-Za-z0-9_.]+$" };
/// At least ten minutes.
pub const INTERVAL: Form = Form { what: "a duration", pattern: "^(0*[1-9][0-9]+m|0*[1-9][0-9]*[hd]|never)$" };
pub const RECIPIENT: Form = Form { what: "an age public key", pattern: "^(age1|AGE1)[0-9a-zA-Z]{58}$" };

pub const SERIAL: Form = Form { what: "a serial number", pattern: "^\\s*[^\\s\\x00-\\x1f][^\\x00-\\x1f]{0,127}$" };
pub const WWID: Form = Form { what: "a worldwide name", pattern: SERIAL.pattern };
pub const BY_PATH: Form = Form { what: "a name in /dev/disk/by-path", pattern: "^/dev/disk/by-path/(?!.*-part)[A-Za-z0-9._:+-]{1,128}$" };
pub const PUBLIC_KEY: Form = Form { what: "a public key", pattern: "^\\s*(ssh-|ecdsa-sha2-|sk-)\\S+\\s+[A-Za-z0-9+/]+=*(\\s.*)?$" };

pub const SHARE: Form = Form { what: "nfs://HOST/PATH or path:/PATH", pattern: concat!("^(", nfs!(), "|path:)/", below!(), "$") };
/// A share, or a path.
pub const DESTINATION: Form = Form { what: "nfs://HOST/PATH or a path", pattern: concat!("^(", nfs!(), "|path:)?/", below!(), "$") };
/// ISO 639-2 has no such languages, and a film's audio none of these names.
pub const LANGUAGE: Form = Form { what: "a language", pattern: "^(?!(all|any)$)[a-z]{3}$" };
pub const DAYS: Form = Form { what: "days, or `forever`", pattern: "^(0*[1-9][0-9]{0,3}d|forever)$" };
pub const SIZE: Form = Form { what: "a size", pattern: "^0*[1-9][0-9]{0,12} *(GB|TB|GiB|TiB)$" };
pub const SAVING: Form = Form { what: "a percentage, or `off`", pattern: "^(0*[0-9]{1,2} *%|off)$" };
pub const PIECE: Form = Form { what: "minutes or seconds, or `off`", pattern: "^(0*[1-9][0-9]{0,3}(m|s)|off)$" };
pub const FOLDER_NAME: Form = Form { what: "a folder name", pattern: "^[^./\\s]([^/]*[^/\\s])?$" };
pub const HOURS: Form =
    Form { what: "FROM-TO", pattern: "^(?!(\\S+) *- *\\1$)([01]?[0-9]|2[0-3]):[0-5][0-9] *- *([01]?[0-9]|2[0-3]):[0-5][0-9]$" };
pub const URL: Form = Form { what: "a URL", pattern: concat!(server!(), "[^\\s]+$") };
/// Not of a single page.
pub const BASE_URL: Form = Form { what: "a URL", pattern: concat!(server!(), "[^\\s?#]+$") };
pub const AS_SEEN: Form = Form { what: "an absolute path", pattern: "^(/|[A-Za-z]:|\\\\\\\\)" };
pub const IMAGE: Form = Form { what: "an image with a tag or digest", pattern: "^[^\\s]+[:@][^\\s/]+$" };
