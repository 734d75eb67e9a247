// Products of matrices in f16 and bf16, for kernels.cu: by tensor cores, summed in f32. A warp has all of a block's
// outputs for pixels of its own.
#if defined(ELEMENT_F16) || defined(ELEMENT_BF16)

// Channels at once: as many as an instruction multiplies.
#define CHUNK 16

// Eight elements, which are read from shared memory at once.
struct alignas(16) Values {
  unsigned of[4];
};
// All pixels have the first halves of their chunks one after the other, then the second halves, and so have weights:
// eight rows of a matrix lie in all banks. Weights are copied both halves at once, so those lie four rows apart.
__device__ constexpr int room_for_values(int pixels) { return 2 * pixels; }
__device__ constexpr int room_for_weights(int rows) { return 2 * rows + 4; }

// Packed weights are [C / CHUNK, K·K, O, CHUNK].
struct Packed {
  int input, tap, output;
};
__device__ __forceinline__ Packed unpack(int at, int taps, int outputs) {
  const int row = at / CHUNK, chunk = row / outputs / taps;
  const Packed place = {chunk * CHUNK + at % CHUNK, row / outputs % taps, row % outputs};
  return place;
}

// Four matrices of 8x8 elements: lane l gives the row l % 8 of matrix l / 8, and gets of each the elements 2·(l % 4)
// and the next of row l / 4.
__device__ __forceinline__ void load_matrices(unsigned (&of)[4], const Values* row) {
#if defined(CUDA_ON_CPU)
  coc::load_matrices(of, row->of);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(of[0]), "=r"(of[1]), "=r"(of[2]), "=r"(of[3])
               : "r"((unsigned)__cvta_generic_to_shared(row))
               : "memory");
#endif
}

// sums [16, 8] += a [16, 16] · b [16, 8]. Lane l has, of a, the matrices of 8x8 at rows 0 and 8, then those at columns
// 8; of b, turned, those at rows 0 and 8; of the sums row l / 4 and row l / 4 + 8, columns 2·(l % 4) and the next.
__device__ __forceinline__ void multiply(float (&sums)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
#if defined(CUDA_ON_CPU)
  coc::multiply(sums, a, b0, b1, [](unsigned short bits) { return to_real(bits); });
#else
#if defined(ELEMENT_F16)
#define PRODUCT "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32"
#else
#define PRODUCT "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"
#endif
  asm volatile(PRODUCT " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}

// Two pixels side by side, at once where they are a whole word; the second only if it is in the picture.
struct Pair {
  bool word, second;
};
__device__ __forceinline__ unsigned load_pair(const Stored* from, Pair pair) {
  if (pair.word) return *(const unsigned*)from;
  return from[0] | (pair.second ? (unsigned)from[1] << 16 : 0);
}
__device__ __forceinline__ void store_pair(Stored* to, unsigned values, Pair pair) {
  if (pair.word) {
    *(unsigned*)to = values;
    return;
  }
  to[0] = (Stored)values;
  if (pair.second) to[1] = (Stored)(values >> 16);
}

// As `finish`, for a pair of pixels.
template <int COUNT>
__device__ __forceinline__ void finish_pair(const Call& call, Real (&sums)[2][COUNT], int batch, int output, int apart, int pixel, Pair pair) {
  const unsigned pixels = call.height * call.width, at = output * pixels + pixel, step = apart * pixels;
  const int last = (call.outputs - output - 1) / apart;
  if (output >= call.outputs) return;
  const long long picture = (long long)batch * call.outputs * pixels;
  const auto low = [](unsigned word) { return to_real((Stored)word); };
  const auto high = [](unsigned word) { return to_real((Stored)(word >> 16)); };
  if (call.bias) {
#pragma unroll
    for (int o = 0; o < COUNT; o++) {
      const Real bias = load(call.bias + output + (o < last ? o : last) * apart);
      sums[0][o] += bias, sums[1][o] += bias;
    }
  }
  if (call.scale) {
    const unsigned scale = load_pair(call.scale + (long long)batch * pixels + pixel, pair);
#pragma unroll
    for (int o = 0; o < COUNT; o++) sums[0][o] *= low(scale), sums[1][o] *= high(scale);
  }
  if (call.residual) {
    const Stored* from = call.residual + picture;
#pragma unroll
    for (int o = 0; o < COUNT; o++) {
      const unsigned residual = load_pair(from + (at + (o < last ? o : last) * step), pair);
      sums[0][o] += low(residual), sums[1][o] += high(residual);
    }
  }
  Stored* to = call.y + picture;
  const Real least = least_of(call);
#pragma unroll
  for (int o = 0; o < COUNT; o++) {
    const Real first = sums[0][o] < least ? least : sums[0][o], second = sums[1][o] < least ? least : sums[1][o];
    if (o <= last) store_pair(to + (at + o * step), to_stored(first) | (unsigned)to_stored(second) << 16, pair);
  }
}

template <int SIZE, int OUTPUTS, int PIXELS, int THREADS>
__device__ __forceinline__ void convolve(const Call& call, const Block& block, const int* places, Values* values, Values* weights) {
  constexpr int TAPS = SIZE * SIZE, EACH = PIXELS / (THREADS / 32), ROWS = OUTPUTS / 16, PAIRS = EACH / 16;
  const int lane = threadIdx.x % 32, first_pixel = threadIdx.x / 32 * EACH;
  const int padded_outputs = packed_outputs(call.outputs), pixels = call.height * call.width;
  // Which rows this lane gives to `load_matrices`: of the weights, and of sixteen pixels at once.
  const Values* const given_weights = weights + lane / 16 * (TAPS * OUTPUTS + 4) + lane / 8 % 2 * 8 + lane % 8;
  const Values* given_pixels[PAIRS];
#pragma unroll
  for (int pair = 0; pair < PAIRS; pair++) {
    given_pixels[pair] = values + lane / 8 % 2 * block.pixels + first_tap(call, block, first_pixel + 16 * pair + lane / 16 * 8 + lane % 8);
  }
  // A thread copies half of one weight of every TAPS_AT_ONCE-th tap, and half the chunk of every PIXELS_AT_ONCE-th pixel,
  // of which it asks for LOADS before it waits for any: three at once spill registers for sm_80.
  constexpr int PIXELS_AT_ONCE = THREADS / 2, LOADS = 2, TAPS_AT_ONCE = THREADS / (2 * OUTPUTS);
  const int pixel = threadIdx.x % PIXELS_AT_ONCE, half = threadIdx.x / PIXELS_AT_ONCE;
  const int weight = threadIdx.x / 2, of_weight = threadIdx.x % 2, first_copied = weight / OUTPUTS;
  Values *const to_values = values + half * block.pixels + pixel, *const to_weights = weights + of_weight * (TAPS * OUTPUTS + 4) + weight;
  const Stored* channels = call.x + ((long long)block.batch * call.inputs + 8 * half) * pixels;
  const Values* rows = (const Values*)call.packed + 2 * ((long long)first_copied * padded_outputs + block.output + weight % OUTPUTS) + of_weight;

  float sums[ROWS][2 * PAIRS][4] = {};
  for (int first = 0; first < call.inputs; first += CHUNK) {
    const int left = call.inputs - first - 8 * half;
#pragma unroll
    for (int tap = 0; tap < TAPS; tap += TAPS_AT_ONCE) {
      if (first_copied + tap < TAPS) start_copy_of_all(to_weights + tap * OUTPUTS, rows + 2LL * tap * padded_outputs);
    }
    for (int i = 0; pixel + i < block.pixels; i += LOADS * PIXELS_AT_ONCE) {
      int found[LOADS];
      unsigned bits[LOADS][8];
#pragma unroll
      for (int k = 0; k < LOADS; k++) {
        const int at = i + k * PIXELS_AT_ONCE;
        found[k] = pixel + at < block.pixels ? places[pixel + at] : -1;
      }
      // Outside the picture its first pixel is read in vain, which takes fewer instructions than not to.
      const auto ask = [&](int count) {
#pragma unroll
        for (int k = 0; k < LOADS; k++) {
          const Stored* from = channels + (found[k] < 0 ? 0 : found[k]);
#pragma unroll
          for (int c = 0; c < 8; c++) bits[k][c] = c < count ? from[(long long)c * pixels] : 0;
        }
      };
      if (left >= 8) {
        ask(8);
      } else {
        ask(left);
      }
#pragma unroll
      for (int k = 0; k < LOADS; k++) {
        const int at = i + k * PIXELS_AT_ONCE;
        Values row;
#pragma unroll
        for (int c = 0; c < 4; c++) row.of[c] = found[k] < 0 ? 0 : bits[k][2 * c] | bits[k][2 * c + 1] << 16;
        if (pixel + at < block.pixels) to_values[at] = row;
      }
    }
    channels += (long long)CHUNK * pixels;
    rows += 2LL * TAPS * padded_outputs;
    wait_for_copies();
    __syncthreads();
#pragma unroll
    for (int tap = 0; tap < TAPS; tap++) {
      const int reached = (tap / SIZE * block.pitch + tap % SIZE) * call.dilation;
      unsigned a[ROWS][4];
#pragma unroll
      for (int row = 0; row < ROWS; row++) {
        load_matrices(a[row], given_weights + tap * OUTPUTS + 16 * row);
      }
#pragma unroll
      for (int pair = 0; pair < PAIRS; pair++) {
        unsigned b[4];
        load_matrices(b, given_pixels[pair] + reached);
#pragma unroll
        for (int row = 0; row < ROWS; row++) {
          multiply(sums[row][2 * pair], a[row], b[0], b[1]);
          multiply(sums[row][2 * pair + 1], a[row], b[2], b[3]);
        }
      }
    }
    // The next chunk goes where this one was.
    __syncthreads();
  }

  // Pairs of pixels side by side lie in whole words where all rows begin with one.
  const bool words = call.width % 2 == 0 && ((size_t)call.y | (size_t)call.scale | (size_t)call.residual) % 4 == 0;
#pragma unroll
  for (int eight = 0; eight < 2 * PAIRS; eight++) {
    const int pixel = first_pixel + 8 * eight + lane % 4 * 2;
    const int y = block.top + (pixel >> call.bits), x = block.left + (pixel & ((1 << call.bits) - 1));
    if (y >= call.height || x >= call.width) continue;
    const int output = block.output + lane / 4, in_plane = y * call.width + x;
    Real two[2][2 * ROWS];
#pragma unroll
    for (int row = 0; row < 2 * ROWS; row++) {
      two[0][row] = sums[row / 2][eight][row % 2 * 2];
      two[1][row] = sums[row / 2][eight][row % 2 * 2 + 1];
    }
    finish_pair(call, two, block.batch, output, 8, in_plane, {words, x + 1 < call.width});
  }
}
#endif
