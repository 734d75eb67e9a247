use std::fmt;
use std::str::FromStr;

use candle_core::{DType, Device};

use crate::{Error, Result};

/// The type that features are kept and multiplied in. What convolutions, scans and norms sum is summed in f32; the
/// picture, SPANet's first convolution, RLCN and the last convolution, whose sums are the result, are f32 throughout,
/// and norms by running statistics become part of weights before those are rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precision {
    /// 24 bits of mantissa.
    #[default]
    F32,
    /// 11 bits, values up to 65,504; on GPUs alone. Half the memory.
    F16,
    /// 8 bits, values as large as f32's; on GPUs alone. Half the memory.
    Bf16,
}

impl Precision {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::F32, Self::F16, Self::Bf16];

    /// The name on command lines and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }

    pub(crate) fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::Bf16 => DType::BF16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = Self::ALL.iter().copied().find(|precision| precision.name() == name);
        known.ok_or_else(|| Error::UnknownPrecision { name: name.to_owned() })
    }
}

/// Where a network computes, and in which precision. A device alone stands for f32 on it, the default for the CPU.
///
/// ```
/// use derain_models::{Derainer, Device, Network, Placement, Precision};
/// # #[cfg(feature = "pretrained")]
/// match Derainer::pretrained(Network::SpaNet, Placement::new(&Device::Cpu, Precision::Bf16)) {
///     Err(error) => assert!(error.to_string().starts_with("bf16 is for GPUs")),
///     Ok(_) => unreachable!("the CPU computes in f32"),
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Placement {
    pub(crate) device: Device,
    pub(crate) precision: Precision,
}

impl Placement {
    /// On `device` in `precision`.
    #[must_use]
    pub fn new(device: &Device, precision: Precision) -> Self {
        Self { device: device.clone(), precision }
    }

    /// Where.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// In which precision.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Refuses what no code is for.
    pub(crate) fn check(&self) -> Result<()> {
        match self.precision {
            Precision::F16 | Precision::Bf16 if !self.device.is_cuda() => {
                let device =
                    if self.device.is_cpu() { "the cpu".into() } else { format!("{:?}", self.device.location()) };
                Err(Error::Precision { precision: self.precision, device })
            }
            _ => Ok(()),
        }
    }
}

impl Default for Placement {
    /// The CPU, in f32.
    fn default() -> Self {
        Self::from(Device::Cpu)
    }
}

impl From<Device> for Placement {
    fn from(device: Device) -> Self {
        Self { device, precision: Precision::F32 }
    }
}

impl From<&Device> for Placement {
    fn from(device: &Device) -> Self {
        Self::from(device.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for &precision in Precision::ALL {
            assert_eq!(precision.name().parse::<Precision>().unwrap(), precision);
        }
        let error = "f64".parse::<Precision>().unwrap_err().to_string();
        assert_eq!(error, "no precision is called `f64`; there are: f32, f16, bf16");
    }

    #[test]
    fn halves_are_for_gpus() {
        for place in [Placement::default(), Device::Cpu.into(), (&Device::Cpu).into()] {
            assert!(place.device().is_cpu() && place.precision() == Precision::F32 && place.check().is_ok());
        }
        let error = Placement::new(&Device::Cpu, Precision::F16).check().unwrap_err();
        assert!(matches!(error, Error::Precision { precision: Precision::F16, .. }), "{error}");
    }
}
