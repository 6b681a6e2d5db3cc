//! The ends of TLS of all listeners, and what each asks its callers for: changed under traffic, whole or not at all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::CertificateError;
use super::client_auth::{ClientAuth, ClientAuthError, ClientCertificates, written};
use super::files::pairs::News;
use super::resolver::Resolver;
use super::server_tls::ServerTls;

/// What listeners ask for, by their names.
#[derive(Debug, Default)]
pub(super) struct Doors {
    asked: BTreeMap<String, Asked>,
    ends: Vec<(String, ServerTls)>,
}

#[derive(Debug)]
struct Asked {
    settings: ClientCertificates,
    auth: Option<ClientAuth>,
    written: Vec<Option<SystemTime>>,
}

impl Asked {
    fn open(settings: &ClientCertificates) -> Result<Self, ClientAuthError> {
        // Before it is read: what changes in between is seen by the next look.
        let written = written(&settings.files());
        Ok(Self { auth: settings.open()?, settings: settings.clone(), written })
    }
}

impl Doors {
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
        let end = ServerTls::asking(Arc::clone(resolver), alpn, self.auth(name))?;
        self.ends.push((name.to_owned(), end.clone()));
        Ok(end)
    }

    /// Asks for this from the next handshake on.
    pub(super) fn replace(&mut self, settings: &BTreeMap<String, ClientCertificates>) -> Result<(), CertificateError> {
        self.asked = open(settings)?;
        self.ends.iter().try_for_each(|(name, end)| end.ask(self.auth(name)))
    }

    /// Reads the files that have changed; what cannot be read is told once, and what was read before holds.
    pub(super) fn look(&mut self) -> Vec<News> {
        let mut news = Vec::new();
        for (name, asked) in &mut self.asked {
            let written = written(&asked.settings.files());
            if written == asked.written {
                continue;
            }
            asked.written = written;
            match asked.settings.open() {
                Ok(auth) => {
                    let is_new = auth.as_ref().map(|auth| auth.digest) != asked.auth.as_ref().map(|auth| auth.digest);
                    asked.auth = auth;
                    news.extend(is_new.then(|| News::ClientsTaken(name.clone())));
                }
                Err(error) => news.push(News::ClientsRefused(name.clone(), error)),
            }
        }
        for (name, end) in &self.ends {
            if let Err(error) = end.ask(self.auth(name)) {
                tracing::error!(listener = name, %error, "what callers are asked for is as it was");
            }
        }
        news
    }

    /// The folders in which something may change.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        let files = self.asked.values().flat_map(|asked| asked.settings.files());
        files.filter_map(|file| file.parent().map(Path::to_owned)).collect()
    }

    fn auth(&self, name: &str) -> Option<ClientAuth> {
        self.asked.get(name).and_then(|asked| asked.auth.clone())
    }
}

fn open(settings: &BTreeMap<String, ClientCertificates>) -> Result<BTreeMap<String, Asked>, ClientAuthError> {
    settings.iter().map(|(name, settings)| Ok((name.clone(), Asked::open(settings)?))).collect()
}
