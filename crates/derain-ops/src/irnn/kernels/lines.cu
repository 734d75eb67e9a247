// The scans of irnn/mod.rs. Symbols: a, b weight and bias of a direction and channel; h the scan's states; g their
// gradients.
//
// A block takes a strip of 32 lines (columns or rows) of one plane, a lane for each line. A line is walked in chunks of
// SEGMENTS * RUN positions: the thread (lane, segment) holds RUN of them in registers, composes their steps to one map,
// and learns from the maps of the segments before its own where to start. Chunks and segments depend on nothing but
// positions, and every sum has a fixed order: equal input gives equal bits. (Gradients along rows go another way:
// rows.cu.)

#define LANES 32
// More of a line in registers means fewer barriers and fewer threads at work at once: 32 took 243 registers.
#define RUN 16
#define SEGMENTS 8
#define CHUNK (SEGMENTS * RUN)
#define FULL_WARP 0xffffffffu
// The order of `Direction` in mod.rs.
#define UP 0
#define RIGHT 1
#define DOWN 2
#define LEFT 3

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

// Where a strip lies. Strips of one plane are consecutive, so that a plane is read from memory once and for the other
// axis from the cache.
struct Strip {
  int index, plane, channel;
  long long input, output, maps;  // The plane of x; its results `direction` * channels planes on; the picture's maps.
};

__device__ __forceinline__ Strip strip_of(unsigned block, int strips, int channels, long long pixels) {
  Strip strip;
  strip.plane = block / strips;
  strip.index = block % strips;
  const int picture = strip.plane / channels;
  strip.channel = strip.plane % channels;
  strip.input = strip.plane * pixels;
  strip.output = ((long long)picture * 4 * channels + strip.channel) * pixels;
  strip.maps = picture * 4 * pixels;
  return strip;
}
