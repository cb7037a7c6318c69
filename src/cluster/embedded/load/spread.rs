//! How a time is spread, in closed form: nothing is drawn for a single operation.

/// The bounds of the grid: 10 µs, and each 1.12 times the one before, up to some 600 s.
const POINTS: usize = 160;
/// Seconds.
const FIRST: f64 = 10e-6;
const STEP: f64 = 1.12;

/// A log-logistic distribution: its logarithm has the bell of a logistic one, and its tail is as heavy as those of the
/// recorded latencies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct Bell {
    /// Seconds.
    pub(in super::super) median: f64,
    /// The greater the narrower: half of all lie within a factor of 3^(1/slope) of the median.
    pub(in super::super) slope: f64,
}

impl Bell {
    /// The part of the times that is at most so long.
    pub(in super::super) fn below(self, seconds: f64) -> f64 {
        if seconds <= 0.0 { 0.0 } else { 1.0 / (1.0 + (self.median / seconds).powf(self.slope)) }
    }

    /// Seconds.
    pub(in super::super) fn mean(self) -> f64 {
        let angle = std::f64::consts::PI / self.slope;
        self.median * angle / angle.sin()
    }
}

/// A mixture of distributions, as the parts of the times that lie below the points of a grid.
#[derive(Debug, Clone)]
pub(super) struct Spread {
    below: [f64; POINTS],
    /// What was put in.
    weight: f64,
}

impl Spread {
    pub(super) const EMPTY: Self = Self { below: [0.0; POINTS], weight: 0.0 };

    /// Puts so many times in.
    pub(super) fn add(&mut self, bell: Bell, weight: f64) {
        if weight <= 0.0 {
            return;
        }
        // The odds that a time is longer fall by the same factor from each point to the next. At the first points of a
        // narrow bell they are beyond any number: no time is shorter.
        let fall = bell.slope * STEP.ln();
        let mut logarithm = bell.slope * (bell.median / FIRST).ln();
        let (mut odds, factor) = (logarithm.exp(), (-fall).exp());
        for below in &mut self.below {
            *below += weight / (1.0 + odds);
            logarithm -= fall;
            odds = if odds.is_finite() { odds * factor } else { logarithm.exp() };
        }
        self.weight += weight;
    }

    /// Puts in what another one has, so many times.
    pub(super) fn merge(&mut self, other: &Self, times: f64) {
        for (below, other) in self.below.iter_mut().zip(&other.below) {
            *below += times * other;
        }
        self.weight += times * other.weight;
    }

    /// Puts in a single time.
    pub(super) fn push(&mut self, seconds: f64) {
        let mut bound = FIRST;
        for below in &mut self.below {
            *below += f64::from(u8::from(seconds <= bound));
            bound *= STEP;
        }
        self.weight += 1.0;
    }

    pub(super) fn weight(&self) -> f64 {
        self.weight
    }

    /// The time that this part of all is below, in seconds.
    pub(super) fn quantile(&self, part: f64) -> f64 {
        let wanted = part * self.weight;
        let index = self.below.partition_point(|below| *below < wanted);
        let bound = |index: usize| FIRST * STEP.powi(i32::try_from(index).unwrap_or(i32::MAX));
        let before = index.checked_sub(1).map_or(0.0, |before| self.below[before]);
        match self.below.get(index) {
            Some(below) if index > 0 => bound(index - 1) * STEP.powf((wanted - before) / (below - before)),
            Some(_) => FIRST,
            None => bound(POINTS - 1),
        }
    }

    /// Seconds.
    pub(super) fn mean(&self) -> f64 {
        let mut bound = FIRST / STEP.sqrt();
        let mut before = 0.0;
        let mut sum = 0.0;
        for below in &self.below {
            sum += (below - before) * bound;
            before = *below;
            bound *= STEP;
        }
        if before > 0.0 { sum / before } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mixture_has_the_quantiles_and_the_mean_of_its_parts() {
        let bell = Bell { median: 0.004, slope: 4.0 };
        let mut spread = Spread::EMPTY;
        spread.add(bell, 3.0);
        assert!((spread.quantile(0.5) - 0.004).abs() < 2e-5);
        assert!((bell.below(spread.quantile(0.99)) - 0.99).abs() < 1e-3);
        assert!((spread.mean() / bell.mean() - 1.0).abs() < 0.01);
        spread.add(Bell { median: 1.0, slope: 8.0 }, 1.0);
        assert!(spread.quantile(0.5) < 0.01 && spread.quantile(0.9) > 0.5);
        let late = Bell { median: 0.3, slope: 400.0 };
        let mut narrow = Spread::EMPTY;
        narrow.add(late, 1.0);
        assert!((narrow.quantile(0.99) / 0.3 - 1.0).abs() < 0.13, "what a delay adds is the same each time");
        spread.push(100.0);
        assert!((spread.quantile(1.0) / 100.0 - 1.0).abs() < 0.13);
    }
}
