//! Asking before something is lost.

use std::io::{self, IsTerminal as _};

use crate::{exit::Failed, screen::Screen};

/// Whether it is to be done: somebody said so with `--yes`, or says so now.
///
/// # Errors
/// If nobody is there to be asked.
pub(crate) async fn confirm(screen: &Screen, what: &str, yes: bool) -> Result<bool, Failed> {
    if yes {
        return Ok(true);
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failed::usage(format!("{what}? Nobody is there to be asked")).hint("--yes says yes beforehand"));
    }
    screen.ask(&format!("{what}? [y/N] "));
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|_| line)
    });
    let answer = answer.await.map_err(|error| Failed::machinery("failed to ask").caused_by(error))?;
    let answer = answer.map_err(|error| Failed::machinery("failed to read the answer").caused_by(error))?;
    let yes = is_yes(&answer);
    if !yes {
        screen.say("nothing was done");
    }
    Ok(yes)
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        assert!(["y", "Y\n", " yes \r\n", "YES"].into_iter().all(is_yes));
        assert!(["", "\n", "n", "no", "yep", "yes please", "j"].into_iter().all(|answer| !is_yes(answer)));
    }
}
