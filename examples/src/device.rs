//! `--device cpu|wgpu|cuda`. This is the only place where a concrete backend is named.

use anyhow::{Result, anyhow};
use burn::tensor::{Tensor, backend::Backend};
use clap::ValueEnum;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

/// The device on which tensors are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DeviceKind {
    /// Burn's Flex backend on all CPU cores.
    #[default]
    Cpu,
    /// Any GPU API that WGPU supports; needs a build with `--features wgpu`.
    Wgpu,
    /// NVIDIA GPUs; needs a build with `--features cuda`.
    Cuda,
}

impl std::fmt::Display for DeviceKind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Cpu => "cpu",
            Self::Wgpu => "wgpu",
            Self::Cuda => "cuda",
        })
    }
}

/// Computes one number on a device.
///
/// # Errors
/// When that fails: Burn's GPU backends panic, also in their own threads, if a driver or a library is missing.
pub fn check<B: Backend>(kind: DeviceKind, device: &B::Device) -> Result<()> {
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let heard = reasons.clone();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if let (Some(text), Ok(mut heard)) = (panic.payload_as_str(), heard.lock()) {
            heard.push(text.chars().take(200).collect::<String>());
        }
    }));
    let compute = AssertUnwindSafe(|| (Tensor::<B, 1>::ones([1], device) + 1.0).into_data());
    let computed = catch_unwind(compute);
    std::panic::set_hook(hook);
    let wanted = match kind {
        DeviceKind::Cpu => "a CPU",
        DeviceKind::Wgpu => "a driver for Vulkan, Metal or DirectX 12",
        DeviceKind::Cuda => {
            "an NVIDIA GPU, its driver, and NVRTC with the CUDA headers in CUDA_PATH or /usr/local/cuda"
        }
    };
    computed.map(drop).map_err(|_| {
        let reasons = reasons.lock().unwrap_or_else(PoisonError::into_inner).join("; ");
        anyhow!("--device {kind}: expected {wanted}; computing one number there failed: {reasons}")
    })
}

/// Evaluates `$body` with the type `$backend` and the value `$device` of the chosen device.
///
/// `$body` is an `anyhow::Result` and is compiled once for each backend of the build.
#[macro_export]
macro_rules! on_device {
    ($kind:expr, |$backend:ident, $device:ident| $body:expr) => {{
        $crate::memory::keep_freed();
        match $kind {
            $crate::device::DeviceKind::Cpu => {
                type $backend = burn::backend::Flex;
                let $device: burn::tensor::Device<$backend> = Default::default();
                $body
            }
            #[cfg(feature = "wgpu")]
            $crate::device::DeviceKind::Wgpu => {
                type $backend = burn::backend::Wgpu;
                let $device: burn::tensor::Device<$backend> = Default::default();
                $crate::device::check::<$backend>($crate::device::DeviceKind::Wgpu, &$device).and_then(|()| $body)
            }
            #[cfg(feature = "cuda")]
            $crate::device::DeviceKind::Cuda => {
                type $backend = burn::backend::Cuda;
                let $device: burn::tensor::Device<$backend> = Default::default();
                $crate::device::check::<$backend>($crate::device::DeviceKind::Cuda, &$device).and_then(|()| $body)
            }
            #[allow(unreachable_patterns)]
            missing => Err(anyhow::anyhow!(
                "this program was built without --device {missing}; build it with `--features {missing}`"
            )),
        }
    }};
}
