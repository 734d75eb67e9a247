// CUDA C++ for the CPU: what kernels see when engine.cpp runs them.
//
// Threads of a block are fibres of one system thread, each running until it meets a barrier or a warp's exchange; the order in which they run
// is the caller's choice. A missing barrier shows where an order lets a reader overtake its writer, so tests run several. Not modelled: lanes
// in lock step, weak memory, launch limits, approximate arithmetic, a warp whose lanes meet at different `ldmatrix` or `mma`.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#define CUDA_ON_CPU
#define __global__
#define __device__ static
#define __forceinline__ inline
#define __launch_bounds__(...)
// Blocks run one after another, so one copy serves. The section lets the engine spoil it before each block.
#define __shared__ static __attribute__((section("coc_shared"), used))

struct coc_index {
  unsigned x, y, z;
};
extern coc_index threadIdx, blockIdx, blockDim, gridDim;

namespace coc {
void barrier(int line);
uint64_t exchange(uint32_t mask, uint64_t value, int other_lane, int line);
void exchange_all(uint64_t value, uint64_t (&all)[32], int line);
int lane();

template <class T> T shuffle(uint32_t mask, T value, int other_lane, int line) {
  static_assert(sizeof(T) <= 8, "shuffles move at most 64 bits");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = exchange(mask, bits, other_lane, line);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

// The instruction `cp.async`: 0 beyond `there` bytes. In some orders of threads it arrives at once, in others when the thread waits.
void copy(void* to, const void* from, int bytes, int there);
void wait_for_copies();

// The instruction `ldmatrix` of four matrices; a row is eight elements of 16 bits.
inline void load_matrices(unsigned (&of)[4], const unsigned* row) {
  uint64_t rows[32];
  exchange_all((uint64_t)row, rows, __LINE__);
  for (int matrix = 0; matrix < 4; matrix++) of[matrix] = ((const unsigned*)rows[8 * matrix + lane() / 4])[lane() % 4];
}

// The instruction `mma` of 16x8 sums and 16 products each; `to_real` tells the value of 16 bits.
template <class ToReal> void multiply(float (&sums)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, ToReal to_real) {
  struct Operands {
    float a[4][2], b[2][2];
  } own;
  const unsigned b[2] = {b0, b1};
  for (int i = 0; i < 2; i++) {
    for (int matrix = 0; matrix < 4; matrix++) own.a[matrix][i] = to_real((unsigned short)(a[matrix] >> 16 * i));
    for (int matrix = 0; matrix < 2; matrix++) own.b[matrix][i] = to_real((unsigned short)(b[matrix] >> 16 * i));
  }
  uint64_t lanes[32];
  exchange_all((uint64_t)&own, lanes, __LINE__);
  for (int k = 0; k < 16; k++) {
    const int half = k / 8, of_eight = k % 8;
    const Operands& row = *(const Operands*)lanes[lane() / 4 * 4 + of_eight / 2];
    for (int column = 0; column < 2; column++) {
      const Operands& other = *(const Operands*)lanes[(lane() % 4 * 2 + column) * 4 + of_eight / 2];
      const float right = other.b[half][k % 2];
      sums[column] += row.a[2 * half][k % 2] * right;
      sums[2 + column] += row.a[2 * half + 1][k % 2] * right;
    }
  }
  // Own operands stay until every lane has read them.
  exchange(0xffffffffu, 0, lane(), __LINE__);
}

inline float bits_to_float(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

inline uint32_t float_to_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

inline float bfloat_to_float(uint16_t bits) { return bits_to_float((uint32_t)bits << 16); }

// To the nearest, ties to even.
inline uint16_t float_to_bfloat(float value) {
  const uint32_t bits = float_to_bits(value);
  if (value != value) return 0x7fff;
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

inline float half_to_float(uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  if (exponent > 0 && exponent < 31) return bits_to_float((uint32_t)(bits & 0x8000) << 16 | (exponent + 112) << 23 | fraction << 13);
  const float sign = bits >> 15 ? -1.0f : 1.0f;
  if (exponent == 31) return fraction ? NAN : sign * INFINITY;
  return sign * std::ldexp((float)fraction, -24);
}

inline uint16_t float_to_half(float value) {
  const uint16_t sign = float_to_bits(value) >> 16 & 0x8000;
  if (value != value) return 0x7fff;
  const float magnitude = std::fabs(value);
  if (magnitude == 0) return sign;
  if (magnitude >= 65520.0f) return sign | 0x7c00;
  int exponent;
  std::frexp(magnitude, &exponent);
  // Units in the last place of a result of this exponent; below 2^-14 they stay the same. nearbyint rounds ties to even.
  const int unit = (exponent < -13 ? -13 : exponent) - 11;
  const int units = (int)std::nearbyint(std::ldexp(magnitude, -unit));
  // Units above 1023 carry into the exponent, as they should.
  return sign | (units + (unit + 24) * 1024);
}
}  // namespace coc

#define __syncthreads() coc::barrier(__LINE__)
#define __syncwarp() ((void)coc::exchange(0xffffffffu, 0, coc::lane(), __LINE__))
#define __shfl_sync(mask, value, other) coc::shuffle(mask, value, (other) % 32, __LINE__)
#define __shfl_xor_sync(mask, value, distance) coc::shuffle(mask, value, coc::lane() ^ (distance), __LINE__)

// What the caches are told changes no value.
template <class T> void __stcs(T* place, T value) { *place = value; }
template <class T> T __ldcs(const T* place) { return *place; }

// Device functions that <cmath> has under another name.
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
