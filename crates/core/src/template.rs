//! Renders `templates/`: undefined names are errors. This is the only place where shell words are quoted. Every template can use the values of
//! [`crate::protocol`] by their names there: `{{ path.current }}`.

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
    // A syntax can only be invalid because of its delimiters, and these are the default ones.
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

/// Renders the template `name` (a path below `templates/`) with `context`.
///
/// # Errors
/// There is no such template, `context` lacks a name that it uses, or a name in `context` would hide one of [`crate::protocol`].
pub fn render(name: &str, context: impl Serialize) -> Result<String> {
    let template = ENVIRONMENT.get_template(name).with_context(|| format!("there is no template {name}"))?;
    let context = Value::from(Serde(context));
    if let Some((hidden, _)) = ENVIRONMENT.globals().find(|(name, _)| context.get_attr(name).is_ok_and(|value| !value.is_undefined())) {
        bail!("the context of templates/{name} shadows {hidden} of protocol.rs");
    }
    template.render(context).with_context(|| format!("templates/{name} can't be rendered"))
}

/// `value` as one word for a POSIX shell (XCU 2.2.2: no character is special between single quotes).
///
/// # Errors
/// It contains a NUL, which a word can't.
pub fn quote(value: &str) -> Result<String, Error> {
    if value.contains('\0') {
        return Err(Error::new(ErrorKind::InvalidOperation, "a shell word can't contain a NUL byte"));
    }
    Ok(format!("'{}'", value.replace('\'', r"'\''")))
}

fn word(value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None if value.is_number() || value.is_true() => Ok(value.to_string()),
        None => Err(Error::new(ErrorKind::InvalidOperation, format!("{value:?} is not a shell word"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{quote, render};

    #[test]
    fn no_context_hides_what_all_templates_know() {
        let error = render("kubernetes/user.sh", json!({ "path": "/" })).expect_err("it hides the paths").to_string();
        assert_eq!(error, "the context of templates/kubernetes/user.sh shadows path of protocol.rs");
    }

    #[test]
    fn a_nul_is_rejected() {
        assert!(quote("a\0b").is_err());
    }
}
