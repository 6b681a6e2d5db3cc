//! Looks at certificate files when the kernel says that something was written there, and now and then without being told:
//! a network file system, a bind mount or a link somewhere on the way tells nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, error, info, warn};

use super::pairs::{News, Place, Shows};
use crate::base::clock::Clock;
use crate::base::limits::{FILES_LOOK_PERIOD, FILES_QUIET_WAIT, FILES_QUIET_WAIT_MAX, WATCHED_FOLDERS_MAX};
use crate::certificates::Certificates;
use crate::certificates::tls_ends::CallersNews;

/// Keeps what is shown of files as it is on disk.
pub struct Watch {
    certificates: Arc<Certificates>,
    clock: Clock,
    /// One mark, however much is written: a flood of events is one look.
    told: Arc<Notify>,
    /// The folders of the files: what is written beside them, in the folders above, is nobody's news.
    folders: Arc<ArcSwap<BTreeSet<PathBuf>>>,
    /// None where the kernel has no more to give; then only the clock tells.
    watcher: Option<RecommendedWatcher>,
    watched: BTreeMap<PathBuf, Inode>,
}

/// Which folder it is, whatever its name.
type Inode = (u64, u64);

impl Watch {
    /// Of the files of `certificates`, by `clock`.
    pub fn new(certificates: Arc<Certificates>, clock: Clock) -> Self {
        let told = Arc::new(Notify::new());
        let mark = Arc::clone(&told);
        let folders = Arc::new(ArcSwap::from_pointee(BTreeSet::<PathBuf>::new()));
        let ours = Arc::clone(&folders);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error may hide an event; and our own reading is none.
            if event.is_ok_and(|event| !is_change(&event, &ours.load())) {
                return;
            }
            mark.notify_one();
        });
        let watcher = watcher.inspect_err(|error| {
            let seconds = FILES_LOOK_PERIOD.as_secs();
            warn!(%error, seconds, "the kernel does not tell of new certificate files; they are looked at now and then");
        });
        Self { certificates, clock, told, folders, watcher: watcher.ok(), watched: BTreeMap::new() }
    }

    /// Works until dropped.
    pub async fn run(mut self) -> Infallible {
        loop {
            self.follow();
            self.look().await;
            if timeout(FILES_LOOK_PERIOD, self.told.notified()).await.is_ok() {
                self.settle().await;
            }
        }
    }

    /// Waits until nothing was written for a moment: a pair is two files.
    async fn settle(&self) {
        let latest = Instant::now() + FILES_QUIET_WAIT_MAX;
        let quiet = async { while timeout(FILES_QUIET_WAIT, self.told.notified()).await.is_ok() {} };
        let _ = tokio::time::timeout_at(latest, quiet).await;
    }

    async fn look(&self) {
        let (certificates, now) = (Arc::clone(&self.certificates), self.clock.now());
        let look = move || (certificates.look_at_files(now), certificates.look_at_callers());
        match tokio::task::spawn_blocking(look).await {
            Ok((news, of_callers)) => {
                news.iter().for_each(tell);
                of_callers.iter().for_each(CallersNews::tell);
            }
            Err(error) => {
                error!(%error, "certificate files not looked at: the look broke off");
                // Whatever it is, it is not tried in a loop.
                sleep(FILES_LOOK_PERIOD).await;
            }
        }
    }

    /// Watches the folders in which something may change, those above them, since a folder may be swapped whole, and those
    /// of them anew that were.
    fn follow(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let folders: BTreeSet<PathBuf> = self.certificates.folders().into_iter().collect();
        let above = folders.iter().filter_map(|folder| folder.parent().map(Path::to_owned));
        let wanted: BTreeMap<PathBuf, Inode> = folders
            .iter()
            .cloned()
            .chain(above)
            .filter(|folder| !folder.as_os_str().is_empty())
            .filter_map(|folder| inode_of(&folder).map(|inode| (folder, inode)))
            .take(WATCHED_FOLDERS_MAX)
            .collect();
        self.folders.store(Arc::new(folders));
        for (folder, _) in self.watched.iter().filter(|(folder, inode)| wanted.get(*folder) != Some(*inode)) {
            // It may be gone, and its watch with it.
            let _ = watcher.unwatch(folder);
        }
        self.watched.retain(|folder, inode| wanted.get(folder) == Some(inode));
        for (folder, inode) in wanted {
            if self.watched.contains_key(&folder) {
                continue;
            }
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.watched.insert(folder, inode)),
                Err(error) => debug!(file = %folder.display(), %error, "not watched"),
            }
        }
    }
}

/// Whether something was written in one of `folders`, or one of them was swapped. No path: events were lost.
fn is_change(event: &Event, folders: &BTreeSet<PathBuf>) -> bool {
    let is_ours =
        |path: &PathBuf| folders.contains(path) || path.parent().is_some_and(|folder| folders.contains(folder));
    match event.kind {
        EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write) => false,
        _ => event.paths.is_empty() || event.paths.iter().any(is_ours),
    }
}

fn inode_of(folder: &Path) -> Option<Inode> {
    fs::metadata(folder).ok().filter(fs::Metadata::is_dir).map(|found| (found.dev(), found.ino()))
}

/// One line for each piece of news.
pub(crate) fn tell(news: &News) {
    match news {
        News::Gone(pair, names, _) if names.is_empty() => {
            info!(file = %pair.cert.display(), "certificate files are gone; others are shown for all of their names");
        }
        News::Gone(pair, names, place) => {
            let file = pair.cert.display();
            let hint = match place {
                Place::Configured => {
                    "put it back, or take the pair out of `[[certificates.file]]` and `doorward reload`"
                }
                Place::Dropped => "put it back, or let it go by `doorward reload`",
            };
            warn!(
                %file, %names, hint,
                "certificate files are gone; what was read from them is shown on for these names where no ca's holds"
            );
        }
        News::Refused(error, Shows::Older) => {
            warn!(%error, hint = %error.hint(), "certificate files not taken; the old certificate is shown on");
        }
        News::Refused(error, Shows::Nothing) => {
            warn!(%error, hint = %error.hint(), "certificate files not taken");
        }
        News::Taken(pair, loaded, shown) if shown.is_empty() => {
            let (file, names) = (pair.cert.display(), &loaded.names);
            info!(%file, %names, "certificate read from files; others come before it for all of its names");
        }
        News::Taken(pair, loaded, names) => {
            let file = pair.cert.display();
            let ends = loaded.validity.ends_at().date();
            info!(%file, %names, %ends, "certificate read from files; new connections see it");
        }
    }
}
