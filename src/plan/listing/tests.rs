use super::*;

#[test]
fn round_lengths_are_those_that_people_choose() {
    let round: Vec<usize> = (0..1_100).filter(|records| is_round(*records)).collect();
    assert_eq!(
        round,
        [
            100, 128, 200, 256, 300, 400, 500, 512, 600, 700, 800, 900, 1_000, 1_001, 1_024
        ]
    );
    assert!(
        [9_999, 10_000, 10_001, 16_384, 5_000, 7_500]
            .into_iter()
            .all(is_round)
    );
    assert!(![9_998, 10_002, 8_765, 7_512].into_iter().any(is_round));
}
