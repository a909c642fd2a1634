//! "did you mean": the nearest of some names.

/// The candidate that is nearest to `name` by edits, when it is near enough to be meant. Of equals, the first.
pub fn suggest<'c>(name: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let limit = (name.chars().count() / 3).clamp(1, 4);
    candidates
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(d, candidate)| *d <= limit || prefix(name, candidate))
        .min_by_key(|(d, _)| *d)
        .map(|(_, candidate)| candidate)
}

/// A long name that was cut off, or one with a suffix too many.
fn prefix(name: &str, candidate: &str) -> bool {
    name.len() >= 8 && candidate.starts_with(name)
        || candidate.len() >= 8 && name.starts_with(candidate)
}

/// Edits from one text to the other, where swapping two neighbours is one edit; upper and lower case are half alike: free.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.to_lowercase().chars().collect();
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = change.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested() {
        let keys = ["for", "keep_firing_for", "expr", "labels", "annotations"];
        let cases = [
            ("exp", Some("expr")),
            ("lables", Some("labels")),
            ("keep_firing", Some("keep_firing_for")),
            ("anotation", Some("annotations")),
            ("four", Some("for")),
            ("colour", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(suggest(name, keys.into_iter()), expected, "{name}");
        }
    }
}
