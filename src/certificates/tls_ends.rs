//! The ends of TLS of all listeners, and what each asks its callers for: changed under traffic, whole or not at all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::{error, info, warn};

use super::CertificateError;
use super::client_auth::{ClientAuth, ClientAuthError, ClientCertificates};
use super::files::stamp::Stamp;
use super::resolver::Resolver;
use super::server_tls::ServerTls;

/// What listeners ask for, by their names.
#[derive(Debug, Default)]
pub(super) struct TlsEnds {
    asked: BTreeMap<String, Asked>,
    ends: Vec<(String, ServerTls)>,
}

#[derive(Debug)]
struct Asked {
    settings: ClientCertificates,
    auth: Option<ClientAuth>,
    stamps: Vec<Stamp>,
}

impl Asked {
    fn open(settings: &ClientCertificates) -> Result<Self, ClientAuthError> {
        // Before it is read: what changes in between is seen by the next look.
        let stamps = stamps(settings);
        Ok(Self { auth: settings.open()?, settings: settings.clone(), stamps })
    }
}

impl TlsEnds {
    /// Reads what the callers of each listener are checked by.
    pub(super) fn open(settings: &BTreeMap<String, ClientCertificates>) -> Result<Self, ClientAuthError> {
        Ok(Self { asked: open(settings)?, ends: Vec::new() })
    }

    /// The end of TLS of the listener `name`.
    pub(super) fn end_of_tls(
        &mut self,
        name: &str,
        alpn: &[&str],
        resolver: &Arc<Resolver>,
    ) -> Result<ServerTls, CertificateError> {
        let end = ServerTls::asking(Arc::clone(resolver), alpn, auth(&self.asked, name))?;
        self.ends.push((name.to_owned(), end.clone()));
        Ok(end)
    }

    /// Asks for this from the next handshake on, at every listener, or after an error at none.
    pub(super) fn replace(&mut self, settings: &BTreeMap<String, ClientCertificates>) -> Result<(), CertificateError> {
        let asked = open(settings)?;
        let prepared = self.ends.iter().map(|(name, end)| Ok((end, end.prepare(auth(&asked, name))?)));
        // All that can fail comes before the first that is taken.
        for (end, next) in prepared.collect::<Result<Vec<_>, CertificateError>>()? {
            next.into_iter().for_each(|next| end.take(next));
        }
        self.asked = asked;
        Ok(())
    }

    /// Reads the files that have changed; what cannot be read is told once, and what was read before holds.
    pub(super) fn look(&mut self) -> Vec<CallersNews> {
        let mut news = Vec::new();
        for (name, asked) in &mut self.asked {
            let stamps = stamps(&asked.settings);
            if stamps == asked.stamps {
                continue;
            }
            asked.stamps = stamps;
            match asked.settings.open() {
                Ok(auth) => {
                    let is_new = auth.as_ref().map(|auth| auth.digest) != asked.auth.as_ref().map(|auth| auth.digest);
                    asked.auth = auth;
                    news.extend(is_new.then(|| CallersNews::Taken(name.clone())));
                }
                Err(error) => news.push(CallersNews::Refused(name.clone(), error)),
            }
        }
        for (name, end) in &self.ends {
            match end.prepare(auth(&self.asked, name)) {
                Ok(next) => next.into_iter().for_each(|next| end.take(next)),
                Err(error) => error!(listener = name, %error, "what callers are asked for is as it was"),
            }
        }
        news
    }

    /// The folders in which something may change.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        let files = self.asked.values().flat_map(|asked| asked.settings.files());
        files.filter_map(|file| file.parent().map(Path::to_owned)).collect()
    }
}

/// What is news about the files by which a listener's callers are checked.
#[derive(Debug)]
pub enum CallersNews {
    /// Those of this listener cannot be read.
    Refused(String, ClientAuthError),
    /// Its callers are checked anew.
    Taken(String),
}

impl CallersNews {
    /// One line of the log.
    pub(super) fn tell(&self) {
        match self {
            Self::Refused(listener, error) => {
                warn!(listener, %error, hint = %error.hint(), "client certificates are checked by what was read before");
            }
            Self::Taken(listener) => info!(listener, "new callers' certificates are checked by what is on disk now"),
        }
    }
}

fn auth(asked: &BTreeMap<String, Asked>, name: &str) -> Option<ClientAuth> {
    asked.get(name).and_then(|asked| asked.auth.clone())
}

fn stamps(settings: &ClientCertificates) -> Vec<Stamp> {
    settings.files().iter().map(|file| Stamp::of(file)).collect()
}

fn open(settings: &BTreeMap<String, ClientCertificates>) -> Result<BTreeMap<String, Asked>, ClientAuthError> {
    settings.iter().map(|(name, settings)| Ok((name.clone(), Asked::open(settings)?))).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;
    use crate::base::clock::Clock;
    use crate::certificates::client_auth::Authorities;
    use crate::certificates::{Certificates, Settings};

    #[test]
    fn all_listeners_ask_anew_or_none_does() {
        let house = House::new();
        let mut all = TlsEnds::default();
        let ends = ["a", "b"].map(|name| all.end_of_tls(name, &[], &house.resolver).unwrap());
        let configs = || ends.each_ref().map(ServerTls::forwarded);
        let is_same = |before: &[Arc<_>; 2], after: &[Arc<_>; 2]| {
            before.iter().zip(after).map(|(before, after)| Arc::ptr_eq(before, after)).collect::<Vec<_>>()
        };
        let before = configs();
        house.write("a.pem");
        let wanted = ["a", "b"].map(|name| (name.to_owned(), house.required(name))).into();
        let error = all.replace(&wanted).unwrap_err();
        assert!(matches!(error, CertificateError::ClientAuth(ClientAuthError::File(_))), "{error}");
        assert_eq!(is_same(&before, &configs()), [true, true]);
        assert!(auth(&all.asked, "a").is_none());
        house.write("b.pem");
        all.replace(&wanted).unwrap();
        assert_eq!(is_same(&before, &configs()), [false, false]);
        let before = configs();
        all.replace(&wanted).unwrap();
        assert_eq!(is_same(&before, &configs()), [true, true], "nothing else is asked: tickets are resumed");
    }

    #[test]
    fn a_file_that_is_put_in_place_with_the_old_time_is_seen() {
        let house = House::new();
        let path = house.write("a.pem");
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        let mut all = TlsEnds::open(&[("a".to_owned(), house.required("a"))].into()).unwrap();
        assert!(all.look().is_empty(), "nothing has changed");
        house.write("a.pem");
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        let news = all.look();
        assert!(matches!(news.as_slice(), [CallersNews::Taken(name)] if name == "a"), "{news:?}");
        assert!(all.look().is_empty(), "told once");
    }

    struct House {
        folder: TempDir,
        resolver: Arc<Resolver>,
    }

    impl House {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (state_dir, dir) = (folder.path().join("state"), folder.path().join("certs"));
            fs::create_dir(&state_dir).unwrap();
            let settings = Settings { state_dir, dir, ..Settings::default() };
            let resolver = Certificates::open(settings, Clock::system().now()).unwrap().resolver();
            Self { folder, resolver }
        }

        /// A new CA's certificate.
        fn write(&self, name: &str) -> PathBuf {
            let mut params = rcgen::CertificateParams::default();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let pem = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
            let path = self.folder.path().join(name);
            fs::write(&path, pem).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
            path
        }

        fn required(&self, name: &str) -> ClientCertificates {
            let ca = self.folder.path().join(format!("{name}.pem"));
            ClientCertificates::Required(Authorities { ca, crl: None })
        }
    }
}
