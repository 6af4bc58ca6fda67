//! Sorting members of objects by the ids of their names, in linear time however many there are.

use crate::names::Name;

/// From this many members on, they are sorted by digits of their names' ids.
const MANY: usize = 512;

/// Sorts members (a name, and where its value is) by name, and keeps the last of each name. Members of one name must
/// stand in the order in which they were met. `room` is scratch.
pub(crate) fn sort_and_keep_last(members: &mut Vec<(Name, u32)>, room: &mut Vec<(Name, u32)>) {
    if members.len() < MANY {
        // Stable: which one was the last must still be seen.
        members.sort_by_key(|(name, _)| *name);
    } else {
        sort_by_digits(members, room);
    }
    let mut kept = 0;
    for index in 0..members.len() {
        let last = members.get(index + 1).is_none_or(|(next, _)| *next != members[index].0);
        if last {
            members[kept] = members[index];
            kept += 1;
        }
    }
    members.truncate(kept);
}

/// A stable counting sort for each byte of the ids, the lowest first.
fn sort_by_digits(members: &mut Vec<(Name, u32)>, room: &mut Vec<(Name, u32)>) {
    let largest = members.iter().map(|(name, _)| *name).max().unwrap_or(0);
    room.clear();
    room.resize(members.len(), (0, 0));
    let mut shift = 0;
    while shift < 32 && largest >> shift > 0 {
        let mut starts = [0usize; 257];
        for (name, _) in members.iter() {
            starts[(name >> shift & 0xFF) as usize + 1] += 1;
        }
        for digit in 1..starts.len() {
            starts[digit] += starts[digit - 1];
        }
        for member in members.iter() {
            let slot = &mut starts[(member.0 >> shift & 0xFF) as usize];
            room[*slot] = *member;
            *slot += 1;
        }
        std::mem::swap(members, room);
        shift += 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn keeps_the_last_of_each_in_order(names in prop::collection::vec(0u32..70_000, 0..1500)) {
            let mut members: Vec<_> = names.into_iter().zip(0..).collect();
            let expected: Vec<_> = members.iter().copied().collect::<BTreeMap<_, _>>().into_iter().collect();
            sort_and_keep_last(&mut members, &mut Vec::new());
            prop_assert_eq!(members, expected);
        }
    }

    #[test]
    fn many_of_one_name() {
        let mut members: Vec<_> = (0..2000).map(|at| (at % 2, at)).collect();
        sort_and_keep_last(&mut members, &mut Vec::new());
        assert_eq!(members, [(0, 1998), (1, 1999)]);
    }
}
