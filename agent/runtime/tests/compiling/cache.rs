//! The cache: what comes out of it is what went in, or nothing.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use pigeon_runtime::{CacheConfig, CodeSettings, CompileMode, Compiler};
use tracing::span;

use super::{Place, Test, component, engine, load, no_compiler};

pub(crate) const TESTS: &[Test] = &[
    ("cache::serves_a_later_process", serves_a_later_process),
    ("cache::tells_engines_apart", tells_engines_apart),
    ("cache::throws_away_what_is_broken", throws_away_what_is_broken),
    ("cache::throws_away_what_another_key_signed", throws_away_what_another_key_signed),
    ("cache::throws_away_another_components_code", throws_away_another_components_code),
    ("cache::forgets_what_was_used_longest_ago", forgets_what_was_used_longest_ago),
    ("cache::sweeps_what_dead_processes_left", sweeps_what_dead_processes_left),
    ("cache::is_done_without_where_it_cannot_be", is_done_without_where_it_cannot_be),
    ("cache::keeps_its_files_to_its_user", keeps_its_files_to_its_user),
];

fn serves_a_later_process() {
    let place = Place::new();
    load(&place.compiler(CompileMode::InProcess), &component("seven")).unwrap();
    let loaded = load(&place.compiler(no_compiler()), &component("seven")).unwrap();
    assert!(loaded.get_export_index(None, "seven").is_some());
    load(&place.compiler(no_compiler()), &component("eight")).unwrap_err();
}

fn tells_engines_apart() {
    let place = Place::new();
    load(&place.compiler(CompileMode::InProcess), &component("seven")).unwrap();
    let engine = wasmtime::Engine::new(&CodeSettings { fuel: true }.config()).unwrap();
    let other = |mode| Compiler::new(&engine, CodeSettings { fuel: true }, mode, Some(place.config())).unwrap();
    load(&other(no_compiler()), &component("seven")).unwrap_err();
    load(&other(CompileMode::InProcess), &component("seven")).unwrap();
    assert_eq!(place.entries().len(), 2);
}

fn throws_away_what_is_broken() {
    let place = Place::new();
    let component = component("seven");
    load(&place.compiler(CompileMode::InProcess), &component).unwrap();
    let entry = place.entry(&component);
    let whole = fs::read(&entry).unwrap();
    let middle = whole.len() / 2;
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let broken = [
        Vec::new(),
        whole[..31].to_vec(),
        whole[..32].to_vec(),
        whole[..middle].to_vec(),
        flipped(0),
        flipped(middle),
        flipped(whole.len() - 1),
        [whole.as_slice(), b"x"].concat(),
    ];
    for bytes in broken {
        fs::write(&entry, bytes).unwrap();
        load(&place.compiler(no_compiler()), &component).unwrap_err();
        assert!(!entry.exists(), "it is deleted");
        load(&place.compiler(CompileMode::InProcess), &component).unwrap();
        assert_eq!(fs::read(&entry).unwrap(), whole, "and made anew");
    }
    // Something that cannot even be read as a file.
    fs::remove_file(&entry).unwrap();
    fs::create_dir(&entry).unwrap();
    load(&place.compiler(CompileMode::InProcess), &component).unwrap();
}

fn throws_away_what_another_key_signed() {
    let (place, other) = (Place::new(), Place::new());
    let component = component("seven");
    load(&place.compiler(CompileMode::InProcess), &component).unwrap();
    load(&other.compiler(CompileMode::InProcess), &component).unwrap();
    assert_eq!(place.entry(&component).file_name(), other.entry(&component).file_name());
    fs::copy(other.entry(&component), place.entry(&component)).unwrap();
    load(&place.compiler(no_compiler()), &component).unwrap_err();
}

fn throws_away_another_components_code() {
    let place = Place::new();
    let (seven, eight) = (component("seven"), component("eight"));
    let compiler = place.compiler(CompileMode::InProcess);
    load(&compiler, &seven).unwrap();
    load(&compiler, &eight).unwrap();
    fs::copy(place.entry(&seven), place.entry(&eight)).unwrap();
    load(&place.compiler(no_compiler()), &seven).unwrap();
    load(&place.compiler(no_compiler()), &eight).unwrap_err();
}

fn forgets_what_was_used_longest_ago() {
    let place = Place::new();
    let components: Vec<_> = ["one", "two", "three"].map(component).into();
    load(&place.compiler(CompileMode::InProcess), &components[0]).unwrap();
    let size = fs::metadata(place.entry(&components[0])).unwrap().len();
    let config = CacheConfig { max_bytes: size * 5 / 2, ..place.config() };
    let compiler = Compiler::new(&engine(), CodeSettings::default(), CompileMode::InProcess, Some(config)).unwrap();
    load(&compiler, &components[1]).unwrap();
    // The first is older, but is used again.
    for (component, age) in [(&components[0], 200), (&components[1], 100)] {
        let used = SystemTime::now() - Duration::from_secs(age);
        fs::File::open(place.entry(component)).unwrap().set_modified(used).unwrap();
    }
    load(&compiler, &components[0]).unwrap();
    load(&compiler, &components[2]).unwrap();
    assert_eq!(place.entries().len(), 2);
    load(&place.compiler(no_compiler()), &components[0]).unwrap();
    load(&place.compiler(no_compiler()), &components[1]).unwrap_err();
    load(&place.compiler(no_compiler()), &components[2]).unwrap();

    // One that fits never is not kept, and pushes nothing out.
    let config = CacheConfig { max_bytes: 100, ..place.config() };
    let compiler = Compiler::new(&engine(), CodeSettings::default(), CompileMode::InProcess, Some(config)).unwrap();
    load(&compiler, &components[1]).unwrap();
    assert_eq!(place.entries().len(), 2);
}

fn sweeps_what_dead_processes_left() {
    let place = Place::new();
    fs::create_dir_all(place.dir()).unwrap();
    let (old, new) = (place.dir().join(".old.tmp"), place.dir().join(".new.tmp"));
    fs::write(&old, "x").unwrap();
    fs::write(&new, "x").unwrap();
    let yesterday = SystemTime::now() - Duration::from_secs(86_400);
    fs::File::open(&old).unwrap().set_modified(yesterday).unwrap();
    load(&place.compiler(CompileMode::InProcess), &component("seven")).unwrap();
    assert!(!old.exists() && new.exists());
}

fn is_done_without_where_it_cannot_be() {
    // A file stands where the folder should be; that holds for root too.
    let place = Place::new();
    fs::write(place.dir(), "in the way").unwrap();
    let compiler = place.compiler(CompileMode::InProcess);
    let warnings = Warnings::of(|| {
        for name in ["one", "two", "three"] {
            load(&compiler, &component(name)).unwrap();
        }
    });
    assert!(warnings <= 1, "{warnings} warnings");
    let trouble = compiler.cache_trouble().unwrap();
    assert_eq!(trouble.path, place.dir());
    assert!(trouble.to_string().contains(&place.dir().display().to_string()), "{trouble}");

    // Neither can the key be made.
    let config = CacheConfig::new(place.dir().join("cache"), place.dir().join("config/key"));
    let config = CacheConfig { dir: config.dir.with_file_name("elsewhere"), ..config };
    let key_file = config.key_file.clone();
    let compiler = Compiler::new(&engine(), CodeSettings::default(), CompileMode::InProcess, Some(config)).unwrap();
    load(&compiler, &component("seven")).unwrap();
    assert_eq!(compiler.cache_trouble().unwrap().path, key_file);

    // The folder goes away under a running process.
    let place = Place::new();
    let compiler = place.compiler(CompileMode::InProcess);
    fs::remove_dir_all(place.dir()).unwrap();
    assert!(compiler.cache_trouble().is_none());
    let warnings = Warnings::of(|| {
        load(&compiler, &component("one")).unwrap();
        load(&compiler, &component("two")).unwrap();
    });
    assert_eq!(warnings, 1, "it is said once");
}

fn keeps_its_files_to_its_user() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    load(&place.compiler(CompileMode::InProcess), &component("seven")).unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&place.dir()), 0o700);
    assert_eq!(mode(&place.entry(&component("seven"))), 0o600);
    assert_eq!(mode(&place.key_file()), 0o600);
}

/// Counts warnings of the compile cache, of whichever thread, while some work is done.
struct Warnings;

static WARNED: AtomicUsize = AtomicUsize::new(0);
static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());

impl Warnings {
    fn of(work: impl FnOnce()) -> usize {
        let _alone = ONE_AT_A_TIME.lock().unwrap();
        // Set by the first; the others find it set.
        let _ = tracing::subscriber::set_global_default(Warnings);
        let before = WARNED.load(Ordering::SeqCst);
        work();
        WARNED.load(Ordering::SeqCst) - before
    }
}

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        // Broken entries, which other tests make at the same time, have a field of their own.
        if event.fields().any(|field| field.name() == "path") {
            WARNED.fetch_add(1, Ordering::SeqCst);
        }
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}
