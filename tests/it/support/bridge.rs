//! doorward in front of a real gateway: on its machine, or on another as a container's runtime has it.

use std::time::{Duration, Instant};

use super::instance::Instance;
use super::namespace::Namespace;
use super::openclaw::{Gateway, Release};

/// The gateway's own secret.
pub(crate) const SECRET: &str = "k3yPq9vTz0aWx7LmN2bRc5dE8sUf";

/// The longest that the two may need to find each other on a slow machine.
const LINK_WAIT: Duration = Duration::from_secs(120);

/// How doorward reaches the gateway.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shape {
    /// The same network namespace: by loopback.
    Loopback,
    /// Another one, by a cable: the gateway sees an address that is not its own.
    Veth,
}

/// A machine with doorward, and the one with the gateway where that is another.
#[derive(Debug)]
pub(crate) struct Bridge {
    pub(crate) host: Namespace,
    inner: Option<Namespace>,
}

impl Bridge {
    pub(crate) fn new(shape: Shape) -> Self {
        let host = Namespace::new();
        let inner = (shape == Shape::Veth).then(|| {
            let inner = Namespace::new();
            host.cable("gw0", &inner, "eth0");
            host.address("gw0", "10.88.0.1/24");
            inner.address("eth0", "10.88.0.2/24");
            inner
        });
        Self { host, inner }
    }

    /// The machine of the gateway.
    pub(crate) fn inner(&self) -> &Namespace {
        self.inner.as_ref().unwrap_or(&self.host)
    }

    /// Starts the gateway.
    pub(crate) fn gateway(&self, release: Release) -> Gateway {
        Gateway::of(release, self.inner(), SECRET)
    }

    /// Where doorward finds it.
    pub(crate) fn url(&self) -> &'static str {
        if self.inner.is_some() { "http://10.88.0.2:18789" } else { "http://127.0.0.1:18789" }
    }

    /// A doorward that does not run yet: 127.0.0.1:8080 for the owner, and this gateway behind it.
    pub(crate) fn stopped(&self, more: &str) -> Instance<'_> {
        let configuration = format!(
            r#"
[[listener]]
name = "local"
bind = ["127.0.0.1:8080"]
protocol = "auto"
local = "loopback"
local_uids = [0]

[core.upstream]
url = "{}"
token_file = "gateway-token"
{more}
"#,
            self.url()
        );
        let doorward = Instance::stopped(&self.host, &configuration);
        std::fs::write(doorward.folder().join("gateway-token"), format!("{SECRET}\n")).unwrap();
        doorward
    }

    /// The same, started.
    pub(crate) fn doorward(&self, more: &str) -> Instance<'_> {
        let mut doorward = self.stopped(more);
        doorward.restart();
        doorward
    }
}

/// Waits until the log of `doorward` has `words`.
pub(crate) fn until_logged(doorward: &Instance<'_>, words: &str) {
    let start = Instant::now();
    while !doorward.log().contains(words) {
        assert!(start.elapsed() < LINK_WAIT, "{words:?} is not logged:\n{}", doorward.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}
