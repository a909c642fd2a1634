//! The hash by which `limit_ratio` chooses: Prometheus' own, so that both choose the same series.

use crate::Labels;

/// xxHash64 (seed 0) of the labels as Prometheus 3 lays them out in memory: each name and each value behind its length.
pub(super) fn hash(labels: &Labels) -> u64 {
    let mut laid_out = Vec::new();
    for (name, value) in labels.iter() {
        for text in [name, value] {
            push_length(text.len(), &mut laid_out);
            laid_out.extend_from_slice(text.as_bytes());
        }
    }
    xxh64(&laid_out)
}

/// One byte; from 255 on, the byte 255 and three more, the lowest first.
fn push_length(length: usize, out: &mut Vec<u8>) {
    match u8::try_from(length) {
        Ok(short @ 0..=254) => out.push(short),
        _ => {
            out.push(255);
            out.extend_from_slice(&length.to_le_bytes()[..3]);
        }
    }
}

const PRIME_1: u64 = 0x9e37_79b1_85eb_ca87;
const PRIME_2: u64 = 0xc2b2_ae3d_27d4_eb4f;
const PRIME_3: u64 = 0x1656_67b1_9e37_79f9;
const PRIME_4: u64 = 0x85eb_ca77_c2b2_ae63;
const PRIME_5: u64 = 0x27d4_eb2f_1656_67c5;

/// XXH64 with seed 0, as <https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md> specifies it.
fn xxh64(input: &[u8]) -> u64 {
    let (stripes, mut rest) = input.as_chunks::<32>();
    let mut hash = if stripes.is_empty() {
        PRIME_5
    } else {
        let mut lanes = [
            PRIME_1.wrapping_add(PRIME_2),
            PRIME_2,
            0,
            PRIME_1.wrapping_neg(),
        ];
        for stripe in stripes {
            for (lane, word) in lanes.iter_mut().zip(stripe.as_chunks::<8>().0) {
                *lane = round(*lane, u64::from_le_bytes(*word));
            }
        }
        let mixed = lanes[0]
            .rotate_left(1)
            .wrapping_add(lanes[1].rotate_left(7))
            .wrapping_add(lanes[2].rotate_left(12))
            .wrapping_add(lanes[3].rotate_left(18));
        lanes.iter().fold(mixed, |hash, lane| {
            (hash ^ round(0, *lane))
                .wrapping_mul(PRIME_1)
                .wrapping_add(PRIME_4)
        })
    };
    hash = hash.wrapping_add(input.len() as u64);
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        hash = (hash ^ round(0, u64::from_le_bytes(*word)))
            .rotate_left(27)
            .wrapping_mul(PRIME_1)
            .wrapping_add(PRIME_4);
        rest = after;
    }
    if let Some((word, after)) = rest.split_first_chunk::<4>() {
        hash = (hash ^ u64::from(u32::from_le_bytes(*word)).wrapping_mul(PRIME_1))
            .rotate_left(23)
            .wrapping_mul(PRIME_2)
            .wrapping_add(PRIME_3);
        rest = after;
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte).wrapping_mul(PRIME_5))
            .rotate_left(11)
            .wrapping_mul(PRIME_1);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(PRIME_2);
    hash ^= hash >> 29;
    hash = hash.wrapping_mul(PRIME_3);
    hash ^ hash >> 32
}

fn round(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(PRIME_2))
        .rotate_left(31)
        .wrapping_mul(PRIME_1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_reference_program() {
        // `python3 -c 'import xxhash; print(xxhash.xxh64(b"…").hexdigest())'`, xxhash 3.
        let cases: [(&str, u64); 6] = [
            ("", 0xef46_db37_51d8_e999),
            ("a", 0xd24e_c4f1_a98c_6e5b),
            ("abc", 0x44bc_2cf5_ad77_0999),
            ("memwatch", 0x3671_0f7f_675b_f08a),
            ("hash of four lanes, 32 bytes each", 0x8060_e216_3c65_854d),
            (
                "a text that is longer than two of the stripes, which hold 32 bytes each",
                0x7bf5_9910_a381_1f27,
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(
                xxh64(text.as_bytes()),
                expected,
                "{text}: {:#x}",
                xxh64(text.as_bytes())
            );
        }
    }

    #[test]
    fn long_values_have_long_lengths() {
        let length = |n: usize| {
            let mut out = Vec::new();
            push_length(n, &mut out);
            out
        };
        assert_eq!(length(0), [0]);
        assert_eq!(length(254), [254]);
        assert_eq!(length(255), [255, 255, 0, 0]);
        assert_eq!(length(0x01_02_03), [255, 3, 2, 1]);
    }

    #[test]
    fn hashes_are_spread() {
        let inside = (0..10_000)
            .map(|i| [("a", i.to_string())].into_iter().collect::<Labels>())
            .filter(|l| (hash(l) as f64 / u64::MAX as f64) < 0.3)
            .count();
        assert!((2_800..3_200).contains(&inside), "{inside}");
    }
}
