//! `doorward certs export`: a chain, or the local CA in the form that a device installs.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::base::clock::Clock;
use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::pem;
use crate::base::printable::printable;
use crate::certificates::Certificates;
use crate::certificates::local_ca::LocalCa;
use crate::certificates::local_ca::authority::Authority;
use crate::config::Config;
use crate::net::host::Host;

use super::super::failure::Failure;
use super::super::instance::Instance;
use super::super::{Context, Form, print, print_json};

#[derive(Args, Debug)]
pub(in crate::cli) struct Arguments {
    /// The name or address whose certificate is meant, with those that lead to its root.
    #[arg(required_unless_present = "ca", conflicts_with = "ca")]
    name: Option<String>,
    /// The local CA's own certificate.
    #[arg(long)]
    ca: bool,
    /// The form: mobileconfig is what Apple's devices install.
    #[arg(long, value_enum, default_value_t = Format::Pem)]
    format: Format,
    /// Write to this file instead of printing.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Format {
    Der,
    Mobileconfig,
    Pem,
}

pub(super) fn export(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let (bytes, authority) = match &arguments.name {
        None => {
            let authority = find(&Instance::find(context)?.state_dir)?;
            let bytes = match arguments.format {
                Format::Der => authority.der().to_vec(),
                Format::Mobileconfig => authority.mobileconfig().into_bytes(),
                Format::Pem => authority.pem().as_bytes().to_vec(),
            };
            (bytes, Some(authority))
        }
        Some(name) => (chain(name, arguments.format, &context.config()?)?, None),
    };
    if let Some(file) = &arguments.out {
        let written = fs::write(file, &bytes);
        written.map_err(|cause| {
            Failure::failed(format!("not written ({cause}): {}", file.display()), "name a file that you may write")
        })?;
    }
    match (context.form, &authority) {
        (Form::Json, Some(authority)) => print_json(&json!({
            "name": authority.name(),
            "sha256": authority.sha256(),
            "sha1": authority.sha1(),
            "pem": authority.pem(),
            "file": arguments.out,
        })),
        (Form::Json, None) => print_json(&json!({
            "pem": String::from_utf8(bytes).ok(),
            "file": arguments.out,
        })),
        (Form::Text, _) => match (&arguments.out, &authority) {
            (Some(file), Some(authority)) => print(&format!(
                "{}: {}\nSHA-256 {}\nSHA-1   {}\nCompare with what the device shows before it trusts it.\n",
                file.display(),
                authority.name(),
                authority.sha256(),
                authority.sha1()
            )),
            (Some(file), None) => print(&format!("{}\n", file.display())),
            (None, _) => write(&bytes, arguments.format),
        },
    }
}

/// The local CA as it stands.
fn find(state_dir: &Path) -> Result<Authority, Failure> {
    let found = LocalCa::find(state_dir);
    let found = found.map_err(|error| Failure::failed(&error, error.hint()))?;
    found.map(|ca| ca.authority().clone()).ok_or_else(|| {
        Failure::failed(
            format!("there is no local ca yet in {}", state_dir.display()),
            "the first `doorward run` makes it",
        )
    })
}

fn chain(name: &str, format: Format, config: &Config) -> Result<Vec<u8>, Failure> {
    if format == Format::Mobileconfig {
        return Err(Failure::usage(
            "only the local ca has a profile for devices",
            "doorward certs export --ca --format mobileconfig",
        ));
    }
    let host = Host::parse(name).map_err(|cause| {
        Failure::usage(
            format!("not a host ({cause}): {}", printable(name, LABEL_CHARS_MAX)),
            "write a name or an address, without a port",
        )
    })?;
    let chain = Certificates::find_chain(&config.certificates, &host, Clock::system().now());
    let chain = chain.map_err(|error| Failure::failed(&error, error.hint()))?;
    let Some(chain) = chain else {
        return Err(Failure::failed(
            format!("no certificate is for {host}"),
            "`doorward certs list` shows the names that there are certificates for",
        ));
    };
    Ok(match format {
        // A chain has no form of its own in DER: its first certificate.
        Format::Der => chain.first().map(|leaf| leaf.to_vec()).unwrap_or_default(),
        _ => chain.iter().map(|der| pem::encode("CERTIFICATE", der).expose().clone()).collect::<String>().into_bytes(),
    })
}

fn write(bytes: &[u8], format: Format) -> Result<(), Failure> {
    if format == Format::Der && io::stdout().is_terminal() {
        return Err(Failure::failed("der is no text for a terminal", "add `--out doorward-ca.der`"));
    }
    match io::stdout().lock().write_all(bytes) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("standard output cannot be written: {error}"), "see where it leads"))
        }
        _ => Ok(()),
    }
}
