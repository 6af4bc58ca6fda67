//! `pigeon context add`: a server is asked before it is kept.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use clap::Args;
use pigeon_api::{
    Digest, ErrorKind, HostStatus, Pigeon as _,
    client::{RestClient, fetch_ca},
};

use super::file::{Context, ContextsFile, fingerprint_of};
use crate::{exit::Failed, pem, screen::Screen, serve::Running};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon context add prod --server https://pigeon.example.org:4780 --token-file token --fingerprint sha256:...
  pigeon context add here --state-dir /var/lib/pigeon     A server on this machine")]
pub(super) struct AddArgs {
    /// What to call it here
    #[arg(value_parser = name)]
    name: String,

    /// Where its API is: https://HOST:PORT
    #[arg(long, value_name = "URL", required_unless_present = "state_dir")]
    server: Option<String>,

    /// A file with a token for its API; `-` is standard input
    #[arg(long, value_name = "FILE", required_unless_present = "state_dir")]
    token_file: Option<PathBuf>,

    /// Its CA's certificate, PEM; without this and --fingerprint it must have one that this system trusts
    #[arg(long, value_name = "FILE", conflicts_with = "fingerprint")]
    ca_file: Option<PathBuf>,

    /// The fingerprint of its CA, as `pigeon serve` prints it: sha256:...
    #[arg(long, value_name = "SHA256")]
    fingerprint: Option<String>,

    /// A server of this machine: its address, CA and admin token are read from its state folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["ca_file", "fingerprint"])]
    state_dir: Option<PathBuf>,

    /// Use it from now on
    #[arg(long = "use")]
    in_use: bool,

    /// Put it in the place of one that has this name already
    #[arg(long)]
    replace: bool,

    /// Keep it without asking whether it is there
    #[arg(long)]
    no_check: bool,
}

/// Names are told apart from flags and paths.
fn name(text: &str) -> Result<String, &'static str> {
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins && text.len() <= 64 && text.chars().all(sound) {
        Ok(text.to_owned())
    } else {
        Err("a name is of letters, digits, - _ and ., 64 at most, and begins with a letter or digit")
    }
}

pub(super) async fn run(args: AddArgs, file: &ContextsFile, screen: &Screen) -> Result<(), Failed> {
    if !args.replace && file.read()?.contexts.contains_key(&args.name) {
        return Err(taken(&args.name));
    }
    let mut context = context(&args)?;
    if context.server.starts_with("http://") && !is_loopback(&context.server) {
        screen.warn("the token and all else goes to it unencrypted: whoever is on the way can read it");
    }
    if args.no_check {
        screen.note("it was not asked whether it is there");
    } else {
        if let (Some(fingerprint), None) = (&context.fingerprint, &context.ca) {
            let ca = fetch_ca(&context.server, Some(fingerprint_of(fingerprint)?)).await.map_err(not_reached)?;
            context.ca = Some(ca.pem);
        }
        let status = ask(&context).await?;
        screen.note(&format!("{} answers: pigeon {}", context.server, status.version));
    }
    file.change(|contexts| {
        if contexts.contexts.contains_key(&args.name) && !args.replace {
            return Err(taken(&args.name));
        }
        contexts.contexts.insert(args.name.clone(), context);
        if args.in_use {
            contexts.current = Some(args.name.clone());
        }
        Ok(())
    })?;
    if args.in_use {
        screen.note(&format!("{} is in use", args.name));
    } else {
        screen.next("to use it:", &format!("pigeon context use {}", args.name));
    }
    Ok(())
}

fn taken(name: &str) -> Failed {
    Failed::usage(format!("there is a context {name:?} already"))
        .hint("--replace puts this one in its place; `pigeon context list` names all")
}

/// The context as the command line gives it.
fn context(args: &AddArgs) -> Result<Context, Failed> {
    let mut context = match &args.state_dir {
        Some(dir) => of_state_dir(dir, args.server.as_deref())?,
        None => Context {
            server: args.server.as_deref().map(server).transpose()?.unwrap_or_default(),
            token: None,
            fingerprint: None,
            ca: None,
            cluster: None,
        },
    };
    if let Some(path) = &args.token_file {
        context.token = Some(token(path)?);
    }
    if let Some(path) = &args.ca_file {
        certificate(&mut context, path)?;
    }
    if let Some(fingerprint) = &args.fingerprint {
        context.fingerprint = Some(fingerprint_of(fingerprint)?.to_string());
    }
    let secure = context.server.starts_with("https://");
    if !secure && (args.ca_file.is_some() || args.fingerprint.is_some()) {
        return Err(Failed::usage(format!("{} has no certificate that could be known", context.server))
            .hint("say https://, or leave --ca-file and --fingerprint out"));
    }
    Ok(context)
}

/// A server of this machine, by its state folder.
///
/// # Errors
/// If no server runs there, or this user may not read its secrets.
pub(crate) fn of_state_dir(dir: &Path, other: Option<&str>) -> Result<Context, Failed> {
    let server = match other {
        Some(url) => server(url)?,
        None => {
            Running::read(dir)?
                .ok_or_else(|| {
                    Failed::usage(format!("no server runs in {}", dir.display()))
                        .hint("start it with `pigeon serve --state-dir`, or say where it is with --server URL")
                })?
                .api
        }
    };
    let secure = server.starts_with("https://");
    let path = dir.join("admin.token");
    if fs::metadata(&path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Err(Failed::usage(format!("there is no admin token in {}", dir.display())).hint(
            "a folder made by `pigeon restore` has none, for backups hold no secrets of tokens: with one that was made \
             before, say --server URL --token-file FILE; with none, start the server with --new-admin-token",
        ));
    }
    let token = token(&path)?;
    let mut context = Context { server, token: Some(token), fingerprint: None, ca: None, cluster: None };
    if secure {
        certificate(&mut context, &dir.join("ca/ca.crt"))?;
    }
    Ok(context)
}

/// Ask a server how it stands.
///
/// # Errors
/// If it is not there, is another, or does not take the token.
async fn ask(context: &Context) -> Result<HostStatus, Failed> {
    let client = RestClient::new(context.endpoint()?).map_err(not_reached)?;
    client.status().await.map_err(not_reached)
}

fn not_reached(error: pigeon_api::ApiError) -> Failed {
    let hint = match error.kind {
        _ if error.hint.is_some() => None,
        ErrorKind::Unauthorized => {
            Some("have an admin make a token: `pigeon token create NAME --role submitter --out FILE`")
        }
        ErrorKind::Unreachable => Some("is it running, and does TCP get there? --no-check keeps it all the same"),
        _ => None,
    };
    match hint {
        Some(hint) => Failed::from(error).hint(hint),
        None => error.into(),
    }
}

/// A URL without what we add ourselves.
fn server(url: &str) -> Result<String, Failed> {
    let wrong = || {
        Failed::usage(format!("{url:?} is no server"))
            .hint("it is https://HOST:PORT, such as https://pigeon.example.org:4780")
    };
    let url = url.trim_end_matches('/');
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    match rest {
        Some(host)
            if !host.is_empty()
                && !host.contains(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '@')) =>
        {
            Ok(url.to_owned())
        }
        _ => Err(wrong()),
    }
}

fn is_loopback(url: &str) -> bool {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => authority.split(':').next().unwrap_or(authority),
    };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn token(path: &Path) -> Result<String, Failed> {
    let text = if path.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin()
            .take(64 << 10)
            .read_to_string(&mut text)
            .map(|_| text)
            .map_err(|error| Failed::usage("failed to read the token from standard input").caused_by(error))?
    } else {
        let bytes = read(path, "the token", "is this the file that was meant, and may this user read it?")?;
        // What is no text is no token.
        String::from_utf8(bytes).unwrap_or_default()
    };
    let token = text.trim();
    if token.is_empty() || token.contains(|c: char| c.is_whitespace() || c.is_control()) || !token.is_ascii() {
        return Err(Failed::usage(format!("there is no token in {}", path.display()))
            .hint("a file with a token holds it alone, on one line"));
    }
    Ok(token.to_owned())
}

/// Know a server by the certificate of its CA in this file.
fn certificate(context: &mut Context, path: &Path) -> Result<(), Failed> {
    let what = "the CA's certificate";
    let hint = "it is ca/ca.crt in the server's state folder; its fingerprint will do as well";
    let der = pem::to_der(&read(path, what, hint)?)
        .ok_or_else(|| Failed::usage(format!("{} does not hold one certificate", path.display())).hint(hint))?;
    context.fingerprint = Some(Digest::of(&der).to_string());
    context.ca = Some(pigeon_api::client::pem(&der));
    Ok(())
}

fn read(path: &Path, what: &str, hint: &str) -> Result<Vec<u8>, Failed> {
    fs::read(path).map_err(|error| {
        Failed::usage(format!("failed to read {what} from {}", path.display())).caused_by(error).hint(hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_urls_without_a_path() {
        for (given, kept) in [
            ("https://pigeon.example.org:4780", "https://pigeon.example.org:4780"),
            ("http://127.0.0.1:4780/", "http://127.0.0.1:4780"),
        ] {
            assert_eq!(server(given).unwrap(), kept);
        }
        for wrong in ["pigeon:4780", "https://", "ftp://a", "https://a/api", "https://user@a", "https://a b", ""] {
            server(wrong).unwrap_err();
        }
        assert!(is_loopback("http://127.0.0.1:1") && is_loopback("http://localhost") && is_loopback("http://[::1]:2"));
        assert!(!is_loopback("http://192.0.2.1:1") && !is_loopback("http://localhost.example.org"));
    }

    #[test]
    fn a_token_stands_alone_in_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        for (text, read) in [("abc\n", Some("abc")), ("", None), ("\n", None), ("a b", None), ("a\nb", None)] {
            fs::write(&path, text).unwrap();
            assert_eq!(token(&path).ok().as_deref(), read, "{text:?}");
        }
    }

    #[test]
    fn names_cannot_be_taken_for_something_else() {
        assert!(name("up").is_ok() && name("prod-1.eu").is_ok());
        for wrong in ["", "-x", "a/b", "a b", "\u{e4}", ".x"] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }
}
