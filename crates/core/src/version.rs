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

#[cfg(test)]
mod tests {
    use super::*;

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
