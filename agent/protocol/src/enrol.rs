//! Enrolment: how a machine that only has a join token becomes an agent with a certificate.
//!
//! The token pins the control host's CA, so that nothing is trusted on first use. The exchange is one message each way,
//! over an ALPN of its own; the agent's private key never leaves it.

use std::{fmt, str::FromStr};

use prost::Message;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::id::Digest;

/// What a token's text begins with.
const PREFIX: &str = "pgn1.";

/// A join token: a secret that lets a machine enrol, and the CA that it shall find there.
///
/// Its text is `pgn1.` and 86 characters of base64url. Whoever reads it may enrol until it is used up or expires, so it
/// is shown by [`reveal`](Self::reveal) alone, and never by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    secret: [u8; 32],
    ca: Digest,
}

/// A text that is no join token. Says nothing of the text: it may be nearly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the join token cannot be read: it is `pgn1.` and 86 letters, digits, - and _")]
pub struct ParseTokenError;

/// The system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no random bytes")]
pub struct NoRandomness;

impl JoinToken {
    /// A new token for the CA whose certificate (DER) has this SHA-256.
    pub fn new(ca: Digest) -> Result<Self, NoRandomness> {
        let mut secret = [0; 32];
        SystemRandom::new().fill(&mut secret).map_err(|_| NoRandomness)?;
        Ok(Self { secret, ca })
    }

    /// The secret that is sent with an [`EnrolRequest`].
    pub const fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// SHA-256 of the CA's certificate, DER.
    pub const fn ca(&self) -> Digest {
        self.ca
    }

    /// The token as text, to be written where only its user can read it.
    pub fn reveal(&self) -> String {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&self.secret);
        bytes[32..].copy_from_slice(self.ca.as_bytes());
        format!("{PREFIX}{}", base64url(&bytes))
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken").field("ca", &self.ca).finish_non_exhaustive()
    }
}

impl FromStr for JoinToken {
    type Err = ParseTokenError;

    /// Reads the text of [`reveal`](Self::reveal); white space around it is skipped.
    fn from_str(text: &str) -> Result<Self, ParseTokenError> {
        let digits = text.trim().strip_prefix(PREFIX).ok_or(ParseTokenError)?;
        let bytes: [u8; 64] = from_base64url(digits).ok_or(ParseTokenError)?;
        let (mut secret, mut ca) = ([0; 32], [0; 32]);
        secret.copy_from_slice(&bytes[..32]);
        ca.copy_from_slice(&bytes[32..]);
        Ok(Self { secret, ca: Digest::from_bytes(ca) })
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// RFC 4648 base64url without padding.
fn base64url(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..=group.len() {
            text.push(char::from(ALPHABET[(bits >> (18 - 6 * digit) & 63) as usize]));
        }
    }
    text
}

/// Its inverse, for exactly `N` bytes; only the one canonical text of them is accepted.
fn from_base64url<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != (N * 4).div_ceil(3) {
        return None;
    }
    let (mut out, mut written, mut bits, mut held) = ([0; N], 0, 0u32, 0u32);
    for digit in text.bytes() {
        bits = bits << 6 | ALPHABET.iter().position(|&letter| letter == digit)? as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            *out.get_mut(written)? = (bits >> held & 255) as u8;
            written += 1;
            bits &= (1 << held) - 1;
        }
    }
    (written == N && bits == 0).then_some(out)
}

/// What the agent asks.
#[derive(Clone, PartialEq, Message)]
pub struct EnrolRequest {
    /// The token's secret, 32 bytes; empty where a certificate that the agent already has is to be renewed.
    #[prost(bytes = "vec", tag = "1")]
    pub secret: Vec<u8>,
    /// A PKCS#10 certificate signing request, DER.
    #[prost(bytes = "vec", tag = "2")]
    pub csr: Vec<u8>,
    /// The name that the agent would like to be shown by.
    #[prost(string, tag = "3")]
    pub name: String,
}

/// What it gets.
#[derive(Clone, PartialEq, Message)]
pub struct EnrolReply {
    /// Why it was refused; empty if it was not. What became of a token is told to whoever has its secret, and to nobody else.
    #[prost(string, tag = "1")]
    pub refused: String,
    /// The agent's certificate, DER.
    #[prost(bytes = "vec", tag = "2")]
    pub certificate: Vec<u8>,
    /// The CA's certificate, DER: the one that the token pins.
    #[prost(bytes = "vec", tag = "3")]
    pub ca: Vec<u8>,
    /// The agent's id, 16 bytes: a new one, or where a certificate was renewed the one that it names. A token alone never
    /// buys an id of the asker's choice.
    #[prost(bytes = "vec", tag = "4")]
    pub agent: Vec<u8>,
    /// Ed25519 public keys of publishers whose plugins the agent shall run, 32 bytes each.
    #[prost(bytes = "vec", repeated, tag = "5")]
    pub trusted_keys: Vec<Vec<u8>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_token_survives_its_text(secret: [u8; 32], ca: [u8; 32]) {
            let token = JoinToken { secret, ca: Digest::from_bytes(ca) };
            prop_assert_eq!(token.reveal().parse::<JoinToken>().unwrap(), token);
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<JoinToken>();
            let _ = format!("{PREFIX}{text}").parse::<JoinToken>();
        }
    }

    #[test]
    fn the_text_is_base64url_of_both_parts() {
        let token = JoinToken { secret: [0xfb; 32], ca: Digest::of(b"") };
        let text = token.reveal();
        assert_eq!(text, "pgn1.-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_vjsMRCmPwcFJr79MiZb7kkJ65B5GSbk0yklZkbeFK4VQ");
        assert!(format!(" {text}\n").parse::<JoinToken>().is_ok(), "files end with a newline");
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_repeated() {
        let text = JoinToken { secret: [7; 32], ca: Digest::of(b"") }.reveal();
        for bad in [&text[1..], &text[..text.len() - 1], &text.replace('.', ":"), &format!("{text}A"), "", "pgn1."] {
            let error = bad.parse::<JoinToken>().unwrap_err();
            assert!(!error.to_string().contains("BwcH"), "{error}");
        }
        // The last letter carries two bits that must be zero: one token has one text.
        let mut twin = text;
        twin.pop();
        twin.push('B');
        assert!(twin.parse::<JoinToken>().is_err());
    }

    #[test]
    fn debug_hides_the_secret() {
        let token = JoinToken { secret: [7; 32], ca: Digest::of(b"") };
        assert!(!format!("{token:?}").contains("7, 7"));
    }
}
