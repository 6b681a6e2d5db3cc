//! Our account at a CA: made once, kept, and made anew when the CA does not know it any more.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use instant_acme::{Account, Error, ExternalAccountKey, NewAccount};

use crate::base::limits::ACME_NONCE_TRIES;
use crate::base::private_file::{self, Fault, PrivateFileError};
use crate::certificates::acme::failure::AcmeError;
use crate::certificates::acme::kept::Kept;
use crate::certificates::acme::wire::Wire;
use crate::certificates::acme::{ExternalAccount, Settings};

/// The account at `directory`, by way of `wire`; the terms of service are agreed to by naming a directory.
///
/// # Errors
/// [`AcmeError`].
pub async fn open(settings: &Settings, directory: &str, kept: &Kept, wire: &Wire) -> Result<Account, AcmeError> {
    let eab = external(settings, directory);
    let kid = eab.map(|eab| eab.kid.as_str());
    let builder = || Account::builder_with_http(Box::new(wire.clone()));
    if let Some(credentials) = kept.account(directory, kid)? {
        let restored = builder().from_credentials(credentials).await;
        return restored.map_err(|error| AcmeError::of(error, wire.heard().status));
    }
    let key = eab.map(external_key).transpose()?;
    let contact: Vec<&str> = settings.contact.iter().map(String::as_str).collect();
    let wanted = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let make = async || builder().create(&wanted, directory.to_owned(), key.as_ref()).await;
    let made = insist(wire, make).await;
    if made.is_err() {
        // Better an account that was refused once than none.
        kept.restore_account(directory, kid)?;
    }
    let (account, credentials) = made?;
    kept.keep_account(directory, kid, &credentials)?;
    Ok(account)
}

/// Sets the account at `directory` aside, so that the next attempt makes another; never one that was made by hand.
///
/// # Errors
/// When its file stays.
pub fn refuse(settings: &Settings, directory: &str, kept: &Kept) -> Result<(), PrivateFileError> {
    match external(settings, directory) {
        Some(_) => Ok(()),
        None => kept.refuse_account(directory, None),
    }
}

fn external<'s>(settings: &'s Settings, directory: &str) -> Option<&'s ExternalAccount> {
    settings.eab.as_ref().filter(|eab| eab.directory == directory)
}

/// The key of an external account, from its file.
///
/// # Errors
/// [`AcmeError::Eab`].
pub fn external_key(eab: &ExternalAccount) -> Result<ExternalAccountKey, AcmeError> {
    let failed = |fault| AcmeError::Eab(PrivateFileError::new(&eab.hmac_file, fault));
    let bytes = private_file::read_operators(&eab.hmac_file).map_err(AcmeError::Eab)?;
    let text = private_file::text(&bytes).map_err(failed)?;
    let key = URL_SAFE_NO_PAD.decode(text.expose().trim().trim_end_matches('='));
    let key = key.map_err(|_| failed(Fault::Garbage("an hmac key in base64url")))?;
    Ok(ExternalAccountKey::new(eab.kid.clone(), &key))
}

/// Takes `step` until the CA likes our nonce. The library gives up after three, and a CA may reject every second one.
///
/// # Errors
/// Whatever else went wrong.
pub(super) async fn insist<T>(wire: &Wire, mut step: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, AcmeError> {
    let mut tries = 1;
    loop {
        match step().await {
            Err(Error::Api(problem)) if is_nonce(problem.r#type.as_deref()) && tries < ACME_NONCE_TRIES => tries += 1,
            ended => return ended.map_err(|error| AcmeError::of(error, wire.heard().status)),
        }
    }
}

fn is_nonce(kind: Option<&str>) -> bool {
    kind == Some("urn:ietf:params:acme:error:badNonce")
}
