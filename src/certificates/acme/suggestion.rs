//! What a CA says of the renewal of a certificate (RFC 9773). Whatever it says or does not say is no failure: without a
//! window that can be, the certificate is renewed by its age.

use std::time::Duration;

use instant_acme::RenewalInfo;
use tokio::time::timeout;
use tracing::{debug, info};

use crate::base::clock::{Clock, UnixMillis, millis};
use crate::base::limits::{
    ACME_ATTEMPT_WAIT, ACME_RENEWAL_INFO_PERIOD, ACME_RENEWAL_INFO_PERIOD_MAX, ACME_RENEWAL_INFO_PERIOD_MIN,
    ACME_SHOWN_CHARS_MAX,
};
use crate::base::printable::printable;
use crate::certificates::acme::Settings;
use crate::certificates::acme::account;
use crate::certificates::acme::backoff::{Record, Suggestion};
use crate::certificates::acme::failure::AcmeError;
use crate::certificates::acme::kept::Kept;
use crate::certificates::acme::order::Names;
use crate::certificates::acme::renewal::Chosen;
use crate::certificates::acme::unreachable::Unreachable;
use crate::certificates::acme::wire::Wire;
use crate::certificates::files::Loaded;
use crate::certificates::x509::CertificateId;

/// What was heard of a CA.
enum Said {
    /// When it would have the certificate renewed, and when it may be asked again.
    Info(RenewalInfo, Duration),
    /// Nothing that can be used; it may be asked again after this time, if it gave one.
    Nothing(Option<Duration>),
    /// Nothing yet: it could not be reached.
    Silence,
}

/// Asks the CA that has issued `held`, and answers with what is to stand in the record.
pub async fn ask(settings: &Settings, record: &Record, held: &Loaded, kept: &Kept, clock: &Clock) -> Suggestion {
    let before = record.renewal.clone().unwrap_or_default();
    let said = timeout(ACME_ATTEMPT_WAIT, hear(settings, record, held, kept, clock)).await.unwrap_or(Said::Silence);
    let (chosen, explanation, wait) = match said {
        Said::Info(info, wait) => {
            let at = |time: time::OffsetDateTime| UnixMillis::of_seconds(time.unix_timestamp()).0;
            let (from, to) = (at(info.suggested_window.start), at(info.suggested_window.end));
            let chosen = Chosen::of(from, to, held.validity, chance(), before.chosen);
            (chosen, info.explanation_url.as_deref().and_then(page), wait)
        }
        Said::Nothing(wait) => (None, None, wait.unwrap_or(ACME_RENEWAL_INFO_PERIOD)),
        Said::Silence => (before.chosen, before.explanation, ACME_RENEWAL_INFO_PERIOD),
    };
    if let Some(new) = chosen.filter(|new| before.chosen != Some(*new)) {
        let (names, next) = (Names(&settings.names), UnixMillis(new.moment_ms).date());
        info!(%names, %next, explanation, "the ca has said when it would have this certificate renewed");
    }
    let wait = wait.clamp(ACME_RENEWAL_INFO_PERIOD_MIN, ACME_RENEWAL_INFO_PERIOD_MAX);
    let ask_ms = clock.now().plus(millis(wait)).0;
    Suggestion { ask_ms, chosen, explanation }
}

async fn hear(settings: &Settings, record: &Record, held: &Loaded, kept: &Kept, clock: &Clock) -> Said {
    let directory = record.issued_by.as_ref().filter(|issuer| settings.directories.contains(issuer));
    let certificate = CertificateId::of(&held.certified);
    let (Some(directory), Some(certificate)) = (directory, certificate) else {
        return Said::Nothing(Some(ACME_RENEWAL_INFO_PERIOD_MAX));
    };
    let asked = async {
        let wire = Wire::new(settings.root_file.as_deref(), clock.clone())?;
        let account = account::open(settings, directory, kept, &wire).await?;
        let asked = account.renewal_info(&certificate.for_renewal()).await;
        let wait = wire.heard().retry_after;
        Ok(match asked {
            Ok((info, wait)) => Said::Info(info, wait),
            Err(error) => match AcmeError::of(error, wire.heard().status) {
                error @ AcmeError::Unreachable(Unreachable::Strange(_)) | error @ AcmeError::Refused { .. } => {
                    debug!(names = %Names(&settings.names), %error, "the ca says nothing of the renewal");
                    Said::Nothing(wait)
                }
                AcmeError::NoRenewalInfo => Said::Nothing(Some(ACME_RENEWAL_INFO_PERIOD_MAX)),
                error => return Err(error),
            },
        })
    };
    asked.await.unwrap_or_else(|error: AcmeError| {
        debug!(names = %Names(&settings.names), %error, "the ca could not be asked about the renewal");
        Said::Silence
    })
}

/// A page that may be shown to a person: nothing but the web's own addresses.
fn page(text: &str) -> Option<String> {
    let is_web = ["https://", "http://"].iter().any(|scheme| text.starts_with(scheme));
    is_web.then(|| printable(text, ACME_SHOWN_CHARS_MAX))
}

/// Any number; without random bytes, the first moment of a window.
fn chance() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_the_web_are_shown() {
        assert_eq!(page("https://ca.example/why").as_deref(), Some("https://ca.example/why"));
        for text in ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//ca.example", ""] {
            assert_eq!(page(text), None, "{text}");
        }
        let shown = page(&format!("https://ca.example/\n\u{1b}[2J{}", "x".repeat(9_999))).unwrap();
        assert!(!shown.contains(['\n', '\u{1b}']) && shown.len() < 500, "{shown}");
    }
}
