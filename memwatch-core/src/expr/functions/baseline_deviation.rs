//! How surprising a series is, given all that was recorded of it before.

use super::call_options::{CallOption, CallOptions, amount, count, number, word};
use super::growth::is_counter;
use super::{Body, Call, Function, RANGE, TEXT, VECTOR};
use crate::expr::eval::Evaluator;
use crate::expr::folds::{Fold, Folds, Memory};
use crate::expr::rows::{Row, Val};
use crate::expr::{EvalOptions, Expr, Node, NodeKind, Session};
use crate::series::SeriesReader;
use crate::stats::baseline::{BaselineOptions, Deviation, Direction, Feature, Form, Kind};
use crate::stats::sliding::{Bounds, summarize};
use crate::{Labels, Nanos, Result, Steps, Timestamp};

pub(super) const BASELINE_DEVIATION: Function = Function::new(
    "baseline_deviation",
    &[RANGE, TEXT],
    VECTOR,
    Body::Rows(baseline_deviation),
    "How surprising the samples of the window were when they came, each against all that was recorded of its series before: the highest score, \
     −log₁₀ of how rare so new a value is. One threshold serves every series: 2 warns, 3.2 pages. \
     `baseline_deviation(go_memstats_heap_inuse_bytes[30s], \"direction = up\") > 3.2`. The memory is the whole recording from its beginning, not the \
     window: that only says for how long a score is shown. An episode is scored once, unless it gets worse. No result during the warm-up \
     (150 samples and 5 minutes). Counters, by name as in `growth`, are taken as increase per second from sample to sample; for something smoother give \
     a subquery: `baseline_deviation(rate(go_memstats_alloc_bytes_total[10s])[30s:1s])`.",
)
.optional(1)
.repeating()
.with_options(&OPTIONS);

/// What stands in the texts of a call.
#[derive(Debug, Clone)]
struct Settings {
    options: BaselineOptions,
    /// By the name of the metric if absent.
    kind: Option<Kind>,
    features: Vec<Feature>,
    quantile: Option<f64>,
    warm_up: (usize, Nanos),
    hold: (usize, Option<Nanos>),
    least: (f64, f64),
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            options: BaselineOptions::default(),
            kind: None,
            features: vec![Feature::Value, Feature::Mean(3), Feature::Mean(30)],
            quantile: None,
            warm_up: (150, Nanos(5 * Nanos::MINUTE.0)),
            hold: (60, None),
            least: (0.0, 0.05),
        }
    }
}

impl Settings {
    fn of(&self, name: &str) -> BaselineOptions {
        let kind = self.kind.unwrap_or(if is_counter(name) {
            Kind::Counter
        } else {
            Kind::Gauge
        });
        // The highest of several features is taken, so the tail of each begins later.
        let several = self.features.len() > 1;
        let quantile = self.quantile.unwrap_or(if several { 0.98 } else { 0.97 });
        let samples = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        self.options
            .clone()
            .kind(kind)
            .features(&self.features, quantile)
            .warm_up(samples(self.warm_up.0), self.warm_up.1)
            .hold(samples(self.hold.0), self.hold.1)
            .least_effect(self.least.0, self.least.1)
    }
}

/// A length of time: `5m`, or a number of seconds.
fn duration(text: &str) -> Option<Nanos> {
    #[allow(clippy::cast_possible_truncation)] // Below 2^63, checked.
    number(text)
        .filter(|seconds| (0.0..9e9).contains(seconds))
        .map(|seconds| Nanos((seconds * 1e9).round() as i64))
}

/// `value`, `mean 30`, `time of day`, separated by commas.
fn features(text: &str) -> Option<Vec<Feature>> {
    let mut found = Vec::new();
    for feature in text.split(',').map(str::trim) {
        let feature = match feature.strip_prefix("mean") {
            Some(samples) => {
                let samples = count(samples.trim(), 2, 1000)?;
                Feature::Mean(u16::try_from(samples).ok()?)
            }
            None => word(
                feature,
                &[
                    ("value", Feature::Value),
                    ("time of day", Feature::TimeOfDay),
                ],
            )?,
        };
        if !found.contains(&feature) {
            found.push(feature);
        }
    }
    Some(found)
}

const OPTIONS: CallOptions<Settings> = CallOptions(&[&[
    CallOption {
        name: "direction",
        expects: "up, down or both",
        about: "Which way a value must be away from the median of the last 1000 samples: `both`. `up` is right for pauses, heap and goroutines.",
        set: |settings, text| {
            let ways = [
                ("up", Direction::Up),
                ("down", Direction::Down),
                ("both", Direction::Both),
            ];
            let direction = word(text, &ways)?;
            settings.options = settings.options.clone().direction(direction);
            Some(())
        },
    },
    CallOption {
        name: "rel_min",
        expects: "a number that is not negative, or percent",
        about: "How far from that median a value must be to count, as a share of the median: 5 %.",
        set: |settings, text| amount(text).map(|least| settings.least.1 = least),
    },
    CallOption {
        name: "abs_min",
        expects: "a number that is not negative",
        about: "How far from that median a value must be to count, in the unit of the series (of a counter, per second): 0.",
        set: |settings, text| amount(text).map(|least| settings.least.0 = least),
    },
    CallOption {
        name: "per_process",
        expects: "yes or no",
        about: "Whether a restarted process forgets what was learned: `no`, the memory belongs to the service. Restarts are known from \
                `memwatch_process` or `process_start_time_seconds`.",
        set: |settings, text| {
            let per_process = word(text, &[("yes", true), ("no", false)])?;
            settings.options = settings.options.clone().per_process(per_process);
            Some(())
        },
    },
    CallOption {
        name: "kind",
        expects: "gauge or counter",
        about: "Whether the series is a level or a running total, where its name says it wrongly.",
        set: |settings, text| {
            word(text, &[("gauge", Kind::Gauge), ("counter", Kind::Counter)])
                .map(|kind| settings.kind = Some(kind))
        },
    },
    CallOption {
        name: "features",
        expects: "some of `value`, `mean N`, `time of day`",
        about: "What is compared with its past; the most surprising counts: `value, mean 3, mean 30`.",
        set: |settings, text| features(text).map(|features| settings.features = features),
    },
    CallOption {
        name: "quantile",
        expects: "a number between 0.5 and 1",
        about: "From which quantile of the gaps their tail is fitted: 0.98, of a single feature 0.97.",
        set: |settings, text| {
            number(text)
                .filter(|q| *q >= 0.5 && *q < 1.0)
                .map(|quantile| settings.quantile = Some(quantile))
        },
    },
    CallOption {
        name: "warm_up_samples",
        expects: "a whole number of at least 50",
        about: "Nothing is scored before so many samples: 150.",
        set: |settings, text| {
            count(text, 50, 1_000_000).map(|samples| settings.warm_up.0 = samples)
        },
    },
    CallOption {
        name: "warm_up",
        expects: "a duration",
        about: "Nor before so much time, two forced collections of Go: 5m.",
        set: |settings, text| duration(text).map(|time| settings.warm_up.1 = time),
    },
    CallOption {
        name: "hold_samples",
        expects: "a whole number",
        about: "A score is shown only if it exceeds those of so many samples before: 60; with 0 every sample shows its own.",
        set: |settings, text| count(text, 0, 1_000_000).map(|samples| settings.hold.0 = samples),
    },
    CallOption {
        name: "hold",
        expects: "a duration",
        about: "Nor does one hold longer than this: unlimited.",
        set: |settings, text| duration(text).map(|time| settings.hold.1 = Some(time)),
    },
    CallOption {
        name: "step",
        expects: "a duration above 0",
        about: "The sampling interval, three of which are a break: the median of the last 16.",
        set: |settings, text| {
            let step = duration(text).filter(|step| step.0 > 0)?;
            settings.options = settings.options.clone().step(Some(step));
            Some(())
        },
    },
    CallOption {
        name: "form",
        expects: "bounded or exact",
        about: "`bounded` remembers at most 32 KiB a feature; `exact` every value.",
        set: |settings, text| {
            let form = word(text, &[("bounded", Form::Bounded), ("exact", Form::Exact)])?;
            settings.options = settings.options.clone().form(form);
            Some(())
        },
    },
]]);

/// The settings that the options of `baseline_deviation` name, as in `"direction = up"`: outside of expressions, where no metric's name tells
/// a counter, so that a gauge is one unless `kind = counter` says otherwise.
///
/// # Errors
/// Says which option is wrong, and how.
pub fn baseline_options<'t>(
    texts: impl IntoIterator<Item = &'t str>,
) -> Result<BaselineOptions, String> {
    Ok(OPTIONS.read(texts)?.of(""))
}

fn baseline_deviation(evaluator: &Evaluator<'_>, call: &Call<'_>) -> Result<Val> {
    let local = Folds::default();
    let folds = evaluator.session.map_or(&local, Session::folds);
    let mut rows = Vec::new();
    folded(
        evaluator,
        call,
        folds,
        |labels, drop_name, fold, ends, width_ns| {
            let mut row = Row::empty(labels.clone(), ends.len());
            row.drop_name = drop_name;
            if let Some(held) = fold.of(labels) {
                let bounds = Bounds::find(&held.at_ns, ends, width_ns);
                let highest = |a: f64, b: f64| if b > a || a.is_nan() { b } else { a };
                summarize(
                    &held.at_ns,
                    ends,
                    width_ns,
                    &bounds,
                    |i, _| held.scores[i],
                    highest,
                    |window, score: f64| {
                        if !score.is_nan() {
                            row.set(window, score);
                        }
                    },
                );
            }
            rows.push(row);
        },
    )?;
    Ok(Val::Vector(evaluator.unnamed(rows, call.span)?))
}

/// Advances the fold of a call; gives each series of the windows, and their ends and width.
fn folded(
    evaluator: &Evaluator<'_>,
    call: &Call<'_>,
    folds: &Folds,
    mut each: impl FnMut(&Labels, bool, &Fold, &[i64], i64),
) -> Result<()> {
    let settings = OPTIONS.of_call(evaluator, call, 1)?;
    let arg = &call.args[0];
    let ranges = evaluator.ranges(arg, call.steps, 1)?;
    let fold = folds.of(key(call.args, evaluator.options));
    let mut fold = fold
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    fold.advance(evaluator, arg, &ranges, &|labels| {
        settings.of(labels.name())
    })?;
    for series in &ranges.series {
        each(
            &series.labels,
            series.drop_name,
            &fold,
            &ranges.until_ns,
            ranges.width_ns,
        );
    }
    Ok(())
}

/// What a fold is known by: everything that decides its results.
fn key(args: &[Node], options: &EvalOptions) -> String {
    let options = EvalOptions {
        query_range: None,
        ..options.clone()
    };
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    format!("{} {options:?}", args.join(", "))
}

/// The calls of `baseline_deviation` in an expression.
fn calls(expr: &Expr) -> Vec<&Node> {
    let mut found = Vec::new();
    expr.root().walk(&mut |node| {
        if let NodeKind::Call { function, .. } = &node.kind
            && **function == BASELINE_DEVIATION
        {
            found.push(node);
        }
    });
    found
}

/// Whether evaluating a node advances what the session remembers from round to round: then one evaluation waits for another, and both must
/// not be work that a thread takes up while it waits for a third.
pub(crate) fn remembers(node: &Node) -> bool {
    let own =
        matches!(&node.kind, NodeKind::Call { function, .. } if **function == BASELINE_DEVIATION);
    own || node.children().any(remembers)
}

/// What the baselines of an expression remember after it was evaluated in `session`: how far back, and how much of it in the warm-up.
#[must_use]
pub fn baseline_memories(expr: &Expr, options: &EvalOptions, session: &Session) -> Vec<Memory> {
    let mut found = Vec::new();
    for node in calls(expr) {
        if let NodeKind::Call { args, .. } = &node.kind {
            found.extend(session.folds().memories(&key(args, options)));
        }
    }
    found
}

/// A sample that a baseline found unusual, with the numbers behind its score.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Surprise {
    /// The call as it is written.
    pub call: String,
    /// Its series.
    pub labels: Labels,
    /// When the sample was read.
    pub at: Timestamp,
    /// Its score, the feature that won, and the numbers behind it.
    pub deviation: Deviation,
}

/// Why the baselines of an expression say what they say at one evaluation: for each call and series the most surprising sample of the
/// window, if any was unusual. Reads the recording from its beginning.
///
/// # Errors
/// When the data cannot be read.
pub fn explain_baselines(
    expr: &Expr,
    at: Timestamp,
    reader: &dyn SeriesReader,
    options: &EvalOptions,
) -> Result<Vec<Surprise>> {
    let steps = Steps::instant(at);
    let session = Session::new();
    let evaluator = Evaluator::new(expr, steps, reader, options, &session);
    let mut found = Vec::new();
    for node in calls(expr) {
        let NodeKind::Call { function, args } = &node.kind else {
            continue;
        };
        let call = Call {
            function,
            args,
            span: node.span,
            steps,
        };
        folded(
            &evaluator,
            &call,
            session.folds(),
            |labels, _, fold, ends, width_ns| {
                let window = |at: i64| ends[0].saturating_sub(width_ns) < at && at <= ends[0];
                let unusual = fold.of(labels).map_or(&[][..], |held| &held.unusual);
                let most = unusual
                    .iter()
                    .filter(|(at, _)| window(*at))
                    .max_by(|a, b| a.1.surprise.total_cmp(&b.1.surprise));
                if let Some((at, deviation)) = most {
                    found.push(Surprise {
                        call: node.to_string(),
                        labels: labels.clone(),
                        at: Timestamp(*at),
                        deviation: *deviation,
                    });
                }
            },
        )?;
    }
    Ok(found)
}
