//! Seeds: where a run's randomness comes from. Pure.

/// The seed of a run, from the job's seed, the item's place in the job (from 0), the worker place and the iteration.
///
/// Each part is mixed in by a step of SplitMix64's finaliser, so that neighbours in any of the four share nothing that
/// one can see. The numbers are part of what `--seed` promises: they never change.
pub fn run_seed(job_seed: u64, item: u64, place: u32, iteration: u32) -> u64 {
    let execution = (u64::from(place) << 32) | u64::from(iteration);
    mix(mix(mix(job_seed).wrapping_add(item)).wrapping_add(execution))
}

/// SplitMix64: one step of the sequence and its finaliser (Steele, Lea and Flood 2014).
fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn seeds_are_pinned() {
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(run_seed(1, 0, 0, 0), run_seed(1, 0, 0, 0));
    }

    #[test]
    fn every_part_counts() {
        let mut seeds = HashSet::new();
        for job in 0..4 {
            for item in 0..8 {
                for place in 0..8 {
                    for iteration in 0..8 {
                        assert!(seeds.insert(run_seed(job, item, place, iteration)));
                    }
                }
            }
        }
    }
}
