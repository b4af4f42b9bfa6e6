//! What CubeCL makes of the kernels for CUDA, read without a device. Every source is left in `target/tmp/cuda`, where
//! `benches/peers/sass.py` finds it and reads what NVIDIA's compiler makes of it in turn.

use burn::tensor::DType;
use cubecl::{Compiler, cuda::CudaCompiler, ir::AddressType, server::ExecutionMode};
use kan_rational::{Degrees, Denominator, cube::Kernel};
use std::{fs, path::Path};

const DEGREES: [Degrees; 3] = [Degrees::new(5, 4), Degrees::new(7, 6), Degrees::new(9, 8)];

/// The generated source, with the options the CUDA runtime compiles with.
fn source(kernel: Kernel, degrees: Degrees, form: Denominator, dtype: DType) -> String {
    let mut options = <CudaCompiler as Compiler>::CompilationOptions::default();
    options.supports_features.fast_math = true;
    let vector = 16 / dtype.size();
    let definition = kernel.definition(degrees, form, dtype, vector);
    let address = AddressType::U32.unsigned_type();
    CudaCompiler::default()
        .compile(definition, &options, ExecutionMode::Unchecked, address)
        .expect("the kernel compiles")
        .to_string()
}

/// Every kernel in every form, degree and element type.
fn for_each(mut check: impl FnMut(Kernel, DType, &str)) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cuda");
    fs::create_dir_all(&folder).unwrap();
    for kernel in Kernel::ALL {
        for degrees in DEGREES {
            for form in [Denominator::SumOfAbs, Denominator::AbsOfSum] {
                for dtype in [DType::F32, DType::F16, DType::BF16] {
                    let source = source(kernel, degrees, form, dtype);
                    let (n, m) = (degrees.numerator, degrees.denominator);
                    let name = format!("{kernel:?} {n},{m} {form:?} {dtype:?}.cu");
                    fs::write(folder.join(name), &source).unwrap();
                    check(kernel, dtype, &source);
                }
            }
        }
    }
}

/// Statements that contain all of the words.
fn count(source: &str, words: &[&str]) -> usize {
    source
        .lines()
        .filter(|line| words.iter().all(|word| line.contains(word)))
        .count()
}

#[test]
fn tensors_are_read_and_written_sixteen_bytes_at_a_time() {
    for_each(|kernel, dtype, source| {
        let vector = match dtype {
            DType::F32 => "float_4",
            DType::F16 => "__half_8",
            _ => "__nv_bfloat16_8",
        };
        let (inputs, outputs) = match kernel {
            Kernel::Forward => (1, 1),
            Kernel::ForwardGated => (2, 1),
            Kernel::Backward => (2, 1),
            Kernel::BackwardGated => (3, 2),
            Kernel::Combine => return,
        };
        assert!(source.contains(&format!("struct __align__(16) {vector} ")), "{source}");
        let signature = source
            .lines()
            .find(|line| line.contains("buffer_0, "))
            .expect("a signature");
        assert_eq!(
            signature.matches(&format!("const {vector}* __restrict__")).count(),
            inputs
        );
        assert_eq!(signature.matches(&format!("{vector}* ")).count(), inputs + outputs);
        // Whole vectors move: one load before the loop and one ahead of the present row within it.
        assert_eq!(count(source, &[&format!("const {vector} "), "= buffer_"]), 2 * inputs);
        assert!(!source.contains("reinterpret_cast<const __") && !source.contains("].i_"));
    });
}

#[test]
fn nothing_lives_in_local_arrays_and_nothing_is_atomic_or_double() {
    for_each(|kernel, _, source| {
        let body = source.split("extern \"C\"").nth(1).expect("a body");
        assert!(
            !body.contains("l_arr") && !body.contains("arrays_"),
            "{kernel:?} has a local array"
        );
        for line in body.lines() {
            let declares = line.split_once(';').is_some_and(|(head, _)| {
                let name = head.split_whitespace().nth(1).unwrap_or_default();
                head.split_whitespace().count() == 2 && name.contains('[')
            });
            assert!(!declares || line.contains("__shared__"), "{kernel:?}: {line}");
        }
        for word in ["double", "atomic", "float64", "fma(double"] {
            assert!(!body.contains(word), "{kernel:?} contains {word}");
        }
        // Every literal is wrapped in its type, so none is a double.
        for (at, _) in body.match_indices("0.0").chain(body.match_indices("1.0")) {
            assert!(
                body[..at].ends_with("float(") || body[..at].ends_with("float(-"),
                "{}",
                &body[at - 20..at + 5]
            );
        }
    });
}

#[test]
fn an_element_costs_one_approximate_reciprocal_and_fused_multiply_adds() {
    for kernel in [
        Kernel::Forward,
        Kernel::ForwardGated,
        Kernel::Backward,
        Kernel::BackwardGated,
    ] {
        let text = source(kernel, Degrees::default(), Denominator::SumOfAbs, DType::BF16);
        assert_eq!(count(&text, &["__fdividef("]), 8, "one per lane");
        assert_eq!(
            count(&text, &[" / l_mut"]) + count(&text, &["float", " / "]),
            0,
            "no other division of floats"
        );
        let fused = count(&text, &["= fma("]) / 8;
        assert_eq!(
            fused,
            if matches!(kernel, Kernel::Forward | Kernel::ForwardGated) {
                5 + 3
            } else {
                5 + 3 + 4 + 3 + 1 + 9
            },
            "{kernel:?}"
        );
    }
}

#[test]
fn shared_memory_fits_every_device() {
    for_each(|kernel, _, source| {
        let bytes: usize = source
            .lines()
            .filter(|line| line.contains("// Shared array size"))
            .filter_map(|line| line.rsplit_once(", ")?.1.strip_suffix(" bytes")?.parse::<usize>().ok())
            .sum();
        assert!(bytes <= 16 * 1024, "{kernel:?}: {bytes} bytes");
        assert_eq!(
            bytes > 0,
            matches!(kernel, Kernel::Backward | Kernel::BackwardGated | Kernel::Combine)
        );
    });
}
