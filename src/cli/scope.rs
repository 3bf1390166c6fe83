//! Which devices an order is about, and the control host's store: what `pause`, `resume`, `pin`, `unpin`, `approve` and
//! `poke` share.

use super::Global;
use super::exit::Failure;
use super::opened::{self, Opened, condition, device, fleet_folder, read_tree};
use super::remembered;
use super::run::state_folder;
use crate::fleet::fleet_name;
use crate::model::{Duration, Timestamp};
use crate::source::Repository;
use crate::store::{Scope, Store, StoreError, fleet_key};
use std::path::Path;

/// Which devices.
#[derive(clap::Args)]
pub(super) struct ScopeArguments {
    /// Only devices that meet this condition, whenever that is asked
    #[arg(long = "where", value_name = "CONDITION")]
    wanted: Option<String>,
    /// All devices
    #[arg(long, conflicts_with = "wanted")]
    all: bool,
}

impl ScopeArguments {
    /// The scope that was typed, `id` being a device that was named; `None` if nothing was.
    pub(super) fn scope(
        &self,
        opened: &Opened,
        id: Option<&str>,
    ) -> Result<Option<Scope>, Failure> {
        match (id, &self.wanted, self.all) {
            (Some(_), Some(_), _) | (Some(_), _, true) => Err(Failure::new(
                "a device, --where and --all are three ways to say which devices: take one",
            )),
            (Some(id), None, false) => {
                Ok(Some(Scope::Device(device(&opened.fleet, id)?.id.clone())))
            }
            (None, Some(text), _) => {
                condition(text)?;
                Ok(Some(Scope::Where(text.clone())))
            }
            (None, None, true) => Ok(Some(Scope::All)),
            (None, None, false) => Ok(None),
        }
    }
}

/// The fleet as it counts on this control host, and its store: what was accepted, whatever lies on top of it.
/// Where its repository can't be read, the fleet that the store knows.
pub(super) fn open(global: &Global, simulate: bool) -> Result<(Opened, Store), Failure> {
    open_by(global, simulate, Store::open)
}

/// The same for who only looks: a store that can't be written is read.
pub(super) fn open_to_look(global: &Global, simulate: bool) -> Result<(Opened, Store), Failure> {
    open_by(global, simulate, Store::open_or_read)
}

/// How a store is opened.
pub(super) type Opener = fn(&Path) -> Result<Store, StoreError>;

fn open_by(global: &Global, simulate: bool, opener: Opener) -> Result<(Opened, Store), Failure> {
    open_readable(global, simulate, opener).or_else(|why| {
        let store = opener(&remembered::place(global, simulate, why)?)?;
        Ok((remembered::fleet_of(global, &store)?, store))
    })
}

fn open_readable(
    global: &Global,
    simulate: bool,
    opener: Opener,
) -> Result<(Opened, Store), Failure> {
    let folder = fleet_folder(global)?;
    let newest = match Repository::open(&folder) {
        Ok(repository) if repository.resolve("HEAD").is_ok() => Some("HEAD"),
        _ => None,
    };
    let (tree, ..) = read_tree(&folder, newest, &|_| {})?;
    let place = match (&global.state, fleet_name(&tree)) {
        (Some(state), _) => Some(state.clone()),
        (None, Some(name)) => Some(Store::default_folder(&name)?).filter(|place| place.exists()),
        (None, None) => None,
    };
    let place = place.map(|place| if simulate { place.join("simulated") } else { place });
    if let Some(store) = place.map(|place| opener(&place)).transpose()?
        && let Some(accepted) = store.fleet_state(fleet_key::ACCEPTED)?
        && let Ok(counts) = opened::open(global, Some(&accepted))
    {
        return Ok((counts, store));
    }
    let opened = opened::open(global, newest)?;
    let store = opener(&state_folder(global, &opened.fleet, simulate)?)?;
    Ok((opened, store))
}

/// Until when something holds that holds for so long.
pub(super) fn until(now: Timestamp, lasts: Option<Duration>) -> Option<Timestamp> {
    let seconds = i64::try_from(lasts?.seconds_up()).unwrap_or(i64::MAX);
    Some(Timestamp { seconds: now.seconds.saturating_add(seconds) })
}

/// A scope in words.
pub(super) fn in_words(scope: &Scope) -> String {
    match scope {
        Scope::All => "all devices".to_owned(),
        Scope::Device(id) => id.to_string(),
        Scope::Where(condition) => format!("devices where {condition}"),
    }
}

/// A time that something is to last or to come back after; none at all is a slip.
pub(super) fn at_least_a_second(text: &str) -> Result<Duration, String> {
    let duration = Duration::parse(text)?;
    if duration.to_std() < std::time::Duration::from_secs(1) {
        return Err("the least is 1s".to_owned());
    }
    Ok(duration)
}
