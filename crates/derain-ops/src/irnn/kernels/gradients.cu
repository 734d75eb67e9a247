// What the gradients along columns and rows share, and those of coefficients and maps: needs lines.cu.

// What is read once makes room in the cache first.
__device__ __forceinline__ Real load_once(const Stored* place) { return to_real(__ldcs(place)); }

// The gradients' steps g -> [h > 0] (dh + a g) are linear, so any number of them is a map g -> factor g + offset. Where
// some h on the way is 0, the factor is: nothing that came before goes on, not even what is infinite or NaN.
__device__ __forceinline__ Real through(Real factor, Real offset, Real g) { return factor == 0 ? offset : factor * g + offset; }

// The steps of some positions as one map. ASCENDING is the order of the walk, which goes against the
// scan. Outside the line h is 0, and so are gradients.
template <bool ASCENDING, int COUNT>
__device__ __forceinline__ void compose(const Real (&h)[COUNT], const Real (&dh)[COUNT], Real a, Real& factor, Real& offset) {
  factor = 1;
  offset = 0;
#pragma unroll
  for (int i = 0; i < COUNT; i++) {
    const int k = ASCENDING ? i : COUNT - 1 - i;
    factor = h[k] > 0 ? bounded(a * factor) : Real(0);
    offset = h[k] > 0 ? a * offset + dh[k] : Real(0);
  }
}

// Takes those steps from g; dh becomes the gradients, d_a and d_b gather those of a and b. `beyond` is the h that
// follows in the walk.
template <bool ASCENDING, int COUNT>
__device__ __forceinline__ void take(const Real (&h)[COUNT], Real (&dh)[COUNT], Real beyond, int first, int length, Real a, Real g,
                                     Real& d_a, Real& d_b) {
#pragma unroll
  for (int i = 0; i < COUNT; i++) {
    const int k = ASCENDING ? i : COUNT - 1 - i, at = first + k;
    g = h[k] > 0 ? a * g + dh[k] : Real(0);
    dh[k] = g;
    // Not outside the line, and not at the scan's first position, which a and b are not applied to.
    if (ASCENDING ? at < length - 1 : (unsigned)(at - 1) < (unsigned)(length - 1)) {
      // Past the registers lies `beyond`. Which position that is must not hang on where the line ends: from that nvcc
      // 13.0 made code for the columns' second pass that took the last register instead. Where a line ends within the
      // registers, the condition above fails.
      d_a += g * (i == COUNT - 1 ? beyond : h[i == COUNT - 1 ? k : ASCENDING ? k + 1 : k - 1]);
      d_b += g;
    }
  }
}

// Where a strip's sums of a direction go.
__device__ __forceinline__ double* sums_of(double* sums, int direction, int strips, const Strip& strip) {
  const long long planes = gridDim.x / strips;
  return sums + ((direction * planes + strip.plane) * strips + strip.index) * 2;
}

__device__ __forceinline__ double sum_warp(double value) {
#pragma unroll
  for (int apart = LANES / 2; apart > 0; apart /= 2) value += __shfl_xor_sync(FULL_WARP, value, apart);
  return value;
}

// Sums of a block's threads, in a fixed order, to `sums`.
template <int WARPS> __device__ __forceinline__ void sum_strip(Real d_a, Real d_b, double (&partial)[WARPS][2], double* sums) {
  const double a = sum_warp(d_a), b = sum_warp(d_b);
  if (threadIdx.x == 0) {
    partial[threadIdx.y][0] = a;
    partial[threadIdx.y][1] = b;
  }
  __syncthreads();
  if (threadIdx.x < 2 && threadIdx.y == 0) {
    double sum = 0;
    for (int warp = 0; warp < WARPS; warp++) sum += partial[warp][threadIdx.x];
    sums[threadIdx.x] = sum;
  }
  // The other direction's partial sums come next.
  __syncthreads();
}

// Adds the strips' sums of a direction and channel: `gradients` is [2, 4, C], those of the weights, then of the biases.
// A warp for each.
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
