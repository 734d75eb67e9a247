// The gradient of the weights: needs tile.cu and sums.cu. dW[o, c, tap] = Σ g[o, p] · x[c, p + tap] over the pixels p
// of all pictures, g being the gradient for the sums. A block has 16 outputs and some channels and goes over every
// `splits`-th tile of pixels; a warp has 8 of those outputs and a fourth of the channels, and its lanes have pixels
// side by side. What lanes, and then blocks, have summed is added in a fixed order.

// As much shared memory for both types.
#define GRADIENT_PIXELS (1024 / (int)sizeof(Real))
#define GRADIENT_OUTPUTS 16
#define OF_WARP 8

// As `BLOCKS`; with the 128 registers that two blocks leave, halves would spill some (sm_80).
#ifdef ELEMENT_F32
#define GRADIENT_BLOCKS 2
#else
#define GRADIENT_BLOCKS 1
#endif

// Channels of a warp: a thread has 72 sums, or 64.
template <int SIZE> __device__ constexpr int channels_of_warp() { return SIZE == 1 ? 8 : 1; }

// To `partial` [splits, O, C, K, K].
template <int SIZE>
__device__ __forceinline__ void sum_weight_gradients(Call call, const Stored* grad, Real* partial, int batch, int splits, Real* of_grad,
                                                     Real* of_x) {
  constexpr int TAPS = SIZE * SIZE, EACH = channels_of_warp<SIZE>(), CHANNELS = 4 * EACH, PIXELS = GRADIENT_PIXELS;
  const int lane = threadIdx.x % 32, first_output = threadIdx.x / 32 % 2 * OF_WARP, first_channel = threadIdx.x / 64 * EACH;
  const int pixels = call.height * call.width, groups = (call.inputs + CHANNELS - 1) / CHANNELS;
  const int split = blockIdx.x % splits, channel = blockIdx.x / splits % groups * CHANNELS;
  const int output = blockIdx.x / splits / groups * GRADIENT_OUTPUTS;
  // Places of tiles are those of blocks of one output.
  const int outputs = call.outputs;
  call.outputs = 1;

  const Real* const of_outputs = of_grad + first_output * PIXELS;
  Real sums[OF_WARP][EACH * TAPS] = {};
  const int tiles = tiles_of<PIXELS>(call) * batch;
  for (int tile = split; tile < tiles; tile += splits) {
    const Block block = block_of<SIZE, 1, PIXELS>(call, tile);
    // The last tile has been read.
    __syncthreads();
    for (int i = threadIdx.x; i < PIXELS; i += THREADS) {
      const int y = block.top + (i >> call.bits), x = block.left + (i & ((1 << call.bits) - 1));
      const bool inside = y < call.height && x < call.width;
      const Stored* from = grad + ((long long)block.batch * outputs + output) * pixels + (inside ? y * call.width + x : 0);
#pragma unroll
      for (int o = 0; o < GRADIENT_OUTPUTS; o++) {
        const bool there = inside && output + o < outputs;
        start_copy(of_grad + o * PIXELS + i, there ? from + (long long)o * pixels : from, there);
      }
    }
    for (int i = threadIdx.x; i < block.pixels; i += THREADS) {
      const int place = place_of(call, block, i);
      const Stored* from = call.x + ((long long)block.batch * call.inputs + channel) * pixels + (place < 0 ? 0 : place);
#pragma unroll
      for (int c = 0; c < CHANNELS; c++) {
        const bool there = place >= 0 && channel + c < call.inputs;
        start_copy(of_x + c * block.pixels + i, there ? from + (long long)c * pixels : from, there);
      }
    }
    wait_for_copies();
    __syncthreads();
    for (int pixel = lane; pixel < PIXELS; pixel += 32) {
      Real g[OF_WARP];
#pragma unroll
      for (int o = 0; o < OF_WARP; o++) g[o] = of_outputs[o * PIXELS + pixel];
      const char* first = (const char*)(of_x + first_channel * block.pixels + first_tap(call, block, pixel));
#pragma unroll
      for (int c = 0; c < EACH; c++) {
#pragma unroll
        for (int tap = 0; tap < TAPS; tap++) {
          const int reached = (c * block.pixels + (tap / SIZE * block.pitch + tap % SIZE) * call.dilation) * (int)sizeof(Real);
          const Real x = *(const Real*)(first + reached);
#pragma unroll
          for (int o = 0; o < OF_WARP; o++) sums[o][c * TAPS + tap] += g[o] * x;
        }
      }
    }
  }

#pragma unroll
  for (int o = 0; o < OF_WARP; o++) {
#pragma unroll
    for (int i = 0; i < EACH * TAPS; i++) {
      Real sum = sums[o][i];
#pragma unroll
      for (int apart = 16; apart > 0; apart /= 2) sum += __shfl_xor_sync(FULL_WARP, sum, apart);
      const int to_output = output + first_output + o, to_channel = channel + first_channel + i / TAPS;
      if (lane == 0 && to_output < outputs && to_channel < call.inputs) {
        partial[(((long long)split * outputs + to_output) * call.inputs + to_channel) * TAPS + i % TAPS] = sum;
      }
    }
  }
}

#define GRADIENT_PARAMETERS                                                                                                              \
  const Stored *x, const Stored *grad, Real *partial, int batch, int inputs, int outputs, int height, int width, int dilation, int bits, \
      int splits
#define SUM_WEIGHT_GRADIENTS(SIZE)                                                                                                       \
  __shared__ Real of_grad[GRADIENT_OUTPUTS * GRADIENT_PIXELS];                                                                           \
  __shared__ Real of_x[4 * channels_of_warp<SIZE>() * most_pixels<SIZE, GRADIENT_PIXELS>()];                                             \
  const Call call = {x, 0, 0, 0, 0, 0, inputs, outputs, height, width, dilation, bits, 0};                                               \
  sum_weight_gradients<SIZE>(call, grad, partial, batch, splits, of_grad, of_x)

extern "C" __global__ void __launch_bounds__(THREADS, GRADIENT_BLOCKS) conv2d_weight_gradient_1x1(GRADIENT_PARAMETERS) { SUM_WEIGHT_GRADIENTS(1); }
extern "C" __global__ void __launch_bounds__(THREADS, GRADIENT_BLOCKS) conv2d_weight_gradient_3x3(GRADIENT_PARAMETERS) { SUM_WEIGHT_GRADIENTS(3); }

// All splits' sums: a block for TOTALS weights, of whose splits each of SHARES threads adds every SHARES-th.
#define TOTALS 32
#define SHARES 8
extern "C" __global__ void conv2d_weight_gradient_total(const Real* partial, Stored* d_weight, int weights, int splits) {
  __shared__ double shares[SHARES][TOTALS];
  const int share = threadIdx.y;
  const long long at = (long long)blockIdx.x * TOTALS + threadIdx.x;
  double sum = 0;
  if (at < weights) {
    for (int split = share; split < splits; split += SHARES) sum += partial[(long long)split * weights + at];
  }
  shares[share][threadIdx.x] = sum;
  __syncthreads();
  if (share > 0 || at >= weights) return;
  for (int i = 1; i < SHARES; i++) sum += shares[i][threadIdx.x];
  store(d_weight + at, (Real)sum);
}
