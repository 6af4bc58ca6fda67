use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[test]
fn ten_million_scattered_runs_take_little_over_a_megabyte() {
    let mut set = RunSet::new();
    for run in (0..10_000_000).step_by(2) {
        assert!(set.insert(RunIndex(run)));
    }
    assert_eq!(set.len(), 5_000_000);
    assert!(set.heap_bytes() < 1_400_000, "{} bytes", set.heap_bytes());
    set.insert_range(0..10_000_000);
    assert_eq!(set.len(), 10_000_000);
    assert!(set.heap_bytes() < 100_000, "{} bytes", set.heap_bytes());
    assert!(set.ranges().eq(std::iter::once(0..10_000_000)));
}

#[test]
fn a_run_far_out_is_found_without_its_neighbours() {
    let mut set = RunSet::new();
    assert!(set.insert(RunIndex(1 << 30)));
    assert_eq!(set.next_from(RunIndex(0)), Some(RunIndex(1 << 30)));
    assert_eq!(set.first_missing_from(RunIndex(1 << 30)), RunIndex((1 << 30) + 1));
    assert!(set.remove(RunIndex(1 << 30)));
    assert!(!set.remove(RunIndex(1 << 30)));
    assert_eq!(set.next_from(RunIndex(0)), None);
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u64, u64),
    Remove(u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let range = || (0u64..20_000, prop_oneof![Just(1u64), 0u64..300, 4_000u64..9_000]);
    prop_oneof![
        3 => range().prop_map(|(first, count)| Step::Insert(first, first + count)),
        2 => range().prop_map(|(first, count)| Step::Remove(first, first + count)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn it_is_a_set(steps in prop::collection::vec(step(), 1..40), probes in prop::collection::vec(0u64..30_000, 20)) {
        let (mut set, mut model) = (RunSet::new(), BTreeSet::new());
        for step in steps {
            match step {
                Step::Insert(first, end) => {
                    let new = (first..end).filter(|run| model.insert(*run)).count();
                    prop_assert_eq!(set.insert_range(first..end), new as u64);
                }
                Step::Remove(first, end) => {
                    let gone = (first..end).filter(|run| model.remove(run)).count();
                    prop_assert_eq!(set.remove_range(first..end), gone as u64);
                }
            }
            prop_assert_eq!(set.len(), model.len() as u64);
        }
        prop_assert_eq!(set.ranges().flatten().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
        for probe in probes {
            prop_assert_eq!(set.contains(RunIndex(probe)), model.contains(&probe));
            prop_assert_eq!(set.next_from(RunIndex(probe)).map(|run| run.0), model.range(probe..).next().copied());
            let missing = (probe..).find(|run| !model.contains(run)).unwrap();
            prop_assert_eq!(set.first_missing_from(RunIndex(probe)).0, missing);
            let inside = model.iter().filter(|run| (probe..probe + 5000).contains(*run)).count() as u64;
            prop_assert_eq!(set.count_in(probe..probe + 5000), inside);
        }
        let copy: RunSet = set.ranges().collect();
        prop_assert!(copy == set);
    }
}
