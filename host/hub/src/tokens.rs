//! Join tokens in memory, for control hosts that keep nothing else of who joins: each may be used so many times, until it
//! expires.

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

use crate::NotJoined;

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

    /// SHA-256 of the certificate of the CA that they pin.
    pub fn ca(&self) -> Digest {
        self.ca
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

    /// Use the token whose secret has this SHA-256 once.
    pub fn redeem(&self, token: Digest) -> Result<(), NotJoined> {
        self.redeem_at(token, Instant::now())
    }

    fn redeem_at(&self, token: Digest, now: Instant) -> Result<(), NotJoined> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let token = out.get_mut(&token).ok_or(NotJoined::Unknown)?;
        if token.uses == 0 {
            return Err(NotJoined::UsedUp);
        }
        if token.expires <= now {
            return Err(NotJoined::Expired);
        }
        token.uses -= 1;
        Ok(())
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
        let redeem = |secret: &[u8], now| tokens.redeem_at(Digest::of(secret), now);
        assert_eq!(redeem(twice.secret(), now), Ok(()));
        assert_eq!(redeem(twice.secret(), now), Ok(()));
        assert_eq!(redeem(twice.secret(), now), Err(NotJoined::UsedUp));
        assert_eq!(redeem(late.secret(), now + minute), Err(NotJoined::Expired));
        assert_eq!(redeem(&[0; 32], now), Err(NotJoined::Unknown));
        assert_eq!(redeem(b"", now), Err(NotJoined::Unknown));
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
