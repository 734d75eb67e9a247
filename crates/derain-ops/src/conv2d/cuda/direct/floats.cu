// Products of matrices in f32 and f64, for kernels.cu: each thread sums 8 outputs of 8 pixels, so that it multiplies
// more often than it reads. A warp's pixels lie side by side, its outputs are the same, so that a weight is read once
// for all of it.
#if defined(ELEMENT_F32) || defined(ELEMENT_F64)

// Channels at once, so that both types take as much shared memory: twice, for one chunk is copied there while the other
// is multiplied.
#define CHUNK (16 / (int)sizeof(Real))
#define OUTPUTS_EACH 8

// What is read from shared memory at once.
struct alignas(4 * sizeof(Real)) Values {
  Real of[4];
};
__device__ constexpr int room_for_values(int pixels) { return (2 * CHUNK * pixels + 3) / 4; }
__device__ constexpr int room_for_weights(int rows) { return 2 * CHUNK * rows / 4; }

// Packed weights are [C, K·K, O].
struct Packed {
  int input, tap, output;
};
__device__ __forceinline__ Packed unpack(int at, int taps, int outputs) {
  const int row = at / outputs;
  const Packed place = {row / taps, row % taps, at - row * outputs};
  return place;
}

template <int SIZE, int OUTPUTS, int PIXELS, int THREADS>
__device__ __forceinline__ void convolve(const Call& call, const Block& block, const int* places, Values* values, Values* weights) {
  constexpr int TAPS = SIZE * SIZE, GROUPS = OUTPUTS / OUTPUTS_EACH, EACH = PIXELS * GROUPS / THREADS, ROWS = CHUNK * TAPS, QUARTERS = OUTPUTS / 4;
  const int warp = threadIdx.x / 32, group = warp % GROUPS, lane = threadIdx.x % 32;
  const int padded_outputs = packed_outputs(call.outputs);
  const unsigned pixels = call.height * call.width;
  Real* const of_pixels = values->of;  // [2, CHUNK, block.pixels]
  const Stored* const picture = call.x + (long long)block.batch * call.inputs * pixels;

  // Starts to copy the chunk of channels from `first` on.
  const auto start_chunk = [&](int first, int stage) {
    // Not unrolled, which would take registers for nothing: no copy waits for another.
#pragma unroll 1
    for (int i = threadIdx.x; i < block.pixels; i += THREADS) {
      const int place = places[i];
      const unsigned at = first * pixels + place;
#pragma unroll
      for (int c = 0; c < CHUNK; c++) {
        const bool there = place >= 0 && first + c < call.inputs;
        start_copy(of_pixels + (stage * CHUNK + c) * block.pixels + i, picture + (there ? at + c * pixels : 0), there);
      }
    }
    const Stored* from = call.packed + (long long)first * TAPS * padded_outputs + block.output;
#pragma unroll 1
    for (int i = threadIdx.x; i < ROWS * QUARTERS; i += THREADS) {
      start_copy_of_all(weights + stage * ROWS * QUARTERS + i, (const Values*)(from + (long long)(i / QUARTERS) * padded_outputs + i % QUARTERS * 4));
    }
  };

  // Where its pixels' first taps lie. In bytes, as are the ways from there, to which a compiler then has to add nothing but these.
  const char* taps[EACH];
#pragma unroll
  for (int k = 0; k < EACH; k++) taps[k] = (const char*)(of_pixels + first_tap(call, block, (warp / GROUPS * EACH + k) * 32 + lane));
  Real sums[EACH][OUTPUTS_EACH] = {};
  start_chunk(0, 0);
  for (int first = 0, stage = 0; first < call.inputs; first += CHUNK, stage = 1 - stage) {
    wait_for_copies();
    // All threads' copies are there, and the chunk before this one has been multiplied: the next one goes in its place.
    __syncthreads();
    if (first + CHUNK < call.inputs) start_chunk(first + CHUNK, 1 - stage);
    for (int c = 0; c < CHUNK; c++) {
#pragma unroll
      for (int tap = 0; tap < TAPS; tap++) {
        const int reached = ((stage * CHUNK + c) * block.pixels + (tap / SIZE * block.pitch + tap % SIZE) * call.dilation) * (int)sizeof(Real);
        const Values* of_tap = weights + ((stage * CHUNK + c) * TAPS + tap) * QUARTERS + group * OUTPUTS_EACH / 4;
        Real x[EACH];
#pragma unroll
        for (int k = 0; k < EACH; k++) x[k] = *(const Real*)(taps[k] + reached);
#pragma unroll
        for (int quarter = 0; quarter < OUTPUTS_EACH / 4; quarter++) {
          const Values w = of_tap[quarter];
#pragma unroll
          for (int k = 0; k < EACH; k++) {
#pragma unroll
            for (int o = 0; o < 4; o++) sums[k][4 * quarter + o] += w.of[o] * x[k];
          }
        }
      }
    }
  }

#pragma unroll
  for (int k = 0; k < EACH; k++) {
    const int pixel = (warp / GROUPS * EACH + k) * 32 + lane;
    const int y = block.top + (pixel >> call.bits), x = block.left + (pixel & ((1 << call.bits) - 1));
    if (y >= call.height || x >= call.width) continue;
    finish(call, sums[k], block.batch, block.output + group * OUTPUTS_EACH, 1, y * call.width + x);
  }
}
#endif
