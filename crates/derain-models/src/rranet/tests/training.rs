use candle_core::{DType, Device, Tensor, Var};

use derain_ops::LstmState;

use super::super::layers::Gates;
use super::super::{BatchStatistics, RraNet, RraNetConfig, RraNetOutput};
use super::{Expected, Named, picture, tiny};
use crate::Result;
use crate::conv::Conv;
use crate::parameters::{Parameters, builder};

/// The fixture's network in `dtype`, its parameters as variables.
fn network(dtype: DType) -> Result<(RraNet, Named<Var>)> {
    let parameters = Expected::tiny()?.parameters()?.into_iter();
    let vars = parameters.map(|(name, value)| Ok((name, Var::from_tensor(&value.to_dtype(dtype)?)?)));
    let vars = vars.collect::<Result<Named<_>>>()?;
    let tensors = vars.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect();
    Ok((RraNet::new(&tiny(), builder(tensors, dtype, &Device::Cpu))?, vars))
}

/// A scalar of which every pixel of every result has a share of its own.
fn loss(output: &RraNetOutput) -> Result<Tensor> {
    let mut sum = Tensor::zeros((), output.clean.dtype(), output.clean.device())?;
    for tensor in output.attention.iter().chain([&output.clean]) {
        let weights = (0..tensor.elem_count()).map(|i| ((i * 31) % 17) as f32 / 17.0 - 0.4).collect::<Vec<_>>();
        let weights = Tensor::from_vec(weights, tensor.shape(), &Device::Cpu)?.to_dtype(tensor.dtype())?;
        sum = (sum + (tensor * weights)?.sum_all()?)?;
    }
    Ok(sum)
}

fn values(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

#[test]
fn gradients_equal_finite_differences() -> Result<()> {
    const STEP: f64 = 1e-7;
    let (network, mut vars) = network(DType::F64)?;
    // 12 rows: four are a mirror image.
    let pictures = Var::from_tensor(&picture((2, 12, 16))?.to_dtype(DType::F64)?)?;
    let run = |train: bool| match train {
        true => Ok(network.forward_train(&pictures)?.output),
        false => network.forward(&pictures),
    };
    vars.insert("pictures".to_owned(), pictures.clone());
    for train in [true, false] {
        let gradients = loss(&run(train)?)?.backward()?;
        let (mut compared, mut sampled) = (0, 0);
        for (name, var) in &vars {
            if name.contains(".running_") {
                assert!(gradients.get(var).is_none(), "{name} has a gradient");
                continue;
            }
            let gradient = values(gradients.get(var).unwrap_or_else(|| panic!("no gradient for {name}")))?;
            let before = values(var)?;
            let at = (0..gradient.len()).max_by(|&a, &b| gradient[a].abs().total_cmp(&gradient[b].abs())).unwrap_or(0);
            let moved = |step: f64| -> Result<f64> {
                let mut values = before.clone();
                values[at] += step;
                var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu)?)?;
                Ok(loss(&run(train)?)?.to_scalar::<f64>()?)
            };
            let [up, down, here] = [moved(STEP)?, moved(-STEP)?, moved(0.0)?];
            sampled += 1;
            if ((up - here) - (here - down)).abs() > 1e-5 * (up - down).abs() + 1e-12 {
                continue; // A kink of a ReLU or a pooling lies within the step.
            }
            compared += 1;
            let expected = (up - down) / (2.0 * STEP);
            let error = (gradient[at] - expected).abs();
            assert!(error <= 1e-6 + 1e-4 * expected.abs(), "train {train}: {name}: {} for {expected}", gradient[at]);
        }
        assert!(compared * 10 >= sampled * 9, "train {train}: only {compared} of {sampled} lie away from kinks");
    }
    Ok(())
}

#[test]
fn every_norm_is_noted_once_a_stage_in_order_of_use() -> Result<()> {
    let (network, vars) = network(DType::F32)?;
    let training = network.forward_train(&picture((2, 16, 16))?)?;
    let norms: Vec<&str> = vars.keys().filter_map(|name| name.strip_suffix(".running_mean")).collect();
    assert_eq!(training.statistics.len(), 3 * norms.len());
    let (first, rest) = training.statistics.split_at(norms.len());
    let names = |of: &[BatchStatistics]| of.iter().map(|norm| norm.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(first), names(&rest[..norms.len()]));
    assert_eq!(first[0].name, "encoder.0.conv1.1");
    let mut sorted = names(first);
    sorted.sort();
    assert_eq!(sorted, norms);
    for norm in &training.statistics {
        assert_eq!(norm.mean.dims(), vars[&format!("{}.running_mean", norm.name)].dims());
        assert!(values(&norm.variance)?.iter().all(|variance| *variance > 0.0), "{}", norm.name);
    }
    Ok(())
}

/// With the batch's statistics as running ones (biased, as batch norm uses them), a network of one stage computes the
/// same in both modes.
#[test]
fn running_statistics_take_the_batchs_place() -> Result<()> {
    let config = RraNetConfig { stages: 1, ..tiny() };
    let build = |parameters: &Parameters| RraNet::new(&config, builder(parameters.clone(), DType::F64, &Device::Cpu));
    let mut parameters = Parameters::new();
    for (name, value) in Expected::tiny()?.parameters()? {
        parameters.insert(name, value.to_dtype(DType::F64)?);
    }
    let pictures = picture((2, 16, 24))?.to_dtype(DType::F64)?;
    let trained = build(&parameters)?.forward_train(&pictures)?;
    for norm in &trained.statistics {
        // The scale at which the norm works tells its count.
        let scale = match norm.name.split('.').take(2).collect::<Vec<_>>()[..] {
            ["encoder", k] => k.parse::<u32>().expect("a number"),
            ["decoder", k] => 2 - k.parse::<u32>().expect("a number"),
            _ => panic!("{}", norm.name),
        };
        let count = f64::from((2 * 16 * 24) >> (2 * scale));
        parameters.insert(format!("{}.running_mean", norm.name), norm.mean.clone());
        let biased = (&norm.variance * ((count - 1.0) / count))?;
        parameters.insert(format!("{}.running_var", norm.name), biased);
    }
    let run = build(&parameters)?.forward(&pictures)?;
    let error = (run.clean - trained.output.clean)?.abs()?.flatten_all()?.max(0)?.to_scalar::<f64>()?;
    assert!(error <= 1e-9, "{error}");
    Ok(())
}

#[test]
fn thread_counts_give_the_same_bits() -> Result<()> {
    let (network, vars) = network(DType::F32)?;
    let pictures = picture((2, 40, 33))?;
    let bits = |threads: usize| -> Result<Vec<u32>> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            let training = network.forward_train(&pictures)?;
            let gradients = loss(&training.output)?.backward()?;
            let mut all = vec![training.output.clean.clone()];
            all.extend(training.statistics.iter().map(|norm| norm.variance.clone()));
            all.extend(vars.values().filter_map(|var| gradients.get(var).cloned()));
            let all = all.iter().map(|tensor| tensor.flatten_all()?.to_vec1::<f32>());
            let all = all.collect::<candle_core::Result<Vec<_>>>()?.concat();
            Ok(all.into_iter().map(f32::to_bits).collect())
        })
    };
    let first = bits(1)?;
    for threads in [2, 3, 5] {
        assert!(first == bits(threads)?, "{threads} threads give other bits");
    }
    Ok(())
}

#[test]
fn a_step_without_a_state_is_one_from_zeros() -> Result<()> {
    let (batch, channels, height, width) = (2, 5, 6, 7);
    let wave = |shape: &[usize]| -> Result<Tensor> {
        let values = (0..shape.iter().product()).map(|i: usize| ((i * 7919) % 1009) as f64 / 1009.0 - 0.5).collect();
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    };
    let weight = Var::from_tensor(&wave(&[4 * channels, 2 * channels, 3, 3])?)?;
    let bias = Var::from_tensor(&wave(&[4 * channels])?)?;
    let x = Var::from_tensor(&wave(&[batch, channels, height, width])?)?;
    let gates = Gates::of(Conv::from_parameters(weight.as_tensor().clone(), Some(bias.as_tensor().clone()), 1))?;
    let zeros = LstmState { hidden: x.zeros_like()?, cell: x.zeros_like()? };
    let run = |state: Option<&LstmState>| -> Result<Vec<Vec<f64>>> {
        let LstmState { hidden, cell } = gates.step(&x, state)?;
        let gradients = ((&hidden * x.as_tensor())? + cell.sqr()?)?.sum_all()?.backward()?;
        let of = |var: &Var| values(gradients.get(var).unwrap_or_else(|| panic!("no gradient")));
        Ok(vec![values(&hidden)?, values(&cell)?, of(&weight)?, of(&bias)?, of(&x)?])
    };
    for (without, zeros) in run(None)?.iter().zip(&run(Some(&zeros))?) {
        let error = without.iter().zip(zeros).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(without.len() == zeros.len() && error <= 1e-12, "{error}");
    }
    Ok(())
}
