//! The case table: what each kind of input does to a baseline.

use proptest::prelude::*;

use super::*;
use crate::Nanos;
use crate::series::stale_nan;

const SECOND: i64 = 1_000_000_000;

/// One feature, no warm-up time, so that cases are short.
fn plain() -> BaselineOptions {
    BaselineOptions::default()
        .features(&[Feature::Value], 0.97)
        .warm_up(150, Nanos(0))
}

/// Noise around 100 with a step of 1: 95 … 105, from a fixed congruence.
fn noise(i: i64) -> f64 {
    100.0 + (i * 7919 % 11 - 5) as f64
}

/// A baseline that has seen `count` samples of [`noise`], one a second.
fn after_noise(options: BaselineOptions, count: i64) -> Baseline {
    let mut baseline = Baseline::new(options);
    for i in 0..count {
        baseline.push(i * SECOND, noise(i));
    }
    baseline
}

fn both_forms() -> [BaselineOptions; 2] {
    [plain().form(Form::Exact), plain().form(Form::Bounded)]
}

#[test]
fn the_formula_by_hand() {
    // 149 samples of 0, then 1, 3, 6, 10 … whose gaps are 1, 2, 3, 4 …: n = 159 gaps, a = ⌊0.97·158⌋ = 153, so u = 5 and N = 5.
    for options in both_forms() {
        let mut baseline = Baseline::new(options.least_effect(0.0, 0.0));
        let (mut at, mut x) = (0, 0.0);
        for i in 0..159 {
            x += f64::from((i - 148).max(0));
            baseline.push(at, x);
            at += SECOND;
        }
        // The gaps 6 … 10 are above u, by 3 on average.
        let deviation = baseline.push(at, x + 14.0);
        let want = -(5.0_f64 / 159.0).log10() + 9.0 / (3.0 * std::f64::consts::LN_10);
        assert!(
            (deviation.surprise - want).abs() < 1e-12,
            "{deviation:?}, want {want}"
        );
        let cause = deviation.cause.unwrap();
        assert_eq!(
            (cause.usual_gap, cause.above, cause.seen, cause.gap),
            (5.0, 5, 159, 14.0)
        );
        assert_eq!(
            (cause.mean_excess, cause.nearest, cause.value),
            (3.0, x, x + 14.0)
        );
    }
}

#[test]
fn warm_up_by_samples_and_by_time() {
    // (samples, time in seconds, first sample that is scored)
    for (samples, seconds, first) in [(150, 0, 150), (50, 0, 50), (150, 300, 300), (150, 100, 150)]
    {
        let mut baseline = Baseline::new(plain().warm_up(samples, Nanos(seconds * SECOND)));
        let mut states = (0..400).map(|i| baseline.push(i * SECOND, noise(i)).state);
        assert_eq!(states.position(|s| s == State::Scored), Some(first));
    }
    let mut cold = after_noise(plain(), 149);
    assert_eq!(
        cold.push(149 * SECOND, 1e9).score,
        0.0,
        "149 gaps are not enough"
    );
    let counts = after_noise(plain(), 400).counts();
    assert_eq!(
        (counts.taken, counts.warming),
        (399, 150),
        "the newest one is still pending"
    );
}

#[test]
fn constant_series() {
    for options in both_forms() {
        for level in [0.0, 1.0, -5e6, 1e300] {
            let mut baseline = Baseline::new(options.clone());
            for i in 0..200 {
                assert_eq!(baseline.push(i * SECOND, level).surprise, 0.0);
            }
            let other = baseline.push(200 * SECOND, if level == 0.0 { 1.0 } else { level * 1.5 });
            assert_eq!(other.score, HIGHEST, "the first other value after {level}");
            let mut small = baseline.clone();
            assert_eq!(
                small.push(200 * SECOND, level * 1.01).score,
                0.0,
                "the effect guard"
            );
        }
    }
}

#[test]
fn quantized_series() {
    for options in both_forms() {
        let mut baseline = after_noise(options, 1000);
        for i in 1000..1100 {
            assert_eq!(
                baseline.push(i * SECOND, noise(i)).surprise,
                0.0,
                "exact repeats"
            );
        }
        let finest = baseline.push(1100 * SECOND, 150.0).cause.unwrap();
        assert!(
            finest.mean_excess >= 1.0,
            "not below the resolution of the series: {finest:?}"
        );
    }
}

#[test]
fn break_in_time() {
    let options = plain().features(&[Feature::Mean(3)], 0.97);
    let mut baseline = after_noise(options, 400);
    assert_eq!(baseline.push(400 * SECOND, noise(400)).state, State::Scored);
    let at = 403 * SECOND;
    assert_eq!(
        baseline.push(at, noise(1)).state,
        State::Scored,
        "three steps are no break"
    );
    let after = |k: i64| at + 4 * SECOND + k * SECOND;
    assert_eq!(baseline.push(after(0), noise(2)).state, State::Warming);
    assert_eq!(baseline.push(after(1), noise(3)).state, State::Warming);
    assert_eq!(
        baseline.push(after(2), noise(4)).state,
        State::Scored,
        "three samples make a mean again"
    );
    assert_eq!(baseline.counts().breaks, 1);
    let mut value = after_noise(plain(), 400);
    assert!(
        value.push(1000 * SECOND, 200.0).score > 3.0,
        "the value itself is scored at once"
    );
}

#[test]
fn no_number_and_stale_marker() {
    let mut baseline = after_noise(plain(), 400);
    let before = baseline.to_bytes();
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, stale_nan()] {
        let deviation = baseline.push(400 * SECOND, value);
        assert_eq!((deviation.state, deviation.score), (State::Skipped, 0.0));
    }
    let counts = baseline.counts();
    assert_eq!((counts.not_finite, counts.stale), (3, 1));
    baseline.counts = Counts {
        not_finite: 0,
        stale: 0,
        ..counts
    };
    assert_eq!(baseline.to_bytes(), before, "nothing else changed");
}

#[test]
fn same_instant_twice() {
    for options in both_forms() {
        let mut once = after_noise(options.clone(), 400);
        let mut twice = after_noise(options, 400);
        assert!(twice.push(400 * SECOND, 500.0).score > 3.0);
        assert_eq!(
            twice.push(400 * SECOND, 99.0),
            once.push(400 * SECOND, 99.0),
            "the last value wins"
        );
        assert!(
            twice.push(401 * SECOND, 500.0).score > 3.0,
            "500 was never remembered"
        );
        assert_eq!(twice.counts().replaced, 1);
    }
}

#[test]
fn out_of_order() {
    let mut baseline = after_noise(plain(), 400);
    assert_eq!(baseline.push(398 * SECOND, 500.0).state, State::Skipped);
    assert_eq!(baseline.counts().out_of_order, 1);
    assert!(baseline.push(400 * SECOND, 500.0).score > 3.0);
}

#[test]
fn counter_and_its_reset() {
    let mut baseline = Baseline::new(plain().kind(Kind::Counter));
    let mut total = 0.0;
    for i in 0..400 {
        total += noise(i) * 2.0;
        baseline.push(i * 2 * SECOND, total);
    }
    let mut jump = baseline.clone();
    let cause = jump.push(800 * SECOND, total + 1000.0).cause.unwrap();
    assert_eq!(cause.value, 500.0, "increase per second");
    let reset = baseline.push(800 * SECOND, 200.0);
    assert_eq!(
        (reset.state, reset.surprise),
        (State::Scored, 0.0),
        "began anew at 0: 100 a second"
    );
}

#[test]
fn restart_of_the_process() {
    let mut counter = Baseline::new(plain().kind(Kind::Counter));
    for i in 0..400 {
        counter.push(i * SECOND, 100.0 * i as f64);
    }
    counter.restart();
    assert_eq!(
        counter.push(400 * SECOND, 1e9).state,
        State::Warming,
        "dropped: nothing to subtract"
    );
    assert_eq!(
        counter.push(401 * SECOND, 1e9 + 100.0).surprise,
        0.0,
        "goes on, and remembers the usual rate"
    );

    let mut means = after_noise(plain().features(&[Feature::Mean(3)], 0.97), 400);
    means.restart();
    assert_eq!(means.push(400 * SECOND, 100.0).state, State::Warming);

    let mut kept = after_noise(plain(), 400);
    kept.restart();
    assert!(
        kept.push(400 * SECOND, 500.0).score > 3.0,
        "the memory belongs to the service"
    );
    let mut forgotten = after_noise(plain().per_process(true), 400);
    forgotten.restart();
    assert_eq!(forgotten.push(400 * SECOND, 500.0).state, State::Warming);
    assert_eq!(forgotten.counts().restarts, 1);
}

#[test]
fn slow_ramp() {
    let mut baseline = Baseline::new(BaselineOptions::default());
    let alarms = (0..5000).filter(|i| {
        baseline
            .push(i * SECOND, 1e6 + 100.0 * *i as f64 + noise(*i))
            .score
            > 3.2
    });
    assert!(alarms.count() <= 1, "a leak is for the leak rule");
}

#[test]
fn record_hold_of_one_episode() {
    let mut baseline = after_noise(plain(), 1000);
    let scores: Vec<f64> = (0..50)
        .map(|i| baseline.push((1000 + i) * SECOND, 120.0 + noise(i)).score)
        .collect();
    assert!(scores[0] > 3.2);
    assert!(
        scores[1..].iter().all(|s| *s == 0.0),
        "no second alert: {scores:?}"
    );
    let worse = baseline.push(1050 * SECOND, 5000.0);
    assert!(worse.surprise >= scores[0]);
}

#[test]
fn record_hold_ends() {
    // A hold of 60 samples, or of 10 s: after that an equally surprising value counts again.
    for (time, seconds) in [(None, 61), (Some(Nanos(10 * SECOND)), 11)] {
        let mut baseline = after_noise(plain().hold(60, time), 1000);
        assert!(baseline.push(1000 * SECOND, 200.0).score > 3.2);
        for i in 1..seconds {
            let early = baseline.clone().push((1000 + i) * SECOND, 300.0);
            assert!(
                early.surprise > 3.2 && (early.score == 0.0 || early.surprise > 5.0),
                "{early:?}"
            );
            baseline.push((1000 + i) * SECOND, noise(i));
        }
        assert!(baseline.push((1000 + seconds) * SECOND, 300.0).score > 3.2);
    }
}

#[test]
fn after_an_incident_its_level_is_known() {
    let mut baseline = after_noise(plain(), 1000);
    assert!(baseline.push(1000 * SECOND, 200.0).score > 3.2);
    for i in 1001..1200 {
        baseline.push(i * SECOND, noise(i));
    }
    assert_eq!(
        baseline.push(1200 * SECOND, 200.0).surprise,
        0.0,
        "it is not new any more"
    );
}

#[test]
fn direction() {
    for (direction, up, down) in [
        (Direction::Up, true, false),
        (Direction::Down, false, true),
        (Direction::Both, true, true),
    ] {
        let baseline = after_noise(plain().direction(direction), 1000);
        assert_eq!(
            baseline.clone().push(1000 * SECOND, 200.0).score > 3.2,
            up,
            "{direction:?}"
        );
        assert_eq!(
            baseline.clone().push(1000 * SECOND, 10.0).score > 3.2,
            down,
            "{direction:?}"
        );
    }
}

#[test]
fn effect_guard() {
    // The level is 100: (absolute, relative, least value that counts)
    for (absolute, relative, least) in [(0.0, 0.05, 109.0), (20.0, 0.05, 120.0), (0.0, 0.5, 150.0)]
    {
        let baseline = after_noise(plain().least_effect(absolute, relative), 1000);
        assert_eq!(
            baseline.clone().push(1000 * SECOND, least - 0.5).surprise > 0.0,
            least == 109.0
        );
        assert!(
            baseline.clone().push(1000 * SECOND, least).surprise > 0.0,
            "{least}"
        );
    }
}

#[test]
fn seasonal_residual() {
    let daily = |i: i64| if i % 96 < 48 { 1000.0 } else { 100.0 };
    let quarter = 900 * SECOND;
    let by_season = plain().features(&[Feature::Value, Feature::TimeOfDay], 0.98);
    let (mut with, mut without) = (Baseline::new(by_season), Baseline::new(plain()));
    for i in 0..96 * 6 {
        let x = daily(i) + noise(i);
        with.push(i * quarter, x);
        without.push(i * quarter, x);
    }
    // At midnight of the seventh day it should be 1100: 200 is a familiar value at the wrong time.
    let now = 96 * 6 * quarter;
    assert_eq!(without.push(now, 200.0).surprise, 0.0);
    let wrong_time = with.push(now, 200.0);
    assert_eq!(wrong_time.cause.unwrap().feature, Feature::TimeOfDay);
    assert!(wrong_time.score > 3.2, "{wrong_time:?}");
}

#[test]
fn the_winning_feature_is_named() {
    let options = BaselineOptions::default()
        .warm_up(150, Nanos(0))
        .least_effect(0.0, 0.02);
    let mut baseline = after_noise(options, 1000);
    let spike = baseline.clone().push(1000 * SECOND, 200.0);
    assert_eq!(spike.cause.unwrap().feature, Feature::Value, "{spike:?}");
    let mut won = Vec::new();
    for i in 0..40 {
        let deviation = baseline.push((1000 + i) * SECOND, 105.0);
        if deviation.score > 0.0 {
            won.push(deviation.cause.unwrap().feature);
        }
    }
    assert!(
        won.contains(&Feature::Mean(30)),
        "a small shift shows in the long mean: {won:?}"
    );
}

#[test]
fn memory_is_bounded() {
    let features = [
        Feature::Value,
        Feature::Mean(3),
        Feature::Mean(30),
        Feature::TimeOfDay,
    ];
    for (features, quantile) in [
        (&features[..1], 0.97),
        (&features[..3], 0.98),
        (&features[..], 0.98),
    ] {
        let mut baseline = Baseline::new(BaselineOptions::default().features(features, quantile));
        let mut state = 1_u64;
        for i in 0..30_000_i64 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            // Values of all magnitudes, so that every octave is used.
            let x = ((state >> 33) as f64) * 2_f64.powi((state >> 20 & 127) as i32 - 64);
            baseline.push(i * 60 * SECOND, x);
        }
        let each = baseline.size_bytes() / features.len();
        assert!(
            each <= 32 * 1024,
            "{each} bytes a feature with {} features",
            features.len()
        );
        assert!(baseline.to_bytes().len() / features.len() <= 32 * 1024);
    }
}

#[test]
fn differences_that_overflow_are_no_resolution() {
    let mut baseline = Baseline::new(plain());
    for (i, value) in [f64::MAX, f64::MIN, 1.0, 2.0].into_iter().enumerate() {
        baseline.push(i as i64 * SECOND, value);
    }
    let bytes = baseline.to_bytes();
    assert_eq!(Baseline::from_bytes(&bytes).unwrap().to_bytes(), bytes);
}

#[test]
fn damaged_checkpoints_are_errors() {
    for options in both_forms() {
        let baseline = after_noise(options, 500);
        let bytes = baseline.to_bytes();
        assert!(Baseline::from_bytes(&[]).is_err());
        for cut in (0..bytes.len()).step_by(7) {
            assert!(Baseline::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(Baseline::from_bytes(&longer).is_err());
        let other_version = Baseline::from_bytes(&[b"mwbase\0\x02", &bytes[8..]].concat());
        let message = other_version.unwrap_err().to_string();
        assert!(
            message.contains("expected a baseline checkpoint of version 1"),
            "{message}"
        );
    }
}

/// What can happen to a series.
#[derive(Debug, Clone)]
enum Event {
    Sample { step_s: i64, value: f64 },
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    let value = prop_oneof![
        8 => (0_i32..40).prop_map(|v| f64::from(v) * 2.5),
        4 => -1e6..1e6_f64,
        1 => Just(f64::NAN),
        1 => Just(f64::MAX),
        1 => Just(f64::MIN),
        1 => Just(-0.0),
    ];
    let sample = (
        prop_oneof![20 => Just(1_i64), 1 => Just(0), 1 => Just(-3), 1 => Just(100)],
        value,
    );
    prop_oneof![
        60 => sample.prop_map(|(step_s, value)| Event::Sample { step_s, value }),
        1 => Just(Event::Restart),
    ]
}

fn run(baseline: &mut Baseline, events: &[Event], at_s: &mut i64) -> Vec<Deviation> {
    let mut deviations = Vec::new();
    for event in events {
        match event {
            Event::Sample { step_s, value } => {
                *at_s += step_s;
                deviations.push(baseline.push(*at_s * SECOND, *value));
            }
            Event::Restart => baseline.restart(),
        }
    }
    deviations
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_checkpoint_in_between_changes_nothing(
        events in prop::collection::vec(event(), 1..700),
        cut in any::<prop::sample::Index>(),
        exact in any::<bool>(),
        counter in any::<bool>(),
        per_process in any::<bool>(),
    ) {
        let options = BaselineOptions::default()
            .form(if exact { Form::Exact } else { Form::Bounded })
            .kind(if counter { Kind::Counter } else { Kind::Gauge })
            .features(&[Feature::Value, Feature::Mean(3), Feature::TimeOfDay], 0.9)
            .warm_up(50, Nanos(0))
            .per_process(per_process);
        let mut whole = Baseline::new(options.clone());
        let want = run(&mut whole, &events, &mut 0);
        let cut = cut.index(events.len());
        let (mut at, mut first) = (0, Baseline::new(options));
        let mut got = run(&mut first, &events[..cut], &mut at);
        let mut second = Baseline::from_bytes(&first.to_bytes()).unwrap();
        prop_assert_eq!(second.to_bytes(), first.to_bytes());
        got.extend(run(&mut second, &events[cut..], &mut at));
        prop_assert_eq!(got, want);
        prop_assert_eq!(second.to_bytes(), whole.to_bytes());
        prop_assert_eq!(second.counts(), whole.counts());
    }

    #[test]
    fn scores_are_within_their_range(events in prop::collection::vec(event(), 1..700), exact in any::<bool>()) {
        let form = if exact { Form::Exact } else { Form::Bounded };
        let mut baseline = Baseline::new(plain().form(form).warm_up(50, Nanos(0)));
        for deviation in run(&mut baseline, &events, &mut 0) {
            prop_assert!((0.0..=HIGHEST).contains(&deviation.surprise));
            prop_assert!(deviation.score == 0.0 || deviation.score == deviation.surprise);
            prop_assert_eq!(deviation.surprise > 0.0, deviation.cause.is_some());
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_checkpoint(mut bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Baseline::from_bytes(&bytes);
        bytes.splice(0..0, MAGIC.iter().copied());
        let _ = Baseline::from_bytes(&bytes);
    }

    #[test]
    fn a_flipped_byte_never_panics(at in any::<prop::sample::Index>(), to in any::<u8>(), exact in any::<bool>()) {
        let form = if exact { Form::Exact } else { Form::Bounded };
        let mut bytes = after_noise(plain().form(form), 300).to_bytes();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(mut baseline) = Baseline::from_bytes(&bytes) {
            for i in 0..300 {
                baseline.push((300 + i) * SECOND, noise(i) * 1.5);
            }
        }
    }
}
