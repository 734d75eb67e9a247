// What follows a convolution's sum, and the way back through it (conv2d/mod.rs): needs planes.cu, sums.cu and pieces.cu. Symbols: s the sum
// with its bias, y = activation(s·scale + residual), g the gradient behind the activation. All are [B, O, H, W], but the bias [O] and the
// scale [B, 1, H, W]; `pixels` are H·W. What is null is not there.

// From a plane's place in [B, O, H, W] to its picture's in [B, 1, H, W]. There are no more planes than blocks, so 32 bits hold their number.
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
  Real values[RUN];
  for_elements(piece, pixels, [&](int k, long long at) {
    Real value = load(y + at);
    if (bias) value += offset;
    if (scales) value *= load(scales + at);
    if (residual) value += load(residual + at);
    // A comparison, which leaves NaN as it is.
    values[k] = relu && value < 0 ? Real(0) : value;
  });
  // Stores come last: to a compiler they may change what is loaded next, so among the loads they would hold those up.
  for_elements(piece, pixels, [&](int k, long long at) { store(y + at, values[k]); });
}

// g, which is the residual's gradient, and ds = g · scale, each unless it is null; `sums` gets each piece's sum of ds, which make the bias's.
extern "C" __global__ void __launch_bounds__(THREADS)
    conv2d_epilogue_backward(const Stored* y, const Stored* grad, const Stored* scale, Stored* g, Stored* ds, double* sums,
                             int outputs, int pixels, int relu) {
  __shared__ double warps[WARPS];
  const Piece piece = piece_of(pixels);
  const Stored* scales = scale ? scale + to_scale(piece.plane, outputs, pixels) : 0;
  Real sum = 0;
  for_elements(piece, pixels, [&](int, long long at) {
    Real value = relu && load(y + at) <= 0 ? Real(0) : load(grad + at);
    if (g) store(g + at, value);
    if (scales) value *= load(scales + at);
    if (ds) store(ds + at, value);
    sum += value;
  });
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
