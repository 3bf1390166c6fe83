//! A policy: levels of lints that stand outside the repository, so that a repository can't undo them.
//!
//! Enters: the bytes of a file with `[lints]`. Leaves: its levels, or all that is wrong with it. What they mean
//! beside the repository's own is decided in [`LintLevels`]'s use by `resolve`.

use super::LintLevels;
use super::TreeEntry;
use super::decode::lint_levels;
use super::load::text;
use crate::diagnostic::Diagnostics;

/// Reads a policy; `path` is what messages call it.
///
/// # Errors
/// Everything that is wrong with it.
pub fn decode_policy(path: &str, bytes: &[u8]) -> Result<LintLevels, Diagnostics> {
    let mut found = Diagnostics::new();
    let Some(file) = text(&path.into(), &TreeEntry::of(bytes), &mut found) else {
        return Err(found);
    };
    match lint_levels(&file) {
        Some(levels) if file.errors() == 0 => Ok(levels),
        _ => Err(file.into_diagnostics().sorted()),
    }
}

#[cfg(test)]
mod tests {
    use super::decode_policy;
    use crate::diagnostic::{Code, Level, render};

    #[test]
    fn a_policy_is_levels_and_nothing_else() {
        let levels =
            decode_policy("p.toml", b"[lints]\nshadowed = \"allow\"\nno-target = \"error\"\n");
        let levels = levels.unwrap();
        assert_eq!(levels.get(&Code::Shadowed), Some(&None));
        assert_eq!(levels.get(&Code::NoTarget), Some(&Some(Level::Error)));
        let said = |text: &[u8]| {
            render::all(&decode_policy("p.toml", text).unwrap_err(), |_, s| s.to_owned())
        };
        insta::assert_snapshot!(
            "policy_wrong",
            said(b"name = \"x\"\n[lints]\nno-targt = \"error\"\nshadowed = 1\n")
        );
        insta::assert_snapshot!("policy_misspelt", said(b"[lint]\nno-target = \"error\"\n"));
        insta::assert_snapshot!("policy_empty", said(b""));
    }
}
