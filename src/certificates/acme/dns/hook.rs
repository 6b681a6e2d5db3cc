//! A program of the operator's that puts a value into the DNS and takes it out again: for every provider that takes no
//! dynamic updates.
//!
//! It is run without a shell, with nothing of our environment and no input, for a bounded time with all that it starts, and
//! what it writes is shown only as far as it cannot forge a line.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

use crate::base::limits::{ACME_HOOK_OUTPUT_BYTES_MAX, ACME_HOOK_WAIT, ACME_SHOWN_CHARS_MAX};
use crate::base::printable::printable;
use crate::base::private_file::{self, Owners, STICKY};
use crate::certificates::acme::dns::fault::{DnsError, Unfit};
use crate::certificates::acme::dns::update::Change;

/// Where a hook finds programs.
const SEARCHED: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a hook is told.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// What is to be done.
    pub change: Change,
    /// The name that a certificate is for.
    pub host: &'a str,
    /// Where the value belongs, behind every alias.
    pub place: &'a str,
    /// The value.
    pub text: &'a str,
}

/// Looks at the program: nobody but us and root may be able to change what runs.
///
/// # Errors
/// [`DnsError::HookUnfit`].
pub fn judge(words: &[String]) -> Result<(), DnsError> {
    let path = Path::new(words.first().map(String::as_str).unwrap_or_default());
    let unfit = |path: &Path, cause| DnsError::HookUnfit { path: path.to_owned(), cause };
    let metadata = fs::metadata(path).map_err(|error| unfit(path, Unfit::Absent(error)))?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        return Err(unfit(path, Unfit::NoProgram));
    }
    // What a link leads to is what runs.
    let real = fs::canonicalize(path).map_err(|error| unfit(path, Unfit::Absent(error)))?;
    for part in real.ancestors().take(2) {
        let metadata = fs::metadata(part).map_err(|error| unfit(part, Unfit::Absent(error)))?;
        let is_sticky = metadata.is_dir() && metadata.mode() & STICKY != 0;
        if private_file::check_owner(&metadata, Owners::UsOrRoot).is_err() {
            return Err(unfit(part, Unfit::Owner(metadata.uid())));
        }
        if private_file::check_unwritable(&metadata).is_err() && !is_sticky {
            return Err(unfit(part, Unfit::Writable));
        }
    }
    Ok(())
}

/// Runs the program and waits for its success.
///
/// # Errors
/// [`DnsError`].
pub async fn run(words: &[String], told: Told<'_>) -> Result<(), DnsError> {
    judge(words)?;
    let action = match told.change {
        Change::Add => "present",
        Change::Remove => "cleanup",
    };
    let Some((program, first)) = words.split_first() else { return Ok(()) };
    let mut command = Command::new(program);
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
    let mut buffer = [0; 1024];
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
