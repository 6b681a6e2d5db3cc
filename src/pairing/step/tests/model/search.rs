//! Breadth first: every state that differs is looked at once, the nearest first, so that what is found is found on the
//! shortest way.

use std::collections::BTreeSet;
use std::collections::HashSet;
use std::collections::VecDeque;
use std::fmt;
use std::hash::DefaultHasher;
use std::hash::Hasher;

use super::event::Event;
use super::event::beginnings;
use super::truth::Broken;
use super::world::Flaw;
use super::world::World;

/// A search, and what came of it.
#[derive(Debug)]
pub(super) struct Search {
    events: Vec<Event>,
    flaw: Flaw,
    states_max: usize,
    /// The states that were come by, the first included.
    pub(super) states: usize,
    /// The events that were tried.
    pub(super) tried: usize,
    /// The longest way that was gone.
    pub(super) depth: usize,
    /// Whether there was nothing left to look at.
    pub(super) is_whole: bool,
    /// What was come by.
    pub(super) reached: BTreeSet<&'static str>,
    /// The first promise that was broken.
    pub(super) broken: Option<Broken>,
}

impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = if self.is_whole { "all there are" } else { "cut short" };
        write!(f, "{} states ({whole}), {} events tried, {} deep", self.states, self.tried, self.depth)
    }
}

impl Search {
    pub(super) fn new(events: Vec<Event>, flaw: Flaw, states_max: usize) -> Self {
        let (reached, broken) = (BTreeSet::new(), None);
        Self { events, flaw, states_max, states: 0, tried: 0, depth: 0, is_whole: false, reached, broken }
    }

    /// Looks until a promise is broken, nothing is left, or it has seen as much as it may.
    pub(super) fn run(mut self) -> Self {
        let (mut seen, mut waiting) = (HashSet::new(), VecDeque::new());
        for path in beginnings() {
            let mut world = World::new(self.flaw);
            for (count, event) in path.iter().enumerate() {
                if let Err(broken) = world.act(*event, &mut self.reached) {
                    self.broken = Some(Broken { path: path.iter().copied().take(count + 1).collect(), ..broken });
                    return self;
                }
            }
            seen.insert(name(&world));
            waiting.push_back((world, path));
        }
        self.states = seen.len();
        while let Some((world, path)) = waiting.pop_front() {
            for event in &self.events {
                let mut next = world.clone();
                self.tried += 1;
                let outcome = next.act(*event, &mut self.reached);
                let on = || path.iter().chain([event]).copied().collect::<Vec<_>>();
                if let Err(broken) = outcome {
                    self.broken = Some(Broken { path: on(), ..broken });
                    return self;
                }
                // Most events come to nothing, and to see that is cheaper than to name the state.
                if next != world && seen.insert(name(&next)) {
                    self.states += 1;
                    self.depth = self.depth.max(path.len() + 1);
                    if self.states >= self.states_max {
                        return self;
                    }
                    waiting.push_back((next, on()));
                }
            }
        }
        self.is_whole = true;
        self
    }
}

/// A state by all that it is made of.
fn name(world: &World) -> u64 {
    struct Text(DefaultHasher);
    impl fmt::Write for Text {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }
    let mut text = Text(DefaultHasher::new());
    let _written = fmt::write(&mut text, format_args!("{world:?}"));
    text.0.finish()
}
