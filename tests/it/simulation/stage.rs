//! The scheduler. The threads of one simulated process hand a baton on: exactly
//! one runs, and the seed decides at each point which one, when the process
//! dies, and by how much time passes. Time passes only while all of them wait.

use sceau::base::Clock;
use sceau::base::hold::{Conductor, Defect, lead};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;
use time::OffsetDateTime;
use time::macros::datetime;

/// When every simulation begins.
const START: OffsetDateTime = datetime!(2026-06-15 12:00:00 UTC);
/// Points that one process may pass; more is a loop that never rests.
const POINTS_MAX: u64 = 400_000;

/// xorshift64* (Marsaglia 2003, Vigna 2016), seeded by a mix of the seed.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((mixed ^ (mixed >> 31)) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `limit`, which is not zero.
    pub fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit
    }

    /// True `n` times in a thousand.
    pub fn permille(&mut self, n: u64) -> bool {
        self.below(1000) < n
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// Mostly short, sometimes long: milliseconds up to `limit`.
    pub fn millis(&mut self, limit: u64) -> Duration {
        let limit = if self.permille(800) {
            limit / 20 + 1
        } else {
            limit + 1
        };
        Duration::from_millis(self.below(limit))
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    /// May go on.
    Ready,
    /// Until this time, or until it is woken if it naps.
    Waits {
        until: i64,
        naps: bool,
    },
    Gone,
}

struct Actor {
    thread: OnceLock<Thread>,
    name: &'static str,
    mode: Mode,
}

struct Inner {
    chance: Chance,
    /// True time, in milliseconds since the beginning.
    now: i64,
    /// By how much the machine's clock is wrong.
    clock_off: i64,
    clock_moved: i64,
    actors: Vec<Actor>,
    turn: usize,
    /// The process has died or ended.
    over: bool,
    crash_permille_of_permille: u64,
    switch_permille: u64,
    points: u64,
    trace: u64,
}

/// How a process came to its end.
pub struct Died;

/// What is looked at when nobody has anything to do: the nappers' names.
type OnIdle = Box<dyn Fn(&[&'static str]) + Send + Sync>;

/// One simulated process: its threads, its time, its luck.
pub struct Stage {
    inner: Mutex<Inner>,
    planted: Option<Defect>,
    on_idle: OnceLock<OnIdle>,
    on_death: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

thread_local! {
    static ROLE: std::cell::Cell<usize> = const { std::cell::Cell::new(usize::MAX) };
}

impl Stage {
    /// `now` goes on from the process before.
    pub fn new(
        chance: Chance,
        (now, clock_off): (i64, i64),
        (crash, switch): (u64, u64),
        planted: Option<Defect>,
    ) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                chance,
                now,
                clock_off,
                clock_moved: now,
                actors: Vec::new(),
                turn: usize::MAX,
                over: false,
                crash_permille_of_permille: crash,
                switch_permille: switch,
                points: 0,
                trace: 0,
            }),
            planted,
            on_idle: OnceLock::new(),
            on_death: OnceLock::new(),
        })
    }

    pub fn on_idle(&self, look: OnIdle) {
        assert!(self.on_idle.set(look).is_ok());
    }

    pub fn on_death(&self, look: impl Fn() + Send + Sync + 'static) {
        assert!(self.on_death.set(Box::new(look)).is_ok());
    }

    /// Starts a thread, which waits for its turn.
    pub fn act(
        self: &Arc<Self>,
        name: &'static str,
        part: impl FnOnce() + Send + 'static,
    ) -> JoinHandle<Result<(), String>> {
        let stage = self.clone();
        let mut inner = self.lock();
        let number = inner.actors.len();
        inner.actors.push(Actor {
            thread: OnceLock::new(),
            name,
            mode: Mode::Ready,
        });
        drop(inner);
        let handle = thread::Builder::new().name(name.to_owned()).spawn(move || {
            ROLE.set(number);
            lead(Some(stage.clone()));
            let played = panic::catch_unwind(AssertUnwindSafe(|| {
                stage.take_turn(stage.lock(), number);
                part();
            }));
            lead(None);
            stage.leave(number);
            match played {
                Ok(()) => Ok(()),
                Err(cause) if cause.is::<Died>() => Ok(()),
                Err(cause) => Err(text(cause.as_ref())),
            }
        });
        let handle = handle.unwrap();
        let inner = self.lock();
        let _ = inner.actors[number].thread.set(handle.thread().clone());
        handle
    }

    /// Gives the first turn.
    pub fn begin(&self) {
        let mut inner = self.lock();
        inner.turn = 0;
        wake(&inner, 0);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub fn chance<T>(&self, draw: impl FnOnce(&mut Chance) -> T) -> T {
        draw(&mut self.lock().chance)
    }

    /// True time, in milliseconds since the beginning.
    pub fn now(&self) -> i64 {
        self.lock().now
    }

    /// True time, and how far the machine's clock is off.
    pub fn times(&self) -> (i64, i64) {
        let inner = self.lock();
        (inner.now, inner.clock_off)
    }

    pub fn true_time(&self) -> OffsetDateTime {
        START + time::Duration::milliseconds(self.now())
    }

    pub fn set_clock(&self, off: i64) {
        let mut inner = self.lock();
        if inner.clock_off != off {
            inner.clock_off = off;
            inner.clock_moved = inner.now;
        }
    }

    /// Since when the machine's clock has been steady.
    pub fn clock_moved(&self) -> i64 {
        self.lock().clock_moved
    }

    /// No more crashes.
    pub fn calm(&self) {
        self.lock().crash_permille_of_permille = 0;
    }

    /// Says the same of two runs that took the same way.
    pub fn trace(&self) -> (u64, u64) {
        let inner = self.lock();
        (inner.points, inner.trace)
    }

    pub fn is_over(&self) -> bool {
        self.lock().over
    }

    /// The process dies now, unless it is over.
    pub fn die(&self) -> ! {
        if let Some(look) = self.on_death.get() {
            look();
        }
        self.end();
        panic::resume_unwind(Box::new(Died))
    }

    /// The process ends, and nothing of it is looked at any more.
    pub fn give_up(&self) {
        self.end();
    }

    /// Lets all threads unwind.
    fn end(&self) {
        let mut inner = self.lock();
        inner.over = true;
        for actor in 0..inner.actors.len() {
            wake(&inner, actor);
        }
    }

    fn leave(&self, number: usize) {
        let mut inner = self.lock();
        inner.actors[number].mode = Mode::Gone;
        if !inner.over && inner.turn == number {
            drop(self.pass(inner));
        }
    }

    /// Chooses who goes on, letting time pass where all wait.
    fn pass<'a>(&'a self, mut inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        loop {
            let ready = |(_, actor): &(usize, &Actor)| actor.mode == Mode::Ready;
            let able: Vec<usize> = inner
                .actors
                .iter()
                .enumerate()
                .filter(ready)
                .map(|(n, _)| n)
                .collect();
            if !able.is_empty() {
                inner.turn = inner.chance.pick(&able);
                wake(&inner, inner.turn);
                return inner;
            }
            let untils = inner.actors.iter().filter_map(|actor| match actor.mode {
                Mode::Waits { until, .. } => Some(until),
                Mode::Ready | Mode::Gone => None,
            });
            let Some(next) = untils.min() else {
                return inner;
            };
            if next > inner.now {
                let naps = |actor: &Actor| matches!(actor.mode, Mode::Waits { naps: true, .. });
                let nappers: Vec<_> = inner
                    .actors
                    .iter()
                    .filter(|a| naps(a))
                    .map(|a| a.name)
                    .collect();
                drop(inner);
                if let Some(look) = self.on_idle.get() {
                    look(&nappers);
                }
                inner = self.lock();
                inner.now = next;
            }
            let now = inner.now;
            for actor in &mut inner.actors {
                if matches!(actor.mode, Mode::Waits { until, .. } if until <= now) {
                    actor.mode = Mode::Ready;
                }
            }
        }
    }

    fn take_turn<'a>(&'a self, mut inner: MutexGuard<'a, Inner>, me: usize) {
        while inner.turn != me && !inner.over {
            drop(inner);
            thread::park();
            inner = self.lock();
        }
        if inner.over {
            drop(inner);
            unwind();
        }
    }

    /// Another one may go on; returns when it is this thread's turn again.
    fn switch<'a>(&'a self, inner: MutexGuard<'a, Inner>) {
        let me = ROLE.get();
        let inner = self.pass(inner);
        if inner.turn != me || inner.over {
            self.take_turn(inner, me);
        }
    }

    fn waits(&self, limit: Duration, naps: bool) -> Option<Duration> {
        let me = ROLE.get();
        let mut inner = self.lock();
        if inner.over {
            drop(inner);
            unwind();
            return None;
        }
        let limit = i64::try_from(limit.as_micros().div_ceil(1000)).unwrap_or(i64::MAX);
        let until = inner.now.saturating_add(limit);
        inner.actors[me].mode = Mode::Waits { until, naps };
        self.switch(inner);
        let left = until - self.lock().now;
        (left > 0).then(|| Duration::from_millis(left.unsigned_abs()))
    }
}

fn wake(inner: &Inner, actor: usize) {
    if let Some(thread) = inner.actors[actor].thread.get() {
        thread.unpark();
    }
}

/// Ends this thread with its process, unless it is ending already.
fn unwind() {
    if !thread::panicking() {
        panic::resume_unwind(Box::new(Died));
    }
}

fn text(cause: &(dyn std::any::Any + Send)) -> String {
    let string = cause.downcast_ref::<String>().cloned();
    let other = || cause.downcast_ref::<&str>().map(|text| (*text).to_owned());
    string
        .or_else(other)
        .unwrap_or_else(|| "a panic".to_owned())
}

impl Conductor for Stage {
    fn reached(&self, point: &'static str) {
        let mut inner = self.lock();
        if inner.over {
            drop(inner);
            return unwind();
        }
        inner.points += 1;
        let mut mark = inner.trace ^ ROLE.get() as u64 ^ inner.now.unsigned_abs().rotate_left(20);
        for byte in point.bytes() {
            mark = (mark ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        inner.trace = mark;
        if inner.points > POINTS_MAX {
            drop(inner);
            self.give_up();
            panic!("the process never comes to rest");
        }
        let crash = inner.crash_permille_of_permille;
        if inner.chance.below(1_000_000) < crash {
            drop(inner);
            self.die();
        }
        let switch = inner.switch_permille;
        if inner.chance.permille(switch) {
            self.switch(inner);
        }
    }

    fn sleep(&self, pause: Duration) {
        self.waits(pause, false);
    }

    fn wait(&self, limit: Duration) -> Option<Duration> {
        self.waits(limit, true)
    }

    fn wake(&self) {
        for actor in &mut self.lock().actors {
            if matches!(actor.mode, Mode::Waits { naps: true, .. }) {
                actor.mode = Mode::Ready;
            }
        }
    }

    fn draw(&self) -> f64 {
        self.chance(|chance| chance.below(1 << 20)) as f64 / f64::from(1 << 20)
    }

    fn planted(&self) -> Option<Defect> {
        self.planted
    }
}

/// The clock of the simulated machine.
impl Clock for Stage {
    fn now(&self) -> OffsetDateTime {
        let (now, off) = self.times();
        START + time::Duration::milliseconds(now + off)
    }
}
