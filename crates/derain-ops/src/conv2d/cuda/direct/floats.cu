// Products of matrices in f32 and f64, for kernels.cu: each thread sums 16 outputs of some pixels. A warp's pixels lie
// side by side, its outputs are the same, so that a weight is read once for all of it.
#if defined(ELEMENT_F32) || defined(ELEMENT_F64)

// Channels at once, so that both types take as much shared memory.
#define CHUNK (32 / (int)sizeof(Real))
#define OUTPUTS_EACH 16

// What is read from shared memory at once.
struct alignas(4 * sizeof(Real)) Values {
  Real of[4];
};
__device__ constexpr int room_for_values(int pixels) { return (CHUNK * pixels + 3) / 4; }
__device__ constexpr int room_for_weights(int rows) { return CHUNK * rows / 4; }

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
__device__ __forceinline__ void convolve(const Call& call, const Block& block, Values* values, Values* weights) {
  constexpr int TAPS = SIZE * SIZE, GROUPS = OUTPUTS / OUTPUTS_EACH, EACH = PIXELS * GROUPS / THREADS;
  const int warp = threadIdx.x / 32, group = warp % GROUPS, lane = threadIdx.x % 32;
  const int padded_outputs = packed_outputs(call.outputs), pixels = call.height * call.width;
  int taps[EACH];
#pragma unroll
  for (int k = 0; k < EACH; k++) taps[k] = first_tap(call, block, (warp / GROUPS * EACH + k) * 32 + lane);

  Real sums[EACH][OUTPUTS_EACH] = {};
  Real* const of_pixels = values->of;  // [CHUNK, block.pixels]
  for (int first = 0; first < call.inputs; first += CHUNK) {
    for (int i = threadIdx.x; i < block.pixels; i += THREADS) {
      const Stored* from = source(call, block, i, first);
#pragma unroll
      for (int c = 0; c < CHUNK; c++) {
        of_pixels[c * block.pixels + i] = from && first + c < call.inputs ? load(from + (long long)c * pixels) : Real(0);
      }
    }
    const Stored* from = call.packed + (long long)first * TAPS * padded_outputs + block.output;
    for (int i = threadIdx.x; i < CHUNK * TAPS * OUTPUTS / 4; i += THREADS) {
      weights[i] = *(const Values*)(from + (long long)(i / (OUTPUTS / 4)) * padded_outputs + i % (OUTPUTS / 4) * 4);
    }
    __syncthreads();
    for (int c = 0; c < CHUNK; c++) {
#pragma unroll
      for (int tap = 0; tap < TAPS; tap++) {
        const int reached = c * block.pixels + (tap / SIZE * block.pitch + tap % SIZE) * call.dilation;
        const Values* of_tap = weights + ((c * TAPS + tap) * OUTPUTS + group * OUTPUTS_EACH) / 4;
        Real x[EACH];
#pragma unroll
        for (int k = 0; k < EACH; k++) x[k] = of_pixels[taps[k] + reached];
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
    // The next chunk goes where this one was.
    __syncthreads();
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
