//! What the sources bring while the instance runs, shown from the next handshake on: files as they change, what CAs and the
//! tailnet give, and what callers are asked for.

use std::path::PathBuf;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::acme::kept::Id;
use super::files::pairs::News;
use super::server_tls::ServerTls;
use super::standing::{Source, Standing};
use super::tls_ends::{CallersNews, TlsEnds};
use super::x509::Names;
use super::{CertificateError, Certificates, files};
use crate::base::clock::UnixMillis;
use crate::net::host::Host;

impl Certificates {
    /// Reads what has changed of certificate files since the last look, and shows it from the next handshake on. What is
    /// not sound is told once, and what was shown of it is shown on.
    pub fn look_at_files(&self, now: UnixMillis) -> Vec<News> {
        let mut shown = self.shown();
        let news = shown.pairs.look(now);
        // Also without news: what has ended or come back meanwhile has another place.
        self.resolver.replace(shown.served(now));
        news
    }

    /// Reads what has changed of the files by which callers are checked, for the next handshakes and for the connections that
    /// are open. What cannot be read is told once, and what was read before holds.
    pub fn look_at_callers(&self) -> Vec<CallersNews> {
        self.tls_ends().look()
    }

    /// The folders in which certificate files may change.
    pub fn folders(&self) -> Vec<PathBuf> {
        let mut folders = self.shown().pairs.folders();
        folders.extend(self.tls_ends().folders());
        folders
    }

    /// Shows what a CA has issued from the next handshake on, in place of what it had issued for the same names.
    pub fn show_issued(&self, id: Id, loaded: files::Loaded, now: UnixMillis) {
        let mut shown = self.shown();
        shown.issued.insert(id, Arc::new(loaded));
        self.resolver.replace(shown.served(now));
    }

    /// What a CA has issued under this name.
    pub fn issued(&self, id: &Id) -> Option<Arc<files::Loaded>> {
        self.shown().issued.get(id).cloned()
    }

    /// Shows what tailscaled has given for `name` from the next handshake on, unless a file or a CA's is there for it.
    pub fn show_of_tailnet(&self, name: &Host, loaded: files::Loaded, now: UnixMillis) {
        let mut shown = self.shown();
        shown.of_tailnet.insert(name.clone(), Arc::new(loaded));
        self.resolver.replace(shown.served(now));
    }

    /// What tailscaled has given for this name.
    pub fn of_tailnet(&self, name: &Host) -> Option<Arc<files::Loaded>> {
        self.shown().of_tailnet.get(name).cloned()
    }

    /// The configured names, as they are now.
    pub fn names(&self) -> Vec<Host> {
        self.shown().names.clone()
    }

    /// How each certificate stands: those of public CAs, then files, the tailnet's, and the local leaf.
    pub fn list(&self, now: UnixMillis) -> Vec<Standing> {
        let shown = self.shown();
        let wanted = shown.wanted.iter().map(|wanted| {
            let id = Id::of(&wanted.names);
            let validity = shown.issued.get(&id).map(|loaded| loaded.validity);
            let names = wanted.names.iter().map(ToString::to_string).collect();
            Standing::new(names, Source::Acme, validity, Some(self.board.of(&id)), now)
        });
        let files = shown.pairs.loaded();
        let files = files.iter().map(|file| (file.names.clone(), file.validity, Source::File));
        let of_tailnet = shown.of_tailnet.values().map(|pair| (pair.names.clone(), pair.validity, Source::Tailnet));
        let names = Names { exact: shown.local.hosts().to_vec(), wildcards: Vec::new() };
        let leaf = std::iter::once((names, shown.local.validity(), Source::LocalCa));
        let others = files.chain(of_tailnet).chain(leaf).map(|(names, validity, source)| {
            let wildcards = names.wildcards.iter().map(|parent| format!("*.{parent}"));
            let all = names.exact.iter().map(Host::to_string).chain(wildcards).collect();
            Standing::new(all, source, Some(validity), None, now)
        });
        wanted.chain(others).collect()
    }

    /// Whether everything that is shown for `name` is what every browser believes.
    pub fn is_public(&self, name: &Host) -> bool {
        self.resolver.is_public(name)
    }

    /// The end of TLS of the listener `name`, which asks its callers for what is configured.
    ///
    /// # Errors
    /// When the kernel gives no random bytes.
    pub fn server_tls(&self, name: &str, alpn: &[&str]) -> Result<ServerTls, CertificateError> {
        self.tls_ends().end_of_tls(name, alpn, &self.resolver)
    }

    pub(super) fn tls_ends(&self) -> MutexGuard<'_, TlsEnds> {
        self.tls_ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
