//! Every deployment of `deploy/compose/` comes up as it is shipped, in front of a gateway that publishes no port of its
//! own, and lets in whom it says.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::caller::Caller;
use crate::support::compose::{Deployment, TOKEN};
use crate::support::docker::{Engine, expect_root};
use crate::support::gateway_client::{Ask, Device, connect};
use crate::support::lan::Household;
use crate::support::namespace::Namespace;
use crate::support::openclaw::from_cache;
use crate::support::program::{installed, run};
use crate::support::stand_in::{
    OPENCLAW_PACKAGE, build_doorward, import_fake_gateway, import_fake_tailscale, import_openclaw,
};
use crate::support::tailscaled::{FakeTailscaled, OWN, Says, node};
use crate::support::wait::until;

const FAKE: &str = "stand-in/fake-gateway";
const WEB: [&str; 2] = ["0.0.0.0:443", "0.0.0.0:80"];
/// A real gateway takes twenty seconds to start on an idle machine.
const GATEWAY_WAIT: Duration = Duration::from_secs(400);
const OWNER: &str = "127.0.0.1:18789";

#[test]
fn the_deployments_for_a_network_serve_it_and_the_gateway_publishes_no_port() {
    expect_root();
    let home = Household::new();
    let engine = Engine::bare(&home.host, &[]);
    build_doorward(&engine, "doorward");
    import_fake_gateway(&engine);
    // In the place of a public name and address: those of the test's own network. No CA is reached from there, so that the
    // door opens with the certificate of the local CA, as it does anywhere until the CA has issued.
    for (name, edits, own) in [
        ("vps-name", [("claw.example.com", "claw.test")], "claw.test"),
        ("vps-address", [("203.0.113.7", "10.77.0.1")], "10.77.0.1"),
        ("lan", [("192.168.1.10", "10.77.0.1")], "10.77.0.1"),
    ] {
        let deployment = Deployment::of(&engine, name, &edits, FAKE);
        deployment.up(&["doorward", "openclaw-gateway"]);
        assert_eq!(deployment.published("openclaw-gateway"), [""; 0], "{name}");
        let mut ports = WEB.to_vec();
        ports.extend((name == "lan").then_some(OWNER));
        ports.sort_unstable();
        assert_eq!(deployment.published("doorward"), ports, "{name}");
        assert_eq!(deployment.doorward(&["token", "show"]), TOKEN, "{name}");

        let https = |path: &str| {
            let resolve = format!("{own}:443:10.77.0.1");
            let curl = installed("curl", "curl");
            let mut command = home.lan.command(&curl);
            command.args(["--silent", "--show-error", "--insecure", "--resolve", &resolve]);
            String::from_utf8(run(command.arg(format!("https://{own}{path}"))).stdout).unwrap()
        };
        let told = whoami(&https("/doorward/whoami"));
        assert_eq!(
            (told["client_ip"].as_str(), told["class"].as_str()),
            (Some("10.77.0.2"), Some("private")),
            "{name}"
        );
        the_door_asks_the_gateway(&deployment);
        let plain = home.lan.on(move || Caller::plain("10.77.0.1:80").get("/x", &[("Host", own)]).unwrap());
        assert!(plain.status == 308 && plain.head.contains(&format!("https://{own}/x")), "{name}: {plain:?}");
        if name == "lan" {
            owner_is_local(&home.host, &deployment);
            let page = home.lan.on(|| Caller::plain("10.77.0.1:80").get("/doorward/ca", &[("Host", "10.77.0.1")]));
            assert_eq!(page.unwrap().status, 200);
        }
        hardened(&deployment);
    }
}

#[test]
fn the_desktop_lets_its_owner_to_a_real_gateway_and_nobody_else_to_either() {
    expect_root();
    let home = Household::new();
    let engine = Engine::bare(&home.host, &[]);
    build_doorward(&engine, "doorward");
    import_openclaw(&engine);
    let desktop = Deployment::of(&engine, "desktop", &[], "stand-in/openclaw").with("", &package());
    desktop.up(&["doorward"]);
    assert_eq!(desktop.published("openclaw-gateway"), [""; 0]);
    assert_eq!(desktop.published("doorward"), [OWNER]);
    owner_is_local(&home.host, &desktop);
    the_owner_works_with_the_real_gateway(&home.host, &desktop);
    for machine in [&home.lan, &home.host] {
        let refused = machine.on(|| Caller::plain("10.77.0.1:18789").get("/healthz", &[]));
        assert!(refused.is_err(), "{refused:?}");
    }
    hardened(&desktop);
}

#[test]
fn an_existing_installation_keeps_all_but_its_ports() {
    expect_root();
    let home = Household::new();
    let engine = Engine::bare(&home.host, &[]);
    build_doorward(&engine, "doorward");
    import_openclaw(&engine);
    let existing = Deployment::of(&engine, "existing", &[], "stand-in/openclaw").with("", &package());
    let state = existing.folder().join("config");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(existing.folder().join("docker-compose.yml"), EXISTING).unwrap();
    let before = existing.by_files(&["docker-compose.yml", "stand-in.yaml"]);
    before.said(&["up", "--detach"]);
    let alone = before.container("openclaw-gateway");
    assert_eq!(before.published("openclaw-gateway").len(), 2);

    let files = ["docker-compose.yml", "docker-compose.doorward.yml", "stand-in.yaml"];
    let after = before.by_files(&files);
    after.up(&["doorward"]);
    assert_eq!(after.published("openclaw-gateway"), [""; 0]);
    assert_eq!(after.published("doorward"), [OWNER]);
    let behind = after.container("openclaw-gateway");
    // Lists in no order, for the engine has none.
    let set = |container: &Value, at: &str| -> BTreeSet<String> {
        container.pointer(at).and_then(Value::as_array).into_iter().flatten().map(Value::to_string).collect()
    };
    for same in ["/Config/Cmd", "/Config/Env", "/HostConfig/Binds", "/HostConfig/CapDrop"] {
        assert_eq!(set(&behind, same), set(&alone, same), "{same}");
    }
    assert_eq!(behind["Config"]["Image"], alone["Config"]["Image"]);
    assert_eq!(after.doorward(&["token", "show"]), TOKEN);
    owner_is_local(&home.host, &after);
    the_owner_works_with_the_real_gateway(&home.host, &after);
}

#[test]
fn on_a_tailnet_the_door_stands_in_tailscales_network_and_knows_whose_node_calls() {
    expect_root();
    let home = Household::new();
    let engine = Engine::bare(&home.host, &[]);
    build_doorward(&engine, "doorward");
    import_fake_gateway(&engine);
    import_fake_tailscale(&engine);
    let folder = engine.folder().join("tailscaled");
    fs::create_dir(&folder).unwrap();
    let socket = folder.join("tailscaled.sock");
    let ann = node("ann@example.com", &["100.64.0.7/32"]);
    let _tailscaled = FakeTailscaled::start(&socket, &[("100.64.0.7", Says::Answer(ann))]);
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
    let volume = format!(
        "volumes:\n  tailscale-socket:\n    driver_opts: {{type: none, o: bind, device: {}}}\n",
        folder.display()
    );
    let environment = "TS_AUTHKEY=tskey-none\nTAILSCALE_IMAGE=stand-in/tailscale\n";
    let edits = [("100.101.102.103", OWN[0])];
    let tailnet = Deployment::of(&engine, "tailnet", &edits, FAKE).with(environment, &volume);
    tailnet.up(&["doorward", "openclaw-gateway"]);
    for service in ["doorward", "openclaw-gateway", "tailscale"] {
        assert_eq!(tailnet.published(service), [""; 0], "{service}");
    }
    // The tailnet's own link, from another node's machine into the network of that container.
    let inside = tailnet.container("tailscale")["State"]["Pid"].as_u64().unwrap();
    home.lan.ip(&format!("link add ts0 type veth peer name tailscale0 netns {inside}"));
    home.lan.address("ts0", "100.64.0.7/10");
    for arguments in [format!("address add {}/10 dev tailscale0", OWN[0]), "link set tailscale0 up".to_owned()] {
        let mut command = Command::new(installed("nsenter", "util-linux"));
        command.arg(format!("--net=/proc/{inside}/ns/net")).arg("ip").args(arguments.split(' '));
        run(&mut command);
    }
    let own = format!("{}:443", OWN[0]);
    let told = home.lan.on(move || Caller::blind(&own).get("/doorward/whoami", &[]).unwrap().body);
    let told = whoami(&told);
    assert_eq!(told["class"], "tailnet", "{told:#}");
    assert_eq!(told["identity"]["login"], "ann@example.com", "{told:#}");
    the_door_asks_the_gateway(&tailnet);
    hardened(&tailnet);
}

/// As a person installs OpenClaw with Docker today, as far as it matters: the services, the token, the folder, the ports.
const EXISTING: &str = r#"
services:
  openclaw-gateway:
    image: ${OPENCLAW_IMAGE:-openclaw:local}
    environment:
      HOME: /home/node
      OPENCLAW_GATEWAY_TOKEN: ${OPENCLAW_GATEWAY_TOKEN}
    volumes: ["./config:/home/node/.openclaw"]
    ports: ["${OPENCLAW_GATEWAY_PORT:-18789}:18789", "${OPENCLAW_BRIDGE_PORT:-18790}:18790"]
    init: true
    restart: unless-stopped
    command: [node, dist/index.js, gateway, --bind, lan, --port, "18789", --allow-unconfigured]
"#;

/// Where the real gateway's package is, for the image that stands in for the official one.
fn package() -> String {
    let package = from_cache(Path::new("openclaw-2026.9.6"), "tests/peers/openclaw");
    let environment = "{OPENCLAW_SKIP_CHANNELS: \"1\", OPENCLAW_DISABLE_BONJOUR: \"1\", OPENCLAW_NO_RESPAWN: \"1\"}";
    format!(
        "services:\n  openclaw-gateway:\n    volumes: [\"{}:{OPENCLAW_PACKAGE}:ro\"]\n    environment: {environment}\n",
        package.display()
    )
}

/// At the host's loopback sits the owner, once the port is proven closed to others.
fn owner_is_local(host: &Namespace, deployment: &Deployment<'_>) {
    let told = || host.on(|| Caller::plain(OWNER).get("/doorward/whoami", &[]).unwrap().body);
    until(|| told().contains("\"local\":true"), || format!("{}\n{}", told(), deployment.log()));
}

/// The door has found the gateway by its name in the deployment's own network.
fn the_door_asks_the_gateway(deployment: &Deployment<'_>) {
    until(|| deployment.log().contains("fake gateway: a websocket is asked for"), || deployment.log());
}

/// The door works with the real gateway, which nobody has told of it, and so does the owner through the door.
fn the_owner_works_with_the_real_gateway(host: &Namespace, deployment: &Deployment<'_>) {
    let start = Instant::now();
    while !deployment.log().contains("up: 2026.9.6, protocol 4") {
        assert!(start.elapsed() < GATEWAY_WAIT, "the door is not in:\n{}", deployment.log());
        std::thread::sleep(Duration::from_millis(500));
    }
    host.block_on(|| async {
        let ask = Ask::operator(TOKEN).with_scopes(&["operator.read"]);
        let mut session = connect(&Caller::plain(OWNER), Some(&Device::new()), &ask).await.hello();
        assert_eq!(session.hello["server"]["version"], "2026.9.6", "{:#}", session.hello);
        let sessions = session.call("sessions.list", json!({})).await.unwrap();
        assert!(sessions["sessions"].is_array(), "{sessions:#}");
        session.close().await;
    });
}

/// What keeps a hole in the door from being a hole in the host.
fn hardened(deployment: &Deployment<'_>) {
    let door = deployment.container("doorward");
    assert_eq!(door["HostConfig"]["ReadonlyRootfs"], true);
    assert_eq!(door["HostConfig"]["CapDrop"], serde_json::json!(["ALL"]));
    assert_eq!(door["Config"]["User"], "65532:65532");
    assert_eq!(deployment.container("gateway-token")["State"]["ExitCode"], 0);
    let gateway = deployment.container("openclaw-gateway");
    let dropped = gateway["HostConfig"]["CapDrop"].to_string();
    assert!(dropped.contains("NET_RAW"), "{dropped}");
}

fn whoami(answer: &str) -> Value {
    serde_json::from_str(answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
}
