//! Burn rates: how many times as fast as it may the candidate's arm spends an error budget, in trailing windows.
//!
//! The arm keeps serving from stage to stage, so a window reaches back over the end of the stage before, by whole looks of that stage, rounded
//! down; where it reaches back to before the rollout began, it holds what there is, as a new series does in a metrics store.

use super::lens::Lens;
use super::stage::StagePlace;
use crate::domain::gate::{Burn, BurnPair};
use crate::domain::quantity::Seconds;
use crate::simulate::trajectory::{Arm, Reader, Span};

/// Where a look is: the stages so far, the present one last, and the number of the look in it.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// Earlier stages.
    pub(super) before: &'a [StagePlace],
    /// The present stage.
    pub(super) stage: StagePlace,
    /// From 0 within it.
    pub(super) look: usize,
}

impl Place<'_> {
    /// The sums whose total is that of a trailing window: those at a look of each stage, less those at an earlier one.
    fn spans(self, window: Seconds) -> Vec<Span> {
        let mut spans = Vec::new();
        let mut left = window.0;
        let stages = self.before.iter().map(|stage| (stage, stage.plan.looks())).chain([(&self.stage, self.look + 1)]);
        for (stage, looks) in stages.collect::<Vec<_>>().into_iter().rev() {
            let Some(last) = looks.checked_sub(1).filter(|_| left > 0) else { continue };
            let every = stage.look_every().0;
            let wanted = (left / every) as usize;
            let since = last.checked_sub(wanted).map(|look| stage.first_look + look);
            if wanted > 0 {
                spans.push(Span { look: stage.first_look + last, since });
            }
            left -= looks as i64 * every;
        }
        spans
    }
}

/// Whose requests, and how a world shows them.
#[derive(Clone, Copy)]
pub(super) struct Requests<'a> {
    pub(super) reader: Reader<'a>,
    pub(super) lens: Lens,
    pub(super) slice: usize,
    pub(super) metric: usize,
}

impl Requests<'_> {
    /// Bad requests of the candidate's arm and all of them, in a trailing window.
    fn within(&self, place: Place<'_>, window: Seconds) -> (f64, f64) {
        let Self { lens, slice, metric, .. } = *self;
        let mut sums = (0.0, 0.0);
        for span in place.spans(window) {
            let found = self.reader.sums(span, Arm::Candidate, lens.answers, slice, metric, None);
            sums.0 += lens.scale * found.y + lens.shift * found.x;
            sums.1 += found.x;
        }
        sums
    }

    /// Whether some pair burns at a look; `None` where no pair's long window holds enough requests to say.
    pub(super) fn burns(&self, burn: &Burn, place: Place<'_>, min_requests: f64) -> Option<bool> {
        let rate = |(bad, all): (f64, f64)| if all >= HALF { bad / all / burn.budget() } else { 0.0 };
        let of_pair = |pair: &BurnPair| {
            let long = self.within(place, pair.long);
            let enough = long.1 >= min_requests.max(HALF);
            enough.then(|| rate(long) > pair.factor && rate(self.within(place, pair.short)) > pair.factor)
        };
        burn.pairs.iter().filter_map(of_pair).reduce(|one, other| one || other)
    }
}

/// Half a request: what is less is what rounding left of none.
const HALF: f64 = 0.5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::StagePlan;

    fn stage(first_look: usize, slots: usize, slots_per_look: usize) -> StagePlace {
        let plan = StagePlan::plain(0.1, slots, slots_per_look);
        StagePlace { first_look, plan, held: 0, slot_s: 300 }
    }

    fn spans(look: usize, minutes: i64) -> Vec<(usize, Option<usize>)> {
        // Four looks 5 minutes apart, one of 10 minutes, none, then six 5 minutes apart.
        let stages = [stage(0, 4, 1), stage(4, 2, 2), stage(5, 0, 1), stage(5, 6, 1)];
        let (present, before) = stages.split_last().unwrap();
        let place = Place { before, stage: *present, look };
        place.spans(Seconds(60 * minutes)).into_iter().map(|span| (span.look, span.since)).collect()
    }

    #[test]
    fn a_window_reaches_back_over_stages() {
        assert_eq!(spans(3, 10), [(8, Some(6))]);
        assert_eq!(spans(3, 20), [(8, None)], "all of the stage so far");
        assert_eq!(spans(3, 30), [(8, None), (4, None)]);
        assert_eq!(spans(3, 40), [(8, None), (4, None), (3, Some(1))]);
        assert_eq!(spans(0, 15), [(5, None), (4, None)]);
        assert_eq!(spans(0, 10), [(5, None)], "half a look of the stage before is none");
        assert_eq!(spans(0, 600), [(5, None), (4, None), (3, None)], "no more than there is");
    }
}
