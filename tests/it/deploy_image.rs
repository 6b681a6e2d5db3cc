//! The image: built by the Dockerfile that is shipped, run by the command that is shipped, small, without a shell, and
//! honest about its health.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::caller::Caller;
use crate::support::docker::{Engine, expect_root};
use crate::support::namespace::Namespace;
use crate::support::program::run;
use crate::support::stand_in::build_doorward;
use crate::support::wait::until;

#[test]
fn the_shipped_dockerfile_makes_an_image_of_our_files_alone_and_its_context_has_no_others() {
    expect_root();
    let machine = Namespace::new();
    let engine = Engine::bare(&machine, &[]);
    let base = build_doorward(&engine, "doorward");

    let image: Value = serde_json::from_str(&engine.said(&["inspect", "doorward"])).unwrap();
    let config = &image[0]["Config"];
    assert_eq!(config["User"], "65532:65532", "{config:#}");
    assert_eq!(config["Entrypoint"], serde_json::json!(["/usr/local/bin/doorward"]));
    assert_eq!(config["Healthcheck"]["Test"], serde_json::json!(["CMD", "/usr/local/bin/doorward", "status"]));

    engine.said(&["create", "--name", "made", "doorward"]);
    let tar = engine.folder().join("made.tar");
    engine.said(&["export", "--output", &tar.display().to_string(), "made"]);
    let listed = run(Command::new("tar").arg("-tf").arg(&tar)).stdout;
    let listed = String::from_utf8(listed).unwrap();
    let made: BTreeSet<_> = listed.lines().filter(|line| !line.ends_with('/')).map(|line| format!("/{line}")).collect();
    // What the engine itself puts into every container.
    let engines = ["/.dockerenv", "/dev/console", "/etc/hostname", "/etc/hosts", "/etc/mtab", "/etc/resolv.conf"];
    let ours: Vec<_> = made.difference(&base).map(String::as_str).filter(|file| !engines.contains(file)).collect();
    let expected = ["/etc/doorward/doorward.toml", "/usr/local/bin/doorward", "/usr/share/doc/doorward/LICENSE"];
    assert_eq!(ours, expected);

    // What the builder was given is enough for cargo, and has nothing of what else lies in the tree.
    engine.said(&["create", "--name", "built", "doorward-build", "sh"]);
    let source = engine.folder().join("source");
    engine.said(&["cp", "built:/source", &source.display().to_string()]);
    fs::remove_dir_all(source.join("target")).unwrap();
    let given: BTreeSet<_> =
        fs::read_dir(&source).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(given, ["Cargo.lock", "Cargo.toml", "LICENSE", "conf", "deploy", "src"].map(str::to_owned).into());
    let found = fs::read_dir(source.join("deploy")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(found.collect::<Vec<_>>(), ["container.toml"]);
    let mut cargo = Command::new(env!("CARGO"));
    run(cargo.args(["metadata", "--locked", "--offline", "--no-deps", "--format-version", "1"]).current_dir(&source));
}

#[test]
fn the_image_runs_by_the_command_it_names_and_the_owner_at_the_host_is_local() {
    expect_root();
    let machine = Namespace::new();
    let engine = Engine::bare(&machine, &[]);
    build_doorward(&engine, "doorward");
    let command = command_of("deploy/container.toml");
    let arguments: Vec<_> = command.iter().map(String::as_str).collect();
    assert_eq!(arguments.get(..2), Some(&["docker", "run"][..]), "{arguments:?}");
    for option in ["--read-only", "--cap-drop", "--security-opt"] {
        assert!(arguments.contains(&option), "{option} {arguments:?}");
    }
    // As it is written, but that its health is asked for every second.
    let hasty = ["run", "--health-interval", "1s", "--health-retries", "1"];
    engine.said(&[&hasty[..], &arguments[2..]].concat());
    let health = || engine.said(&["inspect", "--format", "{{.State.Health.Status}}", "doorward"]);
    let log = || {
        let output = engine.docker(&["logs", "doorward"]);
        format!("{}{}", health(), String::from_utf8_lossy(&output.stderr))
    };
    until(|| health() == "healthy", log);
    let owner = || machine.on(|| Caller::plain("127.0.0.1:18789").get("/doorward/whoami", &[]).unwrap().body);
    until(|| owner().contains("\"local\":true"), || format!("{}\n{}", owner(), log()));
    let write =
        engine.docker(&["exec", "doorward", "/usr/local/bin/doorward", "certs", "export", "--ca", "--out", "/tmp/x"]);
    let said = String::from_utf8_lossy(&write.stderr).to_lowercase();
    assert!(!write.status.success() && said.contains("read-only"), "{said}");

    // What it keeps outlives the container.
    let token = engine.said(&["exec", "doorward", "doorward", "token", "show"]);
    engine.said(&["rm", "--force", "doorward"]);
    engine.said(&[&hasty[..], &arguments[2..]].concat());
    until(|| health() == "healthy", log);
    assert_eq!(engine.said(&["exec", "doorward", "doorward", "token", "show"]), token);

    // A process that is there and serves nobody is not healthy.
    let process = engine.said(&["inspect", "--format", "{{.State.Pid}}", "doorward"]);
    run(Command::new("kill").args(["-STOP", &process]));
    until(|| health() == "unhealthy", log);
    run(Command::new("kill").args(["-CONT", &process]));
    until(|| health() == "healthy", log);
    engine.said(&["stop", "--time", "60", "doorward"]);
    assert_eq!(engine.said(&["inspect", "--format", "{{.State.ExitCode}}", "doorward"]), "0");
}

/// The indented command in the comment at the head of a file, in words.
fn command_of(file: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let lines = text.lines().skip_while(|line| !line.starts_with("#   ")).take_while(|line| line.starts_with("#   "));
    lines
        .flat_map(|line| line.trim_start_matches('#').split_whitespace())
        .filter(|word| *word != "\\")
        .map(str::to_owned)
        .collect()
}
