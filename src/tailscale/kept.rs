//! One connection's word on its peer, kept while it is young: whom an administrator takes out of the tailnet is out of it
//! here within minutes, however long the connection stays open.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{Tailscale, Word};
use crate::base::limits::WHOIS_LIFE;
use crate::net::addr::PeerAddr;

/// The word, and who can be asked again.
#[derive(Debug, Default)]
pub struct PeerWord(Option<Box<Asked>>);

#[derive(Debug)]
struct Asked {
    tailscale: Tailscale,
    peer: PeerAddr,
    /// What the peer dialled.
    own: IpAddr,
    said: ArcSwap<Said>,
    /// Locked while the question is out: one is enough for all the requests that wait.
    asking: Mutex<()>,
}

#[derive(Clone, Debug)]
struct Said {
    word: Arc<Word>,
    at: Instant,
}

impl PeerWord {
    /// Nobody asks about this peer.
    pub fn not_asked() -> Self {
        Self(None)
    }

    /// Asks `tailscale` about `peer`, who dialled `own`, for the first time.
    pub async fn ask(tailscale: &Tailscale, peer: PeerAddr, own: IpAddr) -> Self {
        let word = Arc::new(tailscale.whois(peer, own).await);
        let said = ArcSwap::from_pointee(Said { word, at: Instant::now() });
        Self(Some(Box::new(Asked { tailscale: tailscale.clone(), peer, own, said, asking: Mutex::default() })))
    }

    /// The word of now: a young one as it was said, an old one only after tailscaled said it again. What it said before does
    /// not count any more then, even where it says nothing now.
    pub async fn fresh(&self) -> Arc<Word> {
        let Some(asked) = &self.0 else { return Arc::new(Word::NotAsked) };
        if let Some(word) = asked.young() {
            return word;
        }
        let _turn = asked.asking.lock().await;
        if let Some(word) = asked.young() {
            return word;
        }
        let word = Arc::new(asked.tailscale.whois(asked.peer, asked.own).await);
        asked.said.store(Arc::new(Said { word: Arc::clone(&word), at: Instant::now() }));
        word
    }

    /// The last word, however old: to tell of the connection, and to decide nothing.
    pub fn last(&self) -> Arc<Word> {
        self.0.as_ref().map_or_else(|| Arc::new(Word::NotAsked), |asked| Arc::clone(&asked.said.load().word))
    }
}

impl Asked {
    fn young(&self) -> Option<Arc<Word>> {
        let said = self.said.load();
        (said.at.elapsed() < WHOIS_LIFE).then(|| Arc::clone(&said.word))
    }
}
