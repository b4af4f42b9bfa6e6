//! CPython's random numbers; the expected values were printed by CPython 3.

use llm_bench::PythonRandom;

#[test]
fn words_equal_cpython() {
    let mut random = PythonRandom::new(1234);
    let words: Vec<u32> = (0..5).map(|_| random.next_u32()).collect();
    assert_eq!(words, [4150886329, 3342196574, 1892932127, 501869158, 32175636]);
    assert_eq!(PythonRandom::new((1 << 40) + 7).next_u32(), 2635837658);
}

#[test]
fn samples_equal_cpython_in_both_branches() {
    let mut random = PythonRandom::new(1234);
    assert_eq!(random.sample(2251, 2), Some(vec![1805, 478]));
    assert_eq!(random.sample(10, 3), Some(vec![0, 1, 9]));
    assert_eq!(random.sample(7473, 5), Some(vec![5501, 5677, 687, 806, 6279]));
    let thirty = vec![
        45, 30, 2, 3, 97, 44, 82, 79, 61, 78, 59, 19, 11, 23, 14, 1, 64, 62, 31, 8, 69, 89, 80, 76, 87, 65, 5, 34, 71,
        77,
    ];
    assert_eq!(random.sample(100, 30), Some(thirty));
    assert_eq!(random.sample(60, 8), Some(vec![41, 19, 30, 54, 22, 17, 15, 59]));
    assert_eq!(random.bits(50), 225219209518883);
    assert_eq!(random.below(1000), 464);
}

#[test]
fn a_sample_larger_than_its_population_is_refused() {
    let mut random = PythonRandom::new(1);
    assert_eq!(random.sample(3, 4), None);
    assert_eq!(random.sample(0, 0), Some(vec![]));
}
