//! What changes between two texts, as a unified diff that `patch` and `git apply` take.

/// Lines around a change.
const AROUND: usize = 3;

/// The diff; empty when nothing changes.
pub fn unified(name: &str, old: &str, new: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (lines(old), lines(new));
    let steps = steps(&a, &b);
    let changes: Vec<usize> = (0..steps.len()).filter(|i| steps[*i].0 != ' ').collect();
    let Some(first) = changes.first() else {
        return String::new();
    };
    let mut text = format!("--- a/{name}\n+++ b/{name}\n");
    let (mut start, mut last) = (first.saturating_sub(AROUND), *first);
    let mut hunks = Vec::new();
    for &change in &changes[1..] {
        if change - last > 2 * AROUND {
            hunks.push((start, (last + AROUND + 1).min(steps.len())));
            start = change - AROUND;
        }
        last = change;
    }
    hunks.push((start, (last + AROUND + 1).min(steps.len())));
    for (from, to) in hunks {
        let count = |of: char, steps: &[(char, &str)]| {
            steps.iter().filter(|s| s.0 == ' ' || s.0 == of).count()
        };
        let (before, inside) = (&steps[..from], &steps[from..to]);
        text += &format!(
            "@@ -{},{} +{},{} @@\n",
            count('-', before) + 1,
            count('-', inside),
            count('+', before) + 1,
            count('+', inside)
        );
        for (sign, line) in inside {
            text.push(*sign);
            text += line;
            if !line.ends_with('\n') {
                text += "\n\\ No newline at end of file\n";
            }
        }
    }
    text
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// Every line once, kept (` `), gone (`-`) or new (`+`): by the longest common subsequence between what both begin and end with.
fn steps<'t>(a: &[&'t str], b: &[&'t str]) -> Vec<(char, &'t str)> {
    let begin = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a_rest, b_rest) = (&a[begin..], &b[begin..]);
    let both_ways = a_rest.iter().rev().zip(b_rest.iter().rev());
    let end = both_ways.take_while(|(x, y)| x == y).count();
    let (a_middle, b_middle) = (&a_rest[..a_rest.len() - end], &b_rest[..b_rest.len() - end]);
    let mut steps: Vec<(char, &str)> = a[..begin].iter().map(|line| (' ', *line)).collect();
    // longest[i][j]: of what follows line i of one and line j of the other.
    let (n, m) = (a_middle.len(), b_middle.len());
    let mut longest = vec![vec![0u32; m + 1]; n + 1];
    for i in (0..n).rev() {
        for j in (0..m).rev() {
            longest[i][j] = if a_middle[i] == b_middle[j] {
                longest[i + 1][j + 1] + 1
            } else {
                longest[i + 1][j].max(longest[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < n || j < m {
        if i < n && j < m && a_middle[i] == b_middle[j] {
            steps.push((' ', a_middle[i]));
            (i, j) = (i + 1, j + 1);
        } else if j >= m || i < n && longest[i + 1][j] >= longest[i][j + 1] {
            steps.push(('-', a_middle[i]));
            i += 1;
        } else {
            steps.push(('+', b_middle[j]));
            j += 1;
        }
    }
    steps.extend(a[a.len() - end..].iter().map(|line| (' ', *line)));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diffs_as_diff_u_writes_them() {
        assert_eq!(unified("r", "a\nb\n", "a\nb\n"), "");
        let old: String = (1..=20).map(|i| format!("{i}\n")).collect();
        let new = old
            .replace("\n5\n", "\nfive\n")
            .replace("\n18\n", "\n18\nmore\n");
        assert_eq!(
            unified("r", &old, &new),
            "--- a/r\n+++ b/r\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n\
             @@ -16,5 +16,6 @@\n 16\n 17\n 18\n+more\n 19\n 20\n"
        );
        assert_eq!(
            unified("r", "a\nb", "a\nc"),
            "--- a/r\n+++ b/r\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+c\n\\ No newline at end of file\n"
        );
    }
}
