//! Lists that come in pages.

use crate::exit::Failed;

/// At most `most` of what `ask` gives, in as many pages of `size` as it takes, and whether there is more. It is asked for so
/// many behind the one that came last, and gives fewer only at the end.
///
/// # Errors
/// Those of `ask`.
pub(crate) async fn paged<T>(
    most: usize,
    size: usize,
    mut ask: impl AsyncFnMut(Option<&T>, usize) -> Result<Vec<T>, Failed>,
) -> Result<(Vec<T>, bool), Failed> {
    let mut all = Vec::new();
    loop {
        // One more than is wanted tells whether there are more.
        let wanted = most.saturating_add(1).saturating_sub(all.len()).min(size);
        let some = ask(all.last(), wanted).await?;
        let over = some.len() < wanted;
        all.extend(some);
        if over || all.len() > most {
            let more = all.len() > most;
            all.truncate(most);
            return Ok((all, more));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn there_is_more_only_if_there_is() {
        for (most, expected) in [(1, true), (6, true), (7, false), (8, false), (usize::MAX, false)] {
            let ask = async |last: Option<&u32>, wanted: usize| {
                let first = last.map_or(0, |last| last + 1);
                Ok((first..7).take(wanted).collect())
            };
            let (all, more) = paged(most, 3, ask).await.unwrap();
            assert_eq!((all, more), ((0..7).take(most).collect(), expected), "{most}");
        }
    }
}
