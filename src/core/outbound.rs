//! What waits to be sent to one socket: a short queue, every byte of it counted, per socket and in all.
//!
//! Any thread may add; only the socket's own task takes. An idle socket's queue holds no memory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::task::Waker;

use futures_util::task::AtomicWaker;
use serde_json::value::RawValue;

use crate::base::limits::OUTBOUND_BYTES_PER_SOCKET_MAX;
use crate::base::limits::OUTBOUND_BYTES_TOTAL_MAX;
use crate::protocol::close::Close;
use crate::protocol::frame;
use crate::protocol::frame::StateVersion;

/// Counted for each queued event besides its payload: its envelope.
const ENVELOPE_BYTES: usize = 128;
/// A queue that was longer than this gives its memory back when it is empty.
const KEPT_SLOTS: usize = 4;

/// An event for many sockets: its payload is written once, its `seq` for each socket apart.
#[derive(Debug)]
pub(super) struct Event {
    /// Its name.
    pub(super) name: &'static str,
    /// Its payload as JSON.
    pub(super) payload: Box<RawValue>,
    /// The lists' versions, where it changes one.
    pub(super) version: Option<StateVersion>,
    /// What becomes of a socket that has no room for it.
    pub(super) slow: Slow,
}

/// What becomes of a socket that is too slow for an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Slow {
    /// It is closed: it would never know what it missed.
    End,
    /// It goes without this one; the gap in `seq` tells it.
    Skip,
}

impl Event {
    fn bytes(&self) -> usize {
        self.payload.get().len() + ENVELOPE_BYTES
    }
}

/// What waits.
#[derive(Debug)]
enum Item {
    /// The answer to a call that waited.
    Answer(String),
    /// An event, and its `seq` here.
    Event(Arc<Event>, u64),
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Self::Answer(text) => text.len(),
            Self::Event(event, _) => event.bytes(),
        }
    }
}

/// The next thing to send.
#[derive(Debug)]
pub(super) enum Next {
    /// A ping.
    Ping,
    /// A text message.
    Text(String),
}

/// Bytes queued for all sockets together.
#[derive(Debug, Default)]
pub(super) struct Budget(AtomicUsize);

impl Budget {
    fn take(&self, bytes: usize) -> bool {
        let add = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= OUTBOUND_BYTES_TOTAL_MAX);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// One socket's queue.
#[derive(Debug)]
pub(super) struct Outbound {
    queue: Mutex<Queue>,
    waker: AtomicWaker,
    budget: Arc<Budget>,
    numbering: Numbering,
}

/// Whether events are numbered here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Numbering {
    /// They are not: the numbers that the client sees are those of the gateway behind us.
    None,
    /// They are.
    Ours,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Item>,
    /// Counted for what is queued.
    waiting: usize,
    /// Counted for what the socket has taken and not sent yet.
    taken: usize,
    /// The `seq` of the last event.
    sequence: u64,
    ping: bool,
    closing: Closing,
}

#[derive(Debug, Default)]
enum Closing {
    #[default]
    Open,
    Asked(Close),
    Taken,
}

impl Outbound {
    pub(super) fn new(budget: Arc<Budget>, numbering: Numbering) -> Self {
        Self { queue: Mutex::default(), waker: AtomicWaker::new(), budget, numbering }
    }

    /// Queues `event`. A slow socket that has no room for it goes without, or ends, as the event says.
    ///
    /// # Errors
    /// [`NoRoom`]; the socket must end.
    pub(super) fn push(&self, event: &Arc<Event>) -> Result<(), NoRoom> {
        let mut queue = self.queue();
        if !matches!(queue.closing, Closing::Open) {
            return Ok(());
        }
        queue.sequence += 1;
        let item = Item::Event(Arc::clone(event), queue.sequence);
        match (self.add(queue, item), event.slow) {
            (Err(NoRoom), Slow::End) => Err(NoRoom),
            (Err(NoRoom), Slow::Skip) | (Ok(()), _) => Ok(()),
        }
    }

    /// Queues the answer to a call that waited.
    ///
    /// # Errors
    /// [`NoRoom`]; an answer must not be left out, so the socket must end.
    pub(super) fn answer(&self, text: String) -> Result<(), NoRoom> {
        let queue = self.queue();
        if matches!(queue.closing, Closing::Open) { self.add(queue, Item::Answer(text)) } else { Ok(()) }
    }

    fn add(&self, mut queue: MutexGuard<'_, Queue>, item: Item) -> Result<(), NoRoom> {
        if !self.reserve(&queue, item.bytes()) {
            return Err(NoRoom);
        }
        queue.waiting += item.bytes();
        queue.items.push_back(item);
        drop(queue);
        self.waker.wake();
        Ok(())
    }

    /// Queues a ping.
    pub(super) fn ping(&self) {
        self.queue().ping = true;
        self.waker.wake();
    }

    /// Closes the socket instead of sending what is queued. The first reason stands.
    pub(super) fn close(&self, close: Close) {
        self.close_queue(&mut self.queue(), close);
        self.waker.wake();
    }

    /// Counts an answer of `bytes` that the socket's task sends itself.
    ///
    /// # Errors
    /// [`NoRoom`]; an answer must not be left out, so the socket must end.
    pub(super) fn admit(&self, bytes: usize) -> Result<(), NoRoom> {
        let mut queue = self.queue();
        if !self.reserve(&queue, bytes) {
            return Err(NoRoom);
        }
        queue.taken += bytes;
        Ok(())
    }

    /// Whether the socket has been told to close, or is gone.
    pub(super) fn is_closing(&self) -> bool {
        !matches!(self.queue().closing, Closing::Open)
    }

    /// The socket is gone: nothing is queued for it any more.
    pub(super) fn end(&self) {
        let mut queue = self.queue();
        self.close_queue(&mut queue, Close::plain());
        queue.closing = Closing::Taken;
    }

    /// Takes the close frame, if the socket has been told to close.
    pub(super) fn take_close(&self) -> Option<Close> {
        let mut queue = self.queue();
        match std::mem::replace(&mut queue.closing, Closing::Open) {
            Closing::Asked(close) => {
                queue.closing = Closing::Taken;
                Some(close)
            }
            other => {
                queue.closing = other;
                None
            }
        }
    }

    /// Takes the next thing to send. Its bytes stay counted until [`Outbound::sent`].
    pub(super) fn take(&self) -> Option<Next> {
        let mut queue = self.queue();
        if std::mem::take(&mut queue.ping) {
            return Some(Next::Ping);
        }
        while let Some(item) = queue.items.pop_front() {
            queue.waiting = queue.waiting.saturating_sub(item.bytes());
            queue.taken += item.bytes();
            match item {
                Item::Answer(text) => return Some(Next::Text(text)),
                // A payload that is JSON already can be written; were it not, it is left out.
                Item::Event(event, sequence) => {
                    let sequence = (self.numbering == Numbering::Ours).then_some(sequence);
                    if let Ok(text) = frame::event(event.name, &event.payload, sequence, event.version) {
                        return Some(Next::Text(text));
                    }
                }
            }
        }
        if queue.items.capacity() > KEPT_SLOTS {
            queue.items = VecDeque::new();
        }
        None
    }

    /// Everything taken so far has left for the peer.
    pub(super) fn sent(&self) {
        let taken = std::mem::take(&mut self.queue().taken);
        self.budget.give_back(taken);
    }

    /// Wakes the socket's task when something is queued.
    pub(super) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    fn reserve(&self, queue: &Queue, bytes: usize) -> bool {
        let sum = queue.waiting.saturating_add(queue.taken).saturating_add(bytes);
        sum <= OUTBOUND_BYTES_PER_SOCKET_MAX && self.budget.take(bytes)
    }

    fn close_queue(&self, queue: &mut Queue, close: Close) {
        if matches!(queue.closing, Closing::Open) {
            queue.items = VecDeque::new();
            self.budget.give_back(std::mem::take(&mut queue.waiting));
            queue.ping = false;
            queue.closing = Closing::Asked(close);
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Every change to a queue is whole before anything that could panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        let mut queue = self.queue();
        self.budget.give_back(queue.waiting + queue.taken);
        queue.items.clear();
    }
}

/// The socket is too far behind for one more answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct NoRoom;

#[cfg(test)]
mod tests {
    use super::*;

    const MEBIBYTE: usize = 1024 * 1024;

    impl Budget {
        fn used(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_full_queue_leaves_events_out_and_the_gap_shows() {
        let (budget, socket) = socket();
        let large = event(MEBIBYTE);
        let pushed = 2 + OUTBOUND_BYTES_PER_SOCKET_MAX / MEBIBYTE;
        (0..pushed).for_each(|_| socket.push(&large).unwrap());
        let queued = budget.used() / large.bytes();
        assert!(queued < pushed && budget.used() <= OUTBOUND_BYTES_PER_SOCKET_MAX);
        while let Some(next) = socket.take() {
            assert!(matches!(next, Next::Text(_)));
        }
        // Taken is not sent: there is no more room until it is.
        socket.push(&large).unwrap();
        assert!(socket.take().is_none());
        socket.sent();
        assert_eq!(budget.used(), 0);
        socket.push(&event(4)).unwrap();
        let Some(Next::Text(text)) = socket.take() else { panic!("nothing queued") };
        assert!(text.ends_with(&format!("\"seq\":{}}}", pushed + 2)), "{text}");
    }

    #[test]
    fn where_the_gateway_behind_us_numbers_events_ours_have_none() {
        let socket = Outbound::new(Arc::default(), Numbering::None);
        socket.push(&event(4)).unwrap();
        let Some(Next::Text(text)) = socket.take() else { panic!("nothing queued") };
        assert_eq!(text, r#"{"type":"event","event":"tick","payload":"xx"}"#);
    }

    #[test]
    fn what_must_not_be_missed_ends_a_socket_that_has_no_room() {
        let (_, socket) = socket();
        let text = "x".repeat(OUTBOUND_BYTES_PER_SOCKET_MAX);
        assert_eq!(socket.answer(text), Ok(()));
        let payload = RawValue::from_string("{}".to_owned()).unwrap();
        let news = Arc::new(Event { name: "health", payload, version: None, slow: Slow::End });
        assert_eq!((socket.push(&news), socket.answer("late".to_owned())), (Err(NoRoom), Err(NoRoom)));
        assert_eq!(socket.push(&event(4)), Ok(()), "what may be missed is");
        let Some(Next::Text(_)) = socket.take() else { panic!("nothing queued") };
        socket.sent();
        assert_eq!((socket.answer("late".to_owned()), socket.push(&news)), (Ok(()), Ok(())));
        let Some(Next::Text(text)) = socket.take() else { panic!("nothing queued") };
        assert_eq!(text, "late");
    }

    #[test]
    fn an_answer_without_room_is_not_taken() {
        let (budget, socket) = socket();
        assert_eq!(socket.admit(OUTBOUND_BYTES_PER_SOCKET_MAX), Ok(()));
        assert_eq!(socket.admit(1), Err(NoRoom));
        assert_eq!(budget.used(), OUTBOUND_BYTES_PER_SOCKET_MAX);
    }

    #[test]
    fn all_sockets_together_have_a_bound_and_give_back_what_they_held() {
        let budget = Arc::new(Budget::default());
        let large = event(MEBIBYTE);
        let sockets: Vec<_> = (0..10).map(|_| Outbound::new(Arc::clone(&budget), Numbering::Ours)).collect();
        for socket in &sockets {
            (0..40).for_each(|_| socket.push(&large).unwrap());
        }
        assert!(budget.used() <= OUTBOUND_BYTES_TOTAL_MAX && budget.used() > OUTBOUND_BYTES_TOTAL_MAX - 2 * MEBIBYTE);
        drop(sockets);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn the_first_reason_to_close_stands_and_comes_before_what_is_queued() {
        let (budget, socket) = socket();
        socket.push(&event(4)).unwrap();
        socket.ping();
        socket.close(Close::new(4001, "device removed"));
        socket.close(Close::new(1012, "service restart"));
        assert_eq!(socket.take_close(), Some(Close::new(4001, "device removed")));
        assert_eq!(socket.take_close(), None);
        socket.push(&event(4)).unwrap();
        assert!(socket.take().is_none() && budget.used() == 0);
    }

    fn socket() -> (Arc<Budget>, Outbound) {
        let budget = Arc::new(Budget::default());
        (Arc::clone(&budget), Outbound::new(budget, Numbering::Ours))
    }

    fn event(bytes: usize) -> Arc<Event> {
        let payload = RawValue::from_string(format!("\"{}\"", "x".repeat(bytes - 2))).unwrap();
        Arc::new(Event { name: "tick", payload, version: None, slow: Slow::Skip })
    }
}
