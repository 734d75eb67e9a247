// The gradients of coefficients, from strips' sums, and of maps: needs lines.cu and columns.cu.

// Adds the strips' sums of a direction and channel: `gradients` is [2, 4, C], those of the weights, then of the biases. A warp for each.
extern "C" __global__ void irnn_coefficient_gradients(const double* column_sums, const double* row_sums, Stored* gradients, int batch,
                                                      int channels, int column_strips, int row_strips) {
  const int at = (blockIdx.x * blockDim.x + threadIdx.x) / LANES, lane = threadIdx.x % LANES;
  if (at >= 8 * channels) return;
  const int channel = at % channels, direction = at / channels % 4, which = at / channels / 4;
  const bool columns = direction == UP || direction == DOWN;
  const double* sums = columns ? column_sums : row_sums;
  const int strips = columns ? column_strips : row_strips;
  double sum = 0;
  for (int i = lane; i < batch * strips; i += LANES) {
    const long long plane = ((long long)direction * batch + i / strips) * channels + channel;
    sum += sums[(plane * strips + i % strips) * 2 + which];
  }
  sum = sum_warp(sum);
  if (lane == 0) store(gradients + at, (Real)sum);
}

// The gradient of the maps, [B, 4, H, W]: the sum over channels of grad * h. A thread for each.
extern "C" __global__ void irnn_map_gradients(const Stored* h, const Stored* grad, Stored* gradients, int channels, long long pixels,
                                              long long count) {
  const long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= count) return;
  const long long first = at / pixels * channels * pixels + at % pixels;
  Real sum = 0;
  for (int channel = 0; channel < channels; channel++) {
    sum += load(grad + first + channel * pixels) * load(h + first + channel * pixels);
  }
  store(gradients + at, sum);
}
