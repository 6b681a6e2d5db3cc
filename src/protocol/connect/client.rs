//! The program that calls: its id and mode from closed lists, its labels as sent.

use serde::Deserialize;
use serde::Serialize;

use crate::protocol::version::Audience;

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
        pub enum $name { $($(#[$doc])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// Reads the wire's word.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }

            /// The wire's word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }
    };
}

words! {
    /// The programs that the gateway knows.
    ClientId {
        /// The app on Android.
        Android = "openclaw-android",
        /// The copilot in a browser.
        BrowserCopilot = "openclaw-browser-copilot",
        /// The command line.
        Cli = "cli",
        /// The dashboard.
        ControlUi = "openclaw-control-ui",
        /// A fingerprinting probe.
        Fingerprint = "fingerprint",
        /// A gateway's own client.
        GatewayClient = "gateway-client",
        /// The app on iOS.
        Ios = "openclaw-ios",
        /// The app on Linux.
        Linux = "openclaw-linux",
        /// The app on macOS.
        Macos = "openclaw-macos",
        /// A machine that lends its abilities.
        NodeHost = "node-host",
        /// A probe.
        Probe = "openclaw-probe",
        /// A test.
        Test = "test",
        /// The terminal interface.
        Tui = "openclaw-tui",
        /// The app on a watch.
        Watchos = "openclaw-watchos",
        /// Web chat.
        Webchat = "webchat",
        /// Web chat's own page.
        WebchatUi = "webchat-ui",
        /// A worker.
        Worker = "openclaw-worker",
    }
}

words! {
    /// What the program is used as.
    ClientMode {
        /// Part of another service.
        Backend = "backend",
        /// A command line.
        Cli = "cli",
        /// A node.
        Node = "node",
        /// A probe.
        Probe = "probe",
        /// A test.
        Test = "test",
        /// A user interface.
        Ui = "ui",
        /// Web chat.
        Webchat = "webchat",
        /// A worker.
        Worker = "worker",
    }
}

/// The program that calls. Ids are from closed lists; the rest is a stranger's text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Client {
    /// Which program.
    pub id: ClientId,
    /// Used as what.
    pub mode: ClientMode,
    /// Its version.
    pub version: String,
    /// Its platform.
    pub platform: String,
    /// Its name for people.
    pub display_name: Option<String>,
    /// Its family of devices.
    pub device_family: Option<String>,
    /// Its own name for this instance.
    pub instance_id: Option<String>,
    /// Its build.
    pub build_id: Option<String>,
}

/// Where a client sits, as far as words depend on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Seat {
    /// On this machine.
    Here,
    /// Elsewhere.
    There,
}

impl Client {
    /// For whom hints to this client are worded.
    pub fn audience(&self, seat: Seat) -> Audience {
        if self.mode == ClientMode::Cli || self.id == ClientId::Cli {
            return if seat == Seat::Here { Audience::CliHere } else { Audience::CliThere };
        }
        let web = matches!(self.id, ClientId::ControlUi | ClientId::Webchat | ClientId::WebchatUi);
        if web || self.mode == ClientMode::Webchat { Audience::Ui } else { Audience::Other }
    }

    /// Whether this is one of the interfaces that never come without a device.
    pub fn is_ui_family(&self) -> bool {
        matches!(self.id, ClientId::ControlUi | ClientId::Tui | ClientId::BrowserCopilot)
    }

    /// Whether this is an app of the system itself, that a person looks at.
    pub fn is_native_app(&self) -> bool {
        let app = matches!(
            self.id,
            ClientId::Android | ClientId::Ios | ClientId::Linux | ClientId::Macos | ClientId::Watchos
        );
        app && self.mode == ClientMode::Ui
    }

    /// Whether this is the command line itself.
    pub fn is_cli(&self) -> bool {
        self.id == ClientId::Cli && self.mode == ClientMode::Cli
    }
}
