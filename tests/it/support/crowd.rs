//! A crowd: hundreds of sessions that stay, requests at a rate, callers who come and go. None of them may be failed or
//! dropped, whatever the test does meanwhile; the first that is ends the crowd with what it was told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::caller::Caller;
use super::gateway_client::{Ask, Device, Session, connect};
use super::keep::Kept;
use super::namespace::Namespace;
use super::wait::until;

/// Opened at once: below what one client may have before `hello-ok`.
const AT_ONCE: usize = 16;
/// The requests come on so many connections.
const LINES: u32 = 20;

/// Who comes, and where to.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Sessions that stay, all of one device.
    pub(crate) sessions: usize,
    /// Where they are.
    pub(crate) here: Caller,
    /// The gateway's secret.
    pub(crate) token: String,
    /// Requests a second that are offered; a slow machine takes what it can.
    pub(crate) requests_a_second: u32,
    /// Where to; half of them by HTTP/2 if that is by TLS.
    pub(crate) web: Caller,
    /// The headers of each request.
    pub(crate) said: &'static [(&'static str, &'static str)],
}

/// A crowd that is there.
#[derive(Debug)]
pub(crate) struct Crowd {
    sessions: usize,
    thread: JoinHandle<()>,
    over: Arc<AtomicBool>,
    told: Arc<Told>,
    question: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Told {
    here: AtomicUsize,
    health: AtomicUsize,
    requests: AtomicUsize,
    visits: AtomicUsize,
}

impl Crowd {
    /// Comes to `machine`; returns when every session is open, requests are answered and visitors come.
    pub(crate) fn gather(machine: &Namespace, plan: Plan) -> Self {
        let allowed = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: allowed, maximum: allowed }).unwrap();
        let (over, told, sessions) = (Arc::new(AtomicBool::new(false)), Arc::new(Told::default()), plan.sessions);
        let (question, asked) = watch::channel(0);
        let thread = machine.spawn({
            let (over, told) = (Arc::clone(&over), Arc::clone(&told));
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(live(plan, asked, &over, &told));
            }
        });
        let crowd = Self { sessions, thread, over, told, question };
        crowd.wait("all are here", || crowd.told.here.load(Ordering::Acquire) == sessions);
        crowd.is_visited();
        crowd.is_served(100);
        crowd
    }

    /// Every session asks for `health` once more, and is answered.
    pub(crate) fn ask_all(&self) {
        self.question.send_modify(|round| *round += 1);
        let answers = self.sessions * *self.question.borrow();
        self.wait("all are answered", || self.told.health.load(Ordering::Acquire) == answers);
    }

    /// So many more requests are answered.
    pub(crate) fn is_served(&self, requests: usize) {
        let answered = || self.told.requests.load(Ordering::Acquire);
        let before = answered();
        self.wait("requests are answered", || answered() >= before + requests);
    }

    /// One more visitor has come and gone.
    pub(crate) fn is_visited(&self) {
        let visits = || self.told.visits.load(Ordering::Acquire);
        let before = visits();
        self.wait("visitors come and go", || visits() > before);
    }

    /// Goes; how many requests were answered, each of them.
    pub(crate) fn disperse(self) -> usize {
        self.over.store(true, Ordering::Release);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        self.told.requests.load(Ordering::Acquire)
    }

    fn wait(&self, what: &str, reached: impl Fn() -> bool) {
        until(|| self.thread.is_finished() || reached(), || format!("{what}: {:?}", self.told));
        assert!(reached(), "{what}: not all the crowd is served: {:?}", self.told);
    }
}

/// Lives until it is over, or one of its members is failed.
async fn live(plan: Plan, asked: watch::Receiver<usize>, over: &AtomicBool, told: &Arc<Told>) {
    let device = Device::new();
    let mut members = JoinSet::new();
    // The first session pairs the device.
    let mut open = vec![enter(&plan, &device).await];
    while open.len() < plan.sessions {
        let many = AT_ONCE.min(plan.sessions - open.len());
        let comers: Vec<_> = (0..many).map(|_| tokio::spawn(enter_owned(plan.clone(), device.clone()))).collect();
        for comer in comers {
            open.push(comer.await.unwrap());
        }
        told.here.store(open.len(), Ordering::Release);
    }
    for session in open {
        members.spawn(stay(session, asked.clone(), Arc::clone(told)));
    }
    for line in 0..LINES {
        members.spawn(request(plan.clone(), line, Arc::clone(told)));
    }
    members.spawn(come_and_go(plan, device, Arc::clone(told)));
    while !over.load(Ordering::Acquire) {
        let ended = tokio::time::timeout(Duration::from_millis(20), members.join_next()).await;
        if let Ok(Some(Err(failed))) = ended {
            std::panic::resume_unwind(failed.into_panic());
        }
    }
    members.shutdown().await;
}

async fn enter(plan: &Plan, device: &Device) -> Session {
    connect(&plan.here, Some(device), &Ask::operator(&plan.token)).await.hello()
}

async fn enter_owned(plan: Plan, device: Device) -> Session {
    enter(&plan, &device).await
}

/// Hears what comes, and asks when all are asked to.
async fn stay(mut session: Session, mut asked: watch::Receiver<usize>, told: Arc<Told>) {
    loop {
        session
            .listen(async {
                asked.changed().await.expect("the test goes on");
            })
            .await;
        session.call("health", json!({})).await.unwrap();
        told.health.fetch_add(1, Ordering::AcqRel);
    }
}

/// Asks again and again on a connection that stays the same.
async fn request(plan: Plan, line: u32, told: Arc<Told>) {
    let second = line % 2 == 1 && plan.web.tls().is_some();
    let mut kept = if second { Kept::open_h2(&plan.web).await } else { Kept::open(&plan.web).await };
    let mut beat = interval(Duration::from_secs(1) * LINES / plan.requests_a_second);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut name = Value::Null;
    loop {
        beat.tick().await;
        let seen = kept.whoami(plan.said).await.unwrap();
        assert_eq!(seen["verified"], true);
        assert!(name.is_null() || name == seen["connection"], "dropped");
        name = seen["connection"].clone();
        told.requests.fetch_add(1, Ordering::AcqRel);
    }
}

/// New connections of both kinds, one after the other.
async fn come_and_go(plan: Plan, device: Device, told: Arc<Told>) {
    loop {
        let start = Instant::now();
        enter(&plan, &device).await.close().await;
        Kept::open(&plan.web).await.whoami(plan.said).await.unwrap();
        told.visits.fetch_add(1, Ordering::AcqRel);
        tokio::time::sleep(start.elapsed().max(Duration::from_millis(20))).await;
    }
}
