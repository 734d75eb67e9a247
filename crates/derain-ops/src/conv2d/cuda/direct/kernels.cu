// Convolutions in one pass (conv2d/cuda/direct.rs), with what follows their sums: needs tile.cu, and floats.cu or
// halves.cu. For every pixel the C·K·K values that the kernel meets there are a column, and the weights a matrix
// [O, C·K·K]: a block makes the product for OUTPUTS outputs and a tile of PIXELS pixels, chunk by chunk of the
// channels. A chunk's pixels, with those around them that the kernel reaches, and its weights wait in shared memory. No
// column is ever stored.
//
// Weights come packed, by conv2d_pack.

// Weights [O, C, K, K], or [C, O, K, K] to be turned for the gradient of x, as `convolve` reads them: a thread for each
// packed one. What is beyond the last output or channel is 0.
extern "C" __global__ void conv2d_pack(const Stored* weight, Stored* packed, int inputs, int outputs, int taps, int padded_inputs,
                                       int padded_outputs, int turned) {
  const int at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= padded_inputs * taps * padded_outputs) return;
  const Packed place = unpack(at, taps, padded_outputs);
  Real value = 0;
  if (place.input < inputs && place.output < outputs) {
    const int from = turned ? (place.input * outputs + place.output) * taps + taps - 1 - place.tap
                            : (place.output * inputs + place.input) * taps + place.tap;
    value = load(weight + from);
  }
  store(packed + at, value);
}

#define PARAMETERS                                                                                                                       \
  const Stored *x, const Stored *packed, const Stored *bias, const Stored *scale, const Stored *residual, Stored *y, int inputs,         \
      int outputs, int height, int width, int dilation, int bits, int relu
#define CONVOLVE(SIZE, OUTPUTS, PIXELS, THREADS)                                                                                         \
  __shared__ int places[most_pixels<SIZE, PIXELS>()];                                                                                    \
  __shared__ Values values[room_for_values(most_pixels<SIZE, PIXELS>())];                                                                \
  __shared__ Values weights[room_for_weights(SIZE * SIZE * OUTPUTS)];                                                                    \
  const Call call = {x, packed, bias, scale, residual, y, inputs, outputs, height, width, dilation, bits, relu};                         \
  const Block block = block_of<SIZE, OUTPUTS, PIXELS>(call, blockIdx.x);                                                                 \
  find_places(call, block, places);                                                                                                      \
  convolve<SIZE, OUTPUTS, PIXELS, THREADS>(call, block, places, values, weights)

extern "C" __global__ void __launch_bounds__(128, 2 * BLOCKS) conv2d_1x1_16(PARAMETERS) { CONVOLVE(1, 16, 512, 128); }
extern "C" __global__ void __launch_bounds__(128, 2 * BLOCKS) conv2d_1x1_32(PARAMETERS) { CONVOLVE(1, 32, 256, 128); }
extern "C" __global__ void __launch_bounds__(256, BLOCKS) conv2d_1x1_64(PARAMETERS) { CONVOLVE(1, 64, 256, 256); }
extern "C" __global__ void __launch_bounds__(128, 2 * BLOCKS) conv2d_3x3_16(PARAMETERS) { CONVOLVE(3, 16, 512, 128); }
extern "C" __global__ void __launch_bounds__(128, 2 * BLOCKS) conv2d_3x3_32(PARAMETERS) { CONVOLVE(3, 32, 256, 128); }
extern "C" __global__ void __launch_bounds__(256, BLOCKS) conv2d_3x3_64(PARAMETERS) { CONVOLVE(3, 64, 256, 256); }
