//! "Did you mean": the nearest of some known words.

/// The candidate that differs least from `word`, if any is near enough to be a slip: one change for each three characters, and at
/// least one. Of equally near ones the first.
#[must_use]
pub fn closest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word: Vec<char> = word.chars().flat_map(char::to_lowercase).collect();
    let allowed = (word.len() / 3).max(1);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let chars: Vec<char> = candidate.chars().flat_map(char::to_lowercase).collect();
            let near = chars.len().abs_diff(word.len()) <= allowed;
            near.then(|| (distance(&word, &chars), candidate))
        })
        .filter(|(distance, candidate)| *distance <= allowed && candidate.len() > *distance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Least number of insertions, deletions, replacements and swaps of neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = previous[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(previous[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut previous, row);
    }
    previous[b.len()]
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn slips_are_found_and_other_words_are_not() {
        let known = ["rate", "irate", "increase", "histogram_quantile", "ln"];
        let cases = [
            ("rat", Some("rate")),
            ("RATE", Some("rate")),
            ("rtae", Some("rate")),
            ("incraese", Some("increase")),
            ("histogram_quantle", Some("histogram_quantile")),
            ("growth", None),
            ("x", None),
            ("", None),
        ];
        for (word, expected) in cases {
            assert_eq!(closest(word, known), expected, "{word}");
        }
    }
}
