//! "Did you mean": the nearest of some known words.

/// The candidate that differs least from `word`, if it is near enough to be a slip: one change for each three characters, at least one and
/// at most four; or one is a long beginning of the other. Upper and lower case are alike. Of equally near ones the first.
#[must_use]
pub fn closest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let letters: Vec<char> = word.chars().flat_map(char::to_lowercase).collect();
    let allowed = (letters.len() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .map(|candidate| {
            let chars: Vec<char> = candidate.chars().flat_map(char::to_lowercase).collect();
            (distance(&letters, &chars), candidate)
        })
        .filter(|(distance, candidate)| {
            *distance <= allowed && candidate.len() > *distance || begins(word, candidate)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A long name that was cut off, or one with a suffix too many.
fn begins(word: &str, candidate: &str) -> bool {
    word.len() >= 8 && candidate.starts_with(word)
        || candidate.len() >= 8 && word.starts_with(candidate)
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
        let keys = ["for", "keep_firing_for", "expr", "labels", "annotations"];
        let cases = [
            ("exp", Some("expr")),
            ("lables", Some("labels")),
            ("keep_firing", Some("keep_firing_for")),
            ("anotation", Some("annotations")),
            ("four", Some("for")),
            ("colour", None),
        ];
        for (word, expected) in cases {
            assert_eq!(closest(word, keys), expected, "{word}");
        }
    }
}
