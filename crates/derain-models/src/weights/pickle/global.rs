//! The few globals that torch's own state dicts use.

use crate::weights::element_type::ElementType;
use crate::weights::error::{WeightError, printable};

/// A global that is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Global {
    /// `collections.OrderedDict`: state dicts.
    OrderedDict,
    /// `collections.Counter`: the milestones of a learning-rate schedule. Its content is dropped.
    Counter,
    /// `torch.Size`: a tuple.
    Size,
    /// `torch._utils._rebuild_tensor(storage, offset, shape, strides)`, torch before 0.4.
    RebuildTensor,
    /// `torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)`.
    RebuildTensorV2,
    /// `torch._utils._rebuild_parameter(tensor, requires_grad, hooks)`.
    RebuildParameter,
    /// `torch.FloatStorage` and its like.
    Storage(ElementType),
}

impl Global {
    /// Looks a name up in the allow-list.
    pub(super) fn named(module: &str, name: &str) -> Result<Self, WeightError> {
        let allowed = match (module, name) {
            ("collections", "OrderedDict") => Some(Self::OrderedDict),
            ("collections", "Counter") => Some(Self::Counter),
            ("torch", "Size") => Some(Self::Size),
            ("torch._utils", "_rebuild_tensor") => Some(Self::RebuildTensor),
            ("torch._utils", "_rebuild_tensor_v2") => Some(Self::RebuildTensorV2),
            ("torch._utils", "_rebuild_parameter") => Some(Self::RebuildParameter),
            ("torch", class) => ElementType::from_storage_class(class).map(Self::Storage),
            _ => None,
        };
        allowed.ok_or_else(|| {
            let full = printable(&format!("{module}.{name}"));
            let in_torch = module == "torch" || module.starts_with("torch.");
            if in_torch && name.ends_with("Storage") {
                WeightError::UnsupportedElement { name: full }
            } else {
                WeightError::Refused { global: full }
            }
        })
    }
}
