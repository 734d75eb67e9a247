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
// Likewise for the gradients along columns: of the 16-bit types ptxas spills some for sm_80 with 3, of f32 for sm_90 without a bound.
#ifdef ELEMENT_F32
#define COLUMN_BLOCKS_AT_ONCE 3
#else
#define COLUMN_BLOCKS_AT_ONCE 2
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
