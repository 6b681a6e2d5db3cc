//! `doorward certs`: the certificates that are shown, and the local CA that devices are to trust. No private key is ever
//! printed.

mod export;
mod list;
mod recreate;

use clap::Subcommand;

use super::Context;
use super::failure::Failure;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the certificates of the running instance: what they are for, how long they hold, and what is in their way.
    List,
    /// Have a certificate renewed now, as far as its CA's limits allow.
    Renew(list::Renewal),
    /// Print a certificate, or the local CA's with --ca, for devices and programs that are to trust it.
    Export(export::Arguments),
    /// Replace the local CA, for names that the one of now may not sign: each device must then install the new one.
    RecreateCa(recreate::Arguments),
}

pub(super) fn certs(command: &Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::List => list::list(context),
        Command::Renew(arguments) => list::renew(arguments, context),
        Command::Export(arguments) => export::export(arguments, context),
        Command::RecreateCa(arguments) => recreate::recreate(arguments, context),
    }
}
