// The scans: needs lines.cu.

// What registers allow without spills; without a bound ptxas spills some for sm_80.
#if defined(ELEMENT_F64)
#define BLOCKS_AT_ONCE (2 - MORE_REGISTERS)
#elif defined(ELEMENT_F32)
#define BLOCKS_AT_ONCE 4
#else
#define BLOCKS_AT_ONCE (3 - MORE_REGISTERS)
#endif

// 32 lines by RUN positions of a segment, one column wider than needed: lanes that read a column meet 32 banks. Where a
// warp goes along lines, each half of it takes one, RUN positions of lines that are RUN apart: these meet 32 banks,
// too, where those of neighbouring lines share one.
typedef Real Tile[LANES][RUN + 1];
#define BATCH 4

struct Recurrence {
  Real a, b;
};

__device__ __forceinline__ Recurrence recurrence_of(const Stored* weights, const Stored* biases, int direction, int channels,
                                                    int channel) {
  const Recurrence recurrence = {load(weights + direction * channels + channel), load(biases + direction * channels + channel)};
  return recurrence;
}

// Results, which nothing here reads again, make room in the cache first: for x, which four scans read.
__device__ __forceinline__ void store_result(Stored* place, Real value) { __stcs(place, to_stored(value)); }

// This thread's positions of a strip's columns. Offsets within a plane are ints: cuda.rs sees to it that they fit.
__device__ __forceinline__ void load_columns(const Stored* x, int height, int width, int column, int chunk,
                                             Real (&line)[RUN]) {
  const int start = chunk * CHUNK + threadIdx.y * RUN, count = column < width ? inside(start, height) : 0;
  int at = start * width + column;
#pragma unroll
  for (int k = 0; k < RUN; k++, at += width) {
    Real value = 0;
    if (k < count) value = load(x + at);
    line[k] = value;
  }
}

// What a warp reads along a strip's rows, so that its accesses are whole pieces of memory.
__device__ __forceinline__ void fetch_rows(const Stored* x, int height, int width, int first_row, int chunk,
                                           Real (&line)[RUN]) {
  const int k = threadIdx.x % RUN, first = threadIdx.x - k, column = chunk * CHUNK + threadIdx.y * RUN + k;
  int at = (first_row + first) * width + column;
#pragma unroll
  for (int i = 0; i < RUN; i++, at += width) {
    const int row = first + i;
    Real value = 0;
    if (first_row + row < height && column < width) value = load(x + at);
    line[i] = value;
  }
}

// Turns what was fetched in the warp's own tile, to this thread's positions of its row.
__device__ __forceinline__ void turn_rows(Tile& tile, Real (&line)[RUN]) {
  const int k_fetched = threadIdx.x % RUN, first = threadIdx.x - k_fetched;
#pragma unroll
  for (int i = 0; i < RUN; i++) tile[first + i][k_fetched] = line[i];
  __syncwarp();
#pragma unroll
  for (int k = 0; k < RUN; k++) line[k] = tile[threadIdx.x][k];
  // The tile serves the next chunk, or results.
  __syncwarp();
}

// Stores the tile's values, each times the map's if there is one, a warp along rows.
__device__ __forceinline__ void store_rows(Tile& tile, const Stored* map, Stored* to, int height, int width, int first_row, int chunk) {
  const int k = threadIdx.x % RUN, first = threadIdx.x - k, column = chunk * CHUNK + threadIdx.y * RUN + k;
  int at = (first_row + first) * width + column;
  __syncwarp();
#pragma unroll
  for (int start = 0; start < RUN; start += BATCH) {
    // A batch of the map before a batch of stores: after a store a load waits for it, as it might be what it reads.
    // More take too many registers.
    Real factors[BATCH];
    if (map) {
#pragma unroll
      for (int i = 0; i < BATCH; i++) {
        factors[i] = 0;
        if (first_row + first + start + i < height && column < width) factors[i] = load(map + at + i * width);
      }
    }
#pragma unroll
    for (int i = 0; i < BATCH; i++, at += width) {
      const int row = first + start + i;
      if (first_row + row < height && column < width) store_result(to + at, map ? tile[row][k] * factors[i] : tile[row][k]);
    }
  }
  // The tile takes other values next.
  __syncwarp();
}

// Steps h -> max(a h + c, 0) are closed under composition in the form h -> min(max(factor h + offset, low), high). The
// upper bound matters for a < 0 alone. Bounds keep a factor from becoming infinite, which times h = 0 would be NaN: not
// for a in 0..1 (DAMPED), where factors shrink. That saves half of the instructions, which take longer than the memory
// does.
struct Maps {
  Real factor[SEGMENTS][LANES], offset[SEGMENTS][LANES], low[SEGMENTS][LANES], high[SEGMENTS][LANES];
};

// Scans one chunk of every line of the strip. `carry` is the state before the chunk, and after it on return, in all
// segments' threads of a line. `emit(k, h)` receives the state at each of this thread's positions.
template <bool ASCENDING, bool DAMPED, class Emit>
__device__ __forceinline__ void scan_as(const Real (&x)[RUN], int chunk, int length, Recurrence recurrence, Maps& maps, Real& carry,
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
      const Real p = at_least(0, a * low + c), q = at_least(0, a * high + c);
      factor = DAMPED ? a * factor : bounded(a * factor);
      offset = DAMPED ? a * offset + c : bounded(a * offset + c);
      low = DAMPED || a >= 0 ? p : q;
      high = DAMPED || a >= 0 ? q : p;
    }
  }
  maps.factor[segment][lane] = factor;
  maps.offset[segment][lane] = offset;
  maps.low[segment][lane] = low;
  if (!DAMPED) maps.high[segment][lane] = high;
  __syncthreads();
  Real state = carry, h = carry;
#pragma unroll
  for (int i = 0; i < SEGMENTS; i++) {
    const int s = ASCENDING ? i : SEGMENTS - 1 - i;
    if (s == segment) h = state;
    if (chunk * CHUNK + s * RUN < length) {
      state = at_least(maps.low[s][lane], maps.factor[s][lane] * state + maps.offset[s][lane]);
      if (!DAMPED && a < 0) state = at_most(maps.high[s][lane], state);
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

template <bool ASCENDING, class Emit>
__device__ __forceinline__ void scan(const Real (&x)[RUN], int chunk, int length, Recurrence recurrence, Maps& maps, Real& carry,
                                     Emit emit) {
  // The same for all threads of a block.
  if (recurrence.a >= 0 && recurrence.a <= 1) {
    scan_as<ASCENDING, true>(x, chunk, length, recurrence, maps, carry, emit);
  } else {
    scan_as<ASCENDING, false>(x, chunk, length, recurrence, maps, carry, emit);
  }
}

// The four scans of x [B, C, H, W], packed [B, 4C, H, W]; each times its direction's map [B, 4, H, W] unless `maps` is
// null. One block for each strip of columns, then of rows, of each plane.
extern "C" __global__ void __launch_bounds__(LANES * SEGMENTS, BLOCKS_AT_ONCE)
    irnn_forward(const Stored* x, const Stored* weights, const Stored* biases, const Stored* maps, Stored* out, int channels,
                 int height, int width) {
  __shared__ Maps shared;
  __shared__ Tile tiles[SEGMENTS];
  const int column_strips = (width + LANES - 1) / LANES, row_strips = (height + LANES - 1) / LANES;
  const long long pixels = (long long)height * width;
  const Strip strip = strip_of(blockIdx.x, column_strips + row_strips, channels, pixels);
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
        if (pass == 0 || step > 0) load_columns(x, height, width, column, chunk, line);
        const int start = chunk * CHUNK + threadIdx.y * RUN;
        const auto emit = [&](int k, Real h) {
          if (column >= width) return;
          const int at = (start + k) * width + column;
          store_result(to + at, map ? h * load(map + at) : h);
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
        if (pass == 0 || step > 0) {
          fetch_rows(x, height, width, first_row, chunk, line);
          turn_rows(tile, line);
        }
        const auto emit = [&](int k, Real h) { tile[threadIdx.x][k] = h; };
        if (pass == 0) {
          scan<true>(line, chunk, width, recurrence, shared, carry, emit);
        } else {
          scan<false>(line, chunk, width, recurrence, shared, carry, emit);
        }
        store_rows(tile, map, to, height, width, first_row, chunk);
      }
    }
  }
}
