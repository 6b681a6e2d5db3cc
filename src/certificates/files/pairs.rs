//! All pairs from files, as they were last seen. A pair that changes on disk is taken whole and sound, or what was shown
//! of it is shown on: nothing that is written here takes a certificate down.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::dropped::{self, BadFolder, Found};
use super::stamp::Stamp;
use super::{FileError, FilePair, Loaded, load, read};
use crate::base::clock::UnixMillis;
#[cfg(test)]
use crate::certificates::root::Root;
use crate::certificates::x509::Names;

/// Configured pairs, and those that lie in `certificates.dir`.
#[derive(Debug, Default)]
pub struct Pairs {
    configured: Vec<FilePair>,
    dir: PathBuf,
    known: Vec<Known>,
    shown: Vec<Arc<Loaded>>,
    /// Those of them that are gone from the disk.
    gone: Vec<Arc<Loaded>>,
    /// What was said of folders.
    folder_faults: BTreeSet<String>,
}

/// What is news about files.
#[derive(Debug)]
pub enum News {
    /// It does not lie there any more; it is shown on for these names, which no other file is for.
    Gone(FilePair, Names, Place),
    /// It is not taken. Whether an older one of it is shown on.
    Refused(FileError, Shows),
    /// It is shown from now on; for these names before any other.
    Taken(FilePair, Arc<Loaded>, Names),
}

/// Whether something is shown of a pair.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shows {
    /// Nothing yet.
    Nothing,
    /// What was sound before.
    Older,
}

#[derive(Debug)]
struct Known {
    pair: FilePair,
    place: Place,
    stamp: [Stamp; 2],
    loaded: Option<Arc<Loaded>>,
    /// It only waits for its time, or for a clock that is right.
    waits: bool,
    /// One of its files is not there: its owner may have withdrawn it.
    is_gone: bool,
}

/// What comes first of what is for the same name.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Rank {
    OnDisk,
    Gone,
    Ended,
}

/// Why a pair is looked at.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Place {
    /// The configuration names it.
    Configured,
    /// It lies in `certificates.dir`.
    Dropped,
}

impl Pairs {
    /// Reads `configured`, which must be sound, whatever time it is: there is nothing else to show, and the clock may be wrong.
    /// Of what lies in `dir`, what is not sound is left out and told.
    ///
    /// # Errors
    /// [`FileError`] for the first configured pair that is wrong.
    pub fn open(configured: &[FilePair], dir: &Path, now: UnixMillis) -> Result<(Self, Vec<News>), FileError> {
        let taken = |pair: &FilePair| Ok(Known { loaded: Some(Arc::new(read(pair)?)), ..Known::configured(pair) });
        Self::default().with(configured, dir, now, taken)
    }

    /// As [`Pairs::open`], but nothing that is over comes in place of what is shown; and what these have shown of a dropped
    /// pair is shown on until it is certain that it lies there no more.
    ///
    /// # Errors
    /// As [`Pairs::open`].
    pub fn reopen(&self, configured: &[FilePair], dir: &Path, now: UnixMillis) -> Result<(Self, Vec<News>), FileError> {
        let taken = |pair: &FilePair| {
            let known = Known::configured(pair);
            match load(pair, now) {
                Ok(loaded) => Ok(Known { loaded: Some(Arc::new(loaded)), ..known }),
                Err(error) if error.is_of_time() => {
                    let before = self.known.iter().find(|before| before.pair == *pair);
                    let loaded = before.and_then(|before| before.loaded.clone()).ok_or(error)?;
                    // Without a stamp: the next look tells what is wrong with it.
                    Ok(Known { loaded: Some(loaded), stamp: <[Stamp; 2]>::default(), ..known })
                }
                Err(error) => Err(error),
            }
        };
        self.with(configured, dir, now, taken)
    }

    fn with(
        &self,
        configured: &[FilePair],
        dir: &Path,
        now: UnixMillis,
        taken: impl Fn(&FilePair) -> Result<Known, FileError>,
    ) -> Result<(Self, Vec<News>), FileError> {
        let mut pairs = Self { configured: configured.to_vec(), dir: dir.to_owned(), ..Self::default() };
        pairs.known = configured.iter().map(taken).collect::<Result<_, _>>()?;
        let found = dropped::find(dir);
        let is_kept = |before: &&Known| {
            let may_be_there = || before.place == Place::Dropped && self.dir == dir && !found.lets_go(&before.pair);
            !configured.contains(&before.pair) && (found.pairs.contains(&before.pair) || may_be_there())
        };
        // Without a stamp: read again, and what is wrong is told again.
        let kept = self.known.iter().filter(is_kept).map(|before| Known {
            is_gone: before.is_gone,
            loaded: before.loaded.clone(),
            ..Known::dropped(before.pair.clone())
        });
        pairs.known.extend(kept);
        let news = pairs.take(found, now);
        Ok((pairs, news))
    }

    /// Everything that [`Pairs::open`] would refuse or leave out.
    pub fn judge(configured: &[FilePair], dir: &Path, now: UnixMillis) -> (Vec<Arc<Loaded>>, Vec<FileError>) {
        let (mut sound, mut faults) = (Vec::new(), Vec::new());
        let Found { pairs: dropped, bad } = dropped::find(dir);
        let bad = bad.into_iter().filter(BadFolder::costs_pairs);
        faults.extend(bad.map(|folder| FileError::Folder(folder.fault)));
        let dropped = dropped.iter().filter(|pair| !configured.contains(pair)).map(|pair| load(pair, now));
        for judged in configured.iter().map(read).chain(dropped) {
            match judged {
                Ok(loaded) => sound.push(Arc::new(loaded)),
                Err(error) => faults.push(error),
            }
        }
        (sound, faults)
    }

    /// Reads what has changed on disk since the last look; each change is told once.
    pub fn look(&mut self, now: UnixMillis) -> Vec<News> {
        self.take(dropped::find(&self.dir), now)
    }

    fn take(&mut self, mut found: Found, now: UnixMillis) -> Vec<News> {
        for pair in mem::take(&mut found.pairs) {
            let is_known = self.configured.contains(&pair) || self.known.iter().any(|known| known.pair == pair);
            if !is_known {
                self.known.push(Known::dropped(pair));
            }
        }
        // What lies in a bad folder is not looked at: whatever is there now, somebody else may have put there.
        let is_open = |known: &&mut Known| known.place == Place::Dropped && found.leaves_open(&known.pair);
        let looked_at = self.known.iter_mut().filter(|known| !is_open(known));
        let mut news: Vec<News> = looked_at.filter_map(|known| known.look(now)).collect();
        news.extend(self.faults_of(found.bad));
        // What was never shown and is no more is forgotten: the list is as long as the folder, and what is shown.
        self.known.retain(|known| known.place == Place::Configured || known.loaded.is_some() || known.is_there());
        let configured = &self.configured;
        self.known.sort_by_key(|known| {
            let ends = known.loaded.as_ref().map_or(0, |loaded| loaded.validity.ends);
            let position = configured.iter().position(|pair| *pair == known.pair);
            (known.rank(now), known.place, position, Reverse(ends))
        });
        (self.shown, self.gone) = shown_of(&self.known, now);
        news.iter_mut().for_each(|news| self.complete(news));
        news
    }

    /// Adds the names for which it is so.
    fn complete(&self, news: &mut News) {
        match news {
            News::Gone(pair, names, _) => {
                let loaded =
                    self.known.iter().find(|known| known.pair == *pair).and_then(|known| known.loaded.as_ref());
                *names = loaded.map(|loaded| names_led_by(loaded, &self.shown)).unwrap_or_default();
            }
            News::Taken(_, loaded, names) => *names = names_led_by(loaded, &self.shown),
            News::Refused(..) => {}
        }
    }

    /// What is to be told of `bad` folders, each thing once.
    fn faults_of(&mut self, bad: Vec<BadFolder>) -> Vec<News> {
        let (mut faults, mut news) = (BTreeSet::new(), Vec::new());
        for folder in bad {
            let of_it = |known: &&Known| known.place == Place::Dropped && folder.holds(&known.pair);
            let is_shown = self.known.iter().filter(of_it).any(|known| known.loaded.is_some());
            if !is_shown && !folder.costs_pairs() {
                continue;
            }
            let error = FileError::Folder(folder.fault);
            let words = error.to_string();
            if !self.folder_faults.contains(&words) {
                news.push(News::Refused(error, if is_shown { Shows::Older } else { Shows::Nothing }));
            }
            faults.insert(words);
        }
        self.folder_faults = faults;
        news
    }

    /// What is shown: the configured ones in their order, then what was dropped, whatever lasts longest first. Of what is
    /// gone from the disk, behind them, only the names that none of those is for.
    pub fn loaded(&self) -> Vec<Arc<Loaded>> {
        self.shown.clone()
    }

    /// Those of [`Pairs::loaded`] that are gone from the disk: their owner may have withdrawn them.
    pub fn gone(&self) -> &[Arc<Loaded>] {
        &self.gone
    }

    /// As if every browser knew the roots of those that are gone.
    #[cfg(test)]
    pub(in crate::certificates) fn believe_gone(&mut self) {
        for gone in &mut self.gone {
            let public = Loaded {
                certified: Arc::clone(&gone.certified),
                names: gone.names.clone(),
                root: Root::Public,
                ..**gone
            };
            let public = Arc::new(public);
            for shown in self.shown.iter_mut().filter(|shown| Arc::ptr_eq(shown, gone)) {
                *shown = Arc::clone(&public);
            }
            *gone = public;
        }
    }

    /// The folders in which something may change: those of the files, and those of dropped pairs.
    pub fn folders(&self) -> Vec<PathBuf> {
        let files = self.known.iter().flat_map(|known| [&known.pair.cert, &known.pair.key]);
        let mut folders: Vec<PathBuf> = files.filter_map(|file| file.parent().map(Path::to_owned)).collect();
        folders.extend(dropped::folders_of(&self.dir));
        folders
    }
}

impl Known {
    fn dropped(pair: FilePair) -> Self {
        Self { pair, place: Place::Dropped, stamp: <[Stamp; 2]>::default(), loaded: None, waits: false, is_gone: false }
    }

    /// With the stamp of now: what changes after that is seen by the next look.
    fn configured(pair: &FilePair) -> Self {
        Self { place: Place::Configured, stamp: stamp_of(pair), ..Self::dropped(pair.clone()) }
    }

    fn look(&mut self, now: UnixMillis) -> Option<News> {
        let was_gone = mem::replace(
            &mut self.is_gone,
            [&self.pair.cert, &self.pair.key].into_iter().any(|file| dropped::is_gone(file)),
        );
        // Before it is read: what changes in between is seen by the next look.
        let stamp = stamp_of(&self.pair);
        let same = stamp == self.stamp;
        if same && !self.waits {
            return None;
        }
        self.stamp = stamp;
        match load(&self.pair, now) {
            Ok(loaded) => {
                self.waits = false;
                let loaded = Arc::new(loaded);
                let before = self.loaded.replace(Arc::clone(&loaded));
                let is_new = before.is_none_or(|before| before.certified.cert != loaded.certified.cert);
                is_new.then(|| News::Taken(self.pair.clone(), loaded, Names::default()))
            }
            Err(error) if same && error.is_of_time() => None,
            Err(_) if self.loaded.is_some() && self.is_gone => {
                (!was_gone).then(|| News::Gone(self.pair.clone(), Names::default(), self.place))
            }
            Err(error) => {
                self.waits = error.is_of_time();
                let shows = if self.loaded.is_some() { Shows::Older } else { Shows::Nothing };
                Some(News::Refused(error, shows))
            }
        }
    }

    fn rank(&self, now: UnixMillis) -> Rank {
        match self.place {
            _ if self.is_gone && self.lasts(now) => Rank::Gone,
            Place::Configured if !self.is_gone => Rank::OnDisk,
            _ if self.lasts(now) || self.loaded.is_none() => Rank::OnDisk,
            _ => Rank::Ended,
        }
    }

    fn lasts(&self, now: UnixMillis) -> bool {
        self.loaded.as_ref().is_some_and(|loaded| loaded.validity.lasts(now))
    }

    fn is_there(&self) -> bool {
        [&self.pair.cert, &self.pair.key].iter().any(|path| !dropped::is_gone(path))
    }
}

/// What is shown of `known`, in that order, and what of that is gone from the disk.
fn shown_of(known: &[Known], now: UnixMillis) -> (Vec<Arc<Loaded>>, Vec<Arc<Loaded>>) {
    let on_disk = known.iter().filter(|known| !known.is_gone && known.lasts(now));
    let on_disk: Vec<_> = on_disk.filter_map(|known| known.loaded.clone()).collect();
    let (mut shown, mut gone) = (Vec::new(), Vec::new());
    for known in known {
        let Some(loaded) = &known.loaded else { continue };
        if !known.is_gone {
            shown.push(Arc::clone(loaded));
        } else if let Some(left) = loaded.without_names_of(&on_disk) {
            // All that is left to it, for clients with other kinds of keys too: it may be gone because its key got out.
            gone.push(Arc::new(left));
            shown.extend(gone.last().cloned());
        }
    }
    (shown, gone)
}

/// The names for which `loaded` comes before all others of `shown`.
fn names_led_by(loaded: &Loaded, shown: &[Arc<Loaded>]) -> Names {
    let is_it =
        |first: Option<&Arc<Loaded>>| first.is_some_and(|first| Arc::ptr_eq(&first.certified, &loaded.certified));
    let Names { mut exact, mut wildcards } = loaded.names.clone();
    exact.retain(|host| is_it(shown.iter().find(|other| other.names.exact.contains(host))));
    wildcards.retain(|parent| is_it(shown.iter().find(|other| other.names.wildcards.contains(parent))));
    Names { exact, wildcards }
}

fn stamp_of(pair: &FilePair) -> [Stamp; 2] {
    [Stamp::of(&pair.cert), Stamp::of(&pair.key)]
}
