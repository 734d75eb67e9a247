// The gradients of the scans along columns: needs lines.cu and gradients.cu.

// What registers allow without spills: of the 16-bit types ptxas spills some for sm_80 with 3, of f32 for sm_90 without
// a bound.
#if defined(ELEMENT_F32)
#define COLUMN_BLOCKS_AT_ONCE (3 - MORE_REGISTERS)
#elif defined(ELEMENT_F64)
#define COLUMN_BLOCKS_AT_ONCE (2 - MORE_REGISTERS)
#else
#define COLUMN_BLOCKS_AT_ONCE 2
#endif

// Chunks from the top whose gradients of one direction wait in shared memory for the other: 256 rows of f32.
#define KEPT_CHUNKS (8 / (int)sizeof(Real))

// Of each segment.
struct Slopes {
  Real factor[SEGMENTS][LANES], offset[SEGMENTS][LANES];
  // The h of a segment that the one after it in the walk asks for.
  Real edge[SEGMENTS][LANES];
};

// Calls `each(k, at)` for this thread's positions of a strip's columns that lie in the plane: which of its registers,
// and where in the plane.
template <class Each> __device__ __forceinline__ void for_column(int height, int width, int column, int chunk, Each each) {
  const int start = chunk * CHUNK + threadIdx.y * RUN, count = column < width ? inside(start, height) : 0;
  int at = start * width + column;
#pragma unroll
  for (int k = 0; k < RUN; k++, at += width) {
    if (k < count) each(k, at);
  }
}

// The gradient of one chunk. `outside` is h at the position that follows the chunk in the walk, where there is one, in
// the threads of its last segment.
template <bool ASCENDING>
__device__ __forceinline__ void scan_gradient(const Real (&h)[RUN], Real (&dh)[RUN], Real outside, int chunk, int length, Real a,
                                              Slopes& slopes, Real& carry, Real& d_a, Real& d_b) {
  const int lane = threadIdx.x, segment = threadIdx.y;
  Real factor, offset;
  compose<ASCENDING>(h, dh, a, factor, offset);
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
    state = through(slopes.factor[s][lane], slopes.offset[s][lane], state);
  }
  carry = state;
  // The next chunk writes its slopes over these.
  __syncthreads();
  take<ASCENDING>(h, dh, beyond, chunk * CHUNK + segment * RUN, length, a, g, d_a, d_b);
}

// The columns' part of the gradients, from the scans h (before maps) and the incoming gradient, both [B, 4C, H, W].
// `d_x` [B, C, H, W] becomes the sum of down and up; `sums` [4, B C, strips, 2] gets each strip's share of the
// gradients of a and b.
extern "C" __global__ void __launch_bounds__(LANES * SEGMENTS, COLUMN_BLOCKS_AT_ONCE)
    irnn_backward_columns(const Stored* h, const Stored* grad, const Stored* weights, const Stored* maps, Real* d_x, double* sums,
                          int channels, int height, int width) {
  __shared__ Slopes shared;
  // A thread's own: no other reads it.
  __shared__ Real kept[KEPT_CHUNKS][SEGMENTS][RUN][LANES];
  __shared__ double partial[SEGMENTS][2];
  const int strips = (width + LANES - 1) / LANES, chunks = chunks_of(height);
  const long long pixels = (long long)height * width;
  const Strip strip = strip_of(blockIdx.x, strips, channels, pixels);
  const int column = strip.index * LANES + threadIdx.x;
  d_x += strip.input;
  Real h_line[RUN], dh_line[RUN];
  for (int pass = 0; pass < 2; pass++) {
    const int direction = pass == 0 ? DOWN : UP;
    const Real a = load(weights + direction * channels + strip.channel);
    const Stored* map = maps ? maps + strip.maps + direction * pixels : 0;
    const Stored* h_plane = h + strip.output + direction * channels * pixels;
    const Stored* grad_plane = grad + strip.output + direction * channels * pixels;
    Real carry = 0, d_a = 0, d_b = 0;
    for (int step = 0; step < chunks; step++) {
      // Against the scan: down's gradients run upwards.
      const int chunk = pass == 0 ? chunks - 1 - step : step;
      // Outside the plane h is 0, and so are gradients.
#pragma unroll
      for (int k = 0; k < RUN; k++) h_line[k] = dh_line[k] = 0;
      for_column(height, width, column, chunk, [&](int k, int at) {
        h_line[k] = load_once(h_plane + at);
        dh_line[k] = load_once(grad_plane + at);
      });
      const int start = chunk * CHUNK + threadIdx.y * RUN;
      const int after = pass == 0 ? start - 1 : start + RUN;
      Real outside = 0;
      if (threadIdx.y == (pass == 0 ? 0 : SEGMENTS - 1) && after >= 0 && after < height && column < width) {
        outside = load(h_plane + after * width + column);
      }
      if (map) for_column(height, width, column, chunk, [&](int k, int at) { dh_line[k] *= load(map + at); });
      const bool keeps = chunk < KEPT_CHUNKS;
      Real(&waiting)[RUN][LANES] = kept[keeps ? chunk : 0][threadIdx.y];
      if (pass == 0) {
        scan_gradient<false>(h_line, dh_line, outside, chunk, height, a, shared, carry, d_a, d_b);
        if (keeps) {
#pragma unroll
          for (int k = 0; k < RUN; k++) waiting[k][threadIdx.x] = dh_line[k];
          continue;
        }
      } else {
        scan_gradient<true>(h_line, dh_line, outside, chunk, height, a, shared, carry, d_a, d_b);
        if (keeps) {
#pragma unroll
          for (int k = 0; k < RUN; k++) dh_line[k] += waiting[k][threadIdx.x];
        } else {
          // All loads before the first store: after it they would wait for one another, as it might be what they read.
          for_column(height, width, column, chunk, [&](int k, int at) { h_line[k] = d_x[at]; });
#pragma unroll
          for (int k = 0; k < RUN; k++) dh_line[k] += h_line[k];
        }
      }
      for_column(height, width, column, chunk, [&](int k, int at) { d_x[at] = dh_line[k]; });
    }
    sum_strip(d_a, d_b, partial, sums_of(sums, direction, strips, strip));
  }
}
