// For kernels whose blocks add up pieces of planes (`Grid::of_pieces`): needs sums.cu. Pieces depend on the planes'
// size alone, and their sums are added in a fixed order.

// Elements of each thread: f32 sums go no further before they are added up in f64.
#define RUN 16
#define PIECE (RUN * THREADS)

__device__ __forceinline__ int pieces_of(int elements) { return (int)(((unsigned)elements + PIECE - 1) / PIECE); }

// A block's piece of a plane.
struct Piece {
  long long plane;
  int first, count;
};

__device__ __forceinline__ Piece piece_of(int elements) {
  const int pieces = pieces_of(elements), first = blockIdx.x % pieces * PIECE, left = elements - first;
  const Piece piece = {blockIdx.x / pieces, first, left < PIECE ? left : PIECE};
  return piece;
}

// Calls `f(k, at)` for each element of this thread: its k-th, and where it lies in the tensor. A warp's lie side by
// side.
template <class F> __device__ __forceinline__ void for_elements(const Piece& piece, int elements, F f) {
  const long long start = piece.plane * elements + piece.first;
#pragma unroll
  for (int k = 0; k < RUN; k++) {
    const int element = k * THREADS + threadIdx.x;
    if (element < piece.count) f(k, start + element);
  }
}

// This thread's elements of a tensor, 0 outside the piece and where there is no tensor. Kernels load all that they need
// by this before they compute, and store last: loads that need not wait for one another are what keeps memory busy, and
// to a compiler a store may change what is loaded next.
__device__ __forceinline__ void load_elements(const Piece& piece, int elements, const Stored* from, Real (&values)[RUN]) {
#pragma unroll
  for (int k = 0; k < RUN; k++) values[k] = 0;
  if (from) for_elements(piece, elements, [&](int k, long long at) { values[k] = load(from + at); });
}

__device__ __forceinline__ void store_elements(const Piece& piece, int elements, const Real (&values)[RUN], Stored* to) {
  for_elements(piece, elements, [&](int k, long long at) { store(to + at, values[k]); });
}

// The sum over a channel's pieces, in all pictures of the batch, of `term(piece)`, to all threads: a block for each
// channel.
template <class Term>
__device__ __forceinline__ double sum_pieces(int batch, int channels, int pieces, double (&warps)[WARPS], Term term) {
  double sum = 0;
  for (int i = threadIdx.x; i < batch * pieces; i += THREADS) {
    sum += term(((long long)(i / pieces) * channels + blockIdx.x) * pieces + i % pieces);
  }
  return sum_block(sum, warps);
}
