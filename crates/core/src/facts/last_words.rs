//! What a program said last, as a sentence: etcd logs JSON, Kubernetes' programs put a header before each line.

/// The part of a log line that says what is wrong. A line may be cut off at its end. One of another shape stays as it is.
pub fn sentence(line: &str) -> String {
    if line.starts_with('{') {
        let parts: Vec<String> = ["msg", "error"].iter().filter_map(|key| member(line, key)).collect();
        if !parts.is_empty() {
            return parts.join(": ");
        }
    }
    // E1128 13:37:56.452944       1 logging.go:55] what it is about
    let header = line.split_once("] ").filter(|(header, _)| {
        let mut bytes = header.bytes();
        matches!(bytes.next(), Some(b'E' | b'F' | b'W' | b'I')) && bytes.take(4).filter(u8::is_ascii_digit).count() == 4
    });
    header.map_or(line, |(_, text)| text).to_owned()
}

/// A member of a JSON object whose value is a string, without reading the whole object: it may be cut off.
fn member(object: &str, key: &str) -> Option<String> {
    let (_, value) = object.split_once(&format!("\"{key}\":\""))?;
    let mut escaped = false;
    let end = value.find(|character| {
        let ends = character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        ends
    })?;
    serde_json::from_str(&format!("\"{}\"", &value[..end])).ok()
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn a_line_is_shortened_to_what_is_wrong() {
        for (line, expected) in [
            (
                r#"{"level":"fatal","ts":"2026","msg":"discovery failed","error":"walpb: crc mismatch","stacktrace":"go.etcd"#,
                "discovery failed: walpb: crc mismatch",
            ),
            (r#"{"level":"error","msg":"it said \"no\""}"#, r#"it said "no""#),
            (r#"{"level":"error","msg":"cut of"#, r#"{"level":"error","msg":"cut of"#),
            ("E1128 13:37:56.452944       1 run.go:72] command failed: unknown flag", "command failed: unknown flag"),
            ("Error: [a] b", "Error: [a] b"),
            ("Every] b", "Every] b"),
            ("", ""),
        ] {
            assert_eq!(sentence(line), expected);
        }
    }
}
