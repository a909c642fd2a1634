//! Randomness that is an argument: the same seed gives the same numbers everywhere.

/// A stream of numbers: SplitMix64 (Steele, Lea, Flood 2014), whose whole state is its seed.
#[derive(Debug, Clone)]
pub(crate) struct Seeded(u64);

impl Seeded {
    /// The stream of a seed.
    pub(crate) fn new(seed: u64) -> Seeded {
        Seeded(seed)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `limit`, which is positive; its bias is below 2^-32 for limits below 2^32, and nothing anybody would see above.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(limit);
        u64::try_from(wide >> 64).unwrap_or(0)
    }
}

/// A number that looks random and depends on nothing but `of`: for decisions about single samples, in whatever order they come.
pub(crate) fn mix(of: u64) -> u64 {
    let mut z = of;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_splitmix64() {
        // As Java's SplittableRandom and Vigna's splitmix64.c give them.
        let mut stream = Seeded::new(1_234_567);
        let found: Vec<u64> = (0..3).map(|_| stream.next()).collect();
        assert_eq!(
            found,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
        let mut stream = Seeded::new(0);
        assert!((0..1000).all(|_| stream.below(7) < 7));
    }
}
