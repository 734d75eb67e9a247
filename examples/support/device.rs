//! Devices, as command lines name them.

use std::str::FromStr;

use derain::Device;
use derain::ops::Result;

/// Where to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeviceName {
    Cpu,
    Cuda(usize),
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        match name.split_once(':') {
            None if name == "cpu" => Ok(Self::Cpu),
            None if name == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", ordinal)) => ordinal.parse().map(Self::Cuda).map_err(|_| format!("`{ordinal}` is no number")),
            _ => Err("expected cpu or cuda:N".to_owned()),
        }
    }
}

impl DeviceName {
    pub(crate) fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            // SAFETY: an example opens one device, and none makes streams or devices of its own.
            Self::Cuda(ordinal) => unsafe { derain::ops::device::cuda_alone(ordinal) },
        }
    }
}
