//! The two versions of a release.

/// The version in service, or the one under release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// In service.
    Stable,
    /// Under release.
    Candidate,
}

impl Version {
    /// Both, in reading order.
    pub const BOTH: [Self; 2] = [Self::Stable, Self::Candidate];

    /// As written in column templates: `{version}_quality`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Candidate => "candidate",
        }
    }
}

/// One value for each version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PerVersion<T> {
    /// Of the version in service.
    pub stable: T,
    /// Of the version under release.
    pub candidate: T,
}

impl<T> PerVersion<T> {
    /// Builds both values by name.
    pub fn from_fn(mut build: impl FnMut(Version) -> T) -> Self {
        Self { stable: build(Version::Stable), candidate: build(Version::Candidate) }
    }

    /// The value of one version.
    pub fn get(&self, version: Version) -> &T {
        match version {
            Version::Stable => &self.stable,
            Version::Candidate => &self.candidate,
        }
    }

    /// The value of one version, to change.
    pub fn get_mut(&mut self, version: Version) -> &mut T {
        match version {
            Version::Stable => &mut self.stable,
            Version::Candidate => &mut self.candidate,
        }
    }

    /// Both values, each converted.
    pub fn map<U>(&self, mut convert: impl FnMut(&T) -> U) -> PerVersion<U> {
        PerVersion { stable: convert(&self.stable), candidate: convert(&self.candidate) }
    }
}
