// Batch normalization of batch_norm/mod.rs: needs sums.cu and pieces.cu. Symbols: μ, σ² the moments, s = sqrt(σ² + ε),
// x̂ = (x - μ) / s, γ and β gain and offset, g the incoming gradient, N the elements of a channel. x is [B, C, H, W],
// `pixels` are H·W, `moments` [2, C]: every channel's mean, then every channel's biased variance.
//
// Moments and the sums of gradients are in f64, and so is x - μ: f32 would lose what a mean far from 0 leaves of it.
// The rest is in Real.

struct Channel {
  double mean;
  Real inverse;  // 1 / s.
};

__device__ __forceinline__ Channel channel_of(const double* moments, int channels, int channel, double epsilon) {
  const Channel statistics = {moments[channel], (Real)(1 / sqrt(moments[channels + channel] + epsilon))};
  return statistics;
}

// Of 32 bits, as blocks are counted: dividing 64 takes many instructions.
__device__ __forceinline__ int channel_of_piece(const Piece& piece, int channels) { return (unsigned)piece.plane % channels; }

// The mean and the squared deviations from it of each piece of each plane, to `pieces` [B·C·pieces, 2]. Elements are
// read once, and stay in registers for the deviations.
extern "C" __global__ void __launch_bounds__(THREADS) batch_norm_pieces(const Stored* x, double* pieces, int pixels) {
  __shared__ double warps[2][WARPS];
  const Piece piece = piece_of(pixels);
  Real values[RUN];
  load_elements(piece, pixels, x, values);
  double sum = 0, squares = 0;
  for_elements(piece, pixels, [&](int k, long long) { sum += values[k]; });
  const double mean = sum_block(sum, warps[0]) / piece.count;
  for_elements(piece, pixels, [&](int k, long long) { squares += (values[k] - mean) * (values[k] - mean); });
  squares = sum_block(squares, warps[1]);
  if (threadIdx.x > 0) return;
  pieces[2 * (long long)blockIdx.x] = mean;
  pieces[2 * (long long)blockIdx.x + 1] = squares;
}

// The moments of each channel from those of its pieces, a block for each channel; `statistics` [2, C] gets its mean and
// its unbiased variance.
extern "C" __global__ void __launch_bounds__(THREADS)
    batch_norm_moments(const double* pieces, double* moments, Real* statistics, int batch, int channels, int pixels) {
  __shared__ double warps[2][WARPS];
  const int per_plane = pieces_of(pixels);
  const double count = (double)batch * pixels;
  // The last piece of a plane may be shorter.
  const auto length = [&](long long piece) {
    const int left = pixels - (int)(piece % per_plane) * PIECE;
    return (double)(left < PIECE ? left : PIECE);
  };
  const double mean = sum_pieces(batch, channels, per_plane, warps[0], [&](long long piece) {
    return length(piece) * pieces[2 * piece];
  }) / count;
  // A piece's deviations from the channel's mean are those from its own, and its own mean's.
  const double squares = sum_pieces(batch, channels, per_plane, warps[1], [&](long long piece) {
    const double off = pieces[2 * piece] - mean;
    return pieces[2 * piece + 1] + length(piece) * off * off;
  });
  if (threadIdx.x > 0) return;
  moments[blockIdx.x] = mean;
  moments[channels + blockIdx.x] = squares / count;
  statistics[blockIdx.x] = (Real)mean;
  statistics[channels + blockIdx.x] = (Real)(squares / (count - 1));
}

// y = γ · x̂ + β, or 0 where that is below 0 and a ReLU follows; NaN stays.
extern "C" __global__ void __launch_bounds__(THREADS)
    batch_norm_normalize(const Stored* x, const Stored* gamma, const Stored* beta, const double* moments, double epsilon, Stored* y,
                         int relu, int channels, int pixels) {
  const Piece piece = piece_of(pixels);
  const int channel = channel_of_piece(piece, channels);
  const Channel statistics = channel_of(moments, channels, channel, epsilon);
  const Real slope = load(gamma + channel) * statistics.inverse, offset = load(beta + channel);
  Real values[RUN];
  load_elements(piece, pixels, x, values);
  for_elements(piece, pixels, [&](int k, long long) {
    const Real value = (Real)(values[k] - statistics.mean) * slope + offset;
    values[k] = relu && value < 0 ? (Real)0 : value;
  });
  store_elements(piece, pixels, values, y);
}

// x and g as it arrives at the normalized x: a ReLU lets it through where its result y is above 0.
__device__ __forceinline__ void load_gradient(const Piece& piece, int pixels, const Stored* x, const Stored* grad, const Stored* y,
                                              Real (&values)[RUN], Real (&g)[RUN]) {
  Real results[RUN];
  load_elements(piece, pixels, x, values);
  load_elements(piece, pixels, grad, g);
  load_elements(piece, pixels, y, results);
#pragma unroll
  for (int k = 0; k < RUN; k++) {
    if (y && !(results[k] > 0)) g[k] = 0;
  }
}

// What each piece adds to the gradients of γ and β: Σ g · x̂ and Σ g, to `sums` [B·C·pieces, 2]. Where the moments are
// constants, `d_x` gets γ / s · g in the same pass; else it is null.
extern "C" __global__ void __launch_bounds__(THREADS)
    batch_norm_gradient_sums(const Stored* x, const Stored* grad, const Stored* y, const Stored* gamma, const double* moments,
                             double epsilon, double* sums, Stored* d_x, int channels, int pixels) {
  __shared__ double warps[2][WARPS];
  const Piece piece = piece_of(pixels);
  const int channel = channel_of_piece(piece, channels);
  const Channel statistics = channel_of(moments, channels, channel, epsilon);
  const Real slope = load(gamma + channel) * statistics.inverse;
  Real values[RUN], g[RUN];
  load_gradient(piece, pixels, x, grad, y, values, g);
  double d_gamma = 0, d_beta = 0;
  for_elements(piece, pixels, [&](int k, long long) {
    d_gamma += g[k] * (values[k] - statistics.mean);
    d_beta += g[k];
    g[k] *= slope;
  });
  if (d_x) store_elements(piece, pixels, g, d_x);
  d_gamma = sum_block(d_gamma, warps[0]);
  d_beta = sum_block(d_beta, warps[1]);
  if (threadIdx.x > 0) return;
  sums[2 * (long long)blockIdx.x] = d_gamma * statistics.inverse;
  sums[2 * (long long)blockIdx.x + 1] = d_beta;
}

// dγ and dβ, a block for each channel: as elements, and in f64 to `totals` [2, C].
extern "C" __global__ void __launch_bounds__(THREADS)
    batch_norm_coefficient_gradients(const double* sums, double* totals, Stored* d_gamma, Stored* d_beta, int batch, int channels,
                                     int pixels) {
  __shared__ double warps[2][WARPS];
  const int channel = blockIdx.x, pieces = pieces_of(pixels);
  const double of_gamma = sum_pieces(batch, channels, pieces, warps[0], [&](long long piece) { return sums[2 * piece]; });
  const double of_beta = sum_pieces(batch, channels, pieces, warps[1], [&](long long piece) { return sums[2 * piece + 1]; });
  if (threadIdx.x > 0) return;
  totals[channel] = of_gamma;
  totals[channels + channel] = of_beta;
  store(d_gamma + channel, (Real)of_gamma);
  store(d_beta + channel, (Real)of_beta);
}

// dx through the batch's own moments: γ / s · (g - dβ / N - x̂ · dγ / N).
extern "C" __global__ void __launch_bounds__(THREADS)
    batch_norm_backward(const Stored* x, const Stored* grad, const Stored* y, const Stored* gamma, const double* moments,
                        double epsilon, const double* totals, Stored* d_x, int batch, int channels, int pixels) {
  const Piece piece = piece_of(pixels);
  const int channel = channel_of_piece(piece, channels);
  const Channel statistics = channel_of(moments, channels, channel, epsilon);
  const double count = (double)batch * pixels;
  const Real slope = load(gamma + channel) * statistics.inverse;
  const Real tilt = totals[channel] / count * statistics.inverse, shift = totals[channels + channel] / count;
  Real values[RUN], g[RUN];
  load_gradient(piece, pixels, x, grad, y, values, g);
  for_elements(piece, pixels, [&](int k, long long) { g[k] = slope * (g[k] - shift - tilt * (Real)(values[k] - statistics.mean)); });
  store_elements(piece, pixels, g, d_x);
}
