// Sixteen lanes of float, whatever the machine: one AVX-512 register, two of AVX2, four of SSE.
// The compiler's vector types keep one source for all; each *.cpp that includes this sets its target.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace treadle { namespace TREADLE_ISA {

constexpr int LANES = 16;
typedef float f16x __attribute__((vector_size(64)));
typedef int32_t i16x __attribute__((vector_size(64)));
typedef uint32_t u16x __attribute__((vector_size(64)));
typedef float f16x_unaligned __attribute__((vector_size(64), aligned(4), may_alias));
typedef u16x u16x_unaligned __attribute__((aligned(2), may_alias));
typedef int8_t i8x16 __attribute__((vector_size(16), aligned(1), may_alias));

static inline f16x load(const float* p) { return *(const f16x_unaligned*)p; }
static inline void store(float* p, f16x v) { *(f16x_unaligned*)p = v; }
static inline f16x splat(float x) { return x - f16x{}; }

static inline float sum(f16x v) {  // a fixed tree, so that the order never depends on the machine
  float lane[LANES];
  store(lane, v);
  for (int width = LANES / 2; width; width /= 2)
    for (int i = 0; i < width; i++) lane[i] += lane[i + width];
  return lane[0];
}

// e^x by 2^n · p(r), |r| <= ln2/2; relative error below 2e-7. Source: Cephes expf's polynomial.
static inline f16x exponential(f16x x) {
  x = x < splat(-87.f) ? splat(-87.f) : x;
  x = x > splat(88.f) ? splat(88.f) : x;
  const f16x shifted = x * splat(1.44269504f) + splat(12582912.f);  // rounds to the nearest integer
  const f16x n = shifted - splat(12582912.f);
  const f16x r = (x - n * splat(0.693359375f)) + n * splat(2.12194440e-4f);
  f16x p = splat(1.9875691500e-4f);
  p = p * r + splat(1.3981999507e-3f);
  p = p * r + splat(8.3334519073e-3f);
  p = p * r + splat(4.1665795894e-2f);
  p = p * r + splat(1.6666665459e-1f);
  p = p * r + splat(5.0000001201e-1f);
  p = p * r * r + r + splat(1.f);
  const i16x power = (__builtin_convertvector(n, i16x) + 127) << 23;
  f16x scale;
  std::memcpy(&scale, &power, sizeof scale);
  return p * scale;
}

static inline uint16_t to_bf16(float x) {  // round to nearest even, as torch does
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}
static inline float from_bf16(uint16_t x) {
  const uint32_t bits = (uint32_t)x << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

}}  // namespace treadle::TREADLE_ISA
