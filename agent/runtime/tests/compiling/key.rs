//! The key file: made once, and trusted only where nobody else could have touched it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Barrier;

use pigeon_runtime::{CacheConfig, CodeSettings, CompileMode, Compiler, KeyError};

use super::{Place, Test, component, engine, load, no_compiler};

pub(crate) const TESTS: &[Test] = &[
    ("key::those_who_race_agree", those_who_race_agree),
    ("key::with_wider_modes_is_refused", with_wider_modes_is_refused),
    ("key::of_another_user_is_refused", of_another_user_is_refused),
    ("key::that_is_no_key_is_refused", that_is_no_key_is_refused),
    ("key::inside_the_cache_is_refused", inside_the_cache_is_refused),
];

fn refusal(place: &Place) -> KeyError {
    match place.try_compiler(CompileMode::InProcess) {
        Ok(_) => panic!("the key was accepted"),
        Err(error) => error,
    }
}

fn those_who_race_agree() {
    for _ in 0..8 {
        let place = Place::new();
        let start = Barrier::new(8);
        std::thread::scope(|scope| {
            for racer in 0..8 {
                let (place, start) = (&place, &start);
                scope.spawn(move || {
                    let engine = engine();
                    start.wait();
                    let config = Some(place.config());
                    let compiler =
                        Compiler::new(&engine, CodeSettings::default(), CompileMode::InProcess, config).unwrap();
                    load(&compiler, &component(&format!("racer{racer}"))).unwrap();
                });
            }
        });
        // Whatever each of them wrote, the key that stands there vouches for it.
        let later = place.compiler(no_compiler());
        for racer in 0..8 {
            load(&later, &component(&format!("racer{racer}"))).unwrap();
        }
        let folder = place.key_file().parent().unwrap().to_owned();
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "nothing is left beside the key");
    }
}

fn with_wider_modes_is_refused() {
    for mode in [0o640, 0o604, 0o660, 0o610, 0o601] {
        let place = Place::new();
        place.compiler(CompileMode::InProcess);
        fs::set_permissions(place.key_file(), fs::Permissions::from_mode(mode)).unwrap();
        let error = refusal(&place);
        assert!(matches!(&error, KeyError::WiderMode { mode: found, .. } if *found == mode), "{error:?}");
        let message = error.to_string();
        assert!(message.contains(&format!("has mode {mode:04o}")) && message.contains("0600"), "{message}");
    }
}

fn of_another_user_is_refused() {
    let place = Place::new();
    place.compiler(CompileMode::InProcess);
    // Only root can give a file away; others have nothing to test here.
    if std::os::unix::fs::chown(place.key_file(), Some(65_534), None).is_err() {
        return;
    }
    let error = refusal(&place);
    assert!(matches!(error, KeyError::OtherOwner { owner: 65_534, .. }), "{error:?}");
    assert!(error.to_string().contains("belongs to user 65534"), "{error}");
}

fn that_is_no_key_is_refused() {
    let place = Place::new();
    place.compiler(CompileMode::InProcess);
    let key = fs::read(place.key_file()).unwrap();
    fs::write(place.key_file(), &key[..16]).unwrap();
    let error = refusal(&place);
    assert!(error.to_string().contains("16 bytes instead of 32"), "{error}");

    let elsewhere = place.key_file().with_file_name("elsewhere");
    fs::write(&elsewhere, key).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(place.key_file()).unwrap();
    symlink(elsewhere, place.key_file()).unwrap();
    let error = refusal(&place);
    assert!(error.to_string().contains("a symbolic link"), "{error}");

    fs::remove_file(place.key_file()).unwrap();
    fs::create_dir(place.key_file()).unwrap();
    let error = refusal(&place);
    assert!(error.to_string().contains("not a regular file"), "{error}");
}

fn inside_the_cache_is_refused() {
    let place = Place::new();
    let config = CacheConfig::new(place.dir(), place.dir().join("key"));
    let refused = Compiler::new(&engine(), CodeSettings::default(), CompileMode::InProcess, Some(config));
    assert!(matches!(refused, Err(KeyError::InsideCache { .. })));
}
