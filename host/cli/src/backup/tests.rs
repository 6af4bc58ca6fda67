use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn a_file_has_its_name_once_it_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.tar");
    let names = || fs::read_dir(dir.path()).unwrap().count();
    let mut to = To::open(&path, false).unwrap();
    to.write(b"one").unwrap();
    assert!(!path.exists());
    drop(to);
    assert_eq!(names(), 0, "nothing stays of what came to nothing");

    let mut to = To::open(&path, false).unwrap();
    to.write(b"one").unwrap();
    to.keep().unwrap();
    drop(to);
    assert_eq!(fs::read(&path).unwrap(), b"one");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let error = To::open(&path, false).err().unwrap();
    assert_eq!(error.to_string(), format!("{} is there already", path.display()));
    let mut to = To::open(&path, true).unwrap();
    to.write(b"two").unwrap();
    to.keep().unwrap();
    assert_eq!((fs::read(&path).unwrap(), names()), (b"two".to_vec(), 1));
}
