//! Recordings like those of real Go processes, from a seed: the same seed gives the same rows.
//!
//! A process allocates at a rate that follows a slow wave with noise; the heap grows to its goal, a cycle takes it back to a live heap that wanders,
//! each cycle pauses the process for a lognormal time. Sizes come in the steps that the runtime uses (spans of 8 KiB, stacks of 32 KiB, 160 bytes a span
//! descriptor), so that columns repeat and compress as they do in recordings.

use memwatch_core::record::{GcPause, Identity, MemorySample, PauseKind, PauseOrigin};
use memwatch_core::{Bytes, Nanos, Timestamp};

/// A small seeded generator (SplitMix64): good enough for shapes, the same everywhere.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator of that seed.
    #[must_use]
    pub fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal.
    pub fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.unit()).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// One process that is read at a fixed interval.
#[derive(Debug, Clone)]
pub struct Process {
    /// Whose rows these are.
    pub identity: Identity,
    rng: Rng,
    at: i64,
    interval: i64,
    started: i64,
    rate: f64,
    heap: f64,
    live: f64,
    base_live: f64,
    heap_sys: i64,
    sample: MemorySample,
}

const SPAN: i64 = 8192;

#[allow(clippy::cast_possible_truncation)] // Sizes far below 2^53.
fn whole(value: f64) -> i64 {
    value as i64
}

impl Process {
    /// The `n`-th process of a recording; `start` is its first reading.
    #[must_use]
    pub fn new(seed: u64, n: u64, start: Timestamp, interval: Nanos) -> Process {
        let mut rng = Rng::new(seed ^ (n + 1).wrapping_mul(0x2545_f491_4f6c_dd1d));
        let base_live = 2e6 * (rng.unit() * 4.0).exp2();
        let mut sample = MemorySample::default();
        sample.process = Some(1);
        sample.version = Some("v1.0.0".into());
        sample.go_version = Some("go1.27.3".into());
        sample.gogc = Some(100);
        sample.memory_limit = Some(Bytes(i64::MAX));
        sample.lookups_total = Some(0);
        sample.num_gc = Some(0);
        sample.num_forced_gc = Some(0);
        sample.pause_total = Some(Nanos(0));
        sample.last_gc = Some(Nanos(0));
        sample.total_alloc = Some(Bytes(0));
        sample.mallocs_total = Some(0);
        sample.frees_total = Some(0);
        sample.mcache_inuse = Some(Bytes(4592));
        sample.mcache_sys = Some(Bytes(16072));
        let service = format!("service-{:02}", n / 4);
        Process {
            identity: Identity {
                instance: format!("{service}-{}", n % 4).into(),
                service: service.into(),
            },
            at: start.0,
            interval: interval.0,
            started: start.0,
            rate: 1e6 * (rng.unit() * 5.0).exp2(),
            heap: base_live,
            live: base_live,
            base_live,
            heap_sys: whole(base_live * 3.0) / (4 << 20) * (4 << 20) + (8 << 20),
            rng,
            sample,
        }
    }

    /// The next reading, and the pauses since the one before.
    pub fn read(&mut self, pauses: &mut Vec<GcPause>) -> &MemorySample {
        pauses.clear();
        let jitter = whole(self.rng.normal() * 150_000.0);
        let seconds = self.interval as f64 / 1e9;
        let wave = 1.0 + 0.3 * ((self.at - self.started) as f64 / 1.2e12).sin();
        let allocated = self.rate * seconds * wave * (0.3 * self.rng.normal()).exp();
        let objects = whole(allocated / 110.0);
        let mut freed = 0;
        self.heap += allocated;
        let mut goal = (2.0 * self.live).max(4_194_304.0);
        let mut cycles = 0;
        while self.heap > goal {
            cycles += 1;
            self.live = (self.live * (0.02 * self.rng.normal()).exp())
                .clamp(self.base_live * 0.5, self.base_live * 3.0);
            freed += whole((self.heap - self.live).max(0.0) / 110.0);
            self.heap = self.live + (self.heap - goal).min(self.live * 0.5);
            goal = (2.0 * self.live).max(4_194_304.0);
            let pause = whole(60_000.0 * (0.8 * self.rng.normal()).exp()).max(9_000);
            let end = self.at - whole(self.rng.unit() * self.interval as f64 / 2.0) + cycles;
            pauses.push(GcPause::new(
                Timestamp(end),
                Nanos(pause),
                PauseKind::Unknown,
                PauseOrigin::MemStats,
            ));
            if cycles > 200 {
                break;
            }
        }
        pauses.sort_by_key(|p| p.at);
        let s = &mut self.sample;
        let add = |slot: &mut Option<i64>, by: i64| *slot = Some(slot.unwrap_or(0) + by);
        s.at = Timestamp(self.at + jitter);
        s.uptime = Some(Nanos(self.at - self.started));
        s.read_duration = Some(Nanos(whole(18_000.0 * (0.5 * self.rng.normal()).exp())));
        add(&mut s.mallocs_total, objects);
        let live_objects = s.mallocs_total.unwrap_or(0) - s.frees_total.unwrap_or(0);
        add(&mut s.frees_total, freed.min(live_objects));
        add(&mut s.num_gc, cycles);
        s.total_alloc = s.total_alloc.map(|b| Bytes(b.0 + whole(allocated)));
        s.heap_objects = Some(s.mallocs_total.unwrap_or(0) - s.frees_total.unwrap_or(0));
        if let Some(last) = pauses.last() {
            s.last_gc = Some(Nanos(last.at.0));
            s.pause_total = s
                .pause_total
                .map(|t| Nanos(t.0 + pauses.iter().map(|p| p.pause.0).sum::<i64>()));
            s.gc_cpu_fraction = Some(0.001 + 0.0005 * self.rng.unit());
            s.next_gc = Some(Bytes(whole(goal)));
        }
        s.next_gc.get_or_insert(Bytes(4_194_304));
        s.gc_cpu_fraction.get_or_insert(0.0);
        let heap_alloc = whole(self.heap);
        let inuse = (whole(self.heap * 1.12) / SPAN + 1) * SPAN;
        self.heap_sys = self.heap_sys.max((inuse / (4 << 20) + 2) * (4 << 20));
        let idle = self.heap_sys - inuse;
        s.heap_alloc = Some(Bytes(heap_alloc));
        s.heap_inuse = Some(Bytes(inuse));
        s.heap_idle = Some(Bytes(idle));
        s.heap_sys = Some(Bytes(self.heap_sys));
        let released = if cycles > 0 { None } else { s.heap_released };
        s.heap_released = Some(Bytes(
            released.map_or(idle * 6 / 10 / SPAN * SPAN, |b| b.0.min(idle)),
        ));
        let goroutines = 20 + whole(self.base_live / 4e5) + whole(self.rng.normal().abs() * 3.0);
        s.goroutines = Some(goroutines);
        let stacks = (goroutines * 4096 / 32_768 + 13) * 32_768;
        (s.stack_inuse, s.stack_sys) = (Some(Bytes(stacks)), Some(Bytes(stacks)));
        s.mspan_inuse = Some(Bytes(inuse / SPAN * 9 / 10 * 160));
        s.mspan_sys = Some(Bytes((inuse / SPAN * 160 / 16_320 + 3) * 16_320));
        s.buck_hash_sys = Some(Bytes(1_444_015 + s.num_gc.unwrap_or(0) / 50 * 16));
        s.gc_sys = Some(Bytes(2_000_000 + self.heap_sys / 64 / 4096 * 4096));
        s.other_sys = Some(Bytes(680_769));
        s.sys = Some(Bytes(
            [
                s.heap_sys,
                s.stack_sys,
                s.mspan_sys,
                s.mcache_sys,
                s.buck_hash_sys,
                s.gc_sys,
                s.other_sys,
            ]
            .iter()
            .flatten()
            .map(|b| b.0)
            .sum(),
        ));
        s.rss = Some(Bytes((self.heap_sys + 6_000_000) / 4096 * 4096));
        s.cpu_user = Some(Nanos((self.at - self.started) / 20 / 1_000_000 * 1_000_000));
        s.cpu_system = Some(Nanos((self.at - self.started) / 90 / 1_000_000 * 1_000_000));
        add(
            &mut s.requests_total,
            whole(self.rate / 40_000.0 * wave * seconds),
        );
        self.at += self.interval;
        &self.sample
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_the_runtimes_invariants() {
        let start = Timestamp(1_795_410_189_000_000_000);
        let mut process = Process::new(1, 3, start, Nanos(200_000_000));
        let (mut pauses, mut total, mut cycles) = (Vec::new(), 0, 0);
        let mut last = MemorySample::default();
        for _ in 0..20_000 {
            let sample = process.read(&mut pauses).clone();
            total += pauses.iter().map(|p| p.pause.0).sum::<i64>();
            cycles += i64::try_from(pauses.len()).unwrap();
            let b = |of: Option<Bytes>| of.unwrap().0;
            assert_eq!(
                b(sample.heap_sys),
                b(sample.heap_inuse) + b(sample.heap_idle)
            );
            assert_eq!(
                sample.heap_objects,
                Some(sample.mallocs_total.unwrap() - sample.frees_total.unwrap())
            );
            assert!(b(sample.heap_released) <= b(sample.heap_idle));
            assert!(b(sample.heap_alloc) <= b(sample.heap_inuse));
            assert_eq!(
                (sample.pause_total, sample.num_gc),
                (Some(Nanos(total)), Some(cycles))
            );
            assert!(
                sample.at > last.at
                    && sample.total_alloc >= last.total_alloc
                    && sample.mallocs_total >= last.mallocs_total
            );
            last = sample;
        }
        assert!(cycles > 100, "{cycles}");
    }
}
