//! Images that stand in for those that no test can pull: made of this machine's own programs and the libraries they are
//! linked with, and nothing else. Each is named `stand-in/...`, so that nobody takes it for the real one.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::docker::Engine;
use super::openclaw::from_cache;
use super::program::{installed, run};

/// The root of an image, before it is one.
#[derive(Debug)]
pub(crate) struct Root {
    folder: PathBuf,
}

impl Root {
    /// An empty root below the engine's own folder, with the folders that each system has.
    pub(crate) fn new(engine: &Engine<'_>, name: &str) -> Self {
        let root = Self { folder: engine.folder().join("roots").join(name) };
        for folder in ["etc", "run", "tmp", "usr/bin", "usr/local/bin"] {
            fs::create_dir_all(root.folder.join(folder)).unwrap();
        }
        fs::set_permissions(root.folder.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        // As on every Debian of today: what a script calls /bin/sh is /usr/bin/sh.
        symlink("usr/bin", root.folder.join("bin")).unwrap();
        root
    }

    /// With these programs of this machine.
    pub(crate) fn with_programs(self, names: &[&str]) -> Self {
        for name in names {
            let program = installed(name, "coreutils");
            self.with_libraries_of(&program);
            fs::copy(program, self.folder.join("usr/bin").join(name)).unwrap();
        }
        self
    }

    /// With the libraries that this program is linked with, where it looks for them.
    pub(crate) fn with_libraries_of(&self, program: &Path) {
        let linked = run(Command::new(installed("ldd", "libc-bin")).arg(program));
        let linked = String::from_utf8(linked.stdout).unwrap();
        for library in linked.split_whitespace().filter(|word| word.starts_with('/')) {
            let copy = self.folder.join(library.trim_start_matches('/'));
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::copy(library, copy).unwrap();
        }
    }

    /// With a file that can be run.
    pub(crate) fn with_script(self, name: &str, text: &str) -> Self {
        let file = self.folder.join("usr/local/bin").join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// Where something of it lies.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.folder.join(inside.trim_start_matches('/'))
    }

    /// Every file in it, by its path inside.
    pub(crate) fn files(&self) -> BTreeSet<String> {
        let found = run(Command::new("find").arg(&self.folder).args(["!", "-type", "d", "-printf", "/%P\n"]));
        String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// Gives it to the engine under this name, with these lines of a Dockerfile (`ENV ...`, `USER ...`).
    pub(crate) fn import(&self, engine: &Engine<'_>, name: &str, lines: &[&str]) {
        let tar = engine.folder().join("root.tar");
        run(Command::new("tar").arg("-C").arg(&self.folder).arg("-cf").arg(&tar).arg("."));
        let tar = tar.display().to_string();
        let mut arguments = vec!["import"];
        arguments.extend(lines.iter().flat_map(|&line| ["--change", line]));
        arguments.extend([tar.as_str(), name]);
        engine.said(&arguments);
    }
}

/// What the image of OpenClaw is to be in a test: a shell, a node, and a user of that name. The official one cannot be had.
fn node(engine: &Engine<'_>, name: &str) -> Root {
    let root = Root::new(engine, name).with_programs(&["sh", "chown", "mv"]);
    let node = from_cache(Path::new("node-24/bin/node"), "tests/peers/openclaw");
    root.with_libraries_of(&node);
    fs::copy(node, root.path("usr/bin/node")).unwrap();
    let users = "root:x:0:0::/root:/usr/bin/sh\nnode:x:1000:1000::/home/node:/usr/bin/sh\n";
    fs::write(root.path("etc/passwd"), users).unwrap();
    fs::write(root.path("etc/group"), "root:x:0:\nnode:x:1000:\n").unwrap();
    fs::create_dir_all(root.path("home/node")).unwrap();
    chown(root.path("home/node"), Some(1000), Some(1000)).unwrap();
    root
}

const OPENCLAW_LINES: [&str; 3] = ["ENV PATH=/usr/local/bin:/usr/bin", "USER node", "WORKDIR /app"];
/// Where the package is to be mounted into `stand-in/openclaw`.
pub(crate) const OPENCLAW_PACKAGE: &str = "/opt/openclaw";

/// `stand-in/openclaw`: the real gateway, from npm, in an image that is not the official one. The package is not in it: it
/// is mounted at [`OPENCLAW_PACKAGE`].
pub(crate) fn import_openclaw(engine: &Engine<'_>) {
    let root = node(engine, "openclaw");
    symlink(format!("{OPENCLAW_PACKAGE}/node_modules/openclaw"), root.path("app")).unwrap();
    root.import(engine, "stand-in/openclaw", &OPENCLAW_LINES);
}

/// `stand-in/fake-gateway`: no OpenClaw at all, but a program that is started as it is, serves its ports, and says that it
/// is a fake.
pub(crate) fn import_fake_gateway(engine: &Engine<'_>) {
    let root = node(engine, "fake-gateway");
    fs::create_dir_all(root.path("app/dist")).unwrap();
    let fake = r#"
        const server = require("http").createServer((request, response) => {
          response.setHeader("content-type", "text/html");
          response.end("<title>a fake gateway</title>");
        });
        server.on("upgrade", (request, socket) => {
          console.log("fake gateway: a websocket is asked for by", socket.remoteAddress);
          socket.destroy();
        });
        server.listen(18789);
    "#;
    fs::write(root.path("app/dist/index.js"), fake).unwrap();
    root.import(engine, "stand-in/fake-gateway", &OPENCLAW_LINES);
}

/// `stand-in/tailscale`: a container that only waits. Its network is what a test makes of it.
pub(crate) fn import_fake_tailscale(engine: &Engine<'_>) {
    let root = Root::new(engine, "tailscale").with_programs(&["sleep"]);
    root.import(engine, "stand-in/tailscale", &["CMD [\"/usr/bin/sleep\", \"infinity\"]"]);
}

/// Our own image, built by the very Dockerfile that is shipped. What stands in: for the builder, this machine's shell
/// with a `cargo` that hands over the binary of this test run, and an `apt-get` that does nothing; for the base, the C
/// library of this machine. Answers with the base's files.
pub(crate) fn build_doorward(engine: &Engine<'_>, tag: &str) -> BTreeSet<String> {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR"));
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_doorward"));
    let builder = Root::new(engine, "builder")
        .with_programs(&["sh", "cp", "install", "mkdir"])
        .with_script("apt-get", "#!/bin/sh\nexit 0\n")
        .with_script(
            "cargo",
            "#!/bin/sh\n[ \"$*\" = \"build --release --locked --bin doorward\" ] || exit 64\n\
             [ -f src/main.rs ] && [ -f Cargo.lock ] || exit 65\n\
             mkdir -p target/release && cp /doorward target/release/doorward\n",
        );
    // What is copied four times below need not carry its lines for a debugger.
    run(Command::new(installed("strip", "binutils")).arg("-o").arg(builder.path("doorward")).arg(&binary));
    builder.import(engine, "stand-in/rust", &["ENV PATH=/usr/local/bin:/usr/bin"]);
    let base = Root::new(engine, "base");
    base.with_libraries_of(&binary);
    base.import(engine, "stand-in/base", &[]);
    for (stage, tag) in [(Some("build"), "doorward-build"), (None, tag)] {
        let dockerfile = tree.join("deploy/Dockerfile").display().to_string();
        let mut build = vec!["build", "--file", &dockerfile, "--tag", tag];
        build.extend(["--build-arg", "BUILDER=stand-in/rust", "--build-arg", "BASE=stand-in/base"]);
        build.extend(stage.iter().flat_map(|stage| ["--target", stage]));
        let tree = tree.display().to_string();
        build.push(&tree);
        engine.said(&build);
    }
    base.files()
}
