//! Does it grow and never come back: the verdict on the floors of a window, its parts, and the time to a limit.

use super::call_options::{CallOption, CallOptions, amount, count, number, word};
use super::{Body, Call, Function, RANGE, TEXT, VECTOR};
use crate::expr::ast::VectorSelector;
use crate::expr::eval::Evaluator;
use crate::expr::rows::{self, Row, Val};
use crate::expr::select::Samples;
use crate::expr::{Node, NodeKind};
use crate::labels::METRIC_NAME;
use crate::stats::leak::{Floors, Leak, LeakOptions, leak};
use crate::{Labels, Matcher, Nanos, Result, Timestamp, Window};

pub(super) const LEAK: Function = Function::new(
        "leak",
        &[RANGE, TEXT],
        VECTOR,
        Body::Rows(verdict),
        "Where the floors of the window grow steadily and do not come back, that growth as a share of the median floor (0.12: by 12 %); \
         nothing where they do not, or where there is too little to tell. A leak is a trend that is not chance (Mann and Kendall's test \
         corrected for floors that follow one another, one in a thousand), by 3 % or more, that a line fits better than one step. \
         `leak(go_gc_heap_live_bytes[6h])` alerts; `leak(go_goroutines[10m], \"abs_min = 100\")` asks for a hundred goroutines at least.",
    )
    .optional(1)
    .repeating()
    .with_options(&OPTIONS);

pub(super) const LEAK_PART: Function = Function::new(
        "leak_part",
        &[RANGE, TEXT, TEXT],
        VECTOR,
        Body::Rows(part),
        "A number behind the verdict of `leak`, wherever there is one, leak or not: `leak_part(v[6h], \"slope\")` a second, `slope_low` and \
         `slope_high` (90 % interval), `level` (the floor now, by the line), `growth` (share of the median floor), `amount`, `z`, `z_eff`, \
         `correlation`, `line_over_step` (squared residuals of the line over those of the best step: a leak's are at most 1), `floors` (how many), \
         `verdict` (1 leak, 0 none) or `resolved` (1: a leak found earlier is over).",
    )
    .optional(1)
    .repeating()
    .with_options(&OPTIONS);

pub(super) const TIME_TO_LIMIT: Function = Function::new(
        "time_to_limit",
        &[RANGE, VECTOR, TEXT],
        VECTOR,
        Body::Rows(time_to_limit),
        "Seconds until the line through the floors of the window (see `leak`) reaches a limit: a number, or a series with the same labels, as in \
         `time_to_limit(go_gc_heap_live_bytes[1h], go_gc_gomemlimit_bytes) < 3600`. With the option `bound = earliest` or `bound = latest` the \
         end of its 90 % interval; the latest is +Inf when the rise may be chance. Nothing where the line does not rise.",
    )
    .optional(1)
    .repeating()
    .scalar_or_vector(1)
    .with_options(&LIMIT_OPTIONS);

/// How floors are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum FloorKind {
    /// By the metric's name.
    #[default]
    Auto,
    /// Each value is one: the mean of a bucket.
    Values,
    /// The least between two collections, then as above.
    BetweenCollections,
    /// The least of a bucket.
    Least,
}

/// What stands in the texts of a call.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Settings {
    kind: FloorKind,
    buckets: usize,
    rule: LeakOptions,
    bound: Bound,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Likely,
    Earliest,
    Latest,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            kind: FloorKind::Auto,
            buckets: 120,
            rule: LeakOptions::default(),
            bound: Bound::Likely,
        }
    }
}

const RULE_OPTIONS: &[CallOption<Settings>] = &[
    CallOption {
        name: "floors",
        expects: "auto, values, collections or least",
        about: "What a floor is. `values`: each sample is one, as of `go_gc_heap_live_bytes`, and a bucket takes their mean; `collections`: the \
                        least sample between two collections, by `go_gc_duration_seconds_count` of the same process; `least`: the least of a \
                        bucket. `auto` by name: `values` for the live heap and the heap goal, `collections` for other heap sizes where the count is \
                        recorded, else `least`.",
        set: |settings, text| {
            let kinds = [
                ("auto", FloorKind::Auto),
                ("values", FloorKind::Values),
                ("collections", FloorKind::BetweenCollections),
                ("least", FloorKind::Least),
            ];
            word(text, &kinds).map(|kind| settings.kind = kind)
        },
    },
    CallOption {
        name: "buckets",
        expects: "a whole number from 20 to 300",
        about: "Into how many equal parts the window is cut, each giving one floor: 120.",
        set: |settings, text| count(text, 20, 300).map(|buckets| settings.buckets = buckets),
    },
    CallOption {
        name: "least_floors",
        expects: "a whole number of at least 10",
        about: "With fewer floors there is no verdict: 60.",
        set: |settings, text| {
            count(text, 10, 300).map(|floors| settings.rule.least_floors = floors)
        },
    },
    CallOption {
        name: "least_span",
        expects: "a number from 0 to 1, or percent",
        about: "Nor if the first and the last floor are not at least this share of the window apart: 50 %.",
        set: |settings, text| {
            amount(text)
                .filter(|share| *share <= 1.0)
                .map(|share| settings.rule.least_span = share)
        },
    },
    CallOption {
        name: "growth_min",
        expects: "a number that is not negative, or percent",
        about: "Growth over the window that counts, share of the median floor: 3 %.",
        set: |settings, text| amount(text).map(|share| settings.rule.least_growth = share),
    },
    CallOption {
        name: "abs_min",
        expects: "a number that is not negative",
        about: "Growth over the window that counts, in the unit of the series: 0.",
        set: |settings, text| amount(text).map(|least| settings.rule.least_amount = least),
    },
    CallOption {
        name: "period",
        expects: "a duration",
        about: "The period of a wave that is taken out of windows that hold it twice: 1d.",
        set: |settings, text| {
            #[allow(clippy::cast_possible_truncation)] // Below 2^63, checked.
            number(text)
                .filter(|seconds| (1.0..9e9).contains(seconds))
                .map(|seconds| settings.rule.period_ns = (seconds * 1e9) as i64)
        },
    },
];

const OPTIONS: CallOptions<Settings> = CallOptions(&[RULE_OPTIONS]);

const LIMIT_OPTIONS: CallOptions<Settings> = CallOptions(&[
    RULE_OPTIONS,
    &[CallOption {
        name: "bound",
        expects: "likely, earliest or latest",
        about: "Which end of the 90 % interval of the slope is taken: `likely` is its middle.",
        set: |settings, text| {
            let bounds = [
                ("likely", Bound::Likely),
                ("earliest", Bound::Earliest),
                ("latest", Bound::Latest),
            ];
            word(text, &bounds).map(|bound| settings.bound = bound)
        },
    }],
]);

/// A number of a verdict, by its name.
type Part = (&'static str, fn(&Leak) -> f64);

/// What `leak_part` can be asked for.
const PARTS: &[Part] = &[
    ("verdict", |l| f64::from(u8::from(l.leak))),
    ("resolved", |l| f64::from(u8::from(l.resolved))),
    ("slope", |l| l.slope),
    ("slope_low", |l| l.slope_interval.0),
    ("slope_high", |l| l.slope_interval.1),
    ("level", |l| l.level),
    ("growth", |l| l.growth),
    ("amount", |l| l.amount),
    ("z", |l| l.z),
    ("z_eff", |l| l.z_eff),
    ("correlation", |l| l.correlation),
    ("line_over_step", |l| {
        if l.line_residuals == l.step_residuals {
            1.0
        } else {
            l.line_residuals / l.step_residuals
        }
    }),
    ("floors", |l| l.floors as f64),
];

fn verdict(evaluator: &Evaluator<'_>, call: &Call<'_>) -> Result<Val> {
    let settings = OPTIONS.of_call(evaluator, call, 1)?;
    judged(evaluator, call, &settings, |_, _, leak| {
        leak.leak.then_some(leak.growth)
    })
}

fn part(evaluator: &Evaluator<'_>, call: &Call<'_>) -> Result<Val> {
    let settings = OPTIONS.of_call(evaluator, call, 2)?;
    let name = evaluator.text(&call.args[1], call.steps)?;
    let Some((_, part)) = PARTS.iter().find(|(known, _)| *known == &*name) else {
        let names: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
        return Err(evaluator.fail(
            call.args[1].span,
            format!(
                "unknown part of a leak \"{name}\": expected {}",
                names.join(", ")
            ),
        ));
    };
    judged(evaluator, call, &settings, |_, _, leak| Some(part(leak)))
}

fn time_to_limit(evaluator: &Evaluator<'_>, call: &Call<'_>) -> Result<Val> {
    let settings = LIMIT_OPTIONS.of_call(evaluator, call, 2)?;
    let limits = match evaluator.eval(&call.args[1], call.steps)? {
        Val::Scalar(values) => Limits::Number(values.to_vec()),
        Val::Vector(rows) => Limits::Series(
            rows.into_iter()
                .map(|row| (row.labels.without_name(), row))
                .collect(),
        ),
        Val::Text(_) => unreachable!("checked: a vector or a scalar"),
    };
    judged(evaluator, call, &settings, |labels, step, leak| {
        let left = leak.time_to_limit(limits.at(labels, step)?)?;
        Some(match settings.bound {
            Bound::Likely => left.seconds,
            Bound::Earliest => left.earliest,
            Bound::Latest => left.latest,
        })
    })
}

enum Limits {
    Number(Vec<f64>),
    /// By labels without the name.
    Series(Vec<(Labels, Row)>),
}

impl Limits {
    fn at(&self, labels: &Labels, step: usize) -> Option<f64> {
        match self {
            Limits::Number(values) => values.get(step).copied(),
            Limits::Series(rows) => {
                let labels = labels.without_name();
                let (_, row) = rows.iter().find(|(found, _)| *found == labels)?;
                row.present.get(step).then(|| row.values[step])
            }
        }
        .filter(|limit| !limit.is_nan())
    }
}

/// The rule of `leak` and its relatives with the options of a call, outside of expressions: there no metric's name tells what a floor is, so it
/// is the least of a bucket, or between two collections where their counts are given, unless `floors = …` says otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeakRule(Settings);

impl LeakRule {
    /// Reads options as in `"abs_min = 100"`.
    ///
    /// # Errors
    /// Says which option is wrong, and how.
    pub fn read<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<LeakRule, String> {
        OPTIONS.read(texts).map(LeakRule)
    }

    /// The verdict that `leak(v[width])` comes to at `until`, on the whole buckets of the window; `None` where there is none.
    ///
    /// `at_ns` ascends; `values` and, if given, `collections` (the count of collections at each row) are as long.
    ///
    /// # Panics
    /// When the lengths differ.
    #[must_use]
    pub fn at(
        &self,
        at_ns: &[i64],
        values: &[f64],
        collections: Option<&[f64]>,
        until: Timestamp,
        width: Nanos,
    ) -> Option<Leak> {
        let window = whole_buckets(until.0, width.0, self.0.buckets);
        self.over(at_ns, values, collections, window, self.0.buckets - 1)
    }

    /// The verdict on all rows, from the first to the last; `None` where there is none.
    ///
    /// # Panics
    /// When the lengths differ.
    #[must_use]
    pub fn of(&self, at_ns: &[i64], values: &[f64], collections: Option<&[f64]>) -> Option<Leak> {
        let window = Window {
            after: Timestamp(at_ns.first()?.saturating_sub(1)),
            until: Timestamp(*at_ns.last()?),
        };
        self.over(at_ns, values, collections, window, self.0.buckets)
    }

    fn over(
        &self,
        at_ns: &[i64],
        values: &[f64],
        collections: Option<&[f64]>,
        window: Window,
        buckets: usize,
    ) -> Option<Leak> {
        let floors = match (self.0.kind, collections) {
            (FloorKind::Values, _) => Floors::of_live_heap(at_ns, values, window, buckets),
            (FloorKind::Auto | FloorKind::BetweenCollections, Some(counts)) => {
                Floors::between_collections(at_ns, values, counts, window, buckets)
            }
            _ => Floors::least_per_bucket(at_ns, values, window, buckets),
        };
        leak(&floors, &self.0.rule)
    }
}

/// Judges the windows of every series; `result` makes a value of the verdict.
fn judged(
    evaluator: &Evaluator<'_>,
    call: &Call<'_>,
    settings: &Settings,
    result: impl Fn(&Labels, usize, &Leak) -> Option<f64> + Sync,
) -> Result<Val> {
    let arg = &call.args[0];
    let ranges = evaluator.ranges(arg, call.steps, 1)?;
    let collections = collections(evaluator, arg, settings.kind, call)?;
    let work = ranges.series.len() * call.steps.count() * settings.buckets;
    let rows = rows::map(&ranges.series, work, |series: &Samples| {
        let name = series.labels.name();
        let counts = collections
            .iter()
            .find(|counts| counts.labels.without_name() == series.labels.without_name());
        let kind = match (settings.kind, counts) {
            (FloorKind::Auto, _) if is_floor(name) => FloorKind::Values,
            (FloorKind::Auto, Some(_)) if is_heap(name) => FloorKind::BetweenCollections,
            (FloorKind::BetweenCollections, None) | (FloorKind::Auto, _) => FloorKind::Least,
            (kind, _) => kind,
        };
        let source = Source {
            kind,
            at_ns: series.at_ns(),
            values: series.values(),
            counts,
        };
        let mut row = Row::empty(series.labels.clone(), call.steps.count());
        row.drop_name = series.drop_name;
        let mut known: Option<(i64, Option<Leak>)> = None;
        for (step, until) in ranges.until_ns.iter().enumerate() {
            let window = whole_buckets(*until, ranges.width_ns, settings.buckets);
            let verdict = match &known {
                Some((end, verdict)) if *end == window.until.0 => *verdict,
                _ => leak(&source.floors(window, settings.buckets - 1), &settings.rule),
            };
            known = Some((window.until.0, verdict));
            if let Some(value) = verdict.and_then(|leak| result(&series.labels, step, &leak)) {
                row.set(step, value);
            }
        }
        row
    });
    Ok(Val::Vector(evaluator.unnamed(rows, call.span)?))
}

/// The buckets of a window that are whole. They lie at multiples of their length since the epoch, so that a verdict changes only when one
/// closes, and does not depend on when it is asked; of `buckets` to a window `buckets − 1` always are whole.
fn whole_buckets(until_ns: i64, width_ns: i64, buckets: usize) -> Window {
    let buckets = i64::try_from(buckets).unwrap_or(i64::MAX);
    let length = (width_ns / buckets).max(1);
    let end = until_ns.div_euclid(length).saturating_mul(length);
    Window {
        after: Timestamp(end.saturating_sub(length.saturating_mul(buckets - 1))),
        until: Timestamp(end),
    }
}

/// Where floors come from.
struct Source<'a> {
    kind: FloorKind,
    at_ns: &'a [i64],
    values: &'a [f64],
    counts: Option<&'a Samples>,
}

impl Source<'_> {
    fn floors(&self, window: Window, buckets: usize) -> Floors {
        let from = self.at_ns.partition_point(|at| *at <= window.after.0);
        let to = self.at_ns.partition_point(|at| *at <= window.until.0);
        let (at_ns, values) = (&self.at_ns[from..to], &self.values[from..to]);
        match (self.kind, self.counts) {
            (FloorKind::Values, _) => Floors::of_live_heap(at_ns, values, window, buckets),
            (FloorKind::BetweenCollections, Some(counts)) => {
                let counts = as_read(at_ns, counts);
                Floors::between_collections(at_ns, values, &counts, window, buckets)
            }
            _ => Floors::least_per_bucket(at_ns, values, window, buckets),
        }
    }
}

/// For each time the newest count; NaN before the first.
fn as_read(at_ns: &[i64], counts: &Samples) -> Vec<f64> {
    let (known, values) = (counts.at_ns(), counts.values());
    let mut next = at_ns
        .first()
        .map_or(0, |first| known.partition_point(|at| at < first));
    at_ns
        .iter()
        .map(|at| {
            while known.get(next).is_some_and(|then| then <= at) {
                next += 1;
            }
            next.checked_sub(1).map_or(f64::NAN, |i| values[i])
        })
        .collect()
}

/// The counts of collections of the processes that the argument selects, if they are needed.
fn collections(
    evaluator: &Evaluator<'_>,
    arg: &Node,
    kind: FloorKind,
    call: &Call<'_>,
) -> Result<Vec<Samples>> {
    const COUNT: &str = "go_gc_duration_seconds_count";
    let NodeKind::Range { selector, range } = &arg.without_parens().kind else {
        return Ok(Vec::new());
    };
    let needed = match kind {
        FloorKind::Auto => selector.name.as_deref().is_some_and(is_heap),
        FloorKind::BetweenCollections => true,
        FloorKind::Values | FloorKind::Least => false,
    };
    if !needed {
        return Ok(Vec::new());
    }
    let alternatives = selector
        .alternatives
        .iter()
        .map(|matchers| {
            let others = matchers.iter().filter(|m| m.name() != METRIC_NAME);
            let mut matchers: Vec<Matcher> = others.cloned().collect();
            matchers.push(Matcher::equal(METRIC_NAME, COUNT));
            matchers
        })
        .collect();
    let counts = Node {
        kind: NodeKind::Range {
            selector: VectorSelector {
                name: Some(COUNT.into()),
                alternatives,
                when: selector.when,
            },
            range: *range,
        },
        span: arg.span,
        depth: arg.depth,
    };
    Ok(evaluator.ranges(&counts, call.steps, 1)?.series)
}

/// Whether each value of the metric is what the last collection left alive, or twice of it.
fn is_floor(name: &str) -> bool {
    [
        "go_gc_heap_live_bytes",
        "go_memstats_next_gc_bytes",
        "next_gc_bytes",
        "go_gc_heap_goal_bytes",
    ]
    .contains(&name)
}

/// Whether the metric is a size of the heap with the garbage since the last collection.
fn is_heap(name: &str) -> bool {
    !is_floor(name)
        && (name.contains("heap_alloc")
            || name.contains("heap_inuse")
            || name.contains("heap_objects"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Steps;
    use crate::expr::{EvalOptions, Value, evaluate, parse};
    use crate::series::{MemorySeries, Series};

    #[test]
    fn buckets_are_whole_and_lie_where_they_lie() {
        // A window of 120 s in 12 buckets of 10 s: 11 are whole, whenever it is asked.
        for (until, after, end) in [
            (125, 10, 120),
            (120, 10, 120),
            (129, 10, 120),
            (130, 20, 130),
            (-1, -120, -10),
        ] {
            let window = whole_buckets(until, 120, 12);
            assert_eq!((window.after.0, window.until.0), (after, end), "at {until}");
            assert!(window.after.0 >= until - 120, "inside of the window");
        }
    }

    #[test]
    fn names_say_what_a_floor_is() {
        for name in ["go_gc_heap_live_bytes", "go_memstats_next_gc_bytes"] {
            assert!(is_floor(name) && !is_heap(name), "{name}");
        }
        for name in [
            "go_memstats_heap_inuse_bytes",
            "heap_alloc_bytes",
            "go_memstats_heap_objects",
        ] {
            assert!(is_heap(name), "{name}");
        }
        for name in ["go_goroutines", "process_resident_memory_bytes", ""] {
            assert!(!is_floor(name) && !is_heap(name), "{name}");
        }
    }

    /// A heap of 100 samples a collection, whose floor rises from collection to collection while its peaks do not.
    #[test]
    fn floors_between_collections_need_the_count_of_them() {
        let second = 1_000_000_000;
        let at_ns: std::sync::Arc<[i64]> = (0..12_000).map(|i| i * second / 10).collect();
        let series = |name: &str, value: fn(usize) -> f64| Series {
            labels: [("__name__", name), ("service", "a")].into_iter().collect(),
            at_ns: at_ns.clone(),
            values: (0..at_ns.len()).map(value).collect(),
        };
        let heap = series("go_memstats_heap_inuse_bytes", |i| {
            let (collection, since) = (i / 100, i % 100);
            if since == 99 {
                5e6
            } else {
                1e6 + 1e4 * collection as f64 + 1e4 * since as f64
            }
        });
        let count = series("go_gc_duration_seconds_count", |i| (i / 100) as f64);
        let floors = |series: Vec<Series>, text: &str| {
            let steps = Steps::instant(Timestamp(1_200 * second));
            let evaluated = evaluate(
                &parse(text).unwrap(),
                steps,
                &MemorySeries { series },
                &EvalOptions::default(),
            )
            .unwrap();
            match evaluated.value {
                Value::Vector(matrix) => matrix.series[0].values[0],
                other => panic!("{other:?}"),
            }
        };
        let level = r#"leak_part(go_memstats_heap_inuse_bytes[20m], "level")"#;
        let with = floors(vec![heap.clone(), count.clone()], level);
        // The last whole stretch is that of collection 118.
        assert!((with - (1e6 + 118.0 * 1e4)).abs() < 2e4, "{with}");
        let asked = floors(
            vec![heap.clone(), count],
            r#"leak_part(go_memstats_heap_inuse_bytes[20m], "floors", "floors = least")"#,
        );
        assert_eq!(asked, 119.0);
        // Without the count the least of a bucket is taken; that of the last is its first sample, one after the collection.
        assert_eq!(floors(vec![heap], level), 1e6 + 119.0 * 1e4 + 1e4);
    }
}
