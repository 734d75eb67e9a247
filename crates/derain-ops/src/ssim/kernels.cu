// SSIM of ssim/mod.rs, whose symbols these are: needs window.cu and sums.cu.
//
// A block's band is ROWS rows. Every thread walks down the rows that their windows cover, and adds each pixel's
// quantities, with a weight for each of the ROWS, to sums in registers. These go to shared memory, where the thread
// adds up the columns of its window. Memory is read once; the rows and columns that neighbouring blocks share come from
// the second-level cache.
//
// Sums are in f64 whatever the elements: variances are differences of nearly equal numbers, and so are their gradients.

// More would take more than 48 KiB of shared memory.
#define ROWS 4
#define QUANTITIES 4
#define MOST_WINDOW 129
// Lets threads have 80 registers.
#define BLOCKS_AT_ONCE 3

struct Quantities {
  double of[QUANTITIES];
};

struct Shared {
  double weights[MOST_WINDOW];
  double columns[ROWS][QUANTITIES][THREADS];
  double warps[WARPS];
};

// The weights along one axis of the window: a Gaussian of standard deviation `sigma`, of sum 1 over the `side` pixels
// that the window has where nothing cuts it to the radius.
__device__ __forceinline__ void weigh(Shared& shared, int radius, int side, double sigma) {
  const int t = threadIdx.x;
  const auto bell = [&](int at) { return exp(-0.5 * (at / sigma) * (at / sigma)); };
  const double total = sum_block(t < side ? bell(t - side / 2) : 0.0, shared.warps);
  if (t <= 2 * radius) shared.weights[t] = bell(t - radius) / total;
  __syncthreads();
}

// Calls `emit(at, sums)` for each pixel of this thread, with its place in the plane and the weighted sums around it of
// what `source(at)` gives.
template <class Source, class Emit>
__device__ __forceinline__ void sum_windows(const Window& window, Shared& shared, Source source, Emit emit) {
  const int radius = window.radius, t = threadIdx.x;
  Quantities sums[ROWS] = {};
  for (int row = window.first_row - radius; row < window.first_row + ROWS + radius; row++) {
    // Beyond the border pictures continue with zeros.
    if (!window.inside || row < 0 || row >= window.height) continue;
    const Quantities quantities = source(row * window.width + window.column);
#pragma unroll
    for (int k = 0; k < ROWS; k++) {
      const int tap = row - (window.first_row + k) + radius;
      if (tap < 0 || tap > 2 * radius) continue;
      for (int q = 0; q < QUANTITIES; q++) sums[k].of[q] += shared.weights[tap] * quantities.of[q];
    }
  }
#pragma unroll
  for (int k = 0; k < ROWS; k++) {
    for (int q = 0; q < QUANTITIES; q++) shared.columns[k][q][t] = sums[k].of[q];
  }
  __syncthreads();
  for (int k = 0; k < ROWS && window.first_row + k < window.end_row; k++) {
    if (!window.emits) continue;
    Quantities total = {};
    for (int tap = 0; tap <= 2 * radius; tap++) {
      for (int q = 0; q < QUANTITIES; q++) {
        total.of[q] += shared.weights[tap] * shared.columns[k][q][t - radius + tap];
      }
    }
    emit((window.first_row + k) * window.width + window.column, total);
  }
}

struct Factors {
  double a1, a2, b1, b2;
};

// Rounding can leave a variance below 0, or a covariance above the variances: both are brought back. Comparisons leave
// NaN as it is.
__device__ __forceinline__ Factors factors_of(const Quantities& moments, double c1, double c2) {
  const double mx = moments.of[0], my = moments.of[1], squares = moments.of[2], products = moments.of[3];
  const double mxy = mx * my, means = 2 * mxy + (mx - my) * (mx - my);
  double variance = squares - means, covariance = 2 * products - 2 * mxy;
  if (variance < 0) variance = 0;
  if (covariance > variance) covariance = variance;
  if (covariance < -variance) covariance = -variance;
  const Factors factors = {2 * mxy + c1, covariance + c2, means + c1, variance + c2};
  return factors;
}

// SSIM around every pixel of x and y [B, C, H, W]: `sums` gets each block's sum and, unless it is null, `partials`
// [4, count] the derivatives of every pixel's SSIM by its moments μx, μy, S and P. They are numbers of Real: rounding
// them moves gradients less than rounding x does, but for windows of one pixel, where it moves them by 1e-4.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_AT_ONCE)
    ssim_map(const Stored* x, const Stored* y, double* sums, Real* partials, long long count, int height, int width, int radius,
             int band, int side, double sigma, double c1, double c2) {
  __shared__ Shared shared;
  const Window window = window_of(height, width, radius, band);
  x += window.plane;
  y += window.plane;
  weigh(shared, radius, side, sigma);
  double sum = 0;
  sum_windows(
      window, shared,
      [&](int at) {
        const double of_x = load(x + at), of_y = load(y + at), product = of_x * of_y;
        // x² + y², in a form that is exactly twice the product where x = y.
        const Quantities quantities = {of_x, of_y, 2 * product + (of_x - of_y) * (of_x - of_y), product};
        return quantities;
      },
      [&](int at, const Quantities& moments) {
        const Factors factors = factors_of(moments, c1, c2);
        const double a1 = factors.a1, a2 = factors.a2, b1 = factors.b1, b2 = factors.b2;
        const double inverse = 1 / (b1 * b2), f = a1 * a2 / (b1 * b2);
        sum += f;
        if (!partials) return;
        const double mx = moments.of[0], my = moments.of[1];
        // 1/B1 = B2 / (B1·B2), and the other way round.
        const double cross = 2 * (a2 - a1) * inverse, own = 2 * f * (b1 - b2) * inverse;
        Real* partial = partials + window.plane + at;
        partial[0] = my * cross + mx * own;
        partial[count] = mx * cross + my * own;
        partial[2 * count] = -f * b1 * inverse;
        partial[3 * count] = 2 * a1 * inverse;
      });
  // The warps' parts of the weights' total have been read: there were barriers since.
  sum = sum_block(sum, shared.warps);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// The mean: one block.
extern "C" __global__ void __launch_bounds__(THREADS) ssim_mean(const double* sums, int blocks, long long count, Stored* out) {
  __shared__ double warps[WARPS];
  double sum = 0;
  for (int block = threadIdx.x; block < blocks; block += THREADS) sum += sums[block];
  sum = sum_block(sum, warps);
  if (threadIdx.x == 0) store(out, (Real)(sum / count));
}

// The gradients for x and y of the mean times `grad`, a scalar: dx = grad/n · (Σ w·dμx + 2·x·Σ w·dS + y·Σ w·dP), dy
// likewise.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_AT_ONCE)
    ssim_gather(const Stored* x, const Stored* y, const Real* partials, const Stored* grad, Stored* d_x, Stored* d_y, long long count,
                int height, int width, int radius, int band, int side, double sigma) {
  __shared__ Shared shared;
  const Window window = window_of(height, width, radius, band);
  partials += window.plane;
  weigh(shared, radius, side, sigma);
  const double scale = (double)load(grad) / count;
  sum_windows(
      window, shared,
      [&](int at) {
        const Real* partial = partials + at;
        const Quantities quantities = {partial[0], partial[count], partial[2 * count], partial[3 * count]};
        return quantities;
      },
      [&](int at, const Quantities& given) {
        const double of_x = load(x + window.plane + at), of_y = load(y + window.plane + at);
        store(d_x + window.plane + at, (Real)(scale * (given.of[0] + 2 * of_x * given.of[2] + of_y * given.of[3])));
        store(d_y + window.plane + at, (Real)(scale * (given.of[1] + 2 * of_y * given.of[2] + of_x * given.of[3])));
      });
}
