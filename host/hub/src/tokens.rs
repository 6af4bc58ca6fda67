//! Join tokens that are out: each may be used so many times, until it expires.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use pigeon_protocol::{
    enrol::{JoinToken, NoRandomness},
    id::Digest,
};

/// The tokens of one CA. Clones share them.
#[derive(Clone)]
pub struct JoinTokens {
    ca: Digest,
    out: Arc<Mutex<HashMap<Digest, Token>>>,
}

struct Token {
    uses: u32,
    expires: Instant,
}

impl JoinTokens {
    /// No tokens yet, for the CA whose certificate (DER) has this SHA-256.
    pub fn new(ca: Digest) -> Self {
        Self { ca, out: Arc::default() }
    }

    /// A new token, good for `uses` enrolments within `lifetime`.
    pub fn issue(&self, uses: u32, lifetime: Duration) -> Result<JoinToken, NoRandomness> {
        self.issue_at(uses, lifetime, Instant::now())
    }

    fn issue_at(&self, uses: u32, lifetime: Duration, now: Instant) -> Result<JoinToken, NoRandomness> {
        let token = JoinToken::new(self.ca)?;
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.retain(|_, token| token.uses > 0 && token.expires > now);
        // Only a digest of the secret is kept. Secrets have 256 random bits, so looking up their digests gives away
        // nothing by its timing: whoever could aim at a digest's bits would have to invert SHA-256 first.
        out.insert(Digest::of(token.secret()), Token { uses, expires: now + lifetime });
        Ok(token)
    }

    /// Use a token once; false if there is none (left) with this secret.
    pub(crate) fn redeem(&self, secret: &[u8]) -> bool {
        self.redeem_at(secret, Instant::now())
    }

    fn redeem_at(&self, secret: &[u8], now: Instant) -> bool {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        match out.get_mut(&Digest::of(secret)) {
            Some(token) if token.uses > 0 && token.expires > now => {
                token.uses -= 1;
                true
            }
            _ => false,
        }
    }
}

impl fmt::Debug for JoinTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinTokens").field("ca", &self.ca).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_uses_and_its_time() {
        let (tokens, now, minute) = (JoinTokens::new(Digest::of(b"ca")), Instant::now(), Duration::from_secs(60));
        let twice = tokens.issue_at(2, minute, now).unwrap();
        let late = tokens.issue_at(1, minute, now).unwrap();
        assert!(tokens.redeem_at(twice.secret(), now));
        assert!(tokens.redeem_at(twice.secret(), now));
        assert!(!tokens.redeem_at(twice.secret(), now), "used up");
        assert!(!tokens.redeem_at(late.secret(), now + minute), "expired");
        assert!(!tokens.redeem_at(&[0; 32], now), "never issued");
        assert!(!tokens.redeem_at(b"", now), "empty");
    }

    #[test]
    fn dead_tokens_do_not_pile_up() {
        let (tokens, now) = (JoinTokens::new(Digest::of(b"ca")), Instant::now());
        for second in 0..100 {
            tokens.issue_at(1, Duration::from_secs(1), now + Duration::from_secs(second)).unwrap();
        }
        assert_eq!(tokens.out.lock().unwrap().len(), 1);
    }
}
