//! Reads all files through before a job is accepted.

use super::{
    error::InputError,
    reader::Reader,
    source::{Inputs, RootIdentity, RootKind},
};

/// What the files are found to hold.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Items in files; what streams will bring is not known.
    pub(crate) items: u64,
    /// Blank lines among them.
    pub(crate) blank: u64,
    /// By what each of the things given is known again.
    pub(crate) identities: Vec<Option<RootIdentity>>,
}

/// Read all files through: split them, and check that what is split is UTF-8 and that no item is too large.
///
/// # Errors
/// If something cannot be read or split, or if there is no item and no stream that could bring one.
pub(crate) fn check(inputs: &Inputs) -> Result<Checked, InputError> {
    if let [root] = inputs.roots.as_slice()
        && root.kind == RootKind::File
        && root.size()? == 0
    {
        return Err(InputError::Empty { given: root.given.clone() });
    }
    let mut reader = Reader::of_files(inputs.clone());
    let mut items = 0;
    while reader.next()?.is_some() {
        items += 1;
    }
    let blank = reader.blank();
    if items == 0 && !inputs.has_stream() {
        return Err(InputError::NoItem { given: inputs.names(), blank });
    }
    Ok(Checked { items, blank, identities: reader.into_identities() })
}
