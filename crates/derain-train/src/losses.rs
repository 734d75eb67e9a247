use candle_core::{D, Tensor};

use crate::{Error, Result};

/// The mean absolute difference of two tensors of one shape, a scalar with gradients.
///
/// # Errors
/// When the shapes differ.
pub fn l1(output: &Tensor, truth: &Tensor) -> Result<Tensor> {
    same_shape("l1", output, truth)?;
    Ok((output - truth)?.abs()?.mean_all()?)
}

/// Where rain is: 1 where any channel of the rainy picture O and the clean picture B has |O - B| > `threshold`, else 0.
///
/// Pictures are `[B, C, H, W]` in 0..1, the mask is `[B, 1, H, W]` of the same type and carries no gradient. The paper
/// does not print its threshold; 0.01 is a good default. With 0 any difference counts, as in the authors' release,
/// where pictures have 8 bits when it is taken: set `AugmentOptions::round_to_8_bits` for that.
///
/// # Errors
/// [`Error::Shapes`] when the shapes differ, [`Error::NotFloats`] when the types differ or are integers: divide bytes by 255 first.
pub fn rain_mask(rainy: &Tensor, clean: &Tensor, threshold: f64) -> Result<Tensor> {
    same_shape("rain_mask", rainy, clean)?;
    // Bytes have no differences below 0: candle panics.
    if !(rainy.dtype().is_float() && rainy.dtype() == clean.dtype()) {
        return Err(Error::NotFloats { op: "rain_mask", left: rainy.dtype(), right: clean.dtype() });
    }
    let largest = (rainy.detach() - clean.detach())?.abs()?.max_keepdim(D::Minus(3))?;
    Ok(largest.gt(threshold)?.to_dtype(rainy.dtype())?)
}

/// The mean squared difference of an attention map and a rain mask, both `[B, 1, H, W]`, a scalar with gradients.
///
/// # Errors
/// When the shapes differ.
pub fn attention_loss(attention: &Tensor, mask: &Tensor) -> Result<Tensor> {
    same_shape("attention_loss", attention, mask)?;
    Ok((attention - mask)?.sqr()?.mean_all()?)
}

fn same_shape(op: &'static str, left: &Tensor, right: &Tensor) -> Result<()> {
    if left.shape() == right.shape() {
        return Ok(());
    }
    Err(Error::Shapes { op, left: left.shape().clone(), right: right.shape().clone() })
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};

    use super::*;

    #[test]
    fn l1_and_its_gradient() -> Result<()> {
        let output = Var::new(&[[1f64, 2.], [3., 4.]], &Device::Cpu)?;
        let truth = Tensor::new(&[[0f64, 2.5], [3.5, 0.]], &Device::Cpu)?;
        let loss = l1(&output, &truth)?;
        assert_eq!(loss.to_scalar::<f64>()?, (1. + 0.5 + 0.5 + 4.) / 4.);
        let gradient = loss.backward()?.get(&output).expect("a gradient").to_vec2::<f64>()?;
        assert_eq!(gradient, [[0.25, -0.25], [-0.25, 0.25]]);
        Ok(())
    }

    #[test]
    fn mask_marks_any_channel_above_the_threshold() -> Result<()> {
        // One row of three pixels, two channels: no difference, one channel just at, one channel above.
        let rainy = Tensor::new(&[[[[0.5f64, 0.25, 0.5]], [[0.5, 0.5, 0.75]]]], &Device::Cpu)?;
        let clean = Tensor::new(&[[[[0.5f64, 0.125, 0.5]], [[0.5, 0.5, 0.25]]]], &Device::Cpu)?;
        let mask =
            |threshold| rain_mask(&rainy, &clean, threshold)?.flatten_all()?.to_vec1::<f64>().map_err(Error::from);
        assert_eq!(mask(0.125)?, [0., 0., 1.]);
        assert_eq!(mask(0.0)?, [0., 1., 1.]);
        assert_eq!(rain_mask(&rainy, &clean, 0.0)?.dims(), [1, 1, 1, 3]);
        assert_eq!(rain_mask(&rainy, &clean, 0.0)?.dtype(), DType::F64);
        Ok(())
    }

    #[test]
    fn masks_of_bytes_are_refused() -> Result<()> {
        let bytes = Tensor::zeros((1, 3, 2, 2), DType::U8, &Device::Cpu)?;
        let floats = bytes.to_dtype(DType::F32)?;
        for (rainy, clean) in [(&bytes, &bytes), (&bytes, &floats), (&floats, &bytes)] {
            let result = rain_mask(rainy, clean, 0.01);
            assert!(matches!(result, Err(Error::NotFloats { op: "rain_mask", .. })), "{result:?}");
        }
        Ok(())
    }

    #[test]
    fn attention_loss_is_a_mean_square() -> Result<()> {
        let attention = Tensor::new(&[[[[0.5f64, 1.0]]]], &Device::Cpu)?;
        let mask = Tensor::new(&[[[[1f64, 1.0]]]], &Device::Cpu)?;
        assert_eq!(attention_loss(&attention, &mask)?.to_scalar::<f64>()?, 0.125);
        Ok(())
    }

    #[test]
    fn different_shapes_are_refused() -> Result<()> {
        let a = Tensor::zeros((1, 1, 2, 2), DType::F64, &Device::Cpu)?;
        let b = Tensor::zeros((1, 1, 2, 3), DType::F64, &Device::Cpu)?;
        for result in [l1(&a, &b), rain_mask(&a, &b, 0.01), attention_loss(&a, &b)] {
            assert!(matches!(result, Err(Error::Shapes { .. })), "{result:?}");
        }
        Ok(())
    }
}
