//! Takes the daily wave out of floors.

use super::median;

/// `y` less its wave of `phases` buckets a period, the trend left in; `phase[i]` and `period[i]` say where `t[i]` lies.
///
/// The trend between equal phases of different periods is free of the wave; without it, the median of each phase is the wave.
pub(super) fn without_wave(t: &[f64], y: &[f64], phase: &[usize], phases: usize) -> Vec<f64> {
    let mut of_phase: Vec<Vec<usize>> = vec![Vec::new(); phases];
    for (i, phase) in phase.iter().enumerate() {
        of_phase[*phase].push(i);
    }
    let mut slopes = Vec::new();
    for same in &of_phase {
        for (k, i) in same.iter().enumerate() {
            slopes.extend(
                same[k + 1..]
                    .iter()
                    .map(|j| (y[*j] - y[*i]) / (t[*j] - t[*i])),
            );
        }
    }
    let trend = median(&mut slopes).unwrap_or(0.0);
    let mut wave = vec![0.0; phases];
    for (height, same) in wave.iter_mut().zip(&of_phase) {
        let mut level: Vec<f64> = same.iter().map(|i| y[*i] - trend * t[*i]).collect();
        *height = median(&mut level).unwrap_or(f64::NAN);
    }
    let filled = wave.iter().copied().filter(|height| height.is_finite());
    let (sum, count) = filled.fold((0.0, 0.0), |(sum, n), height| (sum + height, n + 1.0));
    let middle = sum / count;
    y.iter()
        .zip(phase)
        .map(|(y, phase)| y - (wave[*phase] - middle))
        .collect()
}
