//! `hoist notify test NAME`: whether messages arrive at a webhook.

use super::Global;
use super::exit::{Exit, Failure};
use super::output::print;
use super::run::{block_on, load_config, now};
use crate::config::{Config, Webhook};
use crate::diagnostic::did_you_mean;
use crate::diagnostic::render::visible;
use crate::model::SecretName;
use crate::notices::send_test;

/// Webhooks that are told what people should know
///
/// They stand in `[notify.NAME]` of the control host's hoist.toml; `hoist watch` tells them.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Send one message that says that messages arrive
    Test {
        /// The webhook, as hoist.toml calls it
        #[arg(value_name = "NAME")]
        name: String,
    },
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let What::Test { name } = &arguments.what;
    let config = load_config(global)?;
    let webhook = webhook(&config, name)?;
    let answer = block_on(send_test(webhook, now()))?.map_err(|error| {
        Failure::new(format!("{}: {}", webhook.name, visible(&error.words)))
            .help(format!("`[notify.{}]` in hoist.toml says where it is", webhook.name))
    })?;
    print(&format!("{}: took a test message (it answers {})\n", webhook.name, answer.status));
    Ok(Exit::Done)
}

fn webhook<'c>(config: &'c Config, name: &str) -> Result<&'c Webhook, Failure> {
    config.webhooks.get(name).ok_or_else(|| {
        let names = || config.webhooks.keys().map(SecretName::as_str);
        let help = did_you_mean(name, names()).unwrap_or_else(|| match config.webhooks.len() {
            0 => "hoist.toml has no `[notify.NAME]`; --config says which hoist.toml".to_owned(),
            _ => format!("known here: {}", names().collect::<Vec<_>>().join(", ")),
        });
        Failure::new(format!("hoist.toml has no webhook `{}`", visible(name))).help(help)
    })
}
