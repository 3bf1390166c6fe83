//! The names of all problems, and how grave each is unless `[lints]` says otherwise.

use std::fmt;

/// How grave a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Suspicious; the revision is used.
    Warn,
    /// Wrong; the revision is never used.
    Error,
}

impl Level {
    /// `warn` or `error`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $kind:ident;)*) => {
        /// The stable name of a problem.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in kebab-case.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)* }
            }
        }
    };
}

enum Kind {
    /// Always an error; `[lints]` can't change it.
    Refused,
    /// A lint that is an error unless `[lints]` says otherwise.
    LintError,
    /// A lint that is a warning unless `[lints]` says otherwise.
    LintWarn,
}

codes! {
    /// The file is not TOML.
    Syntax = "syntax", Refused;
    /// The file is no text in UTF-8, too large, or no plain file.
    UnreadableFile = "unreadable-file", Refused;
    /// There is no `fleet.toml`.
    NoFleetFile = "no-fleet-file", Refused;
    /// A key that does not exist there.
    UnknownKey = "unknown-key", Refused;
    /// A required key is missing.
    MissingKey = "missing-key", Refused;
    /// A key that exists, but not in this kind of file or entry.
    MisplacedKey = "misplaced-key", Refused;
    /// A value of the wrong type.
    WrongType = "wrong-type", Refused;
    /// A value of the right type that is not allowed.
    BadValue = "bad-value", Refused;
    /// A name with characters or a length that is not allowed.
    BadName = "bad-name", Refused;
    /// Two devices or deployments with one id.
    DuplicateId = "duplicate-id", Refused;
    /// A device that the fleet lacks.
    UnknownDevice = "unknown-device", Refused;
    /// A target condition that is wrong.
    BadCondition = "bad-condition", Refused;
    /// A metric's query that is wrong.
    BadQuery = "bad-query", Refused;
    /// A route that is wrong.
    BadRoute = "bad-route", Refused;
    /// A `${…}` that is wrong, or names a tag that a targeted device lacks.
    BadTemplate = "bad-template", Refused;
    /// `desired-at` paths of one entry that overlap.
    OverlappingPaths = "overlapping-paths", Refused;
    /// Per-device and automatic deployments on one device.
    MixedKinds = "mixed-kinds", Refused;
    /// Equal priority of deployments that compete, without `created` on both.
    UndecidedTie = "undecided-tie", Refused;
    /// Deployments nest, or values are larger, than allowed.
    TooLarge = "too-large", Refused;

    /// A near miss of a folder or file name.
    IgnoredFile = "ignored-file", LintWarn;
    /// Two ids that differ only in case.
    SimilarIds = "similar-ids", LintWarn;
    /// A deployment without target.
    NoTarget = "no-target", LintWarn;
    /// A target that no device meets.
    MatchesNothing = "matches-nothing", LintWarn;
    /// A tag path that no device has.
    UnknownKeyInCondition = "unknown-key-in-condition", LintWarn;
    /// `!=`, `NOT`, `NIN` over a path that some devices lack.
    UndefinedComparison = "undefined-comparison", LintWarn;
    /// A target that reads facts which change by themselves.
    VolatileFactInTarget = "volatile-fact-in-target", LintWarn;
    /// A metric that is always 1, whatever it counts.
    ConstantMetric = "constant-metric", LintWarn;
    /// A layer on devices that have no base.
    LayerWithoutBase = "layer-without-base", LintWarn;
    /// A layer whose priority is not above the base's.
    LayerNotAboveBase = "layer-not-above-base", LintWarn;
    /// A base that loses everywhere.
    NeverWins = "never-wins", LintWarn;
    /// A layer of which nothing is left anywhere.
    Shadowed = "shadowed", LintWarn;
    /// Equal priority decided by `created`.
    PriorityTie = "priority-tie", LintWarn;
    /// A patch, twin-only entry or unset of something that isn't there.
    PatchOfNothing = "patch-of-nothing", LintWarn;
    /// A `desired-at` path that runs through a value that is no table.
    DesiredAtReplacesValue = "desired-at-replaces-value", LintWarn;
    /// Two modules of one manifest want the same port, alias or exclusive device.
    ManifestConflict = "manifest-conflict", LintError;
    /// Two devices with one engine address.
    SharedEngine = "shared-engine", LintError;
    /// A rollout phase that no device can be in.
    EmptyPhase = "empty-phase", LintError;
    /// A route that names a module which the manifest lacks.
    RouteToNowhere = "route-to-nowhere", LintWarn;
    /// Routes without a module that carries messages.
    RoutesNotCarried = "routes-not-carried", LintWarn;
    /// An image without tag, or `latest`.
    MutableImage = "mutable-image", LintWarn;
    /// Create options at the wrong level, or that have a native key.
    SuspiciousCreateOptions = "suspicious-create-options", LintWarn;
    /// A value that looks like a credential.
    SecretInText = "secret-in-text", LintWarn;
    /// A privileged module.
    Privileged = "privileged", LintWarn;
    /// A path of the device mounted into a module.
    HostMount = "host-mount", LintWarn;
    /// The engine's socket mounted into a module.
    EngineSocket = "engine-socket", LintWarn;
    /// A module on the device's own network.
    HostNetwork = "host-network", LintWarn;
    /// A capability added.
    NewCapability = "new-capability", LintWarn;
    /// A port published on all addresses.
    PublishedEverywhere = "published-everywhere", LintWarn;
}

impl Code {
    /// Parses the kebab-case name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }

    /// Whether `[lints]` may set its level.
    pub fn is_lint(self) -> bool {
        !matches!(self.kind(), Kind::Refused)
    }

    /// The level without `[lints]`.
    pub fn default_level(self) -> Level {
        match self.kind() {
            Kind::Refused | Kind::LintError => Level::Error,
            Kind::LintWarn => Level::Warn,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
