// What follows a convolution's sum, and the way back through it (conv2d/mod.rs): needs planes.cu, sums.cu and pieces.cu. Symbols: s the sum
// with its bias, y = activation(s·scale + residual), g the gradient behind the activation. All are [B, O, H, W], but the bias [O] and the
// scale [B, 1, H, W]; `pixels` are H·W. What is null is not there.

// In place: y holds the sums without bias, and then the results.
extern "C" __global__ void conv2d_epilogue(Stored* y, const Stored* bias, const Stored* scale, const Stored* residual, int outputs,
                                           int pixels, int relu) {
  const Place place = place_of(pixels);
  if (!place.inside) return;
  const long long at = place.plane * pixels + place.element;
  Real value = load(y + at);
  if (bias) value += load(bias + place.plane % outputs);
  if (scale) value *= load(scale + place.plane / outputs * pixels + place.element);
  if (residual) value += load(residual + at);
  // A comparison, which leaves NaN as it is.
  if (relu && value < 0) value = 0;
  store(y + at, value);
}

// g, which is the residual's gradient, and ds = g · scale, each unless it is null; `sums` gets each piece's sum of ds, which make the bias's.
extern "C" __global__ void __launch_bounds__(THREADS)
    conv2d_epilogue_backward(const Stored* y, const Stored* grad, const Stored* scale, Stored* g, Stored* ds, double* sums,
                             int outputs, int pixels, int relu) {
  __shared__ double warps[WARPS];
  const Piece piece = piece_of(pixels);
  // From a place in [B, O, H, W] to one in [B, 1, H, W].
  const long long to_scale = (piece.plane / outputs - piece.plane) * pixels;
  Real sum = 0;
  for_elements(piece, pixels, [&](int, long long at) {
    Real value = relu && load(y + at) <= 0 ? Real(0) : load(grad + at);
    if (g) store(g + at, value);
    if (scale) value *= load(scale + to_scale + at);
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
