// Put before every file of kernels: elements as they lie in memory (Stored) and as kernels compute with them (Real).
// Exactly one of ELEMENT_F64, ELEMENT_F32, ELEMENT_F16 and ELEMENT_BF16 is defined. The 16-bit types travel as bits, so
// that no header of CUDA is needed; their arithmetic is in f32.

// From compute capability 10 on ptxas takes more registers for the same text: some bounds are looser there. (Not where
// an NVRTC that does not know such a GPU compiles for an older one: then some registers are spilled.)
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
#define MORE_REGISTERS 1
#else
#define MORE_REGISTERS 0
#endif

#if defined(ELEMENT_F64)
typedef double Stored;
typedef double Real;
#define LARGEST 1.7976931348623157e308
#elif defined(ELEMENT_F32)
typedef float Stored;
typedef float Real;
#define LARGEST 3.402823466e38f
#else
typedef unsigned short Stored;
typedef float Real;
#define LARGEST 3.402823466e38f
#endif

#if defined(ELEMENT_F64) || defined(ELEMENT_F32)
__device__ __forceinline__ Real to_real(Stored value) { return value; }
__device__ __forceinline__ Stored to_stored(Real value) { return value; }
#elif defined(CUDA_ON_CPU)
// The same conversions, bit by bit.
#if defined(ELEMENT_F16)
__device__ Real to_real(Stored value) { return coc::half_to_float(value); }
__device__ Stored to_stored(Real value) { return coc::float_to_half(value); }
#else
__device__ Real to_real(Stored value) { return coc::bfloat_to_float(value); }
__device__ Stored to_stored(Real value) { return coc::float_to_bfloat(value); }
#endif
#elif defined(ELEMENT_F16)
__device__ __forceinline__ Real to_real(Stored value) {
  Real real;
  asm("cvt.f32.f16 %0, %1;" : "=f"(real) : "h"(value));
  return real;
}
__device__ __forceinline__ Stored to_stored(Real value) {
  Stored stored;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(stored) : "f"(value));
  return stored;
}
#elif defined(ELEMENT_BF16)
__device__ __forceinline__ Real to_real(Stored value) { return __uint_as_float((unsigned)value << 16); }
__device__ __forceinline__ Stored to_stored(Real value) {
  Stored stored;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(stored) : "f"(value));
  return stored;
}
#endif

__device__ __forceinline__ Real load(const Stored* place) { return to_real(*place); }
__device__ __forceinline__ void store(Stored* place, Real value) { *place = to_stored(value); }
