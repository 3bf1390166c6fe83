//! Routes as data: the text, and what the layers above need to know of it without reading it again.

use super::duration::Duration;
use super::name::ModuleName;
use crate::diagnostic::Place;
use std::fmt;

/// A rule that carries messages.
#[derive(Debug, Clone)]
pub struct Route {
    /// The route, as written.
    pub text: String,
    /// What the text says about modules. `None` only in a manifest that was made when routes were not read
    /// yet, and whose text would be refused today: what is in force stays in force.
    pub ends: Option<RouteEnds>,
    /// 0 (first) to 9.
    pub priority: Option<u8>,
    /// How long an undelivered message is kept.
    pub time_to_live: Option<Duration>,
    /// Where it stands.
    pub place: Place,
}

/// Where a route's messages come from and where they go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteEnds {
    /// Which messages.
    pub source: RouteSource,
    /// Where the source stands.
    pub source_place: Place,
    /// Who gets them.
    pub sink: RouteSink,
    /// Where the sink stands.
    pub sink_place: Place,
}

/// Which messages a route takes, before its condition is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteSource {
    /// `/*`: all messages, and changes of twins.
    Everything,
    /// `/twinChangeNotifications`.
    TwinChanges,
    /// A source that only a cloud hub has: nothing comes from it on a device.
    Hub(HubEvents),
    /// `/messages/*`: all messages of modules and of devices behind this one.
    Messages,
    /// `/messages/events`: those of devices behind this one.
    DeviceMessages,
    /// `/messages/modules/*`: those of all modules.
    ModuleMessages,
    /// `/messages/modules/M/*`: those of one module, sent to an output or not.
    Module(ModuleName),
    /// `/messages/modules/M/outputs/*`: those that a module sent to any output.
    Outputs(ModuleName),
    /// `/messages/modules/M/outputs/O`.
    Output {
        /// The module.
        module: ModuleName,
        /// Its output.
        output: String,
    },
}

/// Events of a cloud hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HubEvents {
    /// `/deviceLifecycleEvents`.
    DeviceLifecycle,
    /// `/deviceJobLifecycleEvents`.
    DeviceJobLifecycle,
    /// `/deviceConnectionStateEvents`.
    DeviceConnectionState,
    /// `/digitalTwinChangeEvents`.
    DigitalTwinChanges,
}

/// Who gets a route's messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteSink {
    /// `$upstream`.
    Upstream,
    /// `BrokeredEndpoint("/modules/M/inputs/I")`.
    Input {
        /// The module.
        module: ModuleName,
        /// Its input.
        input: String,
    },
}

impl RouteSource {
    /// The module that it names. Names are compared without case there.
    pub fn module(&self) -> Option<&ModuleName> {
        match self {
            Self::Module(module) | Self::Outputs(module) | Self::Output { module, output: _ } => {
                Some(module)
            }
            Self::Everything
            | Self::TwinChanges
            | Self::Hub(_)
            | Self::Messages
            | Self::DeviceMessages
            | Self::ModuleMessages => None,
        }
    }

    /// The output that it names.
    pub fn output(&self) -> Option<&str> {
        match self {
            Self::Output { module: _, output } => Some(output),
            _ => None,
        }
    }
}

impl RouteSink {
    /// The module that it names.
    pub fn module(&self) -> Option<&ModuleName> {
        match self {
            Self::Upstream => None,
            Self::Input { module, input: _ } => Some(module),
        }
    }

    /// The input that it names.
    pub fn input(&self) -> Option<&str> {
        match self {
            Self::Upstream => None,
            Self::Input { module: _, input } => Some(input),
        }
    }
}

impl HubEvents {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::DeviceLifecycle,
        Self::DeviceJobLifecycle,
        Self::DeviceConnectionState,
        Self::DigitalTwinChanges,
    ];

    /// The word for it in a source.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeviceLifecycle => "deviceLifecycleEvents",
            Self::DeviceJobLifecycle => "deviceJobLifecycleEvents",
            Self::DeviceConnectionState => "deviceConnectionStateEvents",
            Self::DigitalTwinChanges => "digitalTwinChangeEvents",
        }
    }
}

impl PartialEq for Route {
    fn eq(&self, other: &Self) -> bool {
        // What a text says depends on nothing but the text.
        let Self { text, ends: _, priority, time_to_live, place: _ } = self;
        (text, priority, time_to_live) == (&other.text, &other.priority, &other.time_to_live)
    }
}

impl fmt::Display for RouteSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("/*"),
            Self::TwinChanges => f.write_str("/twinChangeNotifications"),
            Self::Hub(events) => write!(f, "/{}", events.as_str()),
            Self::Messages => f.write_str("/messages/*"),
            Self::DeviceMessages => f.write_str("/messages/events"),
            Self::ModuleMessages => f.write_str("/messages/modules/*"),
            Self::Module(module) => write!(f, "/messages/modules/{module}/*"),
            Self::Outputs(module) => write!(f, "/messages/modules/{module}/outputs/*"),
            Self::Output { module, output } => {
                write!(f, "/messages/modules/{module}/outputs/{output}")
            }
        }
    }
}

impl fmt::Display for RouteSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream => f.write_str("$upstream"),
            Self::Input { module, input } => {
                write!(f, "BrokeredEndpoint(\"/modules/{module}/inputs/{input}\")")
            }
        }
    }
}
