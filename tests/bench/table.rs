//! The table: medians with their spread, in Markdown, and the machine they were taken on.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use crate::measure::shown;
use crate::server::{ALL, Kind};

/// What is measured, in the table's order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Row {
    Request,
    RequestRate,
    Handshake,
    Connect,
    Socket,
    Listening,
    MemoryAtRest,
    MemoryAfterLoad,
}

impl Row {
    const ALL: [Self; 8] = [
        Self::Request,
        Self::RequestRate,
        Self::Handshake,
        Self::Connect,
        Self::Socket,
        Self::Listening,
        Self::MemoryAtRest,
        Self::MemoryAfterLoad,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Request => "CPU per HTTPS request answered by the core, proxy and backend together, µs",
            Self::RequestRate => "the same, requests a second (both cores, the load generator on them too)",
            Self::Handshake => "CPU per full TLS 1.3 handshake (P-256), µs",
            Self::Connect => "CPU per new WebSocket, TLS handshake included: ours to `hello-ok`, theirs to the 101, µs",
            Self::Socket => "memory per idle WebSocket at 5,000: ours paired, theirs the proxy's half alone, KiB",
            Self::Listening => "time from start to listening, ms",
            Self::MemoryAtRest => "memory at rest, MiB",
            Self::MemoryAfterLoad => "memory after the requests and handshakes, MiB",
        }
    }
}

/// Every value of every round.
#[derive(Debug, Default)]
pub(crate) struct Table {
    values: BTreeMap<(Row, Kind), Vec<f64>>,
}

impl Table {
    pub(crate) fn add(&mut self, row: Row, kind: Kind, value: f64) {
        eprintln!("{row:?} {kind:?}: {value:.1}");
        self.values.entry((row, kind)).or_default().push(value);
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("{}\n\n| median [lowest..highest] |", machine());
        for kind in ALL {
            let _ = write!(text, " {} |", kind.title());
        }
        text.push_str(&format!("\n|---|{}\n", "---|".repeat(ALL.len())));
        for row in Row::ALL {
            let _ = write!(text, "| {} |", row.title());
            for kind in ALL {
                let _ = write!(text, " {} |", self.values.get(&(row, kind)).map_or("–".to_owned(), |all| shown(all)));
            }
            text.push('\n');
        }
        text
    }
}

fn machine() -> String {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok();
        let both = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
        String::from_utf8_lossy(&both).lines().next().unwrap_or_default().trim().to_owned()
    };
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "{}, {cores} × {}, Linux {}; {}; {}",
        said("date", &["+%Y-%m-%d"]),
        model.trim_start_matches([' ', '\t', ':']),
        said("uname", &["-r"]),
        said("nginx", &["-v"]),
        said("haproxy", &["-v"]),
    )
}
