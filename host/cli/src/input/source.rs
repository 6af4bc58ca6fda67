//! What was given with `-f`, and the files in it, in order.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::MetadataExt as _,
    },
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    error::InputError,
    split::{Split, SplitRule},
};

/// How standard input is named, as a file and as an item.
pub(crate) const STDIN: &str = "-";

/// All that was given, with how it is split. Kept with the job, so that it can be resumed from any folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inputs {
    pub(crate) roots: Vec<Root>,
    pub(crate) rule: SplitRule,
    /// Size that no item may exceed, in bytes.
    pub(crate) max_item: u64,
}

/// One of the things given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Root {
    /// As it was given; bytes that are no text are replaced.
    pub(crate) given: String,
    pub(crate) kind: RootKind,
    /// Where it is, from the root of the file system on.
    #[serde(with = "path_bytes")]
    path: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RootKind {
    File,
    Folder,
    /// A pipe or a device: read once, and checked as it comes.
    Stream,
    /// The same, ours already.
    Stdin,
}

impl RootKind {
    pub(crate) fn is_stream(self) -> bool {
        matches!(self, RootKind::Stream | RootKind::Stdin)
    }
}

impl Root {
    /// Size of a file, in bytes.
    pub(crate) fn size(&self) -> Result<u64, InputError> {
        Ok(fs::metadata(&self.path).map_err(|source| read_error(&self.given, source))?.len())
    }
}

/// By what a file or folder is known again: of each file path, size, time of change and inode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RootIdentity {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    digest: String,
}

impl Inputs {
    /// Look at what was given.
    ///
    /// # Errors
    /// If something is missing, or is a stream that was given before or whose split is not known.
    pub(crate) fn new(given: &[PathBuf], rule: SplitRule, max_item: u64) -> Result<Self, InputError> {
        let mut roots: Vec<Root> = Vec::with_capacity(given.len());
        for path in given {
            let name = path.to_string_lossy().into_owned();
            let root = if name == STDIN {
                if rule.for_stream().is_none() {
                    return Err(InputError::StreamNeedsSplit);
                }
                Root { given: name, kind: RootKind::Stdin, path: path.clone() }
            } else {
                let metadata = fs::metadata(path).map_err(|source| read_error(&name, source))?;
                let kind = if metadata.is_dir() {
                    RootKind::Folder
                } else if metadata.is_file() {
                    RootKind::File
                } else {
                    RootKind::Stream
                };
                let path = std::path::absolute(path).map_err(|source| read_error(&name, source))?;
                Root { given: name, kind, path }
            };
            if root.kind.is_stream() && roots.iter().any(|other| other.path == root.path) {
                return Err(InputError::StreamTwice { given: root.given });
            }
            roots.push(root);
        }
        Ok(Self { roots, rule, max_item })
    }

    /// All that was given, for messages.
    pub(crate) fn names(&self) -> String {
        let names: Vec<_> = self.roots.iter().map(|root| root.given.as_str()).collect();
        names.join(", ")
    }

    /// Which of the things given a file at `path` is, or would be a part of.
    pub(crate) fn holding(&self, path: &Path) -> Option<&str> {
        let there = fs::metadata(path).ok().map(|metadata| Id::of(&metadata));
        let within = |folder: &Path| {
            let folder = fs::canonicalize(folder).ok()?;
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let path = fs::canonicalize(parent).ok()?.join(path.file_name()?);
            let mut names = path.strip_prefix(folder).ok()?.iter();
            Some(names.all(|name| !name.as_bytes().starts_with(b".")))
        };
        let holds = |root: &&Root| match root.kind {
            RootKind::File => there.is_some() && fs::metadata(&root.path).ok().map(|found| Id::of(&found)) == there,
            RootKind::Folder => within(&root.path) == Some(true),
            RootKind::Stream | RootKind::Stdin => false,
        };
        self.roots.iter().find(holds).map(|root| root.given.as_str())
    }

    /// Whether something can be read only once.
    pub(crate) fn has_stream(&self) -> bool {
        self.roots.iter().any(|root| root.kind.is_stream())
    }

    /// By what one of the things given is known now, without reading it. Nothing for a stream.
    pub(crate) fn identify(&self, root: usize) -> Result<Option<RootIdentity>, InputError> {
        let alone = Inputs { roots: self.roots.get(root).cloned().into_iter().collect(), ..*self };
        let mut walk = Walk::new(&alone, Vec::new());
        while walk.next(&alone)?.is_some() {}
        Ok(walk.identities.pop().flatten())
    }
}

/// A file to read.
#[derive(Debug)]
pub(crate) struct SourceFile {
    pub(crate) root: usize,
    /// Its number within the root, from 0.
    pub(crate) number: u64,
    /// How people know it: what items' ids begin with.
    pub(crate) given: String,
    pub(crate) path: PathBuf,
    pub(crate) kind: RootKind,
    pub(crate) split: Split,
    /// Size when it was looked at, in bytes.
    pub(crate) size: u64,
}

/// Names all files in order, and remembers of each root by what it is known again.
///
/// A folder's files come in the byte order of their paths. Hidden files and folders are left out. Links to files
/// and folders are followed, unless they lead back to a folder that they stand in.
pub(crate) struct Walk {
    /// Which of the things given are left out.
    skipped: Vec<bool>,
    root: usize,
    number: u64,
    /// The folders that we are in: what is left of each, last first.
    folders: Vec<Folder>,
    entered: bool,
    seen: Seen,
    /// Of the roots that are done with.
    pub(crate) identities: Vec<Option<RootIdentity>>,
}

/// What a file or folder is, whatever it is called: device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Id(u64, u64);

impl Id {
    fn of(metadata: &fs::Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }
}

struct Folder {
    id: Id,
    path: PathBuf,
    given: String,
    /// Names; those of folders end with a slash, which is what their files' paths go on with.
    names: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Seen {
    files: u64,
    bytes: u64,
    hash: Sha256,
}

impl Walk {
    /// `skipped` says of each root whether it is left out: it need not even be there.
    pub(crate) fn new(inputs: &Inputs, skipped: Vec<bool>) -> Self {
        Self {
            skipped,
            root: 0,
            number: 0,
            folders: Vec::new(),
            entered: false,
            seen: Seen::default(),
            identities: Vec::with_capacity(inputs.roots.len()),
        }
    }

    /// The next file.
    pub(crate) fn next(&mut self, inputs: &Inputs) -> Result<Option<SourceFile>, InputError> {
        loop {
            let Some(root) = inputs.roots.get(self.root) else { return Ok(None) };
            if self.skipped.get(self.root).is_some_and(|skipped| *skipped) {
                self.identities.push(None);
                self.root += 1;
                continue;
            }
            if !self.entered {
                self.entered = true;
                match root.kind {
                    RootKind::Folder => {
                        let given = root.given.trim_end_matches('/');
                        self.folders.push(Folder::read(root.path.clone(), format!("{given}/"))?);
                    }
                    RootKind::File => {
                        let metadata = fs::metadata(&root.path).map_err(|source| read_error(&root.given, source))?;
                        let split = inputs.rule.for_path(&root.path);
                        return Ok(Some(self.found(
                            root.given.clone(),
                            root.path.clone(),
                            root.kind,
                            split,
                            &metadata,
                        )));
                    }
                    RootKind::Stream | RootKind::Stdin => {
                        let split = inputs.rule.for_stream().unwrap_or_else(|| inputs.rule.for_path(&root.path));
                        return Ok(Some(SourceFile {
                            root: self.root,
                            number: 0,
                            given: root.given.clone(),
                            path: root.path.clone(),
                            kind: root.kind,
                            split,
                            size: 0,
                        }));
                    }
                }
            }
            if let Some((path, given)) = self.next_in_folders()? {
                let metadata = fs::metadata(&path).map_err(|source| read_error(&given, source))?;
                if metadata.is_file() {
                    let split = inputs.rule.for_path(&path);
                    return Ok(Some(self.found(given, path, RootKind::Folder, split, &metadata)));
                }
                continue;
            }
            let seen = std::mem::take(&mut self.seen);
            self.identities.push((!root.kind.is_stream()).then(|| seen.identity()));
            self.root += 1;
            self.number = 0;
            self.entered = false;
        }
    }

    /// The next path that is no folder, within the folders that we are in.
    fn next_in_folders(&mut self) -> Result<Option<(PathBuf, String)>, InputError> {
        while let Some(folder) = self.folders.last_mut() {
            let Some(name) = folder.names.pop() else {
                self.folders.pop();
                continue;
            };
            let given = format!("{}{}", folder.given, String::from_utf8_lossy(&name));
            if let Some(name) = name.strip_suffix(b"/") {
                let path = folder.path.join(OsString::from_vec(name.to_vec()));
                let folder = Folder::read(path, given)?;
                if self.folders.iter().all(|other| other.id != folder.id) {
                    self.folders.push(folder);
                }
            } else {
                return Ok(Some((folder.path.join(OsString::from_vec(name)), given)));
            }
        }
        Ok(None)
    }

    fn found(
        &mut self,
        given: String,
        path: PathBuf,
        kind: RootKind,
        split: Split,
        metadata: &fs::Metadata,
    ) -> SourceFile {
        let number = self.number;
        self.number += 1;
        self.seen.add(&path, metadata);
        SourceFile { root: self.root, number, given, path, kind, split, size: metadata.len() }
    }
}

impl Folder {
    fn read(path: PathBuf, given: String) -> Result<Self, InputError> {
        let error = |source| InputError::Read { given: given.clone(), source };
        let id = Id::of(&fs::metadata(&path).map_err(error)?);
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).map_err(error)? {
            let entry = entry.map_err(error)?;
            let mut name = entry.file_name().into_vec();
            if name.starts_with(b".") {
                continue;
            }
            let kind = entry.file_type().map_err(error)?;
            // A link that leads nowhere is told when it is to be read.
            let linked = || fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_dir());
            if kind.is_dir() || kind.is_symlink() && linked() {
                name.push(b'/');
            }
            names.push(name);
        }
        names.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Self { id, path, given, names })
    }
}

impl Seen {
    fn add(&mut self, path: &Path, metadata: &fs::Metadata) {
        self.files += 1;
        self.bytes += metadata.len();
        let path = path.as_os_str().as_bytes();
        self.hash.update((path.len() as u64).to_le_bytes());
        self.hash.update(path);
        for number in [metadata.len(), metadata.ino(), metadata.dev()] {
            self.hash.update(number.to_le_bytes());
        }
        for number in [metadata.mtime(), metadata.mtime_nsec()] {
            self.hash.update(number.to_le_bytes());
        }
    }

    fn identity(self) -> RootIdentity {
        let mut hash = [0; 32];
        hash.copy_from_slice(&self.hash.finalize());
        let digest = pigeon_protocol::id::Digest::from_bytes(hash).to_hex();
        RootIdentity { files: self.files, bytes: self.bytes, digest }
    }
}

pub(crate) fn read_error(given: &str, source: io::Error) -> InputError {
    match source.kind() {
        io::ErrorKind::NotFound => InputError::Missing { given: given.to_owned() },
        _ => InputError::Read { given: given.to_owned(), source },
    }
}

/// Paths are bytes, and JSON has only text: a path that is text is a string, another one is a list of bytes.
mod path_bytes {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Form {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub(super) fn serialize<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        match path.to_str() {
            Some(text) => Form::Text(text.to_owned()),
            None => Form::Bytes(path.as_os_str().as_bytes().to_vec()),
        }
        .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        Ok(match Form::deserialize(deserializer)? {
            Form::Text(text) => PathBuf::from(text),
            Form::Bytes(bytes) => PathBuf::from(OsString::from_vec(bytes)),
        })
    }
}
