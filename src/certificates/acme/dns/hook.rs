//! A program of the operator's that puts a value into the DNS and takes it out again: for every provider that takes no
//! dynamic updates.
//!
//! It is run without a shell, with nothing of our environment and no input, for a bounded time with all that it starts, and
//! what it writes is shown only as far as it cannot forge a line.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

use crate::base::limits::{ACME_HOOK_OUTPUT_BYTES_MAX, ACME_HOOK_READ_BYTES, ACME_HOOK_WAIT, ACME_SHOWN_CHARS_MAX};
use crate::base::printable::printable;
use crate::base::private_file::{self, Owners, STICKY};
use crate::certificates::acme::dns::fault::{DnsError, Unfit};
use crate::certificates::acme::dns::update::Change;

/// Where a hook finds programs.
const SEARCHED: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a hook is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'a> {
    /// What is to be done.
    pub(super) change: Change,
    /// The name that a certificate is for.
    pub(super) host: &'a str,
    /// Where the value belongs, behind every alias.
    pub(super) place: &'a str,
    /// The value.
    pub(super) text: &'a str,
}

/// Looks at the program and every folder that it is in: nobody but us and root may be able to change what runs. Answers with
/// its own path, links gone through: by that it is to be run, for a link on the way there could be turned meanwhile.
///
/// # Errors
/// [`DnsError::HookUnfit`].
pub(super) fn judge(words: &[String]) -> Result<PathBuf, DnsError> {
    let path = Path::new(words.first().map(String::as_str).unwrap_or_default());
    let unfit = |path: &Path, cause| DnsError::HookUnfit { path: path.to_owned(), cause };
    let metadata = fs::metadata(path).map_err(|error| unfit(path, Unfit::Absent(error)))?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        return Err(unfit(path, Unfit::NoProgram));
    }
    // What a link leads to is what runs.
    let real = fs::canonicalize(path).map_err(|error| unfit(path, Unfit::Absent(error)))?;
    for part in real.ancestors() {
        let metadata = fs::metadata(part).map_err(|error| unfit(part, Unfit::Absent(error)))?;
        let is_sticky = metadata.is_dir() && metadata.mode() & STICKY != 0;
        if private_file::check_owner(&metadata, Owners::UsOrRoot).is_err() {
            return Err(unfit(part, Unfit::Owner(metadata.uid())));
        }
        if private_file::check_unwritable(&metadata).is_err() && !is_sticky {
            return Err(unfit(part, Unfit::Writable));
        }
    }
    Ok(real)
}

/// Runs the program and waits for its success.
///
/// # Errors
/// [`DnsError`].
pub(super) async fn run(words: &[String], told: Told<'_>) -> Result<(), DnsError> {
    let program = judge(words)?;
    let action = match told.change {
        Change::Add => "present",
        Change::Remove => "cleanup",
    };
    let Some((named, first)) = words.split_first() else { return Ok(()) };
    let mut command = Command::new(program);
    // Some programs are several, by their names.
    command.arg0(named);
    command.args(first).args([action, told.place, told.text]);
    command.env_clear().env("PATH", SEARCHED).env("DOORWARD_ACME_ACTION", action);
    command.env("DOORWARD_ACME_NAME", told.host).env("DOORWARD_ACME_FQDN", told.place);
    command.env("DOORWARD_ACME_VALUE", told.text);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    let mut child = command.spawn().map_err(DnsError::HookUnstarted)?;
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)));
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let ended = timeout(ACME_HOOK_WAIT, async {
        let (ended, (), ()) = tokio::join!(child.wait(), last(out, &mut said), last(err, &mut complained));
        ended
    });
    let ended = ended.await;
    let output = || {
        let words = [said.trim_ascii(), complained.trim_ascii()].join(&b' ');
        let output = printable(String::from_utf8_lossy(&words).trim(), ACME_SHOWN_CHARS_MAX);
        if output.is_empty() { "it said nothing".to_owned() } else { output }
    };
    match ended {
        Ok(Ok(status)) => {
            group.0 = None;
            let failed = |status: String| DnsError::HookFailed { status, output: output() };
            if status.success() { Ok(()) } else { Err(failed(status.to_string())) }
        }
        Ok(Err(error)) => Err(DnsError::HookUnstarted(error)),
        Err(_) => Err(DnsError::HookStuck { output: output(), waited: ACME_HOOK_WAIT }),
    }
}

/// Keeps the end of what comes out of `pipe`, until it is closed by everybody who has it.
async fn last(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = [0; ACME_HOOK_READ_BYTES];
    while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
        kept.extend_from_slice(buffer.get(..length).unwrap_or_default());
        let over = kept.len().saturating_sub(ACME_HOOK_OUTPUT_BYTES_MAX);
        kept.drain(..over);
    }
}

/// A program with all that it has started; they are ended when this is dropped, unless they have ended.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // An error is that nobody is left.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;

    const TOLD: Told<'static> =
        Told { change: Change::Add, host: "a.example", place: "_acme-challenge.a.example", text: "-value" };
    /// A minute of looks.
    const LOOKS: u32 = 12_000;

    #[tokio::test]
    async fn a_hook_gets_its_words_as_they_are_and_nothing_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let hook = script(&folder, "echo \"$#:$1:$2:$3:$4\" > out; cat >> out; env | sort | grep -v '^[_OPS]' >> out");
        let words = vec![hook.display().to_string(), "two words; $(rm -rf /)".to_owned()];
        run(&words, TOLD).await.unwrap();
        let out = fs::read_to_string(folder.path().join("out")).unwrap();
        let expected = "4:two words; $(rm -rf /):present:_acme-challenge.a.example:-value\nDOORWARD_ACME_ACTION=present\n\
             DOORWARD_ACME_FQDN=_acme-challenge.a.example\nDOORWARD_ACME_NAME=a.example\nDOORWARD_ACME_VALUE=-value\n";
        assert_eq!(out, expected);
    }

    #[tokio::test]
    async fn what_a_failing_hook_writes_is_bounded_and_forges_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let hook =
            script(&folder, "head -c 1000000 /dev/zero | tr '\\0' x; printf '\\033[2J\\377\\nERROR' >&2; exit 7");
        let error = run(&[hook.display().to_string()], TOLD).await.unwrap_err();
        assert!(matches!(&error, DnsError::HookFailed { status, .. } if status == "exit status: 7"), "{error}");
        let shown = error.to_string();
        assert!(shown.len() < 2 * ACME_SHOWN_CHARS_MAX && !shown.contains(['\u{1b}', '\n']), "{shown}");
    }

    #[tokio::test]
    async fn a_hook_that_does_not_end_is_ended_with_all_that_it_has_started() {
        let folder = tempfile::tempdir().unwrap();
        let hook = script(&folder, "sleep 1000 & echo $! > child; echo waiting; wait");
        let words = vec![hook.display().to_string()];
        let running = tokio::spawn(async move { run(&words, TOLD).await });
        let child = folder.path().join("child");
        for look in 0.. {
            if !fs::read_to_string(&child).unwrap_or_default().trim().is_empty() {
                break;
            }
            assert!(look < LOOKS, "the hook has not begun");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::pause();
        tokio::time::advance(ACME_HOOK_WAIT).await;
        let error = running.await.unwrap().unwrap_err();
        assert!(matches!(error, DnsError::HookStuck { .. }), "{error}");
        let child = PathBuf::from(format!("/proc/{}/stat", fs::read_to_string(child).unwrap().trim()));
        // Gone, or dead and not yet collected by whoever inherits it.
        for look in 0.. {
            if fs::read_to_string(&child).map_or(true, |stat| stat.contains(") Z")) {
                break;
            }
            assert!(look < LOOKS, "what the hook has started lives on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn what_others_could_change_is_never_run() {
        let folder = tempfile::tempdir().unwrap();
        let hook = script(&folder, "exit 0");
        let judged = || judge(&[hook.display().to_string()]);
        judged().unwrap();
        for (path, mode, hint) in [
            (hook.as_path(), 0o720, "chmod go-w"),
            (hook.as_path(), 0o702, "chmod go-w"),
            (hook.as_path(), 0o600, "chmod u+x"),
            (folder.path(), 0o770, "chmod go-w"),
        ] {
            let before = fs::metadata(path).unwrap().permissions();
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
            let error = judged().unwrap_err();
            assert!(matches!(error, DnsError::HookUnfit { .. }) && error.hint().starts_with(hint), "{mode:o} {error}");
            fs::set_permissions(path, before).unwrap();
        }
        judged().unwrap();
        for absent in ["/nonexistent/hook", "/", ""] {
            assert!(judge(&[absent.to_owned()]).is_err(), "{absent}");
        }
    }

    #[test]
    fn no_folder_on_the_way_may_be_others_to_change_and_a_link_is_gone_through() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("a/b/c");
        fs::create_dir_all(&below).unwrap();
        let hook = below.join("hook");
        fs::write(&hook, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&hook, Permissions::from_mode(0o700)).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&hook, &link).unwrap();
        for named in [&hook, &link] {
            assert_eq!(judge(&[named.display().to_string()]).unwrap(), fs::canonicalize(&hook).unwrap());
        }
        for part in ["a", "a/b", "a/b/c"] {
            let part = folder.path().join(part);
            for (mode, is_fit) in [(0o775, false), (0o757, false), (0o1777, true), (0o755, true)] {
                fs::set_permissions(&part, Permissions::from_mode(mode)).unwrap();
                let judged = judge(&[link.display().to_string()]);
                assert_eq!(judged.is_ok(), is_fit, "{} {mode:o}", part.display());
                let is_it = |error: DnsError| matches!(error, DnsError::HookUnfit { path, .. } if path == part);
                assert!(judged.err().is_none_or(is_it), "{} {mode:o}", part.display());
            }
        }
    }

    #[tokio::test]
    async fn what_was_judged_is_what_runs() {
        let folder = tempfile::tempdir().unwrap();
        let hook = script(&folder, "echo \"$0\" > out");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&hook, &link).unwrap();
        run(&[link.display().to_string()], TOLD).await.unwrap();
        let ran = fs::read_to_string(folder.path().join("out")).unwrap();
        assert_eq!(Path::new(ran.trim()), fs::canonicalize(&hook).unwrap());
    }

    /// A script that works in its own folder.
    fn script(folder: &TempDir, text: &str) -> PathBuf {
        let path = folder.path().join("hook");
        fs::write(&path, format!("#!/bin/sh\ncd {}\n{text}\n", folder.path().display())).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        path
    }
}
