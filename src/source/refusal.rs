//! What git says when it can't fetch, as what class of trouble it is and what helps.
//!
//! Enters: the last of what git said. Leaves: a [`RemoteError`] without credentials. Git's words are those of its `C`
//! locale; words that are not known are told as they are.

use super::command::GitFailure;
use super::remote::{RemoteError, RemoteErrorKind, without_credentials};
use crate::diagnostic::render::visible;

/// So much of what git said is told.
const LINES: usize = 4;
const LONGEST_LINE: usize = 300;

/// Why git could not fetch: `address` is what it was given, `shown` the same without credentials.
pub(super) fn refusal(failure: GitFailure, address: &str, shown: &str) -> RemoteError {
    let words = match failure {
        GitFailure::Missing => {
            let words = "git is not installed here (Debian: apt-get install git)";
            return RemoteError::new(RemoteErrorKind::Here, words);
        }
        GitFailure::TooLong(limit) => {
            let words = format!("{shown} did not answer within {} s", limit.as_secs());
            return RemoteError::new(RemoteErrorKind::Unreachable, words);
        }
        GitFailure::Said(words) => words,
    };
    let said = last_lines(&words.replace(address, shown));
    let (kind, what) = class(&words, shown);
    RemoteError::new(kind, format!("{what}: {said}"))
}

fn class(words: &str, shown: &str) -> (RemoteErrorKind, String) {
    let has = |texts: &[&str]| texts.iter().any(|text| words.contains(text));
    if has(&["Another git process seems"]) {
        let what =
            "a git that was killed left its lock, which is taken away after a minute".to_owned();
        return (RemoteErrorKind::Other, what);
    }
    if has(&["Host key verification failed"]) {
        let what = if has(&["REMOTE HOST IDENTIFICATION HAS CHANGED"]) {
            format!(
                "{shown} shows another ssh host key than the one that is known for it: it was set up anew, or is \
                 another machine; compare it before it is put in the place of the one in known_hosts"
            )
        } else {
            format!(
                "{shown} shows an ssh host key that is not known here; compare it, then put it into known_hosts of \
                 the user that runs this"
            )
        };
        return (RemoteErrorKind::LoginRefused, what);
    }
    let login = [
        "Authentication failed",
        "could not read Username",
        "could not read Password",
        "Permission denied (",
        "Permission denied, please try again",
        "terminal prompts disabled",
        "The requested URL returned error: 403",
    ];
    if has(&login) {
        let what = format!(
            "{shown} does not let us in; git's credential helpers or ssh settings of this user decide that"
        );
        return (RemoteErrorKind::LoginRefused, what);
    }
    let nobody = [
        "Could not resolve host",
        "Connection refused",
        "Connection timed out",
        "Failed to connect",
        "Network is unreachable",
        "No route to host",
        "Connection reset",
        "Could not connect",
        "Connection closed",
        "unable to connect",
        "Operation too slow",
        "Operation timed out",
        "not responding",
        "Empty reply from server",
    ];
    if has(&nobody) {
        return (RemoteErrorKind::Unreachable, format!("{shown} is not reached"));
    }
    let is_missing = words.lines().any(|line| {
        line.contains("does not appear to be a git repository")
            || line.to_lowercase().contains("repository") && line.contains("not found")
            || line.contains("repository") && line.contains("does not exist")
    });
    if is_missing {
        return (RemoteErrorKind::NoRepository, format!("there is no repository {shown}"));
    }
    if has(&["fsck error in packed object"]) {
        let what = format!(
            "{shown} sends objects that git finds wrong; if they are old and known, \
             `git config --global fetch.fsck.NAME ignore` lets them through"
        );
        return (RemoteErrorKind::Other, what);
    }
    if has(&["No space left on device"]) {
        return (
            RemoteErrorKind::Here,
            format!("the disk is full: nothing was fetched from {shown}"),
        );
    }
    (RemoteErrorKind::Other, format!("can't fetch from {shown}"))
}

/// The last lines of what git said: its own words come behind those of the server.
fn last_lines(words: &str) -> String {
    const EMPTY: [&str; 3] = [
        "Please make sure you have the correct access rights",
        "and the repository exists.",
        "fatal: Could not read from remote repository.",
    ];
    // ssh's advice on how to forget a key comes before anybody has compared it.
    let is_advice = |line: &str| line == "remove with:" || line.starts_with("ssh-keygen -f ");
    let says_something = |line: &&str| {
        !line.trim_matches('@').is_empty() && !EMPTY.contains(line) && !is_advice(line)
    };
    // Advice that does not fit here.
    let words = words.split("Another git process seems").next().unwrap_or_default();
    // What overwrites itself on a terminal is progress.
    let lines =
        words.lines().filter_map(|line| line.rsplit('\r').find(|part| !part.trim().is_empty()));
    let all: Vec<&str> = lines.map(str::trim).filter(|line| !line.is_empty()).collect();
    let telling: Vec<&str> = all.iter().copied().filter(says_something).collect();
    let lines = if telling.is_empty() { all } else { telling };
    let shown = &lines[lines.len().saturating_sub(LINES)..];
    let short = |line: &&str| {
        let line: String = hide_logins(line).chars().take(LONGEST_LINE).collect();
        visible(&line)
    };
    shown.iter().map(short).collect::<Vec<_>>().join("; ")
}

/// Git may show an address in another form than it was given.
fn hide_logins(line: &str) -> String {
    let hide = |word: &str| match word.split_once("://") {
        Some((_, rest)) if rest.contains('@') => {
            let quote = |c: char| c == '\'' || c == '"';
            let bare = word.trim_matches(quote);
            word.replace(bare, &without_credentials(bare))
        }
        _ => word.to_owned(),
    };
    line.split(' ').map(hide).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(words: &str) -> RemoteError {
        let address = "https://u:pw@git.example/f";
        refusal(GitFailure::Said(words.to_owned()), address, &without_credentials(address))
    }

    #[test]
    fn a_host_key_that_changed_is_told_from_one_that_nobody_knows() {
        let words =
            told("Host key verification failed.\nfatal: Could not read from remote repository.\n")
                .to_string();
        assert!(words.contains("shows an ssh host key that is not known here"), "{words}");
        let said = "@@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n@@@@@\n\
                    Offending ED25519 key in /home/a/.ssh/known_hosts:3\n  remove with:\n  \
                    ssh-keygen -f \"/home/a/.ssh/known_hosts\" -R \"git.example\"\n\
                    Host key for git.example has changed and you have requested strict checking.\n\
                    Host key verification failed.\n";
        let words = told(said).to_string();
        assert!(words.contains("another ssh host key than the one that is known"), "{words}");
        assert!(words.contains("known_hosts:3") && !words.contains("ssh-keygen"), "{words}");
    }

    #[test]
    fn what_git_says_is_a_class_of_trouble_and_bears_no_credentials() {
        use RemoteErrorKind::{Here, LoginRefused, NoRepository, Other, Unreachable};
        for (words, kind) in [
            ("fatal: Authentication failed for 'https://u:pw@git.example/f/'", LoginRefused),
            ("ada@git.example: Permission denied (publickey).", LoginRefused),
            (
                "Host key verification failed.\nfatal: Could not read from remote repository.",
                LoginRefused,
            ),
            ("fatal: unable to access 'x': Could not resolve host: git.example", Unreachable),
            ("fatal: unable to access 'x': Operation too slow. Less than 1 bytes/sec", Unreachable),
            ("ssh: connect to host 127.0.0.1 port 1: Connection refused", Unreachable),
            ("remote: Repository not found.\nfatal: repository 'x' not found", NoRepository),
            ("fatal: '/srv/f' does not appear to be a git repository", NoRepository),
            ("sh: 1: git-upload-pack: not found", Other),
            ("fatal: fsck error in packed object", Other),
            ("fatal: transport 'ext' not allowed", Other),
            ("error: file write error: No space left on device", Here),
        ] {
            let error = told(words);
            assert_eq!(error.kind, kind, "{words}: {error}");
            assert!(!error.message.contains("pw"), "{error}");
        }
    }

    #[test]
    fn gits_own_words_come_last_and_nothing_of_them_moves_a_cursor() {
        let banner = "remote: hello\n".repeat(50);
        let words =
            format!("{banner}remote: \u{1b}[2Jx\nReceiving 1%\rReceiving 9%\rfatal: early EOF\n");
        let message = told(&words).message;
        assert!(message.ends_with("fatal: early EOF"), "{message}");
        assert!(!message.contains('\u{1b}') && !message.contains('\r'), "{message}");
        assert_eq!(
            hide_logins("fatal: unable to access 'https://u:pw@git.example/': no"),
            "fatal: unable to access 'https://git.example/': no"
        );
    }
}
