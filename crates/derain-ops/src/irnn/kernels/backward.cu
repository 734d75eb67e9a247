// The gradients of the scans: needs lines.cu.
//
// What both kernels do for a direction stands in both: as functions it took 78 registers instead of 64, and spilled some of f64's (nvcc 13.0,
// sm_80 and sm_90).

// The gradients' steps g -> [h > 0] (dh + a g) are linear.
struct Slopes {
  Real factor[SEGMENTS][LANES], offset[SEGMENTS][LANES];
  // The h of a segment that the one after it in the walk asks for.
  Real edge[SEGMENTS][LANES];
};

// The gradient of one chunk, walked against the scan; ASCENDING is the order of this walk. `outside` is h at the position that follows the chunk
// in the walk, where there is one, in the threads of its last segment. `emit(k, g)` receives the gradients; d_a and d_b gather those of a and b.
template <bool ASCENDING, class Emit>
__device__ __forceinline__ void scan_gradient(const Real (&h)[RUN], const Real (&dh)[RUN], Real outside, int chunk, int length,
                                              Recurrence recurrence, Slopes& slopes, Real& carry, Real& d_a, Real& d_b,
                                              Emit emit) {
  const int lane = threadIdx.x, segment = threadIdx.y;
  const int start = chunk * CHUNK + segment * RUN, count = inside(start, length);
  const Real a = recurrence.a;
  // The scan's first position, which a and b are not applied to, is the last of this walk.
  const int border = ASCENDING ? length - 1 - start : -start;

  Real factor = 1, offset = 0;
#pragma unroll
  for (int i = 0; i < RUN; i++) {
    const int k = ASCENDING ? i : RUN - 1 - i;
    if (k < count) {
      factor = h[k] > 0 ? bounded(a * factor) : Real(0);
      offset = h[k] > 0 ? a * offset + dh[k] : Real(0);
    }
  }
  slopes.factor[segment][lane] = factor;
  slopes.offset[segment][lane] = offset;
  slopes.edge[segment][lane] = h[ASCENDING ? 0 : RUN - 1];
  __syncthreads();
  const int next = ASCENDING ? segment + 1 : segment - 1;
  const Real beyond = next < 0 || next == SEGMENTS ? outside : slopes.edge[next][lane];
  Real state = carry, g = carry;
#pragma unroll
  for (int i = 0; i < SEGMENTS; i++) {
    const int s = ASCENDING ? i : SEGMENTS - 1 - i;
    if (s == segment) g = state;
    state = slopes.factor[s][lane] * state + slopes.offset[s][lane];
  }
  carry = state;
  // The next chunk writes its slopes over these.
  __syncthreads();

#pragma unroll
  for (int i = 0; i < RUN; i++) {
    const int k = ASCENDING ? i : RUN - 1 - i;
    if (k < count) {
      g = h[k] > 0 ? a * g + dh[k] : Real(0);
      if (k != border) {
        // Past the registers lies `beyond`. Which position that is must not hang on `count`: from that nvcc 13.0 made code for the columns' second
        // pass that took the last register instead. Where a line ends within the registers, its end is the border.
        const Real h_before = i == RUN - 1 ? beyond : h[i == RUN - 1 ? k : ASCENDING ? k + 1 : k - 1];
        d_a += g * h_before;
        d_b += g;
      }
      emit(k, g);
    }
  }
}

// Where a strip's sums of a direction go.
__device__ __forceinline__ double* sums_of(double* sums, int direction, int strips, const Strip& strip) {
  const long long plane = blockIdx.x / strips, planes = gridDim.x / strips;
  return sums + ((direction * planes + plane) * strips + strip.index) * 2;
}

// Sums of a block's threads, in a fixed order, to `sums`.
__device__ __forceinline__ void sum_block(Real d_a, Real d_b, double (&partial)[SEGMENTS][2], double* sums) {
  double a = d_a, b = d_b;
#pragma unroll
  for (int apart = LANES / 2; apart > 0; apart /= 2) {
    a += __shfl_xor_sync(FULL_WARP, a, apart);
    b += __shfl_xor_sync(FULL_WARP, b, apart);
  }
  if (threadIdx.x == 0) {
    partial[threadIdx.y][0] = a;
    partial[threadIdx.y][1] = b;
  }
  __syncthreads();
  if (threadIdx.x < 2 && threadIdx.y == 0) {
    double sum = 0;
    for (int segment = 0; segment < SEGMENTS; segment++) sum += partial[segment][threadIdx.x];
    sums[threadIdx.x] = sum;
  }
  // The other direction's partial sums come next.
  __syncthreads();
}

// The columns' part of the gradients, from the scans h (before maps) and the incoming gradient, both [B, 4C, H, W]. `d_x` [B, C, H, W] becomes
// the sum of down and up; `sums` [4, B C, strips, 2] gets each strip's share of the gradients of a and b.
extern "C" __global__ void __launch_bounds__(LANES * SEGMENTS, COLUMN_BLOCKS_AT_ONCE)
    irnn_backward_columns(const Stored* h, const Stored* grad, const Stored* weights, const Stored* biases, const Stored* maps,
                          Real* d_x, double* sums, int channels, int height, int width) {
  __shared__ Slopes shared;
  __shared__ double partial[SEGMENTS][2];
  const int strips = (width + LANES - 1) / LANES, chunks = chunks_of(height);
  const long long pixels = (long long)height * width;
  const Strip strip = strip_of(strips, channels, pixels);
  const int column = strip.index * LANES + threadIdx.x;
  d_x += strip.input;
  Real h_line[RUN], dh_line[RUN];
  for (int pass = 0; pass < 2; pass++) {
    const int direction = pass == 0 ? DOWN : UP;
    const Recurrence recurrence = recurrence_of(weights, biases, direction, channels, strip.channel);
    const Stored* map = maps ? maps + strip.maps + direction * pixels : 0;
    const Stored* h_plane = h + strip.output + direction * channels * pixels;
    const Stored* grad_plane = grad + strip.output + direction * channels * pixels;
    Real carry = 0, d_a = 0, d_b = 0;
    for (int step = 0; step < chunks; step++) {
      // Against the scan: down's gradients run upwards.
      const int chunk = pass == 0 ? chunks - 1 - step : step;
      load_columns(h_plane, 0, height, width, column, chunk, h_line);
      load_columns(grad_plane, map, height, width, column, chunk, dh_line);
      const int start = chunk * CHUNK + threadIdx.y * RUN;
      const int after = pass == 0 ? start - 1 : start + RUN;
      Real outside = 0;
      if (threadIdx.y == (pass == 0 ? 0 : SEGMENTS - 1) && after >= 0 && after < height && column < width) {
        outside = load(h_plane + after * width + column);
      }
      const auto emit = [&](int k, Real g) {
        if (column >= width) return;
        const int at = (start + k) * width + column;
        d_x[at] = pass == 0 ? g : d_x[at] + g;
      };
      if (pass == 0) {
        scan_gradient<false>(h_line, dh_line, outside, chunk, height, recurrence, shared, carry, d_a, d_b, emit);
      } else {
        scan_gradient<true>(h_line, dh_line, outside, chunk, height, recurrence, shared, carry, d_a, d_b, emit);
      }
    }
    sum_block(d_a, d_b, partial, sums_of(sums, direction, strips, strip));
  }
}

// The rows' part: adds right and left to `partial_d_x`, which holds the columns' part, and stores the whole in `d_x`. For 32-bit and
// 64-bit elements the two may be the same memory.
extern "C" __global__ void __launch_bounds__(LANES * SEGMENTS)
    irnn_backward_rows(const Stored* h, const Stored* grad, const Stored* weights, const Stored* biases, const Stored* maps,
                       Real* partial_d_x, Stored* d_x, double* sums, int channels, int height, int width) {
  __shared__ Slopes shared;
  __shared__ Tile tiles[SEGMENTS];
  __shared__ double partial[SEGMENTS][2];
  const int strips = (height + LANES - 1) / LANES, chunks = chunks_of(width);
  const long long pixels = (long long)height * width;
  const Strip strip = strip_of(strips, channels, pixels);
  const int first_row = strip.index * LANES, row = first_row + threadIdx.x;
  Tile& tile = tiles[threadIdx.y];
  d_x += strip.input;
  partial_d_x += strip.input;
  Real h_line[RUN], dh_line[RUN];
  for (int pass = 0; pass < 2; pass++) {
    const int direction = pass == 0 ? RIGHT : LEFT;
    const Recurrence recurrence = recurrence_of(weights, biases, direction, channels, strip.channel);
    const Stored* map = maps ? maps + strip.maps + direction * pixels : 0;
    const Stored* h_plane = h + strip.output + direction * channels * pixels;
    const Stored* grad_plane = grad + strip.output + direction * channels * pixels;
    Real carry = 0, d_a = 0, d_b = 0;
    for (int step = 0; step < chunks; step++) {
      const int chunk = pass == 0 ? chunks - 1 - step : step;
      // Both are under way before the first is turned.
      fetch_rows(h_plane, 0, height, width, first_row, chunk, h_line);
      fetch_rows(grad_plane, map, height, width, first_row, chunk, dh_line);
      turn_rows(tile, h_line);
      turn_rows(tile, dh_line);
      const int after = pass == 0 ? chunk * CHUNK - 1 : (chunk + 1) * CHUNK;
      Real outside = 0;
      if (threadIdx.y == (pass == 0 ? 0 : SEGMENTS - 1) && after >= 0 && after < width && row < height) {
        outside = load(h_plane + row * width + after);
      }
      const auto emit = [&](int k, Real g) { tile[threadIdx.x][k] = g; };
      if (pass == 0) {
        scan_gradient<false>(h_line, dh_line, outside, chunk, width, recurrence, shared, carry, d_a, d_b, emit);
      } else {
        scan_gradient<true>(h_line, dh_line, outside, chunk, width, recurrence, shared, carry, d_a, d_b, emit);
      }
      for_rows(tile, height, width, first_row, chunk, [&](int at, Real g) {
        if (pass == 0) {
          partial_d_x[at] += g;
        } else {
          store(d_x + at, partial_d_x[at] + g);
        }
      });
    }
    sum_block(d_a, d_b, partial, sums_of(sums, direction, strips, strip));
  }
}

// Adds the strips' sums of a direction and channel: `gradients` is [2, 4, C], those of the weights, then of the biases. A thread for each.
extern "C" __global__ void irnn_coefficient_gradients(const double* column_sums, const double* row_sums, Stored* gradients, int batch,
                                                      int channels, int column_strips, int row_strips) {
  const int at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= 8 * channels) return;
  const int channel = at % channels, direction = at / channels % 4, which = at / channels / 4;
  const bool columns = direction == UP || direction == DOWN;
  const double* sums = columns ? column_sums : row_sums;
  const int strips = columns ? column_strips : row_strips;
  double sum = 0;
  for (int picture = 0; picture < batch; picture++) {
    const long long plane = ((long long)direction * batch + picture) * channels + channel;
    for (int strip = 0; strip < strips; strip++) sum += sums[(plane * strips + strip) * 2 + which];
  }
  store(gradients + at, (Real)sum);
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
