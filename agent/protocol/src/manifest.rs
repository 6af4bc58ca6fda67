//! What is signed of a plugin.

use prost::{Enumeration, Message};

/// A plugin's manifest. Its encoded bytes are what the publisher's Ed25519 key signs, so they are kept and passed on as
/// they came, never encoded anew.
#[derive(Clone, PartialEq, Message)]
pub struct Manifest {
    /// SHA-256 of the component, 32 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub digest: Vec<u8>,
    /// Name, as in the plugin's own metadata.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Semantic version.
    #[prost(string, tag = "3")]
    pub version: String,
    /// What kind of plugin.
    #[prost(enumeration = "Kind", tag = "4")]
    pub kind: i32,
    /// The plugin's metadata as JSON: what `pigeon plugins show -o json` prints.
    #[prost(string, tag = "5")]
    pub metadata: String,
    /// Powers that the component imports: `llm`.
    #[prost(string, repeated, tag = "6")]
    pub powers: Vec<String>,
    /// The most that a job may be granted, by power: `llm=codellama:7b`.
    #[prost(string, repeated, tag = "7")]
    pub grants: Vec<String>,
    /// Size of the component, in bytes.
    #[prost(uint64, tag = "8")]
    pub size: u64,
}

/// The kinds of plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum Kind {
    /// A kind that this version does not know.
    Unknown = 0,
    /// Judges one item at a time.
    Validator = 1,
    /// Judges several together.
    BatchValidator = 2,
}

/// A manifest with the signature that makes it believable.
#[derive(Clone, PartialEq, Message)]
pub struct SignedManifest {
    /// The encoded [`Manifest`].
    #[prost(bytes = "bytes", tag = "1")]
    pub manifest: bytes::Bytes,
    /// Ed25519 signature over exactly those bytes, 64 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub signature: Vec<u8>,
    /// The public key that made it, 32 bytes. Whether it is trusted is for the reader to know.
    #[prost(bytes = "vec", tag = "3")]
    pub public_key: Vec<u8>,
}

/// Why a manifest is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The key that signed it is not among those trusted.
    #[error("the plugin is signed with a key that is not trusted here")]
    UntrustedKey,
    /// The signature is not that key's over these bytes.
    #[error("the plugin's signature does not match its manifest")]
    BadSignature,
    /// The bytes are no manifest.
    #[error("the plugin's manifest cannot be read")]
    Unreadable,
}

impl SignedManifest {
    /// Sign a manifest.
    pub fn sign(manifest: &Manifest, key: &ring::signature::Ed25519KeyPair) -> Self {
        use ring::signature::KeyPair as _;
        let manifest = manifest.encode_to_vec();
        let signature = key.sign(&manifest).as_ref().to_vec();
        Self { manifest: manifest.into(), signature, public_key: key.public_key().as_ref().to_vec() }
    }

    /// The manifest, if one of `trusted` (Ed25519 public keys of 32 bytes) signed it.
    pub fn verify<'a>(&self, trusted: impl IntoIterator<Item = &'a [u8]>) -> Result<Manifest, ManifestError> {
        if !trusted.into_iter().any(|key| key == self.public_key) {
            return Err(ManifestError::UntrustedKey);
        }
        ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, &self.public_key)
            .verify(&self.manifest, &self.signature)
            .map_err(|_| ManifestError::BadSignature)?;
        Manifest::decode(self.manifest.clone()).map_err(|_| ManifestError::Unreadable)
    }
}
