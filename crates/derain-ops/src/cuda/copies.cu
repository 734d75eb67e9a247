// Copies to shared memory that a thread starts and does not wait for: while they are under way it computes. What it has
// copied it finds there after `wait_for_copies`, other threads after a barrier behind that.

#if defined(CUDA_ON_CPU)
#define COPY(BYTES, TO, FROM, BYTES_THERE) coc::copy(TO, FROM, BYTES, BYTES_THERE)
#else
#define COPY(BYTES, TO, FROM, BYTES_THERE)                                                                                               \
  asm volatile("cp.async.ca.shared.global [%0], [%1], " #BYTES ", %2;" ::"r"((unsigned)__cvta_generic_to_shared(TO)),                    \
               "l"(__cvta_generic_to_global(FROM)), "r"(BYTES_THERE)                                                                     \
               : "memory")
#endif

// One element, or 0 where it is not `there`; `from` must be an address of the same memory all the same.
__device__ __forceinline__ void start_copy(Real* to, const Stored* from, bool there) {
#if defined(ELEMENT_F64)
  COPY(8, to, from, there ? 8 : 0);
#elif defined(ELEMENT_F32)
  COPY(4, to, from, there ? 4 : 0);
#else
  // What is converted goes through registers.
  *to = there ? load(from) : Real(0);
#endif
}

// Whole 16 bytes, which both addresses are multiples of.
template <class Values> __device__ __forceinline__ void start_copy_of_all(Values* to, const Values* from) {
#pragma unroll
  for (int at = 0; at < (int)sizeof(Values); at += 16) COPY(16, (char*)to + at, (const char*)from + at, 16);
}

__device__ __forceinline__ void wait_for_copies() {
#if defined(CUDA_ON_CPU)
  coc::wait_for_copies();
#else
  asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}
