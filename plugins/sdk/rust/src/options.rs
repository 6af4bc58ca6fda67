//! The options that the job gave to the plugin.

use std::cell::OnceCell;
use std::fmt::Display;
use std::str::FromStr;

use crate::Failure;
#[cfg(target_family = "wasm")]
use crate::bindings::wasi::config::store;

/// The job's options: names with values, as text. They never change while an instance lives.
///
/// They are fetched from the host when the first one is asked for, all by one call.
#[derive(Debug)]
pub struct Options(OnceCell<Vec<(String, String)>>);

impl Options {
    /// Those of the job that this instance works for. Off wasm there is no job, and no option is set.
    #[must_use]
    pub fn of_the_job() -> Self {
        Options(OnceCell::new())
    }

    /// Options for a test.
    #[must_use]
    pub fn of<K: Into<String>, V: Into<String>>(options: impl IntoIterator<Item = (K, V)>) -> Self {
        Options(OnceCell::from(options.into_iter().map(|(key, value)| (key.into(), value.into())).collect::<Vec<_>>()))
    }

    /// The value of the option `name`, if it is set.
    ///
    /// # Errors
    /// A transient failure `no-options` if the host could not give them.
    pub fn get(&self, name: &str) -> Result<Option<&str>, Failure> {
        let options = match self.0.get() {
            Some(options) => options,
            None => {
                let fetched = fetch()?;
                self.0.get_or_init(|| fetched)
            }
        };
        Ok(options.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()))
    }

    /// The value of the option `name` as a number, a flag (`true` or `false`) or whatever else can be read from text.
    ///
    /// # Errors
    /// A permanent failure `bad-option` that names the option if the value cannot be read; see [`get`](Self::get).
    pub fn parse<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, Failure> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        let value = value.trim();
        value.parse().map(Some).map_err(|error| Failure::bad_option(name, format_args!("`{}`: {error}", cut(value))))
    }

    /// What the value of the option `name` stands for among `choices`, if it is set.
    ///
    /// # Errors
    /// A permanent failure `bad-option` that names the choices if it is none of them; see [`get`](Self::get).
    pub fn choice<T: Clone>(&self, name: &str, choices: &[(&str, T)]) -> Result<Option<T>, Failure> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        match choices.iter().find(|(word, _)| *word == value.trim()) {
            Some((_, meaning)) => Ok(Some(meaning.clone())),
            None => {
                let known = choices.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
                Err(Failure::bad_option(name, format_args!("`{}` is none of {known}", cut(value))))
            }
        }
    }
}

/// At most 200 characters of a value, for a message.
fn cut(value: &str) -> &str {
    value.char_indices().nth(200).map_or(value, |(end, _)| value.get(..end).unwrap_or(value))
}

#[cfg(target_family = "wasm")]
fn fetch() -> Result<Vec<(String, String)>, Failure> {
    store::get_all().map_err(|error| {
        let (store::Error::Upstream(why) | store::Error::Io(why)) = error;
        Failure::transient("no-options", format!("failed to fetch the job's options: {why}"))
    })
}

#[cfg(not(target_family = "wasm"))]
fn fetch() -> Result<Vec<(String, String)>, Failure> {
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_or_named() {
        let options = Options::of([("depth", " 7 "), ("mode", "odd"), ("bad", "x")]);
        assert_eq!(options.parse::<u32>("depth"), Ok(Some(7)));
        assert_eq!(options.parse::<u32>("missing"), Ok(None));
        assert_eq!(options.choice("mode", &[("even", 0), ("odd", 1)]), Ok(Some(1)));
        let failure = options.choice("bad", &[("even", 0), ("odd", 1)]).unwrap_err();
        assert_eq!(
            (failure.code.as_str(), failure.message.as_str()),
            ("bad-option", "option bad: `x` is none of even, odd")
        );
        let failure = options.parse::<u32>("bad").unwrap_err();
        assert_eq!(failure.message, "option bad: `x`: invalid digit found in string");
    }
}
