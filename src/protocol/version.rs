//! In whose words the other side is spoken to: what the sentences of both directions depend on, below either.

/// The protocol's version. It changes words only, never a rule.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Version {
    /// The gateways of early 2026.
    V3,
    /// The newer gateways.
    V4,
}

impl Version {
    /// The number on the wire.
    pub fn number(self) -> u8 {
        match self {
            Self::V3 => 3,
            Self::V4 => 4,
        }
    }

    /// The highest version in `minimum..=maximum` that we speak.
    pub fn negotiate(minimum: i64, maximum: i64) -> Option<Self> {
        [Self::V4, Self::V3].into_iter().find(|version| (minimum..=maximum).contains(&i64::from(version.number())))
    }

    /// In whose words a client is told that there is no common version.
    pub fn nearest(maximum: i64) -> Self {
        if maximum < 4 { Self::V3 } else { Self::V4 }
    }
}

/// For whom a failure's hint is worded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Audience {
    /// A command line on the gateway's machine.
    CliHere,
    /// A command line elsewhere.
    CliThere,
    /// A browser.
    Ui,
    /// Any other program.
    Other,
}
