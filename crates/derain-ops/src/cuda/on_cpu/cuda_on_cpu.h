// CUDA C++ for the CPU: what kernels see when engine.cpp runs them.
//
// Threads of a block are fibres of one system thread, each running until it meets a barrier or a warp's exchange; the order in which they run
// is the caller's choice. A missing barrier shows where an order lets a reader overtake its writer, so tests run several. Not modelled: lanes
// in lock step, weak memory, launch limits, approximate arithmetic.
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
int lane();

template <class T> T shuffle(uint32_t mask, T value, int other_lane, int line) {
  static_assert(sizeof(T) <= 8, "shuffles move at most 64 bits");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = exchange(mask, bits, other_lane, line);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
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
  const float sign = bits >> 15 ? -1.0f : 1.0f;
  if (exponent == 31) return fraction ? NAN : sign * INFINITY;
  return sign * (exponent ? std::ldexp(1024.0f + fraction, exponent - 25) : std::ldexp((float)fraction, -24));
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
#define __shfl_xor_sync(mask, value, distance) coc::shuffle(mask, value, coc::lane() ^ (distance), __LINE__)

// What the caches are told changes no value.
template <class T> void __stcs(T* place, T value) { *place = value; }

// Device functions that <cmath> has under another name.
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
