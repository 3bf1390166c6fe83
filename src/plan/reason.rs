//! Why something is done, in words.

use crate::model::ModuleName;
use std::fmt;

/// Why something is done. Reasons explain; they never decide.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlanReason {
    /// There is no container for it.
    Absent,
    /// Its specification differs from the container's.
    SpecDiffers,
    /// Somebody replaced the container: its image is another one.
    OtherImage {
        /// Seen.
        seen: String,
    },
    /// It bears its labels, and was made otherwise: this differs.
    MadeOtherwise(&'static str),
    /// It is somebody else's container, which a saved plan takes over.
    Adopted {
        /// Its id.
        id: String,
    },
    /// Its image's tag now names another image.
    TagMoved,
    /// It was made when its device had this id, and knows it by that.
    DeviceRenamed(String),
    /// A limit is taken away, which needs a new container.
    LimitLifted,
    /// Restart policy, memory or cpus differ.
    SettingsDiffer,
    /// The twin differs.
    TwinDiffers,
    /// It is not on a network that it should be on.
    NotOnNetwork(String),
    /// It is down and should run.
    Down(String),
    /// It is frozen.
    Paused,
    /// It is unhealthy.
    Unhealthy,
    /// It runs and should not.
    ShouldBeStopped,
    /// It is in no manifest any more.
    NotInManifest,
    /// It makes room for another module.
    MakesRoom(String),
    /// What it made room for failed.
    RoomNotUsed,
    /// A run that was cut off stopped it to make room.
    LeftStopped,
    /// What should take its place can't be made.
    NextNotBegun,
    /// It has another name than it should have.
    Renamed(String),
    /// The module's own container has this name by now, and takes its place again.
    PutBack(String),
    /// A former run was cut off.
    LeftBehind,
    /// Others go when it has come up, and no run has seen that.
    NotSeenUp,
    /// Its time as the previous container is over.
    KeptLongEnough,
    /// The container that is replaced now takes its place as the previous one.
    MakesWay,
    /// It works no longer, and the container before it did.
    GoesBack(String),
    /// They need each other's ports.
    TogetherWith(Vec<ModuleName>),
    /// Its network was removed, and one made since has only the name.
    NetworkRemade(String),
    /// Needed by these modules.
    NeededBy(Vec<ModuleName>),
    /// A day has passed since it was asked which image the tag of these modules names.
    CheckDue(Vec<ModuleName>),
    /// Nothing uses it any more.
    Unused,
}

impl fmt::Display for PlanReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("not there"),
            Self::SpecDiffers => f.write_str("specification differs"),
            Self::OtherImage { seen } => write!(f, "runs another image: {seen}"),
            Self::MadeOtherwise(what) => {
                write!(f, "somebody else made the container that bears its labels: other {what}")
            }
            Self::Adopted { id } => write!(
                f,
                "takes over container {}, which is not Hoist's",
                id.get(..12).unwrap_or(id)
            ),
            Self::TagMoved => f.write_str("its tag now names another image"),
            Self::DeviceRenamed(former) => write!(f, "its device was {former} when it was made"),
            Self::LimitLifted => f.write_str("a limit is taken away"),
            Self::SettingsDiffer => f.write_str("settings differ"),
            Self::TwinDiffers => f.write_str("twin differs"),
            Self::NotOnNetwork(name) => write!(f, "not on network {name}"),
            Self::Down(words) => f.write_str(words),
            Self::Paused => f.write_str("paused"),
            Self::Unhealthy => f.write_str("unhealthy"),
            Self::ShouldBeStopped => f.write_str("should be stopped"),
            Self::NotInManifest => f.write_str("not in the manifest any more"),
            Self::MakesRoom(name) => write!(f, "makes room for {name}"),
            Self::RoomNotUsed => f.write_str("what it made room for failed"),
            Self::LeftStopped => f.write_str("a run that was cut off stopped it to make room"),
            Self::NextNotBegun => f.write_str("its successor can't be made"),
            Self::Renamed(name) => write!(f, "is named {name}"),
            Self::PutBack(name) => {
                write!(f, "its own container, which was renamed to {name}, takes its place again")
            }
            Self::LeftBehind => f.write_str("left behind by a run that was cut off"),
            Self::NotSeenUp => f.write_str("no run has seen it come up yet"),
            Self::KeptLongEnough => f.write_str("kept long enough"),
            Self::MakesWay => f.write_str("the previous container makes way for a newer one"),
            Self::GoesBack(words) => write!(f, "goes back to the previous container: {words}"),
            Self::TogetherWith(names) => {
                let names: Vec<&str> = names.iter().map(ModuleName::as_str).collect();
                write!(f, "together with {}, because of ports", names.join(", "))
            }
            Self::NetworkRemade(name) => {
                write!(f, "network {name} is not the one that it was made on")
            }
            Self::NeededBy(names) => {
                let names: Vec<&str> = names.iter().map(ModuleName::as_str).collect();
                write!(f, "needed by {}", names.join(", "))
            }
            Self::CheckDue(names) => {
                let names: Vec<&str> = names.iter().map(ModuleName::as_str).collect();
                write!(f, "a day has passed since its tag was looked up for {}", names.join(", "))
            }
            Self::Unused => f.write_str("nothing uses it any more"),
        }
    }
}
