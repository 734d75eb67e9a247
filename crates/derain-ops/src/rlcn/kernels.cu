// RLCN of rlcn/mod.rs: needs window.cu. Symbols: I the picture, n the window's pixels that lie inside it, S and Q their
// sums of I and I², L the result.
//
// A thread keeps its column's sums over the window's rows in registers: it adds the row that enters and subtracts the
// one that leaves. They go to shared memory, where the thread adds up the columns of its window. Memory is read once,
// and once more for halos; the pixel that leaves and the one in the middle come from the first-level cache, which the
// window's rows fit into.
//
// Sums are in f64 whatever the elements: I - μ and σ² are differences of nearly equal numbers, and sums of equal f32
// values are exact in f64, so that flat regions give 0. What follows is in Real.

// Rows between two barriers: as many loads are under way at once.
#define ROWS 4
// Lets threads have 64 registers: left to choose, ptxas took 40 somewhere, and spilled some (f16, sm_90).
#define BLOCKS_AT_ONCE 4

// Two quantities of a pixel, or their sums.
struct Pair {
  double first, second;
};

// Pixels of a window along one axis of `length`.
__device__ __forceinline__ int reach(int center, int radius, int length) {
  const int first = center < radius ? 0 : center - radius, end = center + radius < length ? center + radius + 1 : length;
  return end - first;
}

// Calls `emit(at, n, sums)` for each pixel of this thread, with its place in the plane. `source(at)` gives a pixel's
// two quantities.
template <class Source, class Emit>
__device__ __forceinline__ void slide(const Window& window, Pair (&columns)[ROWS][THREADS], Source source, Emit emit) {
  const int radius = window.radius, t = threadIdx.x;
  const auto quantities = [&](int row) {
    Pair pair = {0, 0};
    if (window.inside && row >= 0 && row < window.height) pair = source(row * window.width + window.column);
    return pair;
  };
  Pair sum = {0, 0};
  for (int row = window.first_row - radius; row < window.first_row + radius; row++) {
    const Pair enters = quantities(row);
    sum.first += enters.first;
    sum.second += enters.second;
  }
  for (int first = window.first_row; first < window.end_row; first += ROWS) {
    Pair enters[ROWS], leaves[ROWS];
#pragma unroll
    for (int k = 0; k < ROWS; k++) {
      enters[k] = quantities(first + k + radius);
      leaves[k] = quantities(first + k - radius);
    }
#pragma unroll
    for (int k = 0; k < ROWS; k++) {
      sum.first += enters[k].first;
      sum.second += enters[k].second;
      columns[k][t] = sum;
      sum.first -= leaves[k].first;
      sum.second -= leaves[k].second;
    }
    __syncthreads();
    for (int k = 0; k < ROWS && first + k < window.end_row; k++) {
      if (!window.emits) continue;
      Pair total = {0, 0};
      for (int i = t - radius; i <= t + radius; i++) {
        total.first += columns[k][i].first;
        total.second += columns[k][i].second;
      }
      const int row = first + k;
      const int n = reach(row, radius, window.height) * reach(window.column, radius, window.width);
      emit(row * window.width + window.column, n, total);
    }
    // The next rows' sums come over these.
    __syncthreads();
  }
}

struct Moments {
  Real deviation, sigma;
};

// I - μ = (n·I - S) / n, and σ² = (n·Q - S²) / (n·(n - 1)) + ε_σ.
__device__ __forceinline__ Moments moments_of(Real value, int n, Pair sums, double variance_epsilon) {
  const Real spread = n * sums.second - sums.first * sums.first;
  // Rounding may leave less than nothing of it. Comparisons, as everywhere here, leave NaN as it is.
  const Real variance = n < 2 || spread < 0 ? Real(0) : spread / ((Real)n * (n - 1));
  const Moments moments = {(Real)(n * (double)value - sums.first) / n, (Real)sqrt(variance + (Real)variance_epsilon)};
  return moments;
}

// I and I², whose sums are S and Q.
__device__ __forceinline__ Pair powers(Real value) {
  const Pair pair = {value, (double)value * value};
  return pair;
}

// L of x [B, C, H, W].
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_AT_ONCE)
    rlcn_forward(const Stored* x, Stored* out, int height, int width, int radius, int band, double epsilon, double variance_epsilon,
                 int clamp) {
  __shared__ Pair columns[ROWS][THREADS];
  const Window window = window_of(height, width, radius, band);
  x += window.plane;
  out += window.plane;
  slide(
      window, columns, [&](int at) { return powers(load(x + at)); },
      [&](int at, int n, Pair sums) {
        const Moments moments = moments_of(load(x + at), n, sums, variance_epsilon);
        Real l = moments.deviation / (moments.sigma + (Real)epsilon);
        if (l < 0) l = 0;
        if (clamp && l > 1) l = 1;
        store(out + at, l);
      });
}

// First half of the gradient (see cpu.rs): what each pixel p gives to every pixel q of its window,
// constant + slope · I_q, and to itself, direct. With s = σ + ε: slope = grad · (I_p - μ) / (s²·σ·(n - 1)),
// constant = grad / (s·n) - slope·μ, direct = grad / s.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_AT_ONCE)
    rlcn_terms(const Stored* x, const Stored* grad, Real* constant, Real* slope, Real* direct, int height, int width, int radius,
               int band, double epsilon, double variance_epsilon, int clamp) {
  __shared__ Pair columns[ROWS][THREADS];
  const Window window = window_of(height, width, radius, band);
  x += window.plane;
  slide(
      window, columns, [&](int at) { return powers(load(x + at)); },
      [&](int at, int n, Pair sums) {
        const Real value = load(x + at);
        const Moments moments = moments_of(value, n, sums, variance_epsilon);
        const Real s = moments.sigma + (Real)epsilon, deviation = moments.deviation;
        const bool passes = deviation > 0 && !(clamp && deviation > s);
        const Real g = passes ? load(grad + window.plane + at) : Real(0);
        const Real tilt = n > 1 ? g * deviation / (s * s * moments.sigma * (n - 1)) : Real(0);
        constant[window.plane + at] = g / (s * n) - tilt * (value - deviation);
        slope[window.plane + at] = tilt;
        direct[window.plane + at] = g / s;
      });
}

// Second half: a pixel lies in the windows of all p in the window around it, so what they give to it is again a
// window's sum.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_AT_ONCE)
    rlcn_gather(const Stored* x, const Real* constant, const Real* slope, const Real* direct, Stored* d_x, int height, int width,
                int radius, int band) {
  __shared__ Pair columns[ROWS][THREADS];
  const Window window = window_of(height, width, radius, band);
  constant += window.plane;
  slope += window.plane;
  slide(
      window, columns,
      [&](int at) {
        const Pair pair = {constant[at], slope[at]};
        return pair;
      },
      [&](int at, int, Pair sums) {
        const double given = sums.first + sums.second * load(x + window.plane + at);
        store(d_x + window.plane + at, direct[window.plane + at] - given);
      });
}
