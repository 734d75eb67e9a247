// What a step of training changes in place (update/mod.rs): needs sums.cu and pieces.cu. A thread for each element.

extern "C" __global__ void adam(Stored* w, const Stored* g, Stored* m, Stored* v, double beta1, double beta2, double scale, double step,
                                double root, double epsilon, double kept, int elements) {
  const unsigned at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= (unsigned)elements) return;
  const Real gradient = load(g + at) * (Real)scale;
  const Real first = (Real)beta1 * load(m + at) + (Real)(1 - beta1) * gradient;
  const Real second = (Real)beta2 * load(v + at) + (Real)(1 - beta2) * gradient * gradient;
  store(m + at, first);
  store(v + at, second);
  store(w + at, (Real)kept * load(w + at) - (Real)step * first / (sqrt(second) * (Real)root + (Real)epsilon));
}

extern "C" __global__ void approach(Stored* average, const Stored* to, double share, int elements) {
  const unsigned at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= (unsigned)elements) return;
  const Real value = load(average + at);
  store(average + at, value + (Real)share * (load(to + at) - value));
}

// The sum of the squares of each piece.
extern "C" __global__ void __launch_bounds__(THREADS) sum_squares(const Stored* x, double* sums, int elements) {
  __shared__ double warps[WARPS];
  double sum = 0;
  for_elements(piece_of(elements), elements, [&](int, long long at) { sum += (double)load(x + at) * load(x + at); });
  sum = sum_block(sum, warps);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}
