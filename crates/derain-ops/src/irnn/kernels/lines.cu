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
// What registers allow without spills; without a bound ptxas spills some for sm_80.
#if defined(ELEMENT_F64)
#define BLOCKS_AT_ONCE 2
#elif defined(ELEMENT_F32)
#define BLOCKS_AT_ONCE 4
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

// 32 lines by RUN positions of a segment, one column wider than needed: lanes that read a column meet 32 banks. Where a warp goes along lines, each
// half of it takes one, RUN positions of lines that are RUN apart: these meet 32 banks, too, where those of neighbouring lines share one.
typedef Real Tile[LANES][RUN + 1];

struct Recurrence {
  Real a, b;
};

// Results, which nothing here reads again, make room in the cache first: for x, which four scans read.
__device__ __forceinline__ void store_result(Stored* place, Real value) { __stcs(place, to_stored(value)); }

// max and min that keep NaN.
#if defined(ELEMENT_F64) || defined(CUDA_ON_CPU)
__device__ __forceinline__ Real at_least(Real low, Real value) { return value < low ? low : value; }
#else
// One instruction, where a comparison and a choice are two.
__device__ __forceinline__ Real at_least(Real low, Real value) {
  Real larger;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(larger) : "f"(low), "f"(value));
  return larger;
}
#endif
__device__ __forceinline__ Real at_most(Real high, Real value) { return value > high ? high : value; }
__device__ __forceinline__ Real bounded(Real value) { return at_most(LARGEST, at_least(-LARGEST, value)); }

// Positions of a segment that lie inside the line.
__device__ __forceinline__ int inside(int start, int length) {
  const int left = length - start;
  return left < 0 ? 0 : left > RUN ? RUN : left;
}

__device__ __forceinline__ int chunks_of(int length) { return (length + CHUNK - 1) / CHUNK; }

// An element of x, each times its factor where there are some: factors serve many channels.
__device__ __forceinline__ Real element(const Stored* x, const Stored* factors, int at) {
  return factors ? load(x + at) * load(factors + at) : load(x + at);
}

// This thread's positions of a strip's columns. Offsets within a plane are ints: cuda.rs sees to it that they fit.
__device__ __forceinline__ void load_columns(const Stored* x, const Stored* factors, int height, int width, int column, int chunk,
                                             Real (&line)[RUN]) {
  const int start = chunk * CHUNK + threadIdx.y * RUN, count = column < width ? inside(start, height) : 0;
  int at = start * width + column;
#pragma unroll
  for (int k = 0; k < RUN; k++, at += width) {
    Real value = 0;
    if (k < count) value = element(x, factors, at);
    line[k] = value;
  }
}

// What a warp reads along a strip's rows, so that its accesses are whole pieces of memory.
__device__ __forceinline__ void fetch_rows(const Stored* x, const Stored* factors, int height, int width, int first_row, int chunk,
                                           Real (&line)[RUN]) {
  const int k = threadIdx.x % RUN, first = threadIdx.x - k, column = chunk * CHUNK + threadIdx.y * RUN + k;
  int at = (first_row + first) * width + column;
#pragma unroll
  for (int i = 0; i < RUN; i++, at += width) {
    const int row = first + i;
    Real value = 0;
    if (first_row + row < height && column < width) value = element(x, factors, at);
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

// Hands the tile's values to `emit(at, value)`, a warp along rows.
template <class Emit>
__device__ __forceinline__ void for_rows(Tile& tile, int height, int width, int first_row, int chunk, Emit emit) {
  const int k = threadIdx.x % RUN, first = threadIdx.x - k, column = chunk * CHUNK + threadIdx.y * RUN + k;
  int at = (first_row + first) * width + column;
  __syncwarp();
#pragma unroll
  for (int i = 0; i < RUN; i++, at += width) {
    const int row = first + i;
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
