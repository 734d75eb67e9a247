// The gradients of the scans along rows: needs lines.cu and gradients.cu.
//
// A warp takes whole rows by itself, so that while one waits for memory the others go on. A group of its lanes walks a
// row in steps of SPAN columns, each lane with PER_LANE neighbouring ones; where each has to start the group learns by
// exchanges. SPAN depends on the width alone, and every sum has a fixed order: equal input gives equal bits.

// More of a row in registers means fewer exchanges, and fewer warps at once.
#define PER_LANE 8
#define PER_WARP (LANES * PER_LANE)
// The widest narrow picture, and its SPAN: four rows to a warp, so that at 64 columns no lane is idle.
#define NARROW 128
#define NARROW_SPAN (PER_WARP / 4)
#define ROW_WARPS 4
// What registers allow without spills; where shared memory has no room for so many, they are fewer.
#ifdef ELEMENT_F64
#define ROW_BLOCKS_AT_ONCE 3
#else
#define ROW_BLOCKS_AT_ONCE 5
#endif

// Steps from the left whose gradients of one direction wait in shared memory for the other: 2048 columns of f32, and
// all of narrow pictures'.
template <int SPAN> __device__ constexpr int most_waiting() { return SPAN == PER_WARP ? 32 / (int)sizeof(Real) : NARROW / SPAN; }

// A lane's share of each of those steps: no other thread reads it.
template <int SPAN> struct Waiting {
  Real of[most_waiting<SPAN>()][PER_LANE][LANES];
};

// What a warp holds at a step, with a gap after each bank: a warp meets all of them, by shares and by lanes' own
// positions.
typedef Real Rows[PER_WARP + PER_LANE];
__device__ __forceinline__ int gapped(int position) { return position + position / LANES; }

// Calls `each(i, at)` for those of a lane's share that lie in the plane: of SPAN columns of each of the warp's rows.
// Shares are interleaved, so that a warp's accesses are whole pieces of memory.
template <int SPAN, class Each>
__device__ __forceinline__ void for_share(int height, int width, int first_row, int first_column, Each each) {
  const int column = first_column + threadIdx.x, at = first_row * width + column;
#pragma unroll
  for (int i = 0; i < PER_LANE; i++) {
    const int down = i * LANES / SPAN, along = i * LANES % SPAN;
    if (first_row + down < height && column + along < width) each(i, at + down * width + along);
  }
}

// From a lane's share to its own positions.
__device__ __forceinline__ void to_own(Rows& rows, Real (&values)[PER_LANE]) {
#pragma unroll
  for (int i = 0; i < PER_LANE; i++) rows[gapped(i * LANES + threadIdx.x)] = values[i];
  __syncwarp();
#pragma unroll
  for (int k = 0; k < PER_LANE; k++) values[k] = rows[gapped(threadIdx.x * PER_LANE + k)];
  // The rows take other values next.
  __syncwarp();
}

// And back. Nothing has to wait at the end: what a lane reads here it overwrites itself.
__device__ __forceinline__ void to_share(Rows& rows, Real (&values)[PER_LANE]) {
#pragma unroll
  for (int k = 0; k < PER_LANE; k++) rows[gapped(threadIdx.x * PER_LANE + k)] = values[k];
  __syncwarp();
#pragma unroll
  for (int i = 0; i < PER_LANE; i++) values[i] = rows[gapped(i * LANES + threadIdx.x)];
}

// The value of the lane that comes so many before this one in the walk. Of those without one it is some other lane's.
template <bool ASCENDING> __device__ __forceinline__ Real behind(Real value, int apart) {
  return __shfl_sync(FULL_WARP, value, (ASCENDING ? threadIdx.x + LANES - apart : threadIdx.x + apart) % LANES);
}

// Walks a warp's rows against the scan; ASCENDING is the order of this walk. right's gradients wait for left's, or are
// added to `sum` where there is no room for that; left's are stored with both in `d_x`. d_a and d_b gather the
// gradients of a and b.
template <int SPAN, bool ASCENDING>
__device__ __forceinline__ void walk_rows(const Stored* h, const Stored* grad, const Stored* map, Real a, Real* sum, Stored* d_x,
                                          int height, int width, int first_row, Rows& rows, Waiting<SPAN>& waiting, Real& d_a,
                                          Real& d_b) {
  // A group's lanes, and the last of them in the walk.
  const int lanes = SPAN / PER_LANE, lane = threadIdx.x % lanes, last = ASCENDING ? lanes - 1 : 0;
  const int row = first_row + threadIdx.x / lanes, steps = (width + SPAN - 1) / SPAN;
  Real carry = 0;
  for (int step = 0; step < steps; step++) {
    const int along = ASCENDING ? step : steps - 1 - step, first_column = along * SPAN;
    const bool waits = along < most_waiting<SPAN>();
    // All that a step reads is under way before any of it is waited for. Outside the plane h is 0, and so are
    // gradients.
    Real h_own[PER_LANE] = {}, g_own[PER_LANE] = {}, sum_share[PER_LANE] = {};
    for_share<SPAN>(height, width, first_row, first_column, [&](int i, int at) {
      h_own[i] = load_once(h + at);
      g_own[i] = load_once(grad + at);
      if (ASCENDING || !waits) sum_share[i] = sum[at];
    });
    const int after = first_column + (ASCENDING ? SPAN : -1);
    Real h_after = 0;
    if (lane == last && after >= 0 && after < width && row < height) h_after = load(h + row * width + after);
    if (map) for_share<SPAN>(height, width, first_row, first_column, [&](int i, int at) { g_own[i] *= load(map + at); });
    to_own(rows, h_own);
    to_own(rows, g_own);

    // This lane's steps, then with those of the lanes before it. What comes from the step before goes into the first
    // lane's, as the factor of a whole row could pass the largest number.
    Real factor, offset;
    compose<ASCENDING>(h_own, g_own, a, factor, offset);
    const bool is_first = lane == lanes - 1 - last;
    if (is_first) offset = through(factor, offset, carry);
#pragma unroll
    for (int apart = 1; apart < lanes; apart *= 2) {
      const Real factor_before = behind<ASCENDING>(factor, apart), offset_before = behind<ASCENDING>(offset, apart);
      if (ASCENDING ? lane >= apart : lane + apart < lanes) {
        offset = through(factor, offset, offset_before);
        factor = bounded(factor * factor_before);
      }
    }
    const Real before = behind<ASCENDING>(offset, 1), g = is_first ? carry : before;
    carry = __shfl_sync(FULL_WARP, offset, threadIdx.x - lane + last);
    const Real h_ahead = behind<!ASCENDING>(h_own[ASCENDING ? 0 : PER_LANE - 1], 1), beyond = lane == last ? h_after : h_ahead;
    take<ASCENDING>(h_own, g_own, beyond, first_column + lane * PER_LANE, width, a, g, d_a, d_b);
    to_share(rows, g_own);
    Real(&others)[PER_LANE][LANES] = waiting.of[waits ? along : 0];
    for_share<SPAN>(height, width, first_row, first_column, [&](int i, int at) {
      if (ASCENDING) {
        store(d_x + at, sum_share[i] + g_own[i] + (waits ? others[i][threadIdx.x] : Real(0)));
      } else if (waits) {
        others[i][threadIdx.x] = g_own[i];
      } else {
        sum[at] = sum_share[i] + g_own[i];
      }
    });
  }
}

template <int SPAN>
__device__ __forceinline__ void backward_rows(const Stored* h, const Stored* grad, const Stored* weights, const Stored* maps,
                                              Real* partial_d_x, Stored* d_x, double* sums, int channels, int height, int width) {
  __shared__ Rows rows[ROW_WARPS];
  __shared__ Waiting<SPAN> waiting[ROW_WARPS];
  __shared__ double partial[ROW_WARPS][2];
  const int rows_a_warp = PER_WARP / SPAN, rows_a_block = ROW_WARPS * rows_a_warp, strips = (height + rows_a_block - 1) / rows_a_block;
  const long long pixels = (long long)height * width;
  // The last plane first: what columns have left of it may still be in the cache.
  const Strip strip = strip_of(gridDim.x - 1 - blockIdx.x, strips, channels, pixels);
  const int first_row = strip.index * rows_a_block + threadIdx.y * rows_a_warp;
  const auto plane = [&](const Stored* of, int direction) { return of + strip.output + direction * channels * pixels; };
  const auto map = [&](int direction) { return maps ? maps + strip.maps + direction * pixels : 0; };
  const auto weight = [&](int direction) { return load(weights + direction * channels + strip.channel); };
  partial_d_x += strip.input;
  d_x += strip.input;

  Real d_a = 0, d_b = 0;
  walk_rows<SPAN, false>(plane(h, RIGHT), plane(grad, RIGHT), map(RIGHT), weight(RIGHT), partial_d_x, d_x, height, width, first_row,
                         rows[threadIdx.y], waiting[threadIdx.y], d_a, d_b);
  sum_strip(d_a, d_b, partial, sums_of(sums, RIGHT, strips, strip));
  d_a = d_b = 0;
  walk_rows<SPAN, true>(plane(h, LEFT), plane(grad, LEFT), map(LEFT), weight(LEFT), partial_d_x, d_x, height, width, first_row,
                        rows[threadIdx.y], waiting[threadIdx.y], d_a, d_b);
  sum_strip(d_a, d_b, partial, sums_of(sums, LEFT, strips, strip));
}

// The rows' part: adds right and left to `partial_d_x`, which holds the columns' part, and stores the whole in `d_x`.
// For 32-bit and 64-bit elements the two may be the same memory.
extern "C" __global__ void __launch_bounds__(LANES * ROW_WARPS, ROW_BLOCKS_AT_ONCE)
    irnn_backward_wide_rows(const Stored* h, const Stored* grad, const Stored* weights, const Stored* maps, Real* partial_d_x,
                            Stored* d_x, double* sums, int channels, int height, int width) {
  backward_rows<PER_WARP>(h, grad, weights, maps, partial_d_x, d_x, sums, channels, height, width);
}

// The same for narrow pictures, where a warp takes several rows at once.
extern "C" __global__ void __launch_bounds__(LANES * ROW_WARPS, ROW_BLOCKS_AT_ONCE)
    irnn_backward_narrow_rows(const Stored* h, const Stored* grad, const Stored* weights, const Stored* maps, Real* partial_d_x,
                              Stored* d_x, double* sums, int channels, int height, int width) {
  backward_rows<NARROW_SPAN>(h, grad, weights, maps, partial_d_x, d_x, sums, channels, height, width);
}
