// What a block of conv2d/cuda/direct.rs works on, and what follows its sums.

// The largest dilation whose surroundings the shared memory has room for.
#define MOST_DILATION 4

// Two blocks of 256 threads, or four of 128, are to share a processor, so that one loads while the other multiplies:
// their registers must fit. f64 takes twice as many; halves would spill some where MORE_REGISTERS are taken.
#if defined(ELEMENT_F64) || (MORE_REGISTERS && !defined(ELEMENT_F32))
#define BLOCKS 1
#else
#define BLOCKS 2
#endif

// Packed weights are of whole blocks of any tile: one packing serves all.
#define PACKED_OUTPUTS 64
__device__ __forceinline__ int packed_outputs(int outputs) { return (outputs + PACKED_OUTPUTS - 1) / PACKED_OUTPUTS * PACKED_OUTPUTS; }

struct Call {
  const Stored *x, *packed, *bias, *scale, *residual;
  Stored* y;
  int inputs, outputs, height, width, dilation, bits, relu;
};

// A block's place: its first output, its tile's first pixel, and the tile's pixels with their surroundings, `pitch` to
// a row.
struct Block {
  int batch, output, top, left, reach, pitch, pixels;
};

// Tiles of a picture, `columns` of them side by side.
template <int PIXELS> __device__ __forceinline__ int tiles_of(const Call& call, int* columns = 0) {
  const int width = 1 << call.bits, height = PIXELS >> call.bits;
  const int across = (call.width + width - 1) / width;
  if (columns) *columns = across;
  return across * ((call.height + height - 1) / height);
}

// Blocks side by side have the same pixels, which the second-level cache then keeps.
template <int SIZE, int OUTPUTS, int PIXELS> __device__ __forceinline__ Block block_of(const Call& call, unsigned number) {
  const int width = 1 << call.bits, height = PIXELS >> call.bits, groups = (call.outputs + OUTPUTS - 1) / OUTPUTS;
  int columns;
  const int tiles = tiles_of<PIXELS>(call, &columns), tile = number / groups % tiles;
  Block block;
  block.batch = number / groups / tiles;
  block.output = number % groups * OUTPUTS;
  block.top = tile / columns * height;
  block.left = tile % columns * width;
  block.reach = SIZE / 2 * call.dilation;
  block.pitch = width + 2 * block.reach;
  block.pixels = block.pitch * (height + 2 * block.reach);
  return block;
}

// The most pixels that a tile has with its surroundings. Tiles are 8, 16 or 32 wide.
template <int SIZE, int PIXELS> __device__ constexpr int most_pixels() {
  const int around = SIZE / 2 * 2 * MOST_DILATION;
  int most = 0;
  for (int width = 8; width <= 32; width *= 2) {
    const int pixels = (width + around) * (PIXELS / width + around);
    most = pixels > most ? pixels : most;
  }
  return most;
}

// Where a tile's pixel lies among those with their surroundings, as the kernel's first tap meets it.
__device__ __forceinline__ int first_tap(const Call& call, const Block& block, int pixel) {
  return (pixel >> call.bits) * block.pitch + (pixel & ((1 << call.bits) - 1));
}

// Where a pixel of the tile or around it lies in a plane; -1 where there is no picture.
__device__ __forceinline__ int place_of(const Call& call, const Block& block, int pixel) {
  const int row = pixel / block.pitch;
  const int y = block.top - block.reach + row, x = block.left - block.reach + pixel - row * block.pitch;
  return (unsigned)y < (unsigned)call.height && (unsigned)x < (unsigned)call.width ? y * call.width + x : -1;
}

// All of a block's `place_of`, which are the same for every chunk of channels: to divide anew for each took as long as
// to load it.
__device__ __forceinline__ void find_places(const Call& call, const Block& block, int* places) {
  for (int i = threadIdx.x; i < block.pixels; i += blockDim.x) places[i] = place_of(call, block, i);
  // A thread asks for those that others have found.
  __syncthreads();
}

// What the activation raises smaller results to. As a value, not as a branch, which compilers would take around whole
// copies of the loop; and by comparisons with it NaN stays.
__device__ __forceinline__ Real least_of(const Call& call) { return call.relu ? Real(0) : Real(-LARGEST) * 2; }

// Stores activation((sum + bias) · scale + residual) for the sums of one pixel, for `output` and those that follow it
// `apart` from each other.
template <int COUNT>
__device__ __forceinline__ void finish(const Call& call, Real (&sums)[COUNT], int batch, int output, int apart, int pixel) {
  // Of a picture, 32 bits count all values.
  const unsigned pixels = call.height * call.width, at = output * pixels + pixel, step = apart * pixels;
  // Beyond the last output the last is read once more, which takes no branch.
  const int last = (call.outputs - output - 1) / apart;
  if (output >= call.outputs) return;
  const long long picture = (long long)batch * call.outputs * pixels;
  if (call.bias) {
#pragma unroll
    for (int o = 0; o < COUNT; o++) sums[o] += load(call.bias + output + (o < last ? o : last) * apart);
  }
  if (call.scale) {
    const Real scale = load(call.scale + (long long)batch * pixels + pixel);
#pragma unroll
    for (int o = 0; o < COUNT; o++) sums[o] *= scale;
  }
  if (call.residual) {
    const Stored* from = call.residual + picture;
#pragma unroll
    for (int o = 0; o < COUNT; o++) sums[o] += load(from + (at + (o < last ? o : last) * step));
  }
  Stored* to = call.y + picture;
  const Real least = least_of(call);
#pragma unroll
  for (int o = 0; o < COUNT; o++) {
    if (o <= last) store(to + (at + o * step), sums[o] < least ? least : sums[o]);
  }
}
