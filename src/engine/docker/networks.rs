//! One network of a name. Engines before 25 make two of one name if two callers ask at the same moment, and then start nothing
//! on it any more.

use super::Docker;
use super::failure::Trouble;
use super::transport::{Exchange, encoded};
use super::wire::{self, ListedNetwork};
use crate::model::label;
use std::time::Duration;

/// For a list, and for one removal.
const QUICK: Duration = Duration::from_secs(30);

/// The name of the network of which there are several, if that is what a refusal says.
pub(super) fn ambiguous(trouble: &Trouble) -> Option<&str> {
    let Trouble::Status { message, .. } = trouble else { return None };
    let (before, _) = message.split_once(" is ambiguous (")?;
    before.rsplit(' ').next()
}

impl Docker {
    /// Removes what there is too much of a network of ours. Whoever else does the same removes the same ones: the newest first,
    /// but none that is in use; the last one stays.
    ///
    /// # Errors
    /// They can't be listed.
    pub(super) async fn settle_networks(&self, name: &str) -> Result<(), Trouble> {
        let filters = serde_json::json!({ "name": [name], "label": [label::FLEET] }).to_string();
        let list = Exchange::get(format!("/networks?filters={}", encoded(&filters)));
        let answer = self.transport.ask(list, QUICK).await?;
        // The engine finds parts of names, too.
        let mut found: Vec<ListedNetwork> = wire::parse::<Vec<ListedNetwork>>(&answer)?;
        found.retain(|network| network.name == name);
        found.sort_by(|a, b| (&b.created, &b.id).cmp(&(&a.created, &a.id)));
        let mut left = found.len();
        for network in found {
            if left < 2 {
                break;
            }
            if self.within(QUICK, self.client.remove_network(&network.id)).await.is_ok() {
                left -= 1;
            }
        }
        Ok(())
    }
}
