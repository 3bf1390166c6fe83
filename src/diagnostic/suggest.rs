//! "Did you mean …?"

/// The candidate closest to `word`: few edits for its length, or one begins with the other.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let other = candidate.to_lowercase();
            let edits = edit_distance(&lower, &other);
            let allowed = (lower.chars().count().max(other.chars().count()) / 3).max(1);
            let begins = lower.len() >= 3
                && other.len() >= 3
                && (other.starts_with(&lower) || lower.starts_with(&other));
            (edits <= allowed || begins).then_some((edits, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// The sentence for [`closest`], if there is one.
pub fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    closest(word, candidates).map(|close| format!("did you mean `{close}`?"))
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from `a` to `b`.
fn edit_distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = last;
        last = row;
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{closest, edit_distance};

    #[test]
    fn close_words_are_found_and_far_ones_are_not() {
        let keys = ["restart-policy", "image", "env", "startup-order"];
        assert_eq!(closest("restart_policy", keys), Some("restart-policy"));
        assert_eq!(closest("imgae", keys), Some("image"));
        assert_eq!(closest("startup", keys), Some("startup-order"));
        assert_eq!(closest("environment", keys), Some("env"));
        assert_eq!(closest("volumes", keys), None);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("ab", "ba"), 1);
    }
}
