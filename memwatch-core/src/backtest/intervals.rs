//! How sure a share or a rate is: 95 % intervals.

/// The normal distribution's 97.5 % quantile.
const Z: f64 = 1.959_963_984_540_054;

/// Wilson's 95 % interval of a share of `hits` in `all`; `None` for nothing at all.
///
/// Formula: Wilson 1927, without continuity correction.
#[must_use]
pub fn wilson(hits: u64, all: u64) -> Option<(f64, f64)> {
    if all == 0 {
        return None;
    }
    let n = all as f64;
    let share = hits as f64 / n;
    let scale = 1.0 + Z * Z / n;
    let center = (share + Z * Z / (2.0 * n)) / scale;
    let half = Z / scale * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    // Exact at the ends, where rounding would leave a trace.
    let low = if hits == 0 {
        0.0
    } else {
        (center - half).max(0.0)
    };
    let high = if hits == all {
        1.0
    } else {
        (center + half).min(1.0)
    };
    Some((low, high))
}

/// The exact 95 % interval of the mean of a Poisson distribution of which `count` was observed (Garwood 1936).
#[must_use]
pub fn poisson(count: u64) -> (f64, f64) {
    let k = count as f64;
    let low = if count == 0 {
        0.0
    } else {
        // P(X ≥ k) = 2.5 %
        solve(k, |mean| 1.0 - gamma_q(k, mean), 0.025)
    };
    // P(X ≤ k) = 2.5 %: falls with the mean.
    let high = solve(k, |mean| -gamma_q(k + 1.0, mean), -0.025);
    (low, high)
}

/// Where a function that grows with the mean reaches `target`.
fn solve(k: f64, grows: impl Fn(f64) -> f64, target: f64) -> f64 {
    let (mut low, mut high) = (0.0, k + 10.0 * (k + 1.0).sqrt() + 10.0);
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if grows(middle) < target {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The regularized upper incomplete gamma function Q(a, x) = P(Poisson(x) < a) for whole a.
///
/// Series below a + 1, continued fraction (modified Lentz) above: Numerical Recipes, 3rd edition, 6.2.
fn gamma_q(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let front = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        while term > sum * 1e-17 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        1.0 - front * sum
    } else {
        const TINY: f64 = 1e-300;
        let mut b = x + 1.0 - a;
        let mut c = 1.0 / TINY;
        let mut d = 1.0 / b;
        let mut h = d;
        for i in 1..100_000 {
            let i = f64::from(i);
            let an = -i * (i - a);
            b += 2.0;
            d = an * d + b;
            d = if d.abs() < TINY { TINY } else { d };
            c = b + an / c;
            c = if c.abs() < TINY { TINY } else { c };
            d = 1.0 / d;
            let delta = d * c;
            h *= delta;
            if (delta - 1.0).abs() < 1e-16 {
                break;
            }
        }
        front * h
    }
}

/// Lanczos' approximation (g = 7, n = 9), for positive arguments.
fn ln_gamma(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let mut sum = 0.999_999_999_999_809_9;
    for (i, coefficient) in (1u32..).zip(COEFFICIENTS) {
        sum += coefficient / (x + f64::from(i));
    }
    let t = x + 7.5;
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_as_in_tables() {
        let cases = [
            (0, 10, 0.0, 0.277_5),
            (10, 10, 0.722_5, 1.0),
            (5, 10, 0.236_6, 0.763_4),
            (18, 21, 0.654_1, 0.950_3),
            (1, 100, 0.001_8, 0.054_5),
        ];
        for (hits, all, low, high) in cases {
            let (l, h) = wilson(hits, all).unwrap();
            assert!(
                (l - low).abs() < 1e-3 && (h - high).abs() < 1e-3,
                "{hits}/{all}: {l} {h}"
            );
        }
        assert_eq!(wilson(0, 0), None);
    }

    #[test]
    fn poisson_as_in_tables() {
        let cases = [
            (0, 0.0, 3.688_9),
            (1, 0.025_3, 5.571_6),
            (5, 1.623_5, 11.668_3),
            (10, 4.795_4, 18.390_4),
            (100, 81.363_6, 121.627_2),
            (1000, 938.973, 1_063.952),
        ];
        for (count, low, high) in cases {
            let (l, h) = poisson(count);
            assert!(
                (l - low).abs() < 0.01 && (h - high).abs() < 0.01,
                "{count}: {l} {h}"
            );
        }
    }
}
