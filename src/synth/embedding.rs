//! Embeddings of answers, drawn apart from all else, so that a recipe with them makes the same log beside them.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::Request;
use super::recipe::Embedding;
use super::traffic::{Purpose, stream};
use crate::domain::version::Version;

/// Streams of each user: one for each request, the last for the user.
const STREAMS: usize = 1 << 24;

/// Embeddings of a recipe.
pub(super) struct Embeddings {
    of: Embedding,
    seed: u64,
    /// The direction around which answers lie, and the other one.
    directions: [Vec<f64>; 2],
}

impl Embeddings {
    pub(super) fn new(of: Embedding, seed: u64) -> Self {
        // No user is the last of all.
        let mut rng = stream(seed, Purpose::Embeddings, (1 << 56) - 1);
        let directions = [(); 2].map(|()| unit(normals(&mut rng, of.numbers)));
        Self { of, seed, directions }
    }

    /// What a version answered to a request: a list of length 1.
    pub(super) fn of(&self, request: &Request, version: Version) -> Vec<f32> {
        let numbers = self.of.numbers;
        let own_stream = |place: usize| stream(self.seed, Purpose::Embeddings, request.user * STREAMS + place);
        let user = normals(&mut own_stream(STREAMS - 1), numbers);
        let mut rng = own_stream(request.sequence.min(STREAMS - 2));
        let [shared, stable, candidate] = [(); 3].map(|()| normals(&mut rng, numbers));
        let moves = rng.random::<f64>() < self.of.moved;
        let own = if version == Version::Stable { stable } else { candidate };
        let direction = &self.directions[usize::from(version == Version::Candidate && moves)];
        // Noise of so many numbers has length 1.
        let scale = f64::from(numbers).sqrt().recip();
        let (together, apart) = (self.of.agreement.sqrt(), (1.0 - self.of.agreement).sqrt());
        let drawn =
            direction.iter().zip(&user).zip(shared.iter().zip(&own)).map(|((direction, user), (shared, own))| {
                direction + scale * (self.of.user_sd * user + self.of.sd * (together * shared + apart * own))
            });
        #[expect(clippy::cast_possible_truncation, reason = "an embedding is stored with single precision")]
        unit(drawn.collect()).into_iter().map(|number| number as f32).collect()
    }
}

fn normals(rng: &mut ChaCha8Rng, count: u16) -> Vec<f64> {
    (0..count).map(|_| StandardNormal.sample(rng)).collect()
}

fn unit(vector: Vec<f64>) -> Vec<f64> {
    let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    vector.into_iter().map(|x| x / length).collect()
}
