//! The certificates of a running instance, as its owner lists them and has them renewed.
//!
//! Promise: no command hastens what a CA's limits forbid. A wait after a failure stands, and so does the least age at which a
//! certificate is ordered anew.

use serde_json::{Value, json};
use tracing::info;

use super::request::Reply;
use crate::base::clock::{UnixMillis, millis};
use crate::base::limits::{ACME_RENEW_AGE_MIN, LABEL_CHARS_MAX};
use crate::base::printable::printable;
use crate::certificates::Certificates;
use crate::certificates::acme;
use crate::certificates::acme::attempts::Stage;
use crate::certificates::acme::kept::Id;
use crate::certificates::alarm::told;
use crate::certificates::standing::{Source, Standing};

/// What `certs list` shows.
pub(super) fn list(certificates: &Certificates, now: UnixMillis) -> Value {
    let authority = certificates.authority();
    let standings = certificates.list(now).into_iter().map(|standing| described(&standing, now));
    json!({
        "certificates": standings.collect::<Vec<_>>(),
        "localCa": {
            "name": authority.name(),
            "sha256": authority.sha256(),
            "sha1": authority.sha1(),
            "inUse": certificates.local_ca_names().is_some(),
            "notAfterMs": authority.validity().map(|validity| validity.ends_at().0),
        },
    })
}

/// How it stands, and what is to be done about it, if anything.
fn described(standing: &Standing, now: UnixMillis) -> Value {
    let failure = standing.attempts.as_ref().and_then(|attempts| attempts.failure.as_ref());
    let alarm = (!standing.alarm.words().is_empty()).then(|| told::hint(standing.source, standing.alarm).to_owned());
    let hint = failure.map(|failure| failure.hint.clone()).or(alarm);
    let mut described = json!(standing);
    if let Value::Object(fields) = &mut described {
        let left = standing.not_after_ms.map(|ends| ends.saturating_sub(now.0) / 1_000);
        fields.insert("hint".into(), json!(hint));
        fields.insert("alarmLevel".into(), json!(standing.alarm.level()));
        fields.insert("secondsLeft".into(), json!(left));
    }
    described
}

/// Has the certificate for `name` renewed, or all that can be, and says what becomes of each.
pub(super) fn renew(certificates: &Certificates, name: Option<&str>, now: UnixMillis) -> Reply {
    let is_meant = |names: &[String]| name.is_none_or(|name| names.iter().any(|own| own.eq_ignore_ascii_case(name)));
    let mut meant: Vec<Standing> = certificates.list(now);
    meant.retain(|standing| is_meant(&standing.names) && (name.is_some() || standing.source != Source::File));
    // What is shown for a name comes first: a public CA's or a file's before the local one.
    if name.is_some() {
        meant.truncate(1);
    }
    if meant.is_empty() {
        return Reply::failed(
            format!("no certificate is for {}", printable(name.unwrap_or("any name"), LABEL_CHARS_MAX)),
            "`doorward certs list` shows the names that there are certificates for",
        );
    }
    let mut told = Vec::new();
    for standing in &meant {
        match renewed(certificates, standing, now) {
            Ok(what) => told.push(json!({"names": standing.names, "source": standing.source, "renewal": what})),
            Err(reply) if meant.len() == 1 => return reply,
            Err(Reply::Failed { error, hint }) => {
                told.push(json!({"names": standing.names, "source": standing.source, "error": error, "hint": hint}));
            }
            Err(done) => return done,
        }
    }
    Reply::Done(json!({"renewals": told}))
}

/// What becomes of one.
fn renewed(certificates: &Certificates, standing: &Standing, now: UnixMillis) -> Result<&'static str, Reply> {
    match standing.source {
        Source::LocalCa => match certificates.reissue_local(now) {
            Ok(()) => {
                info!("local certificate issued anew by command");
                Ok("issued")
            }
            Err(error) => Err(Reply::failed(&error, error.hint())),
        },
        Source::Acme => ordered(certificates, standing, now),
        Source::File => Err(Reply::failed(
            format!("this certificate is not from a ca that doorward asks: {}", standing.names.join(" ")),
            "put a newer pair in place of its files, or see what renews it",
        )),
        Source::Tailnet => Err(Reply::failed(
            format!("this certificate is tailscaled's to renew: {}", standing.names.join(" ")),
            "tailscaled is asked again by itself in time; the log says what it answers",
        )),
    }
}

fn ordered(certificates: &Certificates, standing: &Standing, now: UnixMillis) -> Result<&'static str, Reply> {
    let attempts = standing.attempts.clone().unwrap_or_default();
    let names = standing.names.join(" ");
    let until = |millis: i64| UnixMillis(millis).date();
    match attempts.stage {
        Stage::Issuing | Stage::Ordering | Stage::Proving => return Ok("under-way"),
        Stage::Clock => {
            return Err(Reply::failed("nothing is ordered before this machine's clock is right", "timedatectl"));
        }
        Stage::Waiting => {
            let (reason, hint) = attempts.failure.map(|failure| (failure.reason, failure.hint)).unwrap_or_default();
            let next = attempts.next_ms.map(until).unwrap_or_default();
            return Err(Reply::failed(
                format!("the last attempt for {names} failed ({reason}); the ca's limits allow the next at {next}"),
                format!("{hint}; it is then tried by itself"),
            ));
        }
        Stage::Idle => {}
    }
    if let Some(at) = allowed_from(standing).filter(|at| now < *at) {
        return Err(Reply::failed(
            format!("the certificate for {names} is too new for another order before {}", at.date()),
            "a ca signs few certificates for the same names in a week; it is renewed by itself in time",
        ));
    }
    let wanted = certificates.wanted();
    let own =
        |wanted: &&acme::Settings| wanted.names.iter().map(ToString::to_string).eq(standing.names.iter().cloned());
    let Some(wanted) = wanted.iter().find(own) else {
        return Err(Reply::failed(format!("no longer configured: {names}"), "see `doorward certs list`"));
    };
    certificates.board().demand(&Id::of(&wanted.names));
    info!(%names, "certificate wanted anew by command");
    Ok("ordered")
}

/// From when on a certificate that is held is ordered anew.
fn allowed_from(standing: &Standing) -> Option<UnixMillis> {
    let (begins, ends) = standing.not_before_ms.zip(standing.not_after_ms)?;
    let quarter = ends.saturating_sub(begins) / 4;
    let least = millis(ACME_RENEW_AGE_MIN);
    Some(UnixMillis(begins.saturating_add(quarter.min(least))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::Settings;
    use crate::certificates::acme::attempts::{Attempts, Failure};
    use crate::certificates::x509::Validity;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const HOUR: i64 = 3_600;

    #[test]
    fn a_young_certificate_is_not_ordered_again_whatever_its_life() {
        let from = |life: i64| {
            let begins = NOW.0 / 1_000;
            let validity = Some(Validity { begins, ends: begins + life * HOUR });
            let standing = Standing::new(vec!["a.example".to_owned()], Source::Acme, validity, None, NOW);
            (allowed_from(&standing).unwrap().0 - NOW.0) / 1_000 / HOUR
        };
        // Five in a week are what Let's Encrypt allows: 36 hours apart they are never reached.
        assert_eq!((from(90 * 24), from(6 * 24), from(24)), (36, 36, 6));
        assert_eq!(allowed_from(&Standing::new(Vec::new(), Source::Acme, None, None, NOW)), None);
    }

    #[test]
    fn what_a_cas_limits_forbid_no_command_hastens() {
        let folder = tempfile::tempdir().unwrap();
        let settings =
            Settings { state_dir: folder.path().to_owned(), dir: folder.path().join("certs"), ..Settings::default() };
        let certificates = Certificates::open(settings, crate::base::clock::Clock::system().now()).unwrap();
        let judged = |stage, validity| {
            let failure = Some(Failure { reason: "port 80".to_owned(), hint: "open it".to_owned(), at_ms: 0 });
            let attempts = Attempts { stage, next_ms: Some(NOW.0), failure, ..Attempts::default() };
            let names = vec!["a.example".to_owned()];
            let standing = Standing::new(names, Source::Acme, validity, Some(attempts), NOW);
            match ordered(&certificates, &standing, NOW) {
                Ok(what) => what.to_owned(),
                Err(Reply::Failed { error, hint }) => format!("{error}: {hint}"),
                Err(Reply::Done(done)) => panic!("{done}"),
            }
        };
        let waiting = judged(Stage::Waiting, None);
        assert!(
            waiting.contains("port 80") && waiting.contains("2027-01-15") && waiting.contains("open it"),
            "{waiting}"
        );
        assert!(judged(Stage::Clock, None).contains("clock"));
        assert_eq!(judged(Stage::Proving, None), "under-way");
        let begins = NOW.0 / 1_000 - HOUR;
        let young = Some(Validity { begins, ends: begins + 90 * 24 * HOUR });
        assert!(judged(Stage::Idle, young).contains("too new"));
    }
}
