// Sums over a block of THREADS threads, in an order that never changes: equal input gives equal bits.

#ifndef THREADS
#define THREADS 256
#endif
#define WARPS (THREADS / 32)
#define FULL_WARP 0xffffffffu

// The sum of all threads' values, to all of them. A kernel has `warps` for each of its sums, or a barrier between two.
__device__ __forceinline__ double sum_block(double value, double (&warps)[WARPS]) {
#pragma unroll
  for (int apart = 16; apart > 0; apart /= 2) value += __shfl_xor_sync(FULL_WARP, value, apart);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
  __syncthreads();
  double sum = 0;
  for (int warp = 0; warp < WARPS; warp++) sum += warps[warp];
  return sum;
}
