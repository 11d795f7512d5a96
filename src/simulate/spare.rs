//! Memory that nobody reads any more: taken again, the system need not clear it for the next.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::additions::Running;
use super::lanes::QUAD;
use super::layout::Layout;
use super::trajectory::Trajectory;

/// What replicates were played with.
#[derive(Default)]
pub(super) struct Spare {
    pub(super) trajectories: Shelf<Trajectory>,
    /// Weights of quads of lanes.
    pub(super) words: Shelf<Vec<[u8; QUAD]>>,
    pub(super) running: Shelf<Running>,
    /// Counts of units in lanes.
    pub(super) counts: Shelf<Vec<u8>>,
}

/// Things of one kind: no more than were taken come back.
pub(super) struct Shelf<T>(Mutex<Kept<T>>);

struct Kept<T> {
    things: Vec<T>,
    /// How many were taken and are not back.
    taken: usize,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self(Mutex::new(Kept { things: Vec::new(), taken: 0 }))
    }
}

impl<T> Shelf<T> {
    pub(super) fn put(&self, things: impl IntoIterator<Item = T>) {
        let mut kept = self.kept();
        for thing in things {
            if kept.taken > 0 {
                kept.taken -= 1;
                kept.things.push(thing);
            }
        }
    }

    pub(super) fn take(&self) -> Option<T> {
        let mut kept = self.kept();
        kept.taken += 1;
        kept.things.pop()
    }

    fn clear(&self) {
        self.kept().things.clear();
    }

    fn kept(&self) -> MutexGuard<'_, Kept<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spare {
    pub(super) fn clear(&self) {
        self.trajectories.clear();
        self.words.clear();
        self.running.clear();
        self.counts.clear();
    }

    /// A trajectory of so many looks.
    pub(super) fn trajectory(&self, layout: &Layout, looks: usize) -> Trajectory {
        let fits = self.trajectories.take().filter(|trajectory| trajectory.fits(layout, looks));
        fits.map_or_else(|| Trajectory::empty(layout, looks), Trajectory::renewed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_comes_back_than_was_taken() {
        let shelf = Shelf::default();
        shelf.put([1]);
        assert_eq!([shelf.take(), shelf.take()], [None, None]);
        shelf.put([2, 3, 4]);
        assert_eq!([shelf.take(), shelf.take(), shelf.take()], [Some(3), Some(2), None]);
        shelf.put([5]);
        shelf.clear();
        assert_eq!(shelf.take(), None);
    }
}
