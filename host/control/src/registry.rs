//! The plugins that jobs can name: those built in, and those that were published into the store.
//!
//! The control host knows no Wasm. What a component is, an [`Inspector`] finds out that was given when the host was
//! built. What agents are told to believe is a manifest, signed here with the key of this control host: an embedded
//! one makes a key for each process, and signs what its own state directory holds anew.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use pigeon_api::{ApiError, ErrorKind, Inspected, PluginInfo, PluginKind, Result};
use pigeon_plugins::BuiltIn;
use pigeon_protocol::{
    id::Digest,
    manifest::{Kind, Manifest, SignedManifest},
};
use pigeon_store::{PluginRecord, Store};
use prost::Message as _;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::{clock, error::store_error};

/// Names that are suggested for one that nobody has, and that are told where none is close.
const MOST_CLOSE: usize = 3;
const MOST_NAMED: usize = 10;

/// For how long the store is believed to hold a built-in plugin that it held. If it has forgotten it meanwhile, since no job
/// named it, nothing is lost: agents get it from here, and the next job has it kept again.
const HELD: Duration = Duration::from_secs(1);

/// Finds out what a component is.
#[async_trait]
pub trait Inspector: Send + Sync + 'static {
    /// Check a component against our worlds, and ask it for its metadata.
    ///
    /// # Errors
    /// In words for people: what it is instead, and what to do about it.
    async fn inspect(&self, component: Bytes) -> std::result::Result<Inspected, ApiError>;
}

/// The built-in plugins by digest: hashed once, since the largest has some MiB.
static BUILT_IN: LazyLock<Vec<(Digest, &'static BuiltIn)>> = LazyLock::new(|| {
    pigeon_plugins::BUILT_IN.iter().map(|built_in| (Digest::of(built_in.component), built_in)).collect()
});

/// The built-in plugin with this digest.
fn built_in(digest: Digest) -> Option<&'static BuiltIn> {
    BUILT_IN.iter().find(|(known, _)| *known == digest).map(|(_, built_in)| *built_in)
}

/// The registry.
pub(crate) struct Registry {
    store: Arc<dyn Store>,
    inspector: Arc<dyn Inspector>,
    key: Ed25519KeyPair,
    /// What was found out about components in this process.
    known: Mutex<HashMap<Digest, Arc<PluginInfo>>>,
    /// When the store was seen to hold built-in plugins, signed with our key.
    held: Mutex<HashMap<Digest, Instant>>,
}

impl Registry {
    /// A registry that signs with this key.
    pub(crate) fn new(store: Arc<dyn Store>, inspector: Arc<dyn Inspector>, key: Ed25519KeyPair) -> Self {
        Self { store, inspector, key, known: Mutex::default(), held: Mutex::default() }
    }

    /// The key that agents have to trust.
    pub(crate) fn public_key(&self) -> Option<[u8; 32]> {
        self.key.public_key().as_ref().try_into().ok()
    }

    /// All plugins that are listed: built in and published.
    pub(crate) async fn list(&self) -> Result<Vec<PluginInfo>> {
        let mut all = Vec::new();
        for (digest, built_in) in &*BUILT_IN {
            all.push(Arc::unwrap_or_clone(self.built_in(*digest, built_in).await?));
        }
        for record in self.store.plugins().await.map_err(|error| store_error("failed to list the plugins", error))? {
            let info = info_of(&record)?;
            if all.iter().all(|known: &PluginInfo| known.digest != info.digest) {
                all.push(info);
            }
        }
        all.sort_by(|a, b| {
            a.metadata.name.cmp(&b.metadata.name).then_with(|| b.metadata.version.cmp(&a.metadata.version))
        });
        Ok(all)
    }

    /// A plugin by name, `name@version` or digest.
    pub(crate) async fn resolve(&self, reference: &str) -> Result<PluginInfo> {
        if let Ok(digest) = reference.parse::<Digest>() {
            return self.by_digest(digest).await.map(Arc::unwrap_or_clone);
        }
        let (name, version) = match reference.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (reference, None),
        };
        let mut other = None;
        if let Some((digest, built_in)) = BUILT_IN.iter().find(|(_, built_in)| built_in.name == name) {
            let info = self.built_in(*digest, built_in).await?;
            if version.is_none_or(|version| version == info.metadata.version) {
                return Ok(Arc::unwrap_or_clone(info));
            }
            other = Some(info.metadata.version.clone());
        }
        let records = self.store.plugins().await.map_err(|error| store_error("failed to list the plugins", error))?;
        // The store lists the newest first.
        match records
            .iter()
            .find(|record| record.name == name && version.is_none_or(|version| version == record.version))
        {
            Some(record) => info_of(record),
            None => {
                let named = records.iter().find(|record| record.name == name).map(|record| record.version.clone());
                let hint = match other.or(named) {
                    Some(version) => format!("there is `{name}@{version}`; `pigeon plugins list` names all"),
                    None => {
                        let built_in = pigeon_plugins::BUILT_IN.iter().map(|built_in| built_in.name);
                        suggestion(name, built_in.chain(records.iter().map(|record| &*record.name)))
                    }
                };
                Err(ApiError::new(ErrorKind::NotFound, format!("there is no validator named {reference:?}")).hint(hint))
            }
        }
    }

    /// What is known of the plugin with this digest.
    pub(crate) async fn by_digest(&self, digest: Digest) -> Result<Arc<PluginInfo>> {
        if let Some(info) = self.known().get(&digest) {
            return Ok(info.clone());
        }
        if let Some(record) = self.record(digest).await? {
            return info_of(&record).map(Arc::new);
        }
        // Whoever knows it from another process of this program need not have named it to this one.
        match built_in(digest) {
            Some(built_in) => self.built_in(digest, built_in).await,
            None => Err(ApiError::new(ErrorKind::NotFound, format!("there is no plugin {digest}"))),
        }
    }

    /// How many are listed.
    pub(crate) async fn count(&self) -> Result<u64> {
        let listed = self.store.plugins().await.map_err(|error| store_error("failed to list the plugins", error))?;
        let others = listed.iter().filter(|record| built_in(record.digest).is_none()).count();
        Ok((BUILT_IN.len() + others) as u64)
    }

    /// Find out what a component is, and make it known to jobs by its digest; by its name as well, if it is to be listed.
    pub(crate) async fn publish(&self, component: Bytes, listed: bool) -> Result<PluginInfo> {
        let info = self.inspect(Digest::of(&component), component.clone(), false).await?;
        self.keep(&info, component, listed).await?;
        Ok(Arc::unwrap_or_clone(info))
    }

    /// See to it that the store holds the plugin, signed with our key, so that a job can be pinned to it.
    pub(crate) async fn pin(&self, digest: Digest) -> Result<Arc<PluginInfo>> {
        let info = self.by_digest(digest).await?;
        if self.held().get(&digest).is_some_and(|seen| seen.elapsed() < HELD) {
            return Ok(info);
        }
        match self.record(digest).await? {
            Some(record) if self.is_ours(&record) => {}
            _ => {
                let component = self.component(digest).await?;
                self.keep(&info, component, false).await?;
            }
        }
        if built_in(digest).is_some() {
            self.held().insert(digest, Instant::now());
        }
        Ok(info)
    }

    /// What an agent needs to run it.
    pub(crate) async fn answer(&self, digest: Digest) -> Result<(SignedManifest, Bytes)> {
        // Nothing is written: the job that asks has been pinned to it.
        let info = self.by_digest(digest).await?;
        Ok((self.sign(&info), self.component(digest).await?))
    }

    async fn built_in(&self, digest: Digest, built_in: &BuiltIn) -> Result<Arc<PluginInfo>> {
        self.inspect(digest, Bytes::from_static(built_in.component), true).await
    }

    async fn inspect(&self, digest: Digest, component: Bytes, built_in: bool) -> Result<Arc<PluginInfo>> {
        if let Some(info) = self.known().get(&digest) {
            return Ok(info.clone());
        }
        let size = component.len() as u64;
        let Inspected { kind, metadata, imports, powers } = self.inspector.inspect(component).await?;
        let info = Arc::new(PluginInfo { digest, kind, built_in, size, metadata, imports, powers });
        self.known().insert(digest, info.clone());
        Ok(info)
    }

    async fn record(&self, digest: Digest) -> Result<Option<PluginRecord>> {
        self.store
            .plugin(digest)
            .await
            .map_err(|error| store_error(format!("failed to look up plugin {digest}"), error))
    }

    async fn component(&self, digest: Digest) -> Result<Bytes> {
        if let Some(built_in) = built_in(digest) {
            return Ok(Bytes::from_static(built_in.component));
        }
        self.store
            .component(digest)
            .await
            .map_err(|error| store_error(format!("failed to read plugin {digest}"), error))?
            .ok_or_else(|| ApiError::new(ErrorKind::NotFound, format!("there is no plugin {digest}")))
    }

    async fn keep(&self, info: &Arc<PluginInfo>, component: Bytes, listed: bool) -> Result<()> {
        let record = PluginRecord {
            digest: info.digest,
            name: info.metadata.name.clone(),
            version: info.metadata.version.clone(),
            manifest: self.sign(info).encode_to_vec().into(),
            // Once listed, it stays so. A component that came with a job is there for its jobs alone.
            listed,
            published_ms: clock::now_ms(),
        };
        self.known().insert(info.digest, info.clone());
        let attempted = || format!("failed to store plugin {} {}", info.metadata.name, info.metadata.version);
        self.store.put_plugin(record, component).await.map_err(|error| store_error(attempted(), error))
    }

    fn sign(&self, info: &PluginInfo) -> SignedManifest {
        let kind = match info.kind {
            PluginKind::Validator => Kind::Validator,
            PluginKind::BatchValidator => Kind::BatchValidator,
        };
        let manifest = Manifest {
            digest: info.digest.as_bytes().to_vec(),
            name: info.metadata.name.clone(),
            version: info.metadata.version.clone(),
            kind: kind.into(),
            // Serialising our own plain types cannot fail; were it to, the manifest would say nothing of the plugin.
            metadata: serde_json::to_string(info).unwrap_or_default(),
            powers: info.powers.clone(),
            grants: Vec::new(),
            size: info.size,
        };
        SignedManifest::sign(&manifest, &self.key)
    }

    fn is_ours(&self, record: &PluginRecord) -> bool {
        SignedManifest::decode(record.manifest.clone())
            .is_ok_and(|signed| signed.public_key == self.key.public_key().as_ref())
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Digest, Arc<PluginInfo>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Digest, Instant>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question for whoever said a name that nobody has, if others are close to it: the closest first.
pub(crate) fn did_you_mean(name: &str, names: &BTreeSet<&str>) -> Option<String> {
    let lower = name.to_lowercase();
    let like = names.iter().map(|other| (strsim::jaro_winkler(&lower, &other.to_lowercase()), *other));
    let mut close: Vec<(f64, &str)> = like.filter(|(score, _)| *score > 0.7).collect();
    close.sort_by(|one, other| other.0.total_cmp(&one.0));
    close.truncate(MOST_CLOSE);
    let close: Vec<_> = close.iter().map(|(_, name)| format!("`{name}`")).collect();
    (!close.is_empty()).then(|| format!("did you mean {}?", close.join(" or ")))
}

/// What to do about a name that nobody has.
fn suggestion<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let names: BTreeSet<_> = names.into_iter().collect();
    if let Some(meant) = did_you_mean(name, &names) {
        return format!("{meant} `pigeon plugins list` names all");
    }
    let more = if names.len() > MOST_NAMED { ", ..." } else { "" };
    let named: Vec<_> = names.into_iter().take(MOST_NAMED).collect();
    format!("there are {}{more}; `pigeon process` takes the path of a component as well", named.join(", "))
}

/// What a stored manifest says of its plugin. The state directory is as trustworthy as this process.
fn info_of(record: &PluginRecord) -> Result<PluginInfo> {
    let damaged =
        || ApiError::new(ErrorKind::Internal, format!("the manifest of plugin {} cannot be read", record.digest));
    let signed = SignedManifest::decode(record.manifest.clone()).map_err(|error| damaged().caused_by(error))?;
    let manifest = Manifest::decode(signed.manifest).map_err(|error| damaged().caused_by(error))?;
    serde_json::from_str(&manifest.metadata).map_err(|error| damaged().caused_by(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_names_are_suggested() {
        let suggested = |name| suggestion(name, vec!["gexpr", "json", "json", "echo"]);
        assert_eq!(suggested("gexp"), "did you mean `gexpr`? `pigeon plugins list` names all");
        assert_eq!(suggested("JSON"), "did you mean `json`? `pigeon plugins list` names all");
        assert_eq!(
            suggested("qqq"),
            "there are echo, gexpr, json; `pigeon process` takes the path of a component as well"
        );
        let many: Vec<String> = (0..20).map(|number| format!("{number:02}")).collect();
        assert!(suggestion("qqq", many.iter().map(String::as_str)).starts_with("there are 00, 01, 02,"));
        assert!(suggestion("qqq", many.iter().map(String::as_str)).contains(", 09, ...;"));
    }
}
