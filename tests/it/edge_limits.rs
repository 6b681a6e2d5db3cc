//! Promise: a stranger's slowness, size or number is bounded, and want of descriptors neither spins nor ends us.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::caller::Caller;
use crate::support::instance::Instance;
use crate::support::namespace::Namespace;
use crate::support::program;

const CONFIGURATION: &str = r#"
[[listener]]
name = "local"
bind = ["127.0.0.1:18789"]
protocol = "auto"
local = "loopback"
"#;

#[test]
fn a_slow_head_is_closed_at_five_seconds() {
    let machine = Namespace::new();
    let _instance = Instance::start(&machine, CONFIGURATION);
    let took = machine.on(|| {
        let mut stream = TcpStream::connect("127.0.0.1:18789").unwrap();
        let start = Instant::now();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut answer = Vec::new();
        while start.elapsed() < Duration::from_secs(20) {
            let written = stream.write_all(b"G");
            let mut piece = [0; 1024];
            match stream.read(&mut piece) {
                Ok(0) => break,
                Ok(bytes) => answer.extend_from_slice(&piece[..bytes]),
                Err(_) if written.is_err() => break,
                Err(_) => {}
            }
        }
        assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer));
        start.elapsed()
    });
    assert!(took > Duration::from_millis(4_900) && took < Duration::from_millis(6_500), "{took:?}");
}

#[test]
fn a_taken_port_is_noticed_and_its_holder_named() {
    let machine = Namespace::new();
    let first = Instance::start(&machine, CONFIGURATION);
    let second = Instance::stopped(&machine, CONFIGURATION);
    let mut command = machine.command(std::path::Path::new(env!("CARGO_BIN_EXE_doorward")));
    command.arg("--config").arg(second.folder().join("doorward.toml")).arg("run").current_dir(second.folder());
    let output = command.output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{words}");
    assert!(
        words.contains("127.0.0.1:18789 is taken by doorward") && words.contains(&first.id().to_string()),
        "{words}"
    );
    assert!(first.command(&["status"]).status.success());
}

#[test]
fn want_of_descriptors_does_not_spin_and_passes() {
    const CALLERS: usize = 200;
    let machine = Namespace::new();
    let instance = Instance::start(&machine, CONFIGURATION);
    let id = instance.id();
    let held = fs::read_dir(format!("/proc/{id}/fd")).unwrap().count();
    let prlimit = program::installed("prlimit", "util-linux");
    let limit = format!("--nofile={0}:{0}", held + 20);
    program::run(Command::new(prlimit).arg(format!("--pid={id}")).arg(limit));
    let callers: Vec<TcpStream> =
        machine.on(|| (0..CALLERS).map(|_| TcpStream::connect("127.0.0.1:18789").unwrap()).collect());
    let before = processor_time(id);
    std::thread::sleep(Duration::from_secs(2));
    let spent = processor_time(id) - before;
    assert!(spent < Duration::from_millis(500), "{spent:?} of processor time in 2 s");
    drop(callers);
    let start = Instant::now();
    let caller = Caller::plain("127.0.0.1:18789");
    let status = machine.on(move || caller.get("/healthz", &[]).unwrap().status);
    assert_eq!(status, 200);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert!(instance.log().contains("cannot accept connections"), "{}", instance.log());
}

/// User and system time of a process, in the kernel's hundredths of a second.
fn processor_time(id: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
