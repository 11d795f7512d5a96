//! Memory that nobody reads any more: taken again, the system need not clear it for the next.

use std::sync::{Mutex, PoisonError};

use super::additions::Running;
use super::lanes::QUAD;
use super::layout::Layout;
use super::trajectory::Trajectory;

/// What replicates were played with.
#[derive(Default)]
pub(super) struct Spare {
    trajectories: Shelf<Trajectory>,
    /// Weights of quads of lanes.
    pub(super) words: Shelf<Vec<[u8; QUAD]>>,
    pub(super) running: Shelf<Running>,
    /// Counts of units in lanes.
    pub(super) counts: Shelf<Vec<u8>>,
}

/// Things of one kind.
pub(super) struct Shelf<T>(Mutex<Vec<T>>);

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Shelf<T> {
    pub(super) fn put(&self, things: impl IntoIterator<Item = T>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(things);
    }

    pub(super) fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Spare {
    pub(super) fn put(&self, trajectories: Vec<Trajectory>) {
        self.trajectories.put(trajectories);
    }

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
