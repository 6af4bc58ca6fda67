//! `--option key=value`.

use std::{collections::BTreeMap, fs, path::Path};

use pigeon_api::{OptionSpec, PluginInfo};

use crate::exit::Failed;

/// Read the options as they were given: `key=value`, `key=@FILE`, `key=@@literal`.
///
/// # Errors
/// If one has no `=`, is given twice, or names a file that cannot be read as text.
pub(crate) fn read(given: &[String]) -> Result<BTreeMap<String, String>, Failed> {
    let mut options = BTreeMap::new();
    for text in given {
        let wrong =
            |lacks| Failed::usage(format!("the option {text:?} has no {lacks}")).hint("write it as --option key=value");
        let (key, value) = text.split_once('=').ok_or_else(|| wrong("value"))?;
        if key.is_empty() {
            return Err(wrong("name"));
        }
        let value = match value.strip_prefix('@') {
            Some(literal) if literal.starts_with('@') => literal.to_owned(),
            Some(file) => match fs::read(file).map(String::from_utf8) {
                Ok(Ok(text)) => text,
                Ok(Err(_)) => {
                    return Err(Failed::usage(format!("the value of the option {key:?} in {file} is not UTF-8"))
                        .hint("options are text"));
                }
                Err(error) => {
                    return Err(Failed::usage(format!("failed to read the value of the option {key:?} from {file}"))
                        .caused_by(error)
                        .hint(format!("a value that begins with an @ is written with two: {key}=@@...")));
                }
            },
            None => value.to_owned(),
        };
        if options.insert(key.to_owned(), value).is_some() {
            return Err(Failed::usage(format!("the option {key:?} is given twice")).hint("keep one of the two"));
        }
    }
    Ok(options)
}

/// The files that options are read from, each with the option's name.
pub(super) fn files(given: &[String]) -> impl Iterator<Item = (&str, &Path)> {
    given.iter().filter_map(|text| {
        let (key, value) = text.split_once('=')?;
        let file = value.strip_prefix('@').filter(|file| !file.starts_with('@'))?;
        Some((key, Path::new(file)))
    })
}

/// Whether the plugin knows these options, and has all that it needs.
pub(crate) fn check(options: &BTreeMap<String, String>, plugin: &PluginInfo) -> Result<(), Failed> {
    let known = &plugin.metadata.options;
    let name = &plugin.metadata.name;
    if let Some(key) = options.keys().find(|key| known.iter().all(|option| option.name != **key)) {
        let hint = if known.is_empty() {
            format!("{name} has no options")
        } else {
            format!("{name} knows {}; `pigeon plugins show {name}` says what they mean", names(known))
        };
        return Err(Failed::usage(format!("{name} does not know the option {key:?}")).hint(hint));
    }
    if let Some(missing) = known.iter().find(|option| option.required && !options.contains_key(&option.name)) {
        return Err(Failed::usage(format!("{name} needs the option {:?}", missing.name))
            .hint(format!("--option {}=...: {}", missing.name, missing.description)));
    }
    Ok(())
}

fn names(options: &[OptionSpec]) -> String {
    options.iter().map(|option| option.name.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_literal_or_from_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "from a file\n").unwrap();
        let given = ["a=1".to_owned(), "b=".to_owned(), "c=x=y".to_owned(), "d=@@home".to_owned()];
        let given = given.into_iter().chain([format!("e=@{}", file.path().display())]).collect::<Vec<_>>();
        let options: Vec<_> = read(&given).unwrap().into_iter().collect();
        let expected = [("a", "1"), ("b", ""), ("c", "x=y"), ("d", "@home"), ("e", "from a file\n")];
        assert_eq!(options, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn what_is_no_option_is_told() {
        let error = |given: &[&str]| {
            read(&given.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).unwrap_err().to_string()
        };
        assert_eq!(error(&["deep"]), "the option \"deep\" has no value");
        assert_eq!(error(&["=1"]), "the option \"=1\" has no name");
        assert_eq!(error(&["a=1", "a=2"]), "the option \"a\" is given twice");
        assert_eq!(error(&["a=@no/such"]), "failed to read the value of the option \"a\" from no/such");
    }
}
