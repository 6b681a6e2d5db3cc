//! Certificates of the tailnet: tailscaled orders and renews them at a public CA, we ask for them in time and show them.
//!
//! Promise: only names that tailscaled says are this machine's, and that are configured, are asked for; a pair that does not
//! fit is refused, and what was had is shown on. The keys are in memory only: tailscaled keeps its own.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::base::clock::{Clock, UnixMillis, millis};
use crate::base::limits::{TAILNET_ASK_PERIOD, TAILNET_LOOK_PERIOD, TAILNET_RETRY_WAIT, TAILNET_RETRY_WAIT_MAX};
use crate::base::secret::Secret;
use crate::certificates::Certificates;
use crate::certificates::alarm::Alarm;
use crate::certificates::files::{self, FileError, Loaded};
use crate::net::host::Host;
use crate::tailscale::{Tailscale, TailscaleError};

/// Keeps the tailnet's certificates fresh.
#[derive(Debug)]
pub struct Runner {
    certificates: Arc<Certificates>,
    tailscale: Tailscale,
    clock: Clock,
    /// Nothing is asked before this.
    next: Option<UnixMillis>,
    /// How often in a row it was asked in vain.
    failures: u32,
    said: Said,
}

/// The last that was said of each name, or of all.
#[derive(Debug, Default)]
struct Said(BTreeMap<String, (String, Alarm)>);

impl Said {
    /// Whether `words` are said of `name` now: when they are others than before, or its end is a step nearer.
    fn is_news(&mut self, name: String, words: String, alarm: Alarm) -> bool {
        let told = (words, alarm);
        self.0.insert(name, told.clone()) != Some(told)
    }

    fn forget(&mut self, name: &str) {
        self.0.remove(name);
    }
}

/// Why there is no certificate, or no newer one.
#[derive(Debug, thiserror::Error)]
pub enum TailnetError {
    /// Its pair cannot be shown.
    #[error("tailscaled's pair is not sound: {0}")]
    File(#[from] FileError),
    /// The tailnet gives this machine no certificates.
    #[error("this tailnet has no certificates for this machine")]
    NoDomains,
    /// None of the machine's names is configured.
    #[error("none of this machine's tailnet names is in edge.names: {}", .0.join(", "))]
    NotConfigured(Vec<String>),
    /// For other names than was asked.
    #[error("tailscaled's certificate is for another name: {0}")]
    OtherName(String),
    /// tailscaled itself.
    #[error(transparent)]
    Tailscale(#[from] TailscaleError),
}

impl TailnetError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::File(_) | Self::OtherName(_) => "see what `tailscale cert` gives; it is asked again".to_owned(),
            Self::NoDomains => {
                "switch on https certificates (and MagicDNS) in the tailnet's admin console, DNS".to_owned()
            }
            Self::NotConfigured(names) => {
                format!("add \"{}\" to edge.names", names.first().map(String::as_str).unwrap_or_default())
            }
            Self::Tailscale(error) => error.hint().to_owned(),
        }
    }
}

impl Runner {
    /// Asks `tailscale`, by `clock`.
    pub fn new(certificates: Arc<Certificates>, tailscale: Tailscale, clock: Clock) -> Self {
        Self { certificates, tailscale, clock, next: None, failures: 0, said: Said::default() }
    }

    /// Works until dropped.
    pub async fn run(mut self) -> Infallible {
        loop {
            self.look().await;
            sleep(TAILNET_LOOK_PERIOD).await;
        }
    }

    /// Asks for what is due.
    pub async fn look(&mut self) {
        let now = self.clock.now();
        if self.next.is_some_and(|next| now < next && next <= now.plus(millis(TAILNET_ASK_PERIOD))) {
            return;
        }
        let wait = match self.ask_for_all(now).await {
            Ok(()) => {
                self.failures = 0;
                TAILNET_ASK_PERIOD
            }
            Err(()) => {
                let wait = TAILNET_RETRY_WAIT.saturating_mul(2_u32.saturating_pow(self.failures));
                self.failures = self.failures.saturating_add(1);
                wait.min(TAILNET_RETRY_WAIT_MAX)
            }
        };
        self.next = Some(now.plus(millis(wait)));
    }

    async fn ask_for_all(&mut self, now: UnixMillis) -> Result<(), ()> {
        let names = match self.names().await {
            Ok(names) => names,
            Err(error) => return self.failed(None, &error, now),
        };
        self.said.forget("");
        let mut outcome = Ok(());
        for name in names {
            let held = self.certificates.of_tailnet(&name);
            if held.as_ref().is_some_and(|held| !held.validity.is_due(now)) {
                continue;
            }
            match self.ask(&name, now).await {
                Ok(loaded) => {
                    self.said.forget(&name.to_string());
                    let is_new = held.is_none_or(|held| held.certified.cert != loaded.certified.cert);
                    if is_new {
                        let ends = loaded.validity.ends_at().date();
                        self.certificates.show_of_tailnet(&name, loaded, now);
                        info!(%name, %ends, "tailnet certificate; new connections see it");
                    }
                }
                Err(error) => outcome = self.failed(Some(&name), &error, now),
            }
        }
        outcome
    }

    /// Which of the configured names are this machine's on its tailnet.
    async fn names(&self) -> Result<Vec<Host>, TailnetError> {
        let domains = self.tailscale.certificate_domains().await?;
        if domains.is_empty() {
            return Err(TailnetError::NoDomains);
        }
        let names = self.certificates.names();
        let own: Vec<Host> = domains.iter().filter_map(|name| Host::parse(name).ok()).collect();
        let wanted: Vec<Host> = own.iter().filter(|name| names.contains(name)).cloned().collect();
        match wanted.is_empty() {
            true => Err(TailnetError::NotConfigured(own.iter().map(ToString::to_string).collect())),
            false => Ok(wanted),
        }
    }

    async fn ask(&self, name: &Host, now: UnixMillis) -> Result<Loaded, TailnetError> {
        let pair = self.tailscale.certificate(name).await?;
        judge(&pair, name, now)
    }

    /// One line for each cause, until it is another or the end is nearer: what is asked every hour fails every hour.
    fn failed(&mut self, name: Option<&Host>, error: &TailnetError, now: UnixMillis) -> Result<(), ()> {
        let (key, words) = (name.map(ToString::to_string).unwrap_or_default(), error.to_string());
        let held = name.and_then(|name| self.certificates.of_tailnet(name));
        let alarm = held.as_ref().map_or(Alarm::None, |held| Alarm::of(held.validity, None, now));
        if !self.said.is_news(key, words, alarm) {
            return Err(());
        }
        let name = name.map_or_else(|| "all".to_owned(), ToString::to_string);
        match held {
            Some(held) if alarm >= Alarm::Week => {
                let ends = held.validity.ends_at().date();
                error!(name, %error, hint = error.hint(), %ends, "tailnet certificate not renewed, and it ends soon");
            }
            Some(_) => {
                warn!(name, %error, hint = error.hint(), "tailnet certificate not renewed; the old one is shown")
            }
            None => {
                warn!(name, %error, hint = error.hint(), "no tailnet certificate; what else there is serves the name")
            }
        }
        Err(())
    }
}

/// The pair, if it is sound, holds at `now` and is for `name`.
fn judge(pair: &Secret<Vec<u8>>, name: &Host, now: UnixMillis) -> Result<Loaded, TailnetError> {
    let loaded = files::from_pem(pair, Path::new("tailscaled"), now)?;
    if loaded.names.covers(name) { Ok(loaded) } else { Err(TailnetError::OtherName(loaded.names.to_string())) }
}

/// Whether `name` is of the kind that only a tailnet gives: no local CA need be able to sign it.
pub(super) fn is_tailnets(name: &Host) -> bool {
    matches!(name, Host::Name(name) if name.ends_with(".ts.net"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once_and_once_more_at_each_step_to_the_end() {
        let mut said = Said::default();
        let mut is_news = |words: &str, alarm| said.is_news("a.ts.net".to_owned(), words.to_owned(), alarm);
        for (words, alarm, expected) in [
            ("refused", Alarm::Third, true),
            ("refused", Alarm::Third, false),
            ("refused", Alarm::Week, true),
            ("refused", Alarm::Week, false),
            ("silent", Alarm::Week, true),
            ("silent", Alarm::Day, true),
            ("silent", Alarm::Day, false),
        ] {
            assert_eq!(is_news(words, alarm), expected, "{words}, {alarm:?}");
        }
        said.forget("a.ts.net");
        assert!(said.is_news("a.ts.net".to_owned(), "silent".to_owned(), Alarm::Day), "after it went well");
    }
}
