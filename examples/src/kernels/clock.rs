//! Times from an idle device to an idle device.

use burn::tensor::{Tensor, backend::Backend};
use std::time::{Duration, Instant};

/// Duration of the warm-up calls of an operation, during which clocks rise and kernels compile.
const WARM_UP: Duration = Duration::from_millis(300);

/// Numbers that push everything else out of the caches of a large device: 64 MiB of f32.
const EVICTING: usize = 1 << 24;

/// Times calls from an idle device with cold caches to an idle device.
pub struct Clock<'a, B: Backend> {
    device: &'a B::Device,
    repeats: usize,
    evicting: Tensor<B, 1>,
    launch: f64,
}

impl<'a, B: Backend> Clock<'a, B> {
    /// A clock that takes the median of `repeats` calls and leaves out what launching one kernel costs.
    pub fn new(repeats: usize, device: &'a B::Device) -> Self {
        let mut clock = Self {
            device,
            repeats: repeats.max(1),
            evicting: Tensor::zeros([EVICTING], device),
            launch: 0.0,
        };
        let few = Tensor::<B, 2>::zeros([1, 8], device);
        clock.launch = clock.seconds(|| vec![few.clone() + 1.0]);
        clock
    }

    /// The time to launch one kernel and wait for it, in seconds. An operation of several kernels launches the
    /// later ones while the first runs, so no more is taken off it.
    pub fn launch(&self) -> f64 {
        self.launch
    }

    /// Median seconds of a call, less [`launch`](Self::launch).
    ///
    /// Every call is waited for, and its results are kept until then: otherwise fusion would merge several calls
    /// of the plain operations into one kernel, and omit those whose results are not held.
    pub(super) fn seconds(&self, run: impl Fn() -> Vec<Tensor<B, 2>>) -> f64 {
        let begin = Instant::now();
        self.timed(&run);
        while begin.elapsed() < WARM_UP {
            self.timed(&run);
        }
        let mut times: Vec<f64> = (0..self.repeats).map(|_| self.timed(&run)).collect();
        times.sort_by(f64::total_cmp);
        (times[times.len() / 2] - self.launch).max(1e-9)
    }

    fn timed(&self, run: impl Fn() -> Vec<Tensor<B, 2>>) -> f64 {
        let evicted = self.evicting.clone() + 1.0;
        self.wait();
        drop(evicted);
        let clock = Instant::now();
        let kept = run();
        self.wait();
        let seconds = clock.elapsed().as_secs_f64();
        drop(kept);
        seconds
    }

    fn wait(&self) {
        B::sync(self.device).expect("the device finishes its work");
    }
}
