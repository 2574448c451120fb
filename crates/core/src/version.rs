//! Versions of Kubernetes.

/// `1.36.3` of `1.36.3` or `v1.36.3`: three numbers. `None` for everything else: what a machine says of its version is shown, compared and used
/// as this or not at all.
pub fn three_numbers(text: &str) -> Option<&str> {
    let plain = text.strip_prefix('v').unwrap_or(text);
    let number = |part: &str| {
        (1..=5).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'))
    };
    (plain.split('.').count() == 3 && plain.split('.').all(number)).then_some(plain)
}

/// The numbers of a version as [`three_numbers`] takes it, to be compared: major, minor, patch.
pub fn numbers(text: &str) -> Option<[u32; 3]> {
    let mut parts = three_numbers(text)?.split('.').map(|part| part.parse().ok());
    Some([parts.next()??, parts.next()??, parts.next()??])
}

/// Versions of Kubernetes that hostler can install, each three numbers; newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Versions(Vec<String>);

impl Versions {
    /// In the order of their numbers; texts that are not a version are left out.
    pub fn of(texts: impl IntoIterator<Item = impl AsRef<str>>) -> Versions {
        let mut versions: Vec<String> = texts.into_iter().filter_map(|text| three_numbers(text.as_ref()).map(str::to_owned)).collect();
        versions.sort_by_key(|version| std::cmp::Reverse(numbers(version)));
        versions.dedup();
        Versions(versions)
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The same version, if it is among them.
    pub fn known(&self, version: &str) -> Option<&str> {
        self.iter().find(|known| *known == version)
    }

    pub fn newest(&self) -> Option<&str> {
        self.iter().next()
    }

    /// The newest of `1.36`, or of `1`.
    pub fn newest_of(&self, part: &str) -> Option<&str> {
        self.iter().find(|whole| whole.strip_prefix(part).is_some_and(|rest| rest.starts_with('.')))
    }

    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_the_order_of_their_numbers() {
        let versions = Versions::of(["1.35.4", "1.36.10", "v1.36.9", "1.36", "1.35.4"]);
        assert_eq!(versions.iter().collect::<Vec<_>>(), ["1.36.10", "1.36.9", "1.35.4"]);
        assert_eq!((versions.newest(), versions.newest_of("1.35"), versions.newest_of("1.3")), (Some("1.36.10"), Some("1.35.4"), None));
    }

    #[test]
    fn three_numbers_are_a_version_and_nothing_else_is() {
        for text in ["1.36.3", "v1.36.3", "0.0.0", "1.10.100"] {
            assert_eq!(three_numbers(text), Some(text.trim_start_matches('v')));
        }
        for text in
            ["", "v", "1", "1.36", "1.36.3.4", "1.36.3+k3s1", "1.36.3-rc.1", "1.36.03", "1..3", "+1.2.3", "1.2.3 ", "1.2.999999", "../.."]
        {
            assert_eq!(three_numbers(text), None, "{text}");
        }
    }
}
