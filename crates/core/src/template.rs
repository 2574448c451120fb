//! `templates/` filled in: strict about names that are not given, and the only place where shell words are quoted. Every template knows what
//! [`crate::protocol`] holds, by its name there: `{{ path.current }}`.

use std::sync::LazyLock;

use anyhow::{Context, Result, bail};
use include_dir::{Dir, include_dir};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};
use serde::Serialize;

use crate::protocol;

static TEMPLATES: Dir = include_dir!("$CARGO_MANIFEST_DIR/../../templates");

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|name| if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None });
    // Only delimiters can make a syntax invalid, and these are the usual ones.
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).trim_blocks(true).lstrip_blocks(true).build() {
        environment.set_syntax(syntax);
    }
    environment.set_loader(|name| Ok(TEMPLATES.get_file(name).and_then(|file| file.contents_utf8()).map(str::to_owned)));
    environment.add_filter("quote", |value: Value| quote(&word(&value)?));
    environment.add_filter("words", |values: Vec<Value>| {
        let words: Result<Vec<String>, Error> = values.iter().map(|value| quote(&word(value)?)).collect();
        Ok::<_, Error>(words?.join(" "))
    });
    for (group, names) in protocol::names() {
        environment.add_global(group, Value::from(Serde(names)));
    }
    environment
});

/// The template `name` (a path below `templates/`) with `context` filled in.
///
/// # Errors
/// No such template, a name in it that `context` does not give, or one of `context` that would hide one of [`crate::protocol`].
pub fn render(name: &str, context: impl Serialize) -> Result<String> {
    let template = ENVIRONMENT.get_template(name).with_context(|| format!("no template {name}"))?;
    let context = Value::from(Serde(context));
    if let Some((hidden, _)) = ENVIRONMENT.globals().find(|(name, _)| context.get_attr(name).is_ok_and(|value| !value.is_undefined())) {
        bail!("what templates/{name} is given hides {hidden} of protocol.rs");
    }
    template.render(context).with_context(|| format!("templates/{name} can't be filled in"))
}

/// `value` as one word for a POSIX shell (XCU 2.2.2: nothing is special between single quotes).
///
/// # Errors
/// A NUL in it, which no word can hold.
pub fn quote(value: &str) -> Result<String, Error> {
    if value.contains('\0') {
        return Err(Error::new(ErrorKind::InvalidOperation, "a word for the shell can't hold a NUL"));
    }
    Ok(format!("'{}'", value.replace('\'', r"'\''")))
}

fn word(value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None if value.is_number() || value.is_true() => Ok(value.to_string()),
        None => Err(Error::new(ErrorKind::InvalidOperation, format!("{value:?} is no word for the shell"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{quote, render};

    #[test]
    fn no_context_hides_what_all_templates_know() {
        let error = render("kubernetes/admin.sh", json!({ "path": "/" })).expect_err("it hides the paths").to_string();
        assert_eq!(error, "what templates/kubernetes/admin.sh is given hides path of protocol.rs");
    }

    #[test]
    fn a_nul_is_no_word() {
        assert!(quote("a\0b").is_err());
    }
}
