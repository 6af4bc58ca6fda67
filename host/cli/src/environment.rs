//! Variables of the environment that begin with `PIGEON_`. One that nobody reads is told of: whoever set it believes that
//! it does something. It is no error, for other programs set such variables too. Those that Kubernetes makes of a service of
//! that name are not told of: nobody set them, and nobody can leave them out.

use std::ffi::OsString;

use crate::{serve, words::nearest};

const PREFIX: &str = "PIGEON_";

/// Those that are no settings of `pigeon serve`: its file, the context in use, and the log of every command.
const OTHERS: [&str; 3] = ["PIGEON_CONFIG", "PIGEON_CONTEXT", "PIGEON_LOG"];

/// Whether Kubernetes makes it of a service that is called `pigeon`.
fn is_of_kubernetes(name: &str) -> bool {
    name == "PIGEON_PORT" || name.starts_with("PIGEON_PORT_") || name.starts_with("PIGEON_SERVICE_")
}

/// What is to be told of these variables, a line each.
pub(crate) fn unread(names: impl Iterator<Item = OsString>) -> Vec<String> {
    let known: Vec<String> = OTHERS.map(str::to_owned).into_iter().chain(serve::variables()).collect();
    let mut lines: Vec<String> = names
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.starts_with(PREFIX) && !known.contains(name) && !is_of_kubernetes(name))
        .map(|name| {
            // What all begin with says nothing of how close two are.
            let rest = |name: &str| name[PREFIX.len()..].to_owned();
            let rests: Vec<String> = known.iter().map(|name| rest(name)).collect();
            match nearest(&rest(&name), rests.iter().map(String::as_str)) {
                Some(near) => format!("nothing reads {name} of the environment: did you mean {PREFIX}{near}?"),
                None => format!("nothing reads {name} of the environment"),
            }
        })
        .collect();
    lines.sort();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_makes_of_a_service_is_not_told_of() {
        let names = [
            "PIGEON_PORT",
            "PIGEON_PORT_7070_TCP",
            "PIGEON_PORT_7070_TCP_ADDR",
            "PIGEON_SERVICE_HOST",
            "PIGEON_SERVICE_PORT_API",
            "PIGEON_PORTS",
        ];
        let told = unread(names.into_iter().map(OsString::from));
        assert!(told.len() == 1 && told[0].contains("PIGEON_PORTS of"), "{told:?}");
    }

    #[test]
    fn a_variable_that_nobody_reads_is_told_of_with_the_nearest_that_somebody_does() {
        let names = ["PIGEON_API_LISTN", "PIGEON_CONTXT", "PIGEON_ZZZ", "PIGEON_LOG", "PIGEON_API_LISTEN", "HOME", ""];
        assert_eq!(
            unread(names.into_iter().map(OsString::from)),
            [
                "nothing reads PIGEON_API_LISTN of the environment: did you mean PIGEON_API_LISTEN?",
                "nothing reads PIGEON_CONTXT of the environment: did you mean PIGEON_CONTEXT?",
                "nothing reads PIGEON_ZZZ of the environment",
            ]
        );
    }
}
