// What follows a convolution's sum, and the way back through it (conv2d/mod.rs): needs planes.cu, sums.cu and
// pieces.cu. Symbols: s the sum with its bias, y = activation(s·scale + residual), g the gradient behind the
// activation. All are [B, O, H, W], but the bias [O] and the scale [B, 1, H, W]; `pixels` are H·W. What is null is not
// there.

// From a plane's place in [B, O, H, W] to its picture's in [B, 1, H, W]. There are no more planes than blocks, so 32
// bits hold their number.
__device__ __forceinline__ long long to_scale(unsigned plane, int outputs, int pixels) {
  return ((long long)(plane / outputs) - plane) * pixels;
}

// In place: y holds the sums without bias, and then the results.
extern "C" __global__ void __launch_bounds__(THREADS)
    conv2d_epilogue(Stored* y, const Stored* bias, const Stored* scale, const Stored* residual, int outputs, int pixels, int relu) {
  const Piece piece = piece_of(pixels);
  const unsigned plane = piece.plane;
  const Real offset = bias ? load(bias + plane % outputs) : Real(0);
  const Stored* scales = scale ? scale + to_scale(plane, outputs, pixels) : 0;
  Real values[RUN], factors[RUN], summands[RUN];
  load_elements(piece, pixels, y, values);
  load_elements(piece, pixels, scales, factors);
  load_elements(piece, pixels, residual, summands);
#pragma unroll
  for (int k = 0; k < RUN; k++) {
    if (bias) values[k] += offset;
    if (scales) values[k] *= factors[k];
    if (residual) values[k] += summands[k];
    // A comparison, which leaves NaN as it is.
    if (relu && values[k] < 0) values[k] = 0;
  }
  store_elements(piece, pixels, values, y);
}

// g, which is the residual's gradient, ds = g · scale, and each piece's sum of ds, which make the bias's gradient: each
// unless it is null.
extern "C" __global__ void __launch_bounds__(THREADS)
    conv2d_epilogue_backward(const Stored* y, const Stored* grad, const Stored* scale, Stored* g, Stored* ds, double* sums,
                             int outputs, int pixels, int relu) {
  __shared__ double warps[WARPS];
  const Piece piece = piece_of(pixels);
  const Stored* scales = scale ? scale + to_scale(piece.plane, outputs, pixels) : 0;
  Real values[RUN], results[RUN], factors[RUN];
  load_elements(piece, pixels, grad, values);
  load_elements(piece, pixels, relu ? y : 0, results);
  load_elements(piece, pixels, scales, factors);
#pragma unroll
  for (int k = 0; k < RUN; k++) {
    if (relu && results[k] <= 0) values[k] = 0;
  }
  if (g) store_elements(piece, pixels, values, g);
  Real sum = 0;
#pragma unroll
  for (int k = 0; k < RUN; k++) {
    if (scales) values[k] *= factors[k];
    sum += values[k];
  }
  if (ds) store_elements(piece, pixels, values, ds);
  if (!sums) return;
  const double total = sum_block(sum, warps);
  if (threadIdx.x == 0) sums[blockIdx.x] = total;
}

// The gradient of the bias: a block for each output channel.
extern "C" __global__ void __launch_bounds__(THREADS)
    conv2d_bias_gradient(const double* sums, Stored* d_bias, int batch, int outputs, int pixels) {
  __shared__ double warps[WARPS];
  const double sum = sum_pieces(batch, outputs, pieces_of(pixels), warps, [&](long long piece) { return sums[piece]; });
  if (threadIdx.x == 0) store(d_bias + blockIdx.x, (Real)sum);
}

// The gradient of the scale: the sum over channels of g · s. `sums` are those of the convolution, without bias.
extern "C" __global__ void conv2d_scale_gradient(const Stored* sums, const Stored* bias, const Stored* g, Stored* d_scale, int outputs,
                                                 int pixels) {
  const Place place = place_of(pixels);
  if (!place.inside) return;
  const long long first = place.plane * outputs * pixels + place.element;
  Real sum = 0;
  for (int output = 0; output < outputs; output++) {
    const long long at = first + (long long)output * pixels;
    const Real s = load(sums + at) + (bias ? load(bias + output) : Real(0));
    sum += load(g + at) * s;
  }
  store(d_scale + place.plane * pixels + place.element, sum);
}
