//! What was tried, as pictures: which settings no other beats, and how the objective lies over two knobs.

use super::search::Figures;
use super::setting::Knob;

/// One of the settings that were tried.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Point {
    /// Index of the rule in [`super::Tuned::rules`].
    pub rule: usize,
    /// Index in its [`super::RuleTuned::settings`].
    pub setting: usize,
    /// What all rules together did in the training stretch with it.
    pub figures: Figures,
}

/// The points that none beats in incidents caught and in false alerts per day at once, by false alerts; of equal ones the first.
pub(super) fn front(points: &[Point]) -> Vec<Point> {
    let mut sorted: Vec<&Point> = points.iter().collect();
    sorted.sort_by(|a, b| {
        let by_noise = a
            .figures
            .false_per_day()
            .total_cmp(&b.figures.false_per_day());
        by_noise.then(b.figures.hit.cmp(&a.figures.hit))
    });
    let mut front: Vec<Point> = Vec::new();
    for point in sorted {
        if front
            .last()
            .is_none_or(|last| point.figures.hit > last.figures.hit)
        {
            front.push(point.clone());
        }
    }
    front
}

/// The objective over two knobs of a rule; where it has more, the best over the rest.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HeatMap {
    /// The knob across.
    pub across: Knob,
    /// Its values, ascending.
    pub columns: Vec<f64>,
    /// The knob down; `None` when the rule has one knob only.
    pub down: Option<Knob>,
    /// Its values, ascending; one that means nothing without a knob.
    pub rows: Vec<f64>,
    /// For each row, the mean objective over the folds at each column.
    pub cells: Vec<Vec<f64>>,
}

impl HeatMap {
    /// Of the settings of a rule and their values.
    pub(super) fn of(knobs: &[Knob], settings: &[Vec<f64>], values: &[f64]) -> Option<HeatMap> {
        let across = knobs.first()?.clone();
        let down = knobs.get(1).cloned();
        let axis = |knob: usize| {
            let mut values: Vec<f64> = settings.iter().map(|s| s[knob]).collect();
            values.sort_by(f64::total_cmp);
            values.dedup();
            values
        };
        let columns = axis(0);
        let rows = if down.is_some() { axis(1) } else { vec![0.0] };
        let mut cells = vec![vec![f64::NEG_INFINITY; columns.len()]; rows.len()];
        for (setting, value) in settings.iter().zip(values) {
            let column = columns.iter().position(|v| *v == setting[0])?;
            let row = match down {
                Some(_) => rows.iter().position(|v| *v == setting[1])?,
                None => 0,
            };
            let cell = &mut cells[row][column];
            *cell = cell.max(*value);
        }
        Some(HeatMap {
            across,
            columns,
            down,
            rows,
            cells,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_on_the_front_is_beaten() {
        let point = |setting: usize, hit: u64, false_alerts: u64| Point {
            rule: 0,
            setting,
            figures: Figures {
                hit,
                false_alerts,
                days: 1.0,
                ..Figures::default()
            },
        };
        let points = [
            point(0, 5, 9),
            point(1, 5, 3),
            point(2, 4, 3),
            point(3, 2, 0),
            point(4, 2, 0),
            point(5, 1, 1),
        ];
        let found: Vec<usize> = front(&points).iter().map(|p| p.setting).collect();
        assert_eq!(found, [3, 1]);
    }

    #[test]
    fn a_heat_map_shows_the_best_over_what_it_does_not_show() {
        let knobs = [Knob::parse("a"), Knob::For, Knob::KeepFiringFor];
        let settings: Vec<Vec<f64>> = [
            [1.0, 5.0, 0.0],
            [1.0, 5.0, 9.0],
            [2.0, 5.0, 0.0],
            [2.0, 7.0, 0.0],
        ]
        .map(Vec::from)
        .into();
        let map = HeatMap::of(&knobs, &settings, &[0.1, 0.3, 0.2, 0.4]).unwrap();
        assert_eq!(map.columns, [1.0, 2.0]);
        assert_eq!(map.rows, [5.0, 7.0]);
        assert_eq!(map.cells, [vec![0.3, 0.2], vec![f64::NEG_INFINITY, 0.4]]);
    }
}
