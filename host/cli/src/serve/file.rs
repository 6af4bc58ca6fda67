//! From the file, the environment and the flags to [`Settings`], the later before the earlier; and back to a file. What
//! is wrong is told with its place and with what would be right.

use std::{fs, io, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    settings::{SETTINGS, Setting, Settings, setting},
    values::{Kind, listed},
};
use crate::{exit::Failed, words::nearest};

/// What flags say, by the settings' names.
pub(super) type Flags = Vec<(&'static str, &'static str, String)>;

/// Read all three. `environment` gives a variable's value.
///
/// # Errors
/// If the file cannot be read, a key is unknown, or a value is not allowed.
pub(super) fn read(
    file: Option<&Path>,
    environment: impl Fn(&str) -> Option<String>,
    flags: &Flags,
) -> Result<Settings, Failed> {
    let mut settings = Settings::default();
    if let Some(path) = file {
        let text = fs::read_to_string(path).map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::NotFound => "`pigeon serve --print-config` writes one with everything in it",
                _ => "is this the file that was meant, and may this user read it?",
            };
            Failed::usage(format!("failed to read the configuration {}", path.display())).caused_by(error).hint(hint)
        })?;
        from_file(&mut settings, &path.display().to_string(), &text)?;
    }
    for setting in SETTINGS {
        let variable = setting.variable();
        // One that is empty says nothing.
        if let Some(text) = environment(&variable).filter(|text| !text.is_empty()) {
            take(&mut settings, setting, &text, &format!("the environment's {variable}"))?;
        }
    }
    for (key, flag, text) in flags {
        if let Some(setting) = setting(key) {
            take(&mut settings, setting, text, flag)?;
        }
    }
    Ok(settings)
}

fn take(settings: &mut Settings, setting: &Setting, text: &str, place: &str) -> Result<(), Failed> {
    (setting.set)(settings, text).ok_or_else(|| not_allowed(setting, &format!("{text:?}"), place))
}

fn not_allowed(setting: &Setting, value: &str, place: &str) -> Failed {
    Failed::usage(format!("{place}: {} cannot be {value}", setting.key)).hint(format!("it is {}", setting.allowed))
}

fn from_file(settings: &mut Settings, path: &str, text: &str) -> Result<(), Failed> {
    let line = |at: usize| 1 + text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count();
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(1, |span| line(span.start));
        Failed::usage(format!("{path}:{at}: this is no TOML"))
            .caused_by(error.message().to_owned())
            .hint("a setting is written as name = \"value\", a section as [name]")
    })?;
    let place = |at: usize| format!("{path}:{}", line(at));
    for (name, value) in table.get_ref() {
        let (key, at) = (name.get_ref().as_ref(), name.span().start);
        match value.get_ref() {
            DeValue::Table(section) => {
                let is_section =
                    SETTINGS.iter().any(|setting| setting.key.split_once('.').is_some_and(|(of, _)| of == key));
                if !is_section {
                    return Err(unknown(&format!("section {key:?}"), key, sections(), &place(at)));
                }
                for (name, value) in section {
                    let full = format!("{key}.{}", name.get_ref());
                    one(settings, &full, name.span().start, value, &place)?;
                }
            }
            _ => one(settings, key, at, value, &place)?,
        }
    }
    Ok(())
}

fn one(
    settings: &mut Settings,
    key: &str,
    at: usize,
    value: &Spanned<DeValue<'_>>,
    place: &impl Fn(usize) -> String,
) -> Result<(), Failed> {
    let Some(setting) = setting(key) else {
        let known = SETTINGS.iter().map(|setting| setting.key);
        return Err(unknown(&format!("setting {key}"), key, known, &place(at)));
    };
    let at = value.span().start;
    let text = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        _ => None,
    };
    let taken = match (setting.kind, value.get_ref()) {
        // Hexadecimal ones are not worth a thought.
        (Kind::Number, DeValue::Integer(number)) if number.radix() == 10 => Some(number.as_str().replace('_', "")),
        (Kind::Flag, DeValue::Boolean(flag)) => Some(flag.to_string()),
        (Kind::List, DeValue::Array(values)) => {
            let texts: Option<Vec<String>> = values.iter().map(|value| text(value.get_ref())).collect();
            texts.map(|texts| texts.join(","))
        }
        (Kind::Text, value) => text(value),
        _ => None,
    };
    match taken {
        Some(text) => take(settings, setting, &text, &place(at)),
        None => Err(not_allowed(setting, said(value.get_ref()), &place(at))),
    }
}

/// A value that is of the wrong type, in words.
fn said(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "such a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list of these",
        DeValue::Table(_) => "a section",
    }
}

fn sections() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().filter_map(|setting| setting.key.split_once('.').map(|(of, _)| of))
}

fn unknown<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>, place: &str) -> Failed {
    let failed = Failed::usage(format!("{place}: there is no {what}"));
    match nearest(name, known) {
        Some(near) => failed.hint(format!("did you mean {near}? `pigeon serve --print-config` shows all")),
        None => failed.hint("`pigeon serve --print-config` shows all that there are"),
    }
}

/// The whole as a file, with each setting explained.
pub(super) fn print(settings: &Settings) -> String {
    let usual = Settings::default();
    let mut text = String::from(
        "# The configuration of `pigeon serve`: all there is, as it stands. What is left out of the file is as it stands in\n\
         # `pigeon serve --print-config` without a file. The environment goes before the file, and flags go before both.\n",
    );
    let mut section = "";
    for setting in SETTINGS {
        let (of, name) = setting.key.rsplit_once('.').unwrap_or(("", setting.key));
        if of != section {
            text.push_str(&format!("\n[{of}]\n"));
            section = of;
        }
        text.push('\n');
        for line in setting.about {
            text.push_str(&format!("# {line}\n"));
        }
        text.push_str(&format!("# In the environment: {}", setting.variable()));
        let (value, default) = ((setting.show)(settings), (setting.show)(&usual));
        if value != default {
            text.push_str(&format!("; usual: {}", in_file(setting.kind, &default)));
        }
        if setting.reloads {
            text.push_str("; taken on reload (SIGHUP)");
        }
        text.push_str(&format!("\n{name} = {}\n", in_file(setting.kind, &value)));
    }
    text
}

fn in_file(kind: Kind, value: &str) -> String {
    match kind {
        Kind::Text => toml::Value::from(value).to_string(),
        Kind::Number | Kind::Flag => value.to_owned(),
        Kind::List => toml::Value::from(listed(value)).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &str) -> Result<Settings, Failed> {
        let mut settings = Settings::default();
        from_file(&mut settings, "serve.toml", text).map(|()| settings)
    }

    #[test]
    fn what_is_printed_is_read_as_it_was() {
        assert_eq!(from(&print(&Settings::default())).unwrap(), Settings::default());
        let flags: Flags = [
            ("state_dir", "it's \"here\""),
            ("log", "debug"),
            ("agents.listen", "[::1]:0"),
            ("agents.advertise", "hub.example.org:4781"),
            ("agents.beat", "1500ms"),
            ("agents.max", "5"),
            ("agents.certificates", "12h"),
            ("api.connections", "1"),
            ("api.requests", "2"),
            ("api.streams", "3"),
            ("api.memory", "1MiB"),
            ("queue.least_free", "1GiB"),
            ("queue.max_jobs", "7"),
            ("api.listen", "0.0.0.0:1"),
            ("api.tls", "off"),
            ("api.names", "a.example.org,192.0.2.1"),
            ("queue.body_cache", "1GiB"),
            ("queue.place_grace", "1s"),
            ("retention.results", "90d"),
            ("retention.bodies", "true"),
            ("retention.max_size", "500GB"),
            ("retention.events", "1h"),
            ("retention.sweep_every", "5m"),
            ("shutdown.deadline", "1m"),
        ]
        .map(|(key, value)| (key, "--flag", value.to_owned()))
        .into();
        let settings = read(None, |_| None, &flags).unwrap();
        let usual = Settings::default();
        for setting in SETTINGS {
            assert_ne!((setting.show)(&settings), (setting.show)(&usual), "{} is not in this test", setting.key);
        }
        // 500 GB are no round number of the units that are shown.
        let settings = Settings { max_size: Some("500GiB".parse().unwrap()), ..settings };
        assert_eq!(from(&print(&settings)).unwrap(), settings);
    }

    #[test]
    fn flags_go_before_the_environment_and_that_before_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[agents]\nbeat = '1s'\n[shutdown]\ndeadline = '2s'\n[retention]\nevents = '3s'\n")
            .unwrap();
        let environment = |name: &str| {
            let found = [("PIGEON_SHUTDOWN_DEADLINE", "20s"), ("PIGEON_RETENTION_EVENTS", "30s"), ("PIGEON_LOG", "")]
                .into_iter()
                .find(|(variable, _)| *variable == name);
            found.map(|(_, value)| value.to_owned())
        };
        let flags = vec![("retention.events", "--x", "300s".to_owned())];
        let settings = read(Some(file.path()), environment, &flags).unwrap();
        let seconds = [settings.beat, settings.deadline, settings.events].map(|time| time.as_secs());
        assert_eq!(seconds, [1, 20, 300]);
        assert_eq!(settings.log.0, "info");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, error) in [
            ("\n[api]\nlisten = 'here'\n", "serve.toml:3: api.listen cannot be \"here\""),
            ("[api]\n\nlistn = '127.0.0.1:1'\n", "serve.toml:3: there is no setting api.listn"),
            ("[apo]\nlisten = '127.0.0.1:1'\n", "serve.toml:1: there is no section \"apo\""),
            ("stat_dir = '/x'\n", "serve.toml:1: there is no setting stat_dir"),
            ("[agents]\nbeat = 2\n", "serve.toml:2: agents.beat cannot be such a number"),
            ("[retention]\nbodies = 'yes'\n", "serve.toml:2: retention.bodies cannot be a text"),
            ("[api]\nnames = [1]\n", "serve.toml:2: api.names cannot be a list of these"),
            ("a = \n", "serve.toml:1: this is no TOML"),
            ("[agents]\nadvertise = 'host'\n", "serve.toml:2: agents.advertise cannot be \"host\""),
            ("log = 'a=b=c'\n", "serve.toml:1: log cannot be \"a=b=c\""),
        ] {
            assert_eq!(from(text).unwrap_err().to_string(), error, "{text}");
        }
        let environment = |name: &str| (name == "PIGEON_API_TLS").then(|| "perhaps".to_owned());
        let error = read(None, environment, &Vec::new()).unwrap_err().to_string();
        assert_eq!(error, "the environment's PIGEON_API_TLS: api.tls cannot be \"perhaps\"");
        assert_eq!(nearest("api.listn", SETTINGS.iter().map(|setting| setting.key)), Some("api.listen"));
        assert_eq!(nearest("zzz", sections()), None);
    }
}
