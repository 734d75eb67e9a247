// For kernels with a thread for each element of planes (`Grid::of_planes`). A block keeps to one plane: offsets within
// a plane fit 32 bits, and dividing them by a width is cheap; divisions of 64 bits take many instructions.

// Where a thread works.
struct Place {
  long long plane;
  int element;
  bool inside;  // Threads beyond the plane's end have nothing to do.
};

__device__ __forceinline__ Place place_of(int elements) {
  const unsigned blocks = ((unsigned)elements + blockDim.x - 1) / blockDim.x;
  const unsigned element = blockIdx.x % blocks * blockDim.x + threadIdx.x;
  const Place place = {blockIdx.x / blocks, (int)element, element < (unsigned)elements};
  return place;
}
