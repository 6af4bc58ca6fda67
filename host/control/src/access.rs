//! Who may come in over the API: tokens, and what their bearers may do.
//!
//! A token's secret has 256 random bits and is shown once. Kept is its SHA-256, on disk and, for the sake of every
//! request, in memory.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use data_encoding::BASE64URL_NOPAD;
use pigeon_api::{ApiError, ErrorKind, NewToken, Result, Role, TokenInfo, TokenSpec};
use pigeon_protocol::id::Digest;
use pigeon_store::{Store, StoreError, TokenRecord};

use crate::{ControlError, clock, error::store_error, secrets};

/// What a secret begins with, so that it is known for one wherever it turns up.
const PREFIX: &str = "pgt_";

/// Longest name of a token, in bytes.
const LONGEST_NAME: usize = 64;

/// What the token that the first start makes is called, and the file that it lies in.
const FIRST: &str = "admin";
const FIRST_FILE: &str = "admin.token";

/// The bearer of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The token's name: the author of what is done with it.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

/// The tokens for the API.
pub(crate) struct Tokens {
    store: Arc<dyn Store>,
    /// By the digest of their secret.
    known: RwLock<HashMap<Digest, Known>>,
}

struct Known {
    principal: Principal,
    expires_ms: Option<u64>,
}

impl Tokens {
    /// Those that the store keeps.
    pub(crate) async fn load(store: Arc<dyn Store>) -> Result<Self> {
        let records = store.tokens().await.map_err(|error| store_error("failed to read the tokens", error))?;
        let mut known = HashMap::new();
        for record in records {
            let role = role(&record)?;
            let principal = Principal { name: record.name, role };
            known.insert(record.hash, Known { principal, expires_ms: record.expires_ms });
        }
        Ok(Self { store, known: RwLock::new(known) })
    }

    /// Whether there is none at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.known.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Who the bearer of a secret is.
    ///
    /// Secrets are looked up by their digest, which gives away nothing by its timing: whoever could aim at a digest's bits
    /// would have to invert SHA-256 first.
    pub(crate) fn principal(&self, secret: &str) -> Option<Principal> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let known = known.get(&Digest::of(secret.as_bytes()))?;
        known.expires_ms.is_none_or(|end| clock::now_ms() < end).then(|| known.principal.clone())
    }

    /// All of them, by name. That of `author` is the one that asks.
    pub(crate) async fn list(&self, author: &str) -> Result<Vec<TokenInfo>> {
        let records = self.store.tokens().await.map_err(|error| store_error("failed to list the tokens", error))?;
        records.into_iter().map(|record| Ok(TokenInfo { yours: record.name == author, ..info(&record)? })).collect()
    }

    /// A new one.
    pub(crate) async fn create(&self, spec: TokenSpec) -> Result<NewToken> {
        check_name(&spec.name)?;
        let secret = new_secret().map_err(|error| ApiError::new(ErrorKind::Internal, error.to_string()))?;
        self.keep(&spec, &secret).await.map_err(|error| match error {
            StoreError::NameTaken(_) => {
                let told = ApiError::new(ErrorKind::Conflict, format!("there is a token {:?} already", spec.name));
                told.hint("revoke it, or take another name")
            }
            error => store_error(format!("failed to keep token {:?}", spec.name), error),
        })
    }

    /// Whether the secret in the state directory is that of a token that may do everything.
    pub(crate) fn admits_admin(&self, state_dir: &Path) -> bool {
        let secret = std::fs::read_to_string(state_dir.join(FIRST_FILE)).unwrap_or_default();
        self.principal(secret.trim()).is_some_and(|principal| principal.role == Role::Admin)
    }

    /// One that may do everything, for whoever has the state directory. Its secret lies in a file there before it is worth
    /// anything, so that a start that is cut off leaves no token behind that nobody knows.
    pub(crate) async fn create_admin(&self, state_dir: &Path) -> std::result::Result<NewToken, ControlError> {
        let state = |source| ControlError::State { path: state_dir.to_owned(), source };
        let path = state_dir.join(FIRST_FILE);
        let secret = new_secret()?;
        let text = format!("{secret}\n");
        secrets::write(&path, text.as_bytes()).map_err(|source| ControlError::Secret {
            attempt: "write",
            path,
            source,
        })?;
        let taken: HashSet<String> =
            self.store.tokens().await.map_err(state)?.into_iter().map(|record| record.name).collect();
        let names = std::iter::once(FIRST.to_owned()).chain((2..).map(|number| format!("{FIRST}-{number}")));
        let name = names.into_iter().find(|name| !taken.contains(name)).unwrap_or_default();
        let spec = TokenSpec { name, role: Role::Admin, ttl_ms: None };
        self.keep(&spec, &secret).await.map_err(state)
    }

    /// Revoke one: from now on it is worth nothing.
    pub(crate) async fn revoke(&self, name: &str) -> Result<()> {
        let removed = self.store.remove_token(name).await;
        let removed = removed.map_err(|error| store_error(format!("failed to revoke token {name:?}"), error))?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, known| known.principal.name != name);
        match removed {
            true => Ok(()),
            false => Err(ApiError::new(ErrorKind::NotFound, format!("there is no token {name:?}"))),
        }
    }

    async fn keep(&self, spec: &TokenSpec, secret: &str) -> std::result::Result<NewToken, StoreError> {
        let created_ms = clock::now_ms();
        let record = TokenRecord {
            name: spec.name.clone(),
            role: spec.role.as_str().to_owned(),
            hash: Digest::of(secret.as_bytes()),
            created_ms,
            expires_ms: spec.ttl_ms.map(|ttl| created_ms.saturating_add(ttl)),
        };
        self.store.put_token(record.clone()).await?;
        let principal = Principal { name: spec.name.clone(), role: spec.role };
        let known = Known { principal, expires_ms: record.expires_ms };
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(record.hash, known);
        let info = TokenInfo {
            name: record.name,
            role: spec.role,
            created_ms: clock::signed(record.created_ms),
            expires_ms: record.expires_ms.map(clock::signed),
            yours: false,
        };
        Ok(NewToken { info, secret: secret.to_owned() })
    }
}

fn new_secret() -> std::result::Result<String, ControlError> {
    Ok(format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&secrets::random::<32>()?)))
}

/// Names are authors in the log: they must not look like one of ours, and stand on one line.
fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    let good = !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(plain) && name != "pigeon";
    match good {
        true => Ok(()),
        false => Err(ApiError::new(ErrorKind::BadRequest, format!("{name:?} is no name for a token"))
            .hint(format!("take 1 to {LONGEST_NAME} letters, digits and . _ - @; pigeon is taken"))),
    }
}

fn role(record: &TokenRecord) -> Result<Role> {
    let damaged = |error| ApiError::new(ErrorKind::Internal, format!("token {:?} is damaged: {error}", record.name));
    record.role.parse().map_err(damaged)
}

fn info(record: &TokenRecord) -> Result<TokenInfo> {
    Ok(TokenInfo {
        name: record.name.clone(),
        role: role(record)?,
        created_ms: clock::signed(record.created_ms),
        expires_ms: record.expires_ms.map(clock::signed),
        yours: false,
    })
}
