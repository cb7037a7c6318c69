//! What each remedy came to where it was tried, what that costs, and the regret of having recommended one of them.

use serde::{Deserialize, Serialize};

/// How much a second without who places the data counts of one without a leader of the data itself: clients that know
/// where their data is go on.
const PLACEMENT: f64 = 0.1;
/// Costs that differ by less are alike: half a minute of ten without being well.
const NEGLIGIBLE: f64 = 0.05;

/// What came of an action within the horizon. Times are in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// From when on every invariant held until the horizon; none if that was never so.
    pub well_after: Option<f64>,
    /// How many operations of the clients failed.
    pub failed: u64,
    /// For how long the whole load would have had to run to do what it did not: what failed, and what never began since
    /// what was before it took too long.
    pub not_served: f64,
    /// The acknowledged writes of so long a time are lost.
    pub lost_writes: f64,
    /// How long groups of replicas had no leader, the mean over all of them.
    pub without_leader: f64,
    /// How long those who place the data had no leader.
    pub without_placement: f64,
    /// Whether something was done that cannot be undone.
    pub irreversible: bool,
}

/// What an outcome costs: the sum of four parts. The first two are from 0 to 1, the others are 1 or more, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// All of it.
    pub total: f64,
    /// The part of the horizon until all was well, or all of it.
    pub unwell: f64,
    /// The square root of the part of the horizon in which nothing was served: the first seconds weigh most. It is the
    /// longer of what the clients missed and of the time without leaders, which show the same; a second without who places
    /// the data counts as a tenth.
    pub outage: f64,
    /// 1 if any acknowledged write is lost, and the square root of the part of the horizon whose writes are.
    pub lost: f64,
    /// 1 if something was done that cannot be undone.
    pub irreversible: f64,
}

impl Outcome {
    /// What it costs, over a horizon in seconds. To be unwell throughout, to be out of service throughout, to lose a write
    /// and to do what cannot be undone are alike bad; so no part drowns the others.
    #[must_use]
    pub fn cost(&self, horizon: f64) -> Cost {
        let part = |seconds: f64| (seconds / horizon).clamp(0.0, 1.0);
        let without = self.not_served.max(self.without_leader) + PLACEMENT * self.without_placement;
        let unwell = thousandths(self.well_after.map_or(1.0, part));
        let outage = thousandths(part(without).sqrt());
        let lost = if self.lost_writes > 0.0 { thousandths(1.0 + part(self.lost_writes).sqrt()) } else { 0.0 };
        let irreversible = f64::from(u8::from(self.irreversible));
        Cost { total: thousandths(unwell + outage + lost + irreversible), unwell, outage, lost, irreversible }
    }
}

/// One action on a copy of the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// What was done.
    pub action: String,
    /// To which node, or `cluster`.
    pub target: String,
    /// Why nothing was done, if nothing was: then it came to what waiting comes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_done: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// What that costs.
    pub cost: Cost,
}

/// What was tried on copies of the cluster at the moment of the diagnosis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counterfactual {
    /// How long each copy was followed, in seconds.
    pub horizon: f64,
    /// The actions, the cheapest first.
    pub trials: Vec<Trial>,
}

impl Counterfactual {
    /// Orders what was tried by what it costs; what costs the same stays in its order.
    #[must_use]
    pub fn new(horizon: f64, mut trials: Vec<Trial>) -> Self {
        trials.sort_by(|one, other| one.cost.total.total_cmp(&other.cost.total));
        Self { horizon, trials }
    }

    /// The trial of an action on a node.
    #[must_use]
    pub fn trial(&self, action: &str, target: &str) -> Option<&Trial> {
        self.trials.iter().find(|trial| trial.action == action && trial.target == target)
    }

    /// How much more an action costs than the best of all that was tried, as a part of how much more the worst costs; from 0
    /// to 1. It is 0 if all cost the same or nearly so: then it does not matter what is done. None if it was not tried.
    #[must_use]
    pub fn regret(&self, action: &str, target: &str) -> Option<f64> {
        let cost = self.trial(action, target)?.cost.total;
        let (best, worst) = (self.trials.first()?.cost.total, self.trials.last()?.cost.total);
        let spread = worst - best;
        Some(if spread < NEGLIGIBLE { 0.0 } else { thousandths((cost - best) / spread) })
    }
}

/// To a thousandth, so that a record does not show what is below all that matters.
fn thousandths(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(action: &str, outcome: Outcome) -> Trial {
        let cost = outcome.cost(600.0);
        Trial { action: action.to_owned(), target: "n0".to_owned(), not_done: None, outcome, cost }
    }

    const WELL: Outcome = Outcome {
        well_after: Some(60.0),
        failed: 0,
        not_served: 0.0,
        lost_writes: 0.0,
        without_leader: 0.0,
        without_placement: 0.0,
        irreversible: false,
    };

    #[test]
    fn each_part_counts() {
        let total = |outcome: Outcome| outcome.cost(600.0).total;
        let is = |outcome: Outcome, expected: f64| assert!((total(outcome) - expected).abs() < 1e-9, "{outcome:?}");
        is(WELL, 0.1);
        is(Outcome { well_after: None, ..WELL }, 1.0);
        is(Outcome { not_served: 24.0, ..WELL }, 0.3);
        is(Outcome { not_served: 5.0, without_leader: 24.0, ..WELL }, 0.3);
        is(Outcome { without_placement: 240.0, ..WELL }, 0.3);
        is(Outcome { not_served: 6000.0, well_after: None, ..WELL }, 2.0);
        is(Outcome { lost_writes: 24.0, ..WELL }, 1.3);
        is(Outcome { irreversible: true, ..WELL }, 1.1);
    }

    #[test]
    fn the_regret_is_the_place_between_the_best_and_the_worst() {
        let never = Outcome { well_after: None, ..WELL };
        let gone = Outcome { irreversible: true, ..never };
        let tried = Counterfactual::new(600.0, vec![trial("wait", never), trial("delete", gone), trial("start", WELL)]);
        let order: Vec<&str> = tried.trials.iter().map(|trial| trial.action.as_str()).collect();
        assert_eq!(order, ["start", "wait", "delete"]);
        let regret = |action| tried.regret(action, "n0");
        assert_eq!((regret("start"), regret("wait"), regret("delete")), (Some(0.0), Some(0.474), Some(1.0)));
        assert_eq!((regret("pray"), tried.regret("start", "n1")), (None, None));
    }

    #[test]
    fn where_it_does_not_matter_there_is_no_regret() {
        let later = Outcome { well_after: Some(85.0), ..WELL };
        let tried = Counterfactual::new(600.0, vec![trial("start", WELL), trial("wait", later)]);
        assert_eq!(tried.regret("wait", "n0"), Some(0.0));
        assert_eq!(Counterfactual::new(600.0, Vec::new()).regret("wait", "n0"), None);
    }
}
