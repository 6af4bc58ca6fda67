//! Sparklines: how something went over time, in a line.

use super::View;

/// Heights, the least first; the first is for nothing at all.
const UNICODE: [char; 8] =
    ['\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}', '\u{2588}'];
const ASCII: [char; 8] = ['_', '.', ',', ':', '-', '=', '*', '#'];

/// A curve of `values` in at most `width` columns, scaled by the highest. Where there are more values than columns,
/// neighbours are added up. Columns in which `bad` is not zero are painted so.
pub(crate) fn curve(values: &[u64], bad: &[u64], width: usize, view: &View) -> String {
    let each = values.len().div_ceil(width.max(1)).max(1);
    let sums = |values: &[u64]| -> Vec<u64> {
        values
            .rchunks(each)
            .rev()
            .map(|some| some.iter().fold(0, |sum: u64, value| sum.saturating_add(*value)))
            .collect()
    };
    let (sums, bad) = (sums(values), sums(bad));
    let most = sums.iter().copied().max().unwrap_or(0).max(1);
    let heights = if view.unicode { UNICODE } else { ASCII };
    let drawn = |value: u64| match value {
        0 => heights[0],
        // Whatever is there is seen, however little it is.
        value => heights[(value as f64 / most as f64 * 7.0).ceil().clamp(1.0, 7.0) as usize],
    };
    let is_bad = |at: usize| bad.get(at).is_some_and(|count| *count > 0);
    let mut text = String::new();
    let mut at = 0;
    while at < sums.len() {
        let end = (at..sums.len()).find(|next| is_bad(*next) != is_bad(at)).unwrap_or(sums.len());
        let piece: String = sums[at..end].iter().map(|value| drawn(*value)).collect();
        text.push_str(&if is_bad(at) { view.paint.bad(&piece) } else { view.paint.good(&piece) });
        at = end;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{paint::Paint, text::Moment};

    fn view(unicode: bool) -> View {
        View { paint: Paint::PLAIN, width: 80, unicode, moment: Moment::utc(0), flags: String::new() }
    }

    #[test]
    fn heights_follow_the_values() {
        let values = [0, 1, 50, 100, 200, 700];
        assert_eq!(curve(&values, &[], 10, &view(true)), "\u{2581}\u{2582}\u{2582}\u{2582}\u{2583}\u{2588}");
        assert_eq!(curve(&values, &[], 10, &view(false)), "_...,#");
        assert_eq!(curve(&[], &[], 10, &view(true)), "");
        assert_eq!(curve(&[0, 0], &[], 10, &view(false)), "__");
        assert_eq!(curve(&[u64::MAX, u64::MAX], &[], 1, &view(false)), "#");
    }

    #[test]
    fn neighbours_are_added_up_where_there_is_no_room() {
        let values: Vec<u64> = (0..100).collect();
        for width in [1, 7, 50, 99] {
            let drawn = curve(&values, &values, width, &view(true));
            assert!((1..=width).contains(&drawn.chars().count()), "{width}: {drawn}");
        }
        // The newest stretch is whole, the oldest may be short.
        assert_eq!(curve(&[9, 0, 0, 1, 1], &[], 3, &view(false)), "#_,");
    }

    #[test]
    fn what_went_wrong_has_another_colour() {
        let paint = Paint::for_stream(crate::paint::Colours::Always, &std::io::stdout());
        let drawn = curve(&[1, 1, 1], &[0, 1, 0], 10, &View { paint, ..view(false) });
        assert_eq!(anstream::adapter::strip_str(&drawn).to_string(), "###");
        assert_eq!(drawn, format!("{}{}{}", paint.good("#"), paint.bad("#"), paint.good("#")));
    }
}
