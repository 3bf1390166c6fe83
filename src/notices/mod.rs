//! What people should know of a fleet, told to webhooks.
//!
//! Enters: the daemon's snapshots, the `[notify]` tables of the control host. Leaves: one message for all that happened
//! for one reason. [`news`](news) compares what was told with what is, and is pure; [`tell`](tell) waits, sends and
//! writes down what was told. There is no queue: a webhook that was away gets what is still true when it is back, so that
//! nothing piles up and nothing waits for it.

mod news;
mod post;
mod roots;
mod tell;
mod told;
mod words;

pub use news::{News, Seen, news};
pub use post::{Answer, PostError, send_test};
pub use tell::tell;
pub use told::Told;
pub use words::{Context, json, slack};

#[cfg(test)]
mod tests;
