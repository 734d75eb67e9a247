// The scans of irnn/mod.rs. Symbols: a, b weight and bias of a direction and channel; h the scan's states; g their gradients.
//
// A block takes a strip of 32 lines (columns or rows) of one plane, a lane for each line. A line is walked in chunks of SEGMENTS * RUN
// positions: the thread (lane, segment) holds RUN of them in registers, composes their steps to one map, and learns from the
// maps of the segments before its own where to start. Chunks and segments depend on nothing but positions, and every sum has a
// fixed order: equal input gives equal bits.

#define LANES 32
// More of a line in registers means fewer barriers and fewer threads at work at once: 32 took 243 registers.
#define RUN 16
#define SEGMENTS 8
// Lines that one access of a warp reads, RUN positions of each.
#define LINES_AT_ONCE (LANES / RUN)
// What registers allow without spills; without a bound ptxas spills some for sm_80.
#ifdef ELEMENT_F64
#define BLOCKS_AT_ONCE 2
#else
#define BLOCKS_AT_ONCE 3
#endif
#define CHUNK (SEGMENTS * RUN)
#define FULL_WARP 0xffffffffu
// The order of `Direction` in mod.rs.
#define UP 0
#define RIGHT 1
#define DOWN 2
#define LEFT 3

// 32 lines by RUN positions of a segment, one column wider than needed: lanes that read a column meet 32 banks.
typedef Real Tile[LANES][RUN + 1];

struct Recurrence {
  Real a, b;
};

// Steps h -> max(a h + c, 0) are closed under composition in the form h -> min(max(factor h + offset, low), high). The upper bound
// matters for a < 0 alone. Bounds keep a factor from becoming infinite, which times h = 0 would be NaN.
struct Maps {
  Real factor[SEGMENTS][LANES], offset[SEGMENTS][LANES], low[SEGMENTS][LANES], high[SEGMENTS][LANES];
};

// The gradients' steps g -> [h > 0] (dh + a g) are linear.
struct Slopes {
  Real factor[SEGMENTS][LANES], offset[SEGMENTS][LANES];
};

// max and min that keep NaN.
__device__ __forceinline__ Real at_least(Real low, Real value) { return value < low ? low : value; }
__device__ __forceinline__ Real at_most(Real high, Real value) { return value > high ? high : value; }
__device__ __forceinline__ Real bounded(Real value) { return at_most(LARGEST, at_least(-LARGEST, value)); }

// Positions of a segment that lie inside the line.
__device__ __forceinline__ int inside(int start, int length) {
  const int left = length - start;
  return left < 0 ? 0 : left > RUN ? RUN : left;
}

__device__ __forceinline__ int chunks_of(int length) { return (length + CHUNK - 1) / CHUNK; }

// Scans one chunk of every line of the strip. `carry` is the state before the chunk, and after it on return, in all segments' threads
// of a line. `emit(k, h)` receives the state at each of this thread's positions.
template <bool ASCENDING, class Emit>
__device__ __forceinline__ void scan(const Real (&x)[RUN], int chunk, int length, Recurrence recurrence, Maps& maps, Real& carry,
                                     Emit emit) {
  const int lane = threadIdx.x, segment = threadIdx.y;
  const int start = chunk * CHUNK + segment * RUN, count = inside(start, length);
  const Real a = recurrence.a, b = recurrence.b;
  // At the border neither a nor b is applied.
  const int border = ASCENDING ? -start : length - 1 - start;

  Real factor = 1, offset = 0, low = 0, high = LARGEST;
#pragma unroll
  for (int i = 0; i < RUN; i++) {
    const int k = ASCENDING ? i : RUN - 1 - i;
    if (k < count) {
      // Nothing comes in at the border, so there a has nothing to multiply.
      const Real c = x[k] + (k == border ? Real(0) : b);
      factor = bounded(a * factor);
      offset = bounded(a * offset + c);
      const Real p = at_least(0, a * low + c), q = at_least(0, a * high + c);
      low = a < 0 ? q : p;
      high = a < 0 ? p : q;
    }
  }
  maps.factor[segment][lane] = factor;
  maps.offset[segment][lane] = offset;
  maps.low[segment][lane] = low;
  maps.high[segment][lane] = high;
  __syncthreads();
  Real state = carry, h = carry;
#pragma unroll
  for (int i = 0; i < SEGMENTS; i++) {
    const int s = ASCENDING ? i : SEGMENTS - 1 - i;
    if (s == segment) h = state;
    if (chunk * CHUNK + s * RUN < length) {
      state = at_least(maps.low[s][lane], maps.factor[s][lane] * state + maps.offset[s][lane]);
      if (a < 0) state = at_most(maps.high[s][lane], state);
    }
  }
  carry = state;
  // The next chunk writes its maps over these.
  __syncthreads();

#pragma unroll
  for (int i = 0; i < RUN; i++) {
    const int k = ASCENDING ? i : RUN - 1 - i;
    if (k < count) {
      h = at_least(0, k == border ? x[k] : a * h + b + x[k]);
      emit(k, h);
    }
  }
}

// The gradient of one chunk, walked against the scan; ASCENDING is the order of this walk. `beyond` is h at the position before
// this thread's first in the scan's order, where there is one. `emit(k, g)` receives the gradients; d_a and d_b gather those of a and b.
template <bool ASCENDING, class Emit>
__device__ __forceinline__ void scan_gradient(const Real (&h)[RUN], const Real (&dh)[RUN], Real beyond, int chunk, int length,
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
  __syncthreads();
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
        const int before = ASCENDING ? k + 1 : k - 1;
        // Past either end of the registers lies `beyond`.
        const Real h_before = before < 0 || before >= count ? beyond : h[before < 0 ? 0 : before >= RUN ? RUN - 1 : before];
        d_a += g * h_before;
        d_b += g;
      }
      emit(k, g);
    }
  }
}

// This thread's positions of a strip's columns. Offsets within a plane are ints: cuda.rs sees to it that they fit.
__device__ __forceinline__ void load_columns(const Stored* x, const Stored* factors, int height, int width, int column, int chunk,
                                             Real (&line)[RUN]) {
  const int start = chunk * CHUNK + threadIdx.y * RUN, count = column < width ? inside(start, height) : 0;
  int at = start * width + column;
#pragma unroll
  for (int k = 0; k < RUN; k++, at += width) {
    Real value = 0;
    if (k < count) value = factors ? load(x + at) * load(factors + at) : load(x + at);
    line[k] = value;
  }
}

// This thread's positions of a strip's rows. A warp reads along rows, so that its accesses are whole pieces of memory, and
// turns what it read in its own tile.
__device__ __forceinline__ void load_rows(const Stored* x, const Stored* factors, int height, int width, int first_row, int chunk,
                                          Tile& tile, Real (&line)[RUN]) {
  const int first = threadIdx.x / RUN, k = threadIdx.x % RUN, column = chunk * CHUNK + threadIdx.y * RUN + k;
  int at = (first_row + first) * width + column;
#pragma unroll
  for (int row = first; row < LANES; row += LINES_AT_ONCE, at += LINES_AT_ONCE * width) {
    Real value = 0;
    if (first_row + row < height && column < width) value = factors ? load(x + at) * load(factors + at) : load(x + at);
    tile[row][k] = value;
  }
  __syncwarp();
#pragma unroll
  for (int k = 0; k < RUN; k++) line[k] = tile[threadIdx.x][k];
  // The tile serves the next chunk, or results.
  __syncwarp();
}

// Hands the tile's values to `emit(at, value)`, a warp along rows.
template <class Emit>
__device__ __forceinline__ void for_rows(Tile& tile, int height, int width, int first_row, int chunk, Emit emit) {
  const int first = threadIdx.x / RUN, k = threadIdx.x % RUN, column = chunk * CHUNK + threadIdx.y * RUN + k;
  int at = (first_row + first) * width + column;
  __syncwarp();
#pragma unroll
  for (int row = first; row < LANES; row += LINES_AT_ONCE, at += LINES_AT_ONCE * width) {
    if (first_row + row < height && column < width) emit(at, tile[row][k]);
  }
  // The tile takes other values next.
  __syncwarp();
}

__device__ __forceinline__ Recurrence recurrence_of(const Stored* weights, const Stored* biases, int direction, int channels,
                                                    int channel) {
  const Recurrence recurrence = {load(weights + direction * channels + channel), load(biases + direction * channels + channel)};
  return recurrence;
}

// Where a block's strip lies. Strips of one plane are consecutive, so that a plane is read from memory once and for the other axis from
// the cache.
struct Strip {
  int index, picture, channel;
  long long input, output, maps;  // The plane of x; its results `direction` * channels planes on; the picture's maps.
};

__device__ __forceinline__ Strip strip_of(int strips, int channels, long long pixels) {
  const int plane = blockIdx.x / strips;
  Strip strip;
  strip.index = blockIdx.x % strips;
  strip.picture = plane / channels;
  strip.channel = plane % channels;
  strip.input = plane * pixels;
  strip.output = ((long long)strip.picture * 4 * channels + strip.channel) * pixels;
  strip.maps = strip.picture * 4 * pixels;
  return strip;
}

// The four scans of x [B, C, H, W], packed [B, 4C, H, W]; each times its direction's map [B, 4, H, W] unless `maps` is null. One block for
// each strip of columns, then of rows, of each plane.
extern "C" __global__ void __launch_bounds__(LANES * SEGMENTS, BLOCKS_AT_ONCE)
    irnn_forward(const Stored* x, const Stored* weights, const Stored* biases, const Stored* maps, Stored* out, int channels,
                 int height, int width) {
  __shared__ Maps shared;
  __shared__ Tile tiles[SEGMENTS];
  const int column_strips = (width + LANES - 1) / LANES, row_strips = (height + LANES - 1) / LANES;
  const long long pixels = (long long)height * width;
  const Strip strip = strip_of(column_strips + row_strips, channels, pixels);
  x += strip.input;
  out += strip.output;
  const long long direction_stride = channels * pixels;
  Real line[RUN], carry = 0;

  if (strip.index < column_strips) {
    const int column = strip.index * LANES + threadIdx.x, chunks = chunks_of(height);
    for (int pass = 0; pass < 2; pass++) {
      const int direction = pass == 0 ? DOWN : UP;
      const Recurrence recurrence = recurrence_of(weights, biases, direction, channels, strip.channel);
      const Stored* map = maps ? maps + strip.maps + direction * pixels : 0;
      Stored* to = out + direction * direction_stride;
      carry = 0;
      for (int step = 0; step < chunks; step++) {
        const int chunk = pass == 0 ? step : chunks - 1 - step;
        // Where the scan turns, the last chunk is still here.
        if (pass == 0 || step > 0) load_columns(x, 0, height, width, column, chunk, line);
        const int start = chunk * CHUNK + threadIdx.y * RUN;
        const auto emit = [&](int k, Real h) {
          if (column >= width) return;
          const int at = (start + k) * width + column;
          store(to + at, map ? h * load(map + at) : h);
        };
        if (pass == 0) {
          scan<true>(line, chunk, height, recurrence, shared, carry, emit);
        } else {
          scan<false>(line, chunk, height, recurrence, shared, carry, emit);
        }
      }
    }
  } else {
    const int first_row = (strip.index - column_strips) * LANES, chunks = chunks_of(width);
    Tile& tile = tiles[threadIdx.y];
    for (int pass = 0; pass < 2; pass++) {
      const int direction = pass == 0 ? RIGHT : LEFT;
      const Recurrence recurrence = recurrence_of(weights, biases, direction, channels, strip.channel);
      const Stored* map = maps ? maps + strip.maps + direction * pixels : 0;
      Stored* to = out + direction * direction_stride;
      carry = 0;
      for (int step = 0; step < chunks; step++) {
        const int chunk = pass == 0 ? step : chunks - 1 - step;
        if (pass == 0 || step > 0) load_rows(x, 0, height, width, first_row, chunk, tile, line);
        const auto emit = [&](int k, Real h) { tile[threadIdx.x][k] = h; };
        if (pass == 0) {
          scan<true>(line, chunk, width, recurrence, shared, carry, emit);
        } else {
          scan<false>(line, chunk, width, recurrence, shared, carry, emit);
        }
        for_rows(tile, height, width, first_row, chunk,
                 [&](int at, Real h) { store(to + at, map ? h * load(map + at) : h); });
      }
    }
  }
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
extern "C" __global__ void __launch_bounds__(LANES * SEGMENTS)
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
      const int before = pass == 0 ? start - 1 : start + RUN;
      Real beyond = 0;
      if (before >= 0 && before < height && column < width) beyond = load(h_plane + before * width + column);
      const auto emit = [&](int k, Real g) {
        if (column >= width) return;
        const int at = (start + k) * width + column;
        d_x[at] = pass == 0 ? g : d_x[at] + g;
      };
      if (pass == 0) {
        scan_gradient<false>(h_line, dh_line, beyond, chunk, height, recurrence, shared, carry, d_a, d_b, emit);
      } else {
        scan_gradient<true>(h_line, dh_line, beyond, chunk, height, recurrence, shared, carry, d_a, d_b, emit);
      }
    }
    const long long plane = blockIdx.x / strips, planes = gridDim.x / strips;
    sum_block(d_a, d_b, partial, sums + ((direction * planes + plane) * strips + strip.index) * 2);
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
      load_rows(h_plane, 0, height, width, first_row, chunk, tile, h_line);
      load_rows(grad_plane, map, height, width, first_row, chunk, tile, dh_line);
      const int start = chunk * CHUNK + threadIdx.y * RUN;
      const int before = pass == 0 ? start - 1 : start + RUN;
      Real beyond = 0;
      if (before >= 0 && before < width && row < height) beyond = load(h_plane + row * width + before);
      const auto emit = [&](int k, Real g) { tile[threadIdx.x][k] = g; };
      if (pass == 0) {
        scan_gradient<false>(h_line, dh_line, beyond, chunk, width, recurrence, shared, carry, d_a, d_b, emit);
      } else {
        scan_gradient<true>(h_line, dh_line, beyond, chunk, width, recurrence, shared, carry, d_a, d_b, emit);
      }
      for_rows(tile, height, width, first_row, chunk, [&](int at, Real g) {
        if (pass == 0) {
          partial_d_x[at] += g;
        } else {
          store(d_x + at, partial_d_x[at] + g);
        }
      });
    }
    const long long plane = blockIdx.x / strips, planes = gridDim.x / strips;
    sum_block(d_a, d_b, partial, sums + ((direction * planes + plane) * strips + strip.index) * 2);
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
