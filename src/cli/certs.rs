//! `doorward certs`: the certificates that are shown, and the local CA that devices are to trust. No private key is ever
//! printed.

mod export;
mod recreate;

use clap::Subcommand;

use super::Context;
use super::failure::Failure;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print a certificate, or the local CA's with --ca, for devices and programs that are to trust it.
    Export(export::Arguments),
    /// Replace the local CA, for names that the one of now may not sign: each device must then install the new one.
    RecreateCa(recreate::Arguments),
}

pub(super) fn certs(command: &Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Export(arguments) => export::export(arguments, context),
        Command::RecreateCa(arguments) => recreate::recreate(arguments, context),
    }
}
