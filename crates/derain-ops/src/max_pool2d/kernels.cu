// Max pooling of max_pool2d/mod.rs, over windows of 2x2 pixels of x [B, C, H, W]: needs planes.cu.

// Which pixel of a window, in row-major order, its result comes from: the first of the largest, or the last NaN.
// `largest` gets its value.
__device__ __forceinline__ int winner_of(const Stored* window, int width, Real& largest) {
  int winner = 0;
  largest = load(window);
#pragma unroll
  for (int i = 1; i < 4; i++) {
    const Real value = load(window + i / 2 * width + i % 2);
    // NaN takes any place, and no number takes NaN's.
    if (value > largest || value != value) {
      winner = i;
      largest = value;
    }
  }
  return winner;
}

// A thread for each result. Its two loads of a row lie beside each other: the second comes from the cache.
extern "C" __global__ void max_pool2d_forward(const Stored* x, Stored* out, int height, int width) {
  const int columns = width / 2, results = height / 2 * columns;
  const Place place = place_of(results);
  if (!place.inside) return;
  const int row = place.element / columns, column = place.element % columns;
  Real largest;
  winner_of(x + place.plane * height * width + 2 * row * width + 2 * column, width, largest);
  store(out + place.plane * results + place.element, largest);
}

// A thread for each pixel of x, so that a warp's results lie side by side; the four threads of a window find the same
// winner.
extern "C" __global__ void max_pool2d_backward(const Stored* x, const Stored* grad, Stored* d_x, int height, int width) {
  const int columns = width / 2, pixels = height * width;
  const Place place = place_of(pixels);
  if (!place.inside) return;
  const int row = place.element / width, column = place.element % width;
  Real largest;
  const int winner = winner_of(x + place.plane * pixels + row / 2 * 2 * width + column / 2 * 2, width, largest);
  const bool wins = winner == row % 2 * 2 + column % 2;
  const Stored* g = grad + place.plane * (pixels / 4) + row / 2 * columns + column / 2;
  store(d_x + place.plane * pixels + place.element, wins ? load(g) : Real(0));
}
