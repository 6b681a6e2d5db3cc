//! `doorward import`: moving in from another gateway. It tells what it finds and does it; `--dry-run` only tells. Nothing is
//! changed there.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Deserialize;
use serde_json::Value;

use crate::admin::client::CallError;
use crate::admin::request::Request;
use crate::app::lock::StateLock;
use crate::base::clock::Clock;
use crate::base::limits::ADMIN_LINE_BYTES_MAX;
use crate::base::private_file::{self, Link, PrivateFileError};
use crate::base::secret::Secret;
use crate::config::Config;
use crate::import::settings::{self, Settings};
use crate::import::{self, Arrival, Devices, ImportError, OldSecret, SecretKind, mistakes, suggestion};
use crate::pairing::device::DeviceId;
use crate::pairing::import::{Fate, Import, ImportedDevice, Mode};
use crate::pairing::paired::{Generation, Issuer};
use crate::store::keys::token::TokenError;
use crate::store::{Act, FILE_NAME, Line, Store};

use super::audit;
use super::failure::Failure;
use super::instance::{Instance, lock};
use super::store::wait;
use super::{Context, Form, print, print_json};

mod shown;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Take over the paired devices of an OpenClaw gateway, 2026.1 or 2026.9, and their tokens.
    Openclaw(Openclaw),
}

#[derive(Debug, clap::Args)]
pub(super) struct Openclaw {
    /// Its state folder: ~/.openclaw, or what $OPENCLAW_STATE_DIR says there.
    #[arg(value_name = "STATE_FOLDER")]
    folder: PathBuf,
    /// Only tell what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Take a device in again that was removed here; once for each.
    #[arg(long, value_name = "DEVICE_ID", value_parser = device)]
    again: Vec<DeviceId>,
    /// Take those in too that the gateway let in from elsewhere by itself, without a person's word.
    #[arg(long)]
    with_unapproved: bool,
    /// Take the gateway's token over as doorward's own, so that everybody goes on with the one that they have. doorward must
    /// not run meanwhile.
    #[arg(long)]
    with_token: bool,
    /// Write the suggested configuration there; a file that is there stays as it is.
    #[arg(long, value_name = "FILE")]
    config_out: Option<PathBuf>,
    /// The gateway's settings, where they are not in its state folder.
    #[arg(long, value_name = "FILE")]
    openclaw_json: Option<PathBuf>,
    /// The gateway's token or password, where it does not stand in its settings (such as $OPENCLAW_GATEWAY_TOKEN).
    #[arg(long, value_name = "FILE")]
    old_token_file: Option<PathBuf>,
}

fn device(text: &str) -> Result<DeviceId, String> {
    text.parse().map_err(|_| "64 lower-case hexadecimal digits, as `doorward import` lists them".to_owned())
}

pub(super) fn import(command: &Command, context: &Context) -> Result<(), Failure> {
    let Command::Openclaw(asked) = command;
    let instance = Instance::find(context)?;
    let folder = context.environment.folder.join(&asked.folder);
    let settings = settings::read(&folder, asked.openclaw_json.as_deref()).map_err(refused)?;
    let secret = old_secret(settings.as_ref(), asked.old_token_file.as_deref())?;
    let suggestion = settings.as_ref().map(|settings| suggestion(settings, context)).transpose()?;
    let out = out(asked, suggestion.as_deref())?;
    let devices = read(&folder, &secret, &instance.state_dir)?;
    let mode = if asked.dry_run { Mode::Planned } else { Mode::Done };
    let (held, chosen) = chosen(&devices, asked);
    let import = Import { devices: chosen, again: asked.again.clone(), mode };
    let written = out.as_ref().filter(|_| mode == Mode::Done);
    if let Some((path, text)) = written {
        // Before anybody moves: who cannot have it is to find everything as it was.
        private_file::create(path, text).map_err(|error| Failure::failed(&error, error.hint()))?;
    }
    let fates = match (asked.with_token, &secret) {
        (false, _) => carry(import, &instance),
        (true, OldSecret::Known { secret, .. }) => {
            admit(secret, &stands_in(asked, &folder), instance.config()?)?;
            with_token(secret, import, &instance)
        }
        (true, OldSecret::Unknown) => Err(Failure::usage(
            "the settings of that gateway do not hold its token",
            "name the file where it stands with --old-token-file",
        )),
    };
    let fates = fates.inspect_err(|_| {
        if let Some((path, _)) = written {
            // Where this fails too, the next attempt names the file.
            let _ = std::fs::remove_file(path);
        }
    })?;
    let mistakes = settings.as_ref().map(mistakes::find).unwrap_or_default();
    let token = if asked.with_token { shown::Token::Taken } else { shown::Token::Left };
    let out = out.as_ref().map(|(path, _)| path.as_path());
    let plan = shown::Plan {
        devices: &devices,
        held: &held,
        fates: &fates,
        mode,
        token,
        mistakes: &mistakes,
        suggestion: suggestion.as_deref(),
        out,
    };
    match context.form {
        Form::Json => print_json(&plan.json()),
        Form::Text => print(&plan.text()),
    }
}

/// A configuration for what the settings mean. What we suggest we would take.
fn suggestion(settings: &Settings, context: &Context) -> Result<String, Failure> {
    let text = suggestion::toml(settings);
    match Config::parse(&text, None, &context.environment) {
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::failed(
            format!("the configuration that we would suggest is none: {error}"),
            "please report this; --openclaw-json with a file that holds {} leaves the settings out",
        )),
    }
}

/// Where the suggestion is written to, if anywhere. It is looked at before anything is done.
fn out(asked: &Openclaw, suggestion: Option<&str>) -> Result<Option<(PathBuf, Secret<String>)>, Failure> {
    let Some(path) = &asked.config_out else { return Ok(None) };
    let Some(text) = suggestion else {
        return Err(Failure::usage(
            "there are no settings to make a configuration of",
            "name the gateway's settings with --openclaw-json",
        ));
    };
    if path.symlink_metadata().is_ok() {
        return Err(Failure::failed(
            format!("a file is there already, and stays as it is: {}", path.display()),
            "name another with --config-out",
        ));
    }
    Ok(Some((path.clone(), Secret::new(text.to_owned()))))
}

/// Those that stay where they are unless the owner says otherwise, and those that may move.
fn chosen(devices: &Devices, asked: &Openclaw) -> (Vec<DeviceId>, Vec<ImportedDevice>) {
    let (held, chosen): (Vec<&Arrival>, Vec<&Arrival>) =
        devices.arrivals.iter().partition(|arrival| arrival.is_unapproved() && !asked.with_unapproved);
    (
        held.iter().map(|arrival| arrival.device.id()).collect(),
        chosen.iter().map(|arrival| arrival.device.clone()).collect(),
    )
}

fn read(folder: &Path, secret: &OldSecret, state_dir: &Path) -> Result<Devices, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::failed(error, "see the limits of threads and open files (ulimit -a)"))?;
    // Before the first start there is no folder of ours, and none is made for a plan.
    let room = if state_dir.is_dir() { state_dir.to_path_buf() } else { std::env::temp_dir() };
    runtime.block_on(import::devices(folder, secret, &room)).map_err(refused)
}

fn refused(error: ImportError) -> Failure {
    Failure::failed(&error, error.hint())
}

/// The other gateway's secret: from the file that was named for it, else from its settings.
fn old_secret(settings: Option<&Settings>, named: Option<&Path>) -> Result<OldSecret, Failure> {
    let auth = settings.map(|settings| &settings.gateway.auth);
    let Some(path) = named else { return Ok(auth.map_or(OldSecret::Unknown, |auth| auth.old_secret())) };
    let text = private_file::open(path, Link::Followed)
        .and_then(|file| private_file::read_text(file).map_err(|fault| PrivateFileError::new(path, fault)))
        .map_err(|error| Failure::failed(&error, error.operators_hint()))?;
    let kind = auth.map_or(SecretKind::Token, |auth| auth.kind());
    Ok(OldSecret::Known { kind, secret: Secret::new(text.expose().trim().to_owned()) })
}

/// Hands it to the running instance, or to the store where none runs.
fn carry(import: Import, instance: &Instance) -> Result<Vec<(DeviceId, Fate)>, Failure> {
    let request = Request::Import(import.clone());
    match instance.call(&request) {
        Err(CallError::NotRunning { .. }) => alone(&import, instance.config()?),
        Err(CallError::Broken { .. }) if is_too_long(&request) => Err(Failure::failed(
            "these are more devices than a running doorward takes at once",
            "stop doorward, repeat this, and start it again",
        )),
        answer => fates(&answer?),
    }
}

fn is_too_long(request: &Request) -> bool {
    serde_json::to_vec(request).is_ok_and(|text| text.len() + 1 >= ADMIN_LINE_BYTES_MAX)
}

fn fates(answer: &Value) -> Result<Vec<(DeviceId, Fate)>, Failure> {
    let list = answer.get("fates").cloned().unwrap_or_default();
    Vec::deserialize(list).map_err(|error| {
        Failure::failed(
            format!("the running doorward answers otherwise: {error}"),
            "use the doorward of the same version",
        )
    })
}

/// The file that the other gateway's secret was read from.
fn stands_in(asked: &Openclaw, folder: &Path) -> PathBuf {
    let named = asked.old_token_file.as_ref().or(asked.openclaw_json.as_ref());
    named.cloned().unwrap_or_else(|| folder.join(settings::FILE))
}

/// Whether the other gateway's token, which stands in `file`, may be ours.
fn admit(token: &Secret<String>, file: &Path, config: &Config) -> Result<(), Failure> {
    let source = config.core.token(&config.state_dir);
    source.admits(token).map_err(|error| {
        let hint = match &error {
            TokenError::Operators(path) => {
                format!("write it to {} yourself, and leave --with-token out", path.display())
            }
            TokenError::Invite(_) | TokenError::NotAToken(_) | TokenError::Sample(_) | TokenError::TooShort(_) => {
                "leave --with-token out: doorward makes one that nobody can guess".to_owned()
            }
            _ => error.hint(),
        };
        Failure::failed(error.of(file), hint)
    })
}

/// Takes the other gateway's token over first, so that the devices' tokens count under it. What fails after that can be
/// repeated.
fn with_token(token: &Secret<String>, import: Import, instance: &Instance) -> Result<Vec<(DeviceId, Fate)>, Failure> {
    if import.mode == Mode::Planned {
        return carry(import, instance);
    }
    let config = instance.config()?;
    // Held to the end: who started one in between would have devices under a token that is theirs no more.
    let lock = lock(config)?;
    let now = Clock::system().now();
    let line = Line { change: "token.import", ..Line::default() };
    let path = config.state_dir.join(FILE_NAME);
    wait(async { Store::open(&path).await?.record(&Act::owner("token.import", now), line).await })?;
    // As by a rotation: whoever knew the secret of before may have made it.
    audit::end_invite(config, "token.import")?;
    let adopted = config.core.token(&config.state_dir).adopt(token);
    adopted.map_err(|error| Failure::failed(&error, error.hint()))?;
    stored(&import, config, &lock)
}

/// Where nobody runs.
fn alone(import: &Import, config: &Config) -> Result<Vec<(DeviceId, Fate)>, Failure> {
    // Nothing is here, and nothing is made for a plan.
    if import.mode == Mode::Planned && !config.state_dir.exists() {
        return Ok(import.of_strangers());
    }
    let lock = lock(config)?;
    let absent = Store::is_absent(&config.state_dir.join(FILE_NAME));
    if import.mode == Mode::Planned && absent.map_err(|error| Failure::failed(&error, error.hint()))? {
        return Ok(import.of_strangers());
    }
    stored(import, config, &lock)
}

/// Decides at the store itself, which nobody else opens meanwhile.
fn stored(import: &Import, config: &Config, _lock: &StateLock) -> Result<Vec<(DeviceId, Fate)>, Failure> {
    let (path, now) = (config.state_dir.join(FILE_NAME), Clock::system().now());
    // Made here if this is before the first start: tokens count under the secret of their time.
    let issuer = match import.mode {
        Mode::Planned => Issuer::Setup,
        Mode::Done => {
            let secret = config.core.token(&config.state_dir).open();
            let secret = secret.map_err(|error| Failure::failed(&error, error.hint()))?;
            Issuer::Gateway(Generation::of(&secret.fingerprint()))
        }
    };
    wait(async {
        let store = Store::open(&path).await?;
        let footings = store.footings(&import.ids()).await?;
        let (fates, changes) = import.decide(&footings, issuer, now);
        if import.mode == Mode::Done {
            store.commit(&changes, &Act::owner("devices.import", now)).await?;
        }
        Ok(fates)
    })
}

#[cfg(test)]
mod tests;
