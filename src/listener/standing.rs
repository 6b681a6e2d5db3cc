//! Whether a connection's own certificate is still one that is taken: asked again when what is asked of callers changes, and
//! now and then, for certificates and lists end by themselves. A handshake that would fail today keeps nobody in.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use rustls::pki_types::CertificateDer;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::base::limits::CLIENT_CERTIFICATE_PERIOD;
use crate::certificates::client_auth::ClientCertificateFault;
use crate::certificates::server_tls::ServerTls;

/// Done at the next change.
type Alarm = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// What one connection of TLS has shown, and who judges it.
pub(super) struct Standing {
    tls: ServerTls,
    shown: Vec<CertificateDer<'static>>,
    changes: watch::Receiver<()>,
    /// Only where something was shown: nothing ends by itself of what was not.
    timer: Option<Pin<Box<Sleep>>>,
    /// Wakes the task of the connection at the next change, and which that is.
    alarm: Option<(Waker, Alarm)>,
}

impl Standing {
    /// Of a connection that has `shown` these at a handshake that began when `changes` were as they are.
    pub(super) fn new(tls: ServerTls, shown: Vec<CertificateDer<'static>>, changes: watch::Receiver<()>) -> Self {
        let timer = (!shown.is_empty()).then(|| Box::pin(sleep_until(Instant::now() + CLIENT_CERTIFICATE_PERIOD)));
        Self { tls, shown, changes, timer, alarm: None }
    }

    /// Ready when the connection has to end. Cheap while nothing is due: no lock is taken.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ClientCertificateFault> {
        let is_due = self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready());
        // Without a sender nothing changes any more.
        let is_changed = self.changes.has_changed().unwrap_or_default();
        if is_due || is_changed {
            self.changes.mark_unchanged();
            if let Err(fault) = self.tls.takes(&self.shown) {
                return Poll::Ready(fault);
            }
            if let Some(timer) = &mut self.timer {
                timer.as_mut().reset(Instant::now() + CLIENT_CERTIFICATE_PERIOD);
                // It wakes nobody before it was asked once.
                let _pending = timer.as_mut().poll(cx);
            }
        }
        let is_set = self.alarm.as_ref().is_some_and(|(waker, _)| waker.will_wake(cx.waker()));
        if is_changed || !is_set {
            self.set_alarm(cx);
        }
        Poll::Pending
    }

    fn set_alarm(&mut self, cx: &mut Context<'_>) {
        let mut changes = self.changes.clone();
        let mut alarm: Alarm = Box::pin(async move {
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        });
        if alarm.as_mut().poll(cx).is_ready() {
            // It changed at this very moment.
            cx.waker().wake_by_ref();
        }
        self.alarm = Some((cx.waker().clone(), alarm));
    }
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standing").field("shown", &self.shown.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::task::Waker;

    use rcgen::{CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
    use tokio::time::advance;

    use super::*;
    use crate::base::clock::Clock;
    use crate::certificates::client_auth::{Authorities, ClientCertificates};
    use crate::certificates::{Certificates, Settings};

    #[tokio::test(start_paused = true)]
    async fn a_certificate_that_ends_by_itself_ends_its_connection_within_a_minute() {
        let house = House::new();
        for (ends, fault) in [(2_000, Some(ClientCertificateFault::Expired)), (4_000, None)] {
            let mut standing = house.standing(vec![house.issue(ends)]);
            let mut cx = Context::from_waker(Waker::noop());
            assert!(standing.poll(&mut cx).is_pending());
            advance(CLIENT_CERTIFICATE_PERIOD).await;
            match standing.poll(&mut cx) {
                Poll::Ready(found) => assert_eq!(Some(found), fault),
                Poll::Pending => assert_eq!(None, fault),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_had_nothing_to_show_is_judged_only_when_something_else_is_asked() {
        let house = House::new();
        let mut standing = house.standing(Vec::new());
        let mut cx = Context::from_waker(Waker::noop());
        advance(CLIENT_CERTIFICATE_PERIOD * 2).await;
        assert!(standing.poll(&mut cx).is_pending());
        // Asked for the same again, by other files.
        house.write_authority();
        house.certificates.look_at_callers();
        assert_eq!(standing.poll(&mut cx), Poll::Ready(ClientCertificateFault::Absent));
    }

    struct House {
        folder: tempfile::TempDir,
        authority: CertifiedIssuer<'static, KeyPair>,
        certificates: Certificates,
        tls: ServerTls,
    }

    impl House {
        /// Whose only listener lets nobody in without a certificate.
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (state_dir, dir, ca) =
                (folder.path().join("state"), folder.path().join("certs"), folder.path().join("ca.pem"));
            fs::create_dir(&state_dir).unwrap();
            let authority = authority();
            write(&ca, &authority.pem());
            let asked = ClientCertificates::Required(Authorities { ca, crl: None });
            let clients = [("a".to_owned(), asked)].into();
            let settings = Settings { state_dir, dir, clients, ..Settings::default() };
            let certificates = Certificates::open(settings, Clock::system().now()).unwrap();
            let tls = certificates.server_tls("a", &[]).unwrap();
            Self { folder, authority, certificates, tls }
        }

        fn write_authority(&self) {
            write(&self.folder.path().join("ca.pem"), &authority().pem());
        }

        fn standing(&self, shown: Vec<CertificateDer<'static>>) -> Standing {
            Standing::new(self.tls.clone(), shown, self.tls.changes())
        }

        /// A client's certificate that ends in this year.
        fn issue(&self, ends: i32) -> CertificateDer<'static> {
            let mut params = CertificateParams::default();
            params.not_after = rcgen::date_time_ymd(ends, 1, 1);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            params.signed_by(&KeyPair::generate().unwrap(), &*self.authority).unwrap().der().clone()
        }
    }

    fn authority() -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn write(path: &std::path::Path, pem: &str) {
        fs::write(path, pem).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    }
}
