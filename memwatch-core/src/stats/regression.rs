//! Straight lines through points, by least squares, of parts that can be merged.

/// Means and co-moments of points.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Points {
    count: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
}

impl Points {
    /// One point.
    #[must_use]
    pub fn of(x: f64, y: f64) -> Points {
        Points {
            count: 1.0,
            x,
            y,
            xx: 0.0,
            xy: if y.is_finite() { 0.0 } else { f64::NAN },
        }
    }

    /// The points of both.
    #[must_use]
    pub fn merge(self, other: Points) -> Points {
        if self.count == 0.0 {
            return other;
        }
        if other.count == 0.0 {
            return self;
        }
        let count = self.count + other.count;
        let share = other.count / count;
        let (dx, dy) = (other.x - self.x, other.y - self.y);
        Points {
            count,
            x: self.x + dx * share,
            y: self.y + dy * share,
            xx: self.xx + other.xx + dx * dx * self.count * share,
            xy: self.xy + other.xy + dx * dy * self.count * share,
        }
    }

    /// Slope of the line; NaN unless two different `x` are given.
    #[must_use]
    pub fn slope(&self) -> f64 {
        self.xy / self.xx
    }

    /// Height of the line at `x`.
    #[must_use]
    pub fn at(&self, x: f64) -> f64 {
        self.y + self.slope() * (x - self.x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(points: &[(f64, f64)]) -> Points {
        points.iter().fold(Points::default(), |all, (x, y)| {
            all.merge(Points::of(*x, *y))
        })
    }

    #[test]
    fn a_line_is_found_again() {
        let line: Vec<(f64, f64)> = (0..100)
            .map(|i| (f64::from(i), 1e9 + 0.25 * f64::from(i)))
            .collect();
        assert!((all(&line).slope() - 0.25).abs() < 1e-9);
        assert!((all(&line).at(1000.0) - (1e9 + 250.0)).abs() < 1e-5);
        assert_eq!(all(&[(0.0, 7.0), (1.0, 7.0)]).slope(), 0.0);
        assert!(all(&[(1.0, 7.0)]).slope().is_nan());
        assert!(all(&[(0.0, f64::INFINITY), (1.0, 7.0)]).slope().is_nan());
    }

    proptest! {
        #[test]
        fn agrees_with_the_textbook(points in prop::collection::vec((-100.0..100.0f64, -100.0..100.0f64), 3..40), cut in 0usize..40) {
            let (a, b) = points.split_at(cut.min(points.len()));
            let merged = all(a).merge(all(b));
            let n = points.len() as f64;
            let (sx, sy): (f64, f64) = (points.iter().map(|p| p.0).sum(), points.iter().map(|p| p.1).sum());
            let xy: f64 = points.iter().map(|p| (p.0 - sx / n) * (p.1 - sy / n)).sum();
            let xx: f64 = points.iter().map(|p| (p.0 - sx / n).powi(2)).sum();
            prop_assume!(xx > 1.0);
            prop_assert!((merged.slope() - xy / xx).abs() < 1e-7);
        }
    }
}
