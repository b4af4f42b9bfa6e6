//! CPython's `random.Random`, bit for bit: the Mersenne Twister MT19937 with CPython's seeding, `randbelow` and
//! `sample`. Few-shot examples are drawn with it, so that prompts equal those of lm-evaluation-harness.
//!
//! Sources: Matsumoto and Nishimura 1998 (the generator and `init_by_array`); CPython `Lib/random.py` and
//! `Modules/_randommodule.c` (what is built on it).

use std::collections::HashSet;

const N: usize = 624;
const M: usize = 397;

/// A stream of CPython's random numbers.
#[derive(Clone)]
pub struct PythonRandom {
    state: [u32; N],
    index: usize,
}

impl PythonRandom {
    /// `random.Random(seed)` for a non-negative seed: `init_by_array` over the seed's 32-bit words, low word first.
    pub fn new(seed: u64) -> Self {
        let (low, high) = (seed as u32, (seed >> 32) as u32);
        let words = [low, high];
        Self::from_key(if high == 0 { &words[..1] } else { &words })
    }

    fn from_key(key: &[u32]) -> Self {
        let mut state = [0u32; N];
        state[0] = 19_650_218;
        for i in 1..N {
            let last = state[i - 1] ^ (state[i - 1] >> 30);
            state[i] = last.wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        let (mut i, mut j) = (1, 0);
        for _ in 0..N.max(key.len()) {
            let last = state[i - 1] ^ (state[i - 1] >> 30);
            let mixed = state[i] ^ last.wrapping_mul(1_664_525);
            state[i] = mixed.wrapping_add(key[j]).wrapping_add(j as u32);
            i = advance(&mut state, i);
            j = (j + 1) % key.len();
        }
        for _ in 0..N - 1 {
            let last = state[i - 1] ^ (state[i - 1] >> 30);
            let mixed = state[i] ^ last.wrapping_mul(1_566_083_941);
            state[i] = mixed.wrapping_sub(i as u32);
            i = advance(&mut state, i);
        }
        state[0] = 0x8000_0000;
        Self { state, index: N }
    }

    fn refill(&mut self) {
        for k in 0..N {
            let y = (self.state[k] & 0x8000_0000) | (self.state[(k + 1) % N] & 0x7fff_ffff);
            let twist = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[k] = self.state[(k + M) % N] ^ (y >> 1) ^ twist;
        }
        self.index = 0;
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.index >= N {
            self.refill();
        }
        let mut y = self.state[self.index];
        self.index += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// `getrandbits(bits)` for 1 to 64 bits; words are drawn low first, the last one shifted down.
    pub fn bits(&mut self, bits: u32) -> u64 {
        let bits = bits.clamp(1, 64);
        if bits <= 32 {
            return u64::from(self.next_u32() >> (32 - bits));
        }
        let low = u64::from(self.next_u32());
        low | (u64::from(self.next_u32() >> (64 - bits)) << 32)
    }

    /// `randrange(n)`: uniform in `0..n` by rejection; 0 for `n = 0`.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 {
            return 0;
        }
        let bits = usize::BITS - n.leading_zeros();
        loop {
            let drawn = self.bits(bits) as usize;
            if drawn < n {
                return drawn;
            }
        }
    }

    /// `random()`: uniform in `[0, 1)`, 53 bits.
    pub fn random(&mut self) -> f64 {
        let (high, low) = (self.next_u32() >> 5, self.next_u32() >> 6);
        (f64::from(high) * 67_108_864.0 + f64::from(low)) / 9_007_199_254_740_992.0
    }

    /// The index of one of the elements that `choices(population, k)` draws from a population of `n`.
    pub fn choice(&mut self, n: usize) -> usize {
        (self.random() * n as f64).floor() as usize
    }

    /// The indices that `sample(population, k)` picks from a population of `n`, or `None` if `k > n`.
    ///
    /// CPython draws from a shrinking list when the population is small against `k`, and redraws repeats otherwise.
    pub fn sample(&mut self, n: usize, k: usize) -> Option<Vec<usize>> {
        if k > n {
            return None;
        }
        if n <= list_threshold(k) {
            let mut pool: Vec<usize> = (0..n).collect();
            return Some((0..k).map(|i| self.take(&mut pool, n - i)).collect());
        }
        let mut seen = HashSet::with_capacity(k);
        let mut picked = Vec::with_capacity(k);
        while picked.len() < k {
            let drawn = self.below(n);
            if seen.insert(drawn) {
                picked.push(drawn);
            }
        }
        Some(picked)
    }

    fn take(&mut self, pool: &mut [usize], live: usize) -> usize {
        let j = self.below(live);
        let picked = pool[j];
        pool[j] = pool[live - 1];
        picked
    }
}

/// Steps `init_by_array`'s index, wrapping round as the original does.
fn advance(state: &mut [u32; N], i: usize) -> usize {
    if i + 1 < N {
        return i + 1;
    }
    state[0] = state[N - 1];
    1
}

/// CPython's `setsize`: 21, plus `4 ** ceil(log(3 k, 4))` for `k > 5`.
fn list_threshold(k: usize) -> usize {
    if k <= 5 {
        return 21;
    }
    let mut power = 1usize;
    while power < 3 * k {
        power = power.saturating_mul(4);
    }
    21 + power
}
