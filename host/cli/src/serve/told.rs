//! What a server says when it starts: where it is, and the first time, what it made and how to go on from there.

use std::{net::SocketAddr, path::Path};

use pigeon_api::Digest;

use crate::dirs::quoted;

/// What is known of it then. The token itself is never told.
pub(super) struct Told<'a> {
    pub(super) state_dir: &'a Path,
    /// The API's URL, as this machine reaches it.
    pub(super) api: &'a str,
    /// Where agents connect.
    pub(super) hub: SocketAddr,
    /// `HOST:PORT` of the API for others, if others reach it.
    pub(super) reached_as: &'a Option<String>,
    /// Of the CA.
    pub(super) fingerprint: Digest,
    /// Whether no start in this state folder has come up before.
    pub(super) first: bool,
    /// Whether a token that may do everything was made.
    pub(super) token: bool,
}

impl Told<'_> {
    /// A line each.
    pub(super) fn lines(&self) -> Vec<String> {
        let dir = quoted(&self.state_dir.to_string_lossy()).into_owned();
        let mut lines = vec![
            format!("pigeon {} serves from {dir}", env!("CARGO_PKG_VERSION")),
            format!("  API     {}", self.api),
            format!("  agents  {} (QUIC, over UDP)", self.hub),
            format!("  CA      {}", self.fingerprint),
        ];
        if !self.first {
            if self.token {
                lines.push(format!("another token that may do everything was made: it is in {dir}/admin.token"));
            }
            return lines;
        }
        lines.push("this is its first start. It made:".to_owned());
        lines.push(format!("  {dir}/ca           the CA that clients and agents know it by"));
        lines.push(format!("  {dir}/admin.token  a token that may do everything, for your eyes alone"));
        lines.push("to talk to it from this machine:".to_owned());
        lines.push(format!("  pigeon context add here --state-dir {dir} --use"));
        if self.api.starts_with("http://") {
            lines.push("or, with the token in a file:".to_owned());
            lines.push(format!("  pigeon context add NAME --server {} --token-file FILE --use", self.api));
        } else if let Some(address) = self.reached_as {
            lines.push("from another, with the token in a file:".to_owned());
            lines.push(format!(
                "  pigeon context add NAME --server https://{address} --fingerprint {} --token-file FILE --use",
                self.fingerprint
            ));
        }
        lines.push("to have an agent join:".to_owned());
        lines.push("  pigeon token join --out join.token".to_owned());
        lines.push(format!(
            "  pigeon-agent --hub HOST:{} --token-file join.token --state-dir DIR    (on its machine)",
            self.hub.port()
        ));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_start_says_how_to_go_on() {
        let address = Some("pigeon.example.org:4780".to_owned());
        let mut told = Told {
            state_dir: Path::new("/srv/my pigeon"),
            api: "https://127.0.0.1:4780",
            hub: "0.0.0.0:4781".parse().unwrap(),
            reached_as: &address,
            fingerprint: Digest::from_bytes([7; 32]),
            first: true,
            token: true,
        };
        insta::assert_snapshot!(told.lines().join("\n"));
        // In the clear it is reached from here only, whatever its certificate would say.
        told.api = "http://127.0.0.1:4780";
        let plain = told.lines().join("\n");
        assert!(plain.contains("--server http://127.0.0.1:4780 ") && !plain.contains("https://"), "{plain}");
        told.first = false;
        assert!(told.lines().last().unwrap().contains("/admin.token"));
        told.token = false;
        assert_eq!(told.lines().len(), 4);
    }
}
