//! Exit codes, in one table, and errors with what a user can do about them.

use crate::source::SourceError;
use crate::store::StoreError;
use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// 0: nothing to do, done, valid.
    Done,
    /// 1: wrong input or usage, or the command could not do its job.
    Wrong,
    /// 2: there are changes.
    Changes,
    /// 3: there are changes that need consent.
    Consent,
    /// 4: done where reachable, some devices are pending.
    Pending,
    /// 5: some devices failed or are blocked.
    Failed,
}

impl Exit {
    /// Its number.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Wrong => 1,
            Self::Changes => 2,
            Self::Consent => 3,
            Self::Pending => 4,
            Self::Failed => 5,
        }
    }

    /// Where several hold: 1, then 3, then 5, then 4, then 2.
    pub(super) fn or(self, other: Self) -> Self {
        let weight = |exit| match exit {
            Self::Wrong => 5,
            Self::Consent => 4,
            Self::Failed => 3,
            Self::Pending => 2,
            Self::Changes => 1,
            Self::Done => 0,
        };
        if weight(other) > weight(self) { other } else { self }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Why a command could not do its job, in words, and what helps.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Failure {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        let help = error.command().map(|command| format!("run `{command}`")).or_else(|| match &error {
            SourceError::NoFleet { .. } => {
                Some("go to the folder with `fleet.toml`, name it with -C, or begin one with `hoist init`".to_owned())
            }
            _ => None,
        });
        Self { message: with_cause(&error), help }
    }
}

/// What went wrong, and what the system says of it.
pub(super) fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let help = match &error {
            StoreError::ReadOnly { .. } => {
                Some("this user may not write there, or the file system is read-only".to_owned())
            }
            StoreError::Unsettled { .. } => Some(
                "make the disk writable again, or look at a copy of the folder elsewhere with `--state COPY`"
                    .to_owned(),
            ),
            StoreError::Full { .. } => Some(
                "with room again the same does what is left; what was begun is looked at first"
                    .to_owned(),
            ),
            _ => None,
        };
        Self { message: with_cause(&error), help }
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn the_graver_code_wins() {
        let order =
            [Exit::Done, Exit::Changes, Exit::Pending, Exit::Failed, Exit::Consent, Exit::Wrong];
        for (i, lighter) in order.iter().enumerate() {
            for graver in &order[i..] {
                assert_eq!(lighter.or(*graver), *graver);
                assert_eq!(graver.or(*lighter), *graver);
            }
        }
    }
}
