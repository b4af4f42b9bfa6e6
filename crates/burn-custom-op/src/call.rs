use burn::tensor::{DType, TensorMetadata, backend::Backend, ops::FloatTensor};

/// One call of an operation, whose tensors are checked before a value is read. All must be on the device of the first.
///
/// # Panics
/// Every check panics if the operation does not accept the tensor. The message names the operation, the tensor, what
/// was expected and what was found.
pub struct Call<B: Backend> {
    operation: &'static str,
    device: B::Device,
}

impl<B: Backend> Call<B> {
    /// A call whose first tensor is `input`.
    pub fn new(operation: &'static str, input: &FloatTensor<B>) -> Self {
        Self {
            operation,
            device: B::float_device(input),
        }
    }

    /// The device that every tensor must be on.
    pub fn device(&self) -> &B::Device {
        &self.device
    }

    /// Checks any other condition, with the message for when it does not hold.
    pub fn require(&self, holds: bool, message: impl FnOnce() -> String) {
        assert!(holds, "{}: {}", self.operation, message());
    }

    /// The sizes of a tensor that has N dimensions.
    pub fn sizes<const N: usize>(&self, tensor: &str, found: &FloatTensor<B>) -> [usize; N] {
        let shape = found.shape();
        let sizes = <[usize; N]>::try_from(&shape[..]);
        self.require(sizes.is_ok(), || {
            format!("{tensor} has shape {:?}, expected {N} dimensions", &shape[..])
        });
        sizes.expect("the dimensions were counted")
    }

    /// Shape and device.
    pub fn shape(&self, tensor: &str, found: &FloatTensor<B>, expected: &[usize]) {
        let shape = found.shape();
        self.require(shape[..] == *expected, || {
            format!("{tensor} has shape {:?}, expected {expected:?}", &shape[..])
        });
        self.on_device(tensor, found);
    }

    /// Checks only the element type.
    pub fn dtype(&self, tensor: &str, found: &FloatTensor<B>, expected: DType) {
        let found = found.dtype();
        self.require(found == expected, || {
            format!("{tensor} has type {found:?}, expected {expected:?}")
        });
    }

    /// Shape and type of another tensor, and the device.
    pub fn like(&self, tensor: &str, found: &FloatTensor<B>, other: &FloatTensor<B>) {
        self.shape(tensor, found, &other.shape());
        self.dtype(tensor, found, other.dtype());
    }

    /// Checks only the device.
    pub fn on_device(&self, tensor: &str, found: &FloatTensor<B>) {
        let found = B::float_device(found);
        self.require(found == self.device, || {
            format!("{tensor} is on device {found:?}, expected {:?}", self.device)
        });
    }
}
