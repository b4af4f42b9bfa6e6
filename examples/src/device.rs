//! `--device cpu|wgpu|cuda`: the one place where a concrete backend is named.

use clap::ValueEnum;

/// Where tensors live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DeviceKind {
    /// Burn's Flex backend, all cores.
    #[default]
    Cpu,
    /// Any GPU API that WGPU speaks; needs `--features wgpu`.
    Wgpu,
    /// NVIDIA; needs `--features cuda`.
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
                $body
            }
            #[cfg(feature = "cuda")]
            $crate::device::DeviceKind::Cuda => {
                type $backend = burn::backend::Cuda;
                let $device: burn::tensor::Device<$backend> = Default::default();
                $body
            }
            #[allow(unreachable_patterns)]
            missing => Err(anyhow::anyhow!(
                "this program was built without --device {missing}; build it with `--features {missing}`"
            )),
        }
    }};
}
