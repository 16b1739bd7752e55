// Sixteen lanes of float, whatever the machine: one AVX-512 register, two of AVX2, four of SSE.
// A vector wider than a register would live in memory, so sixteen lanes are pairs of what fits; each
// *.cpp that includes this sets its target, and TREADLE_WIDTH, the lanes of one register.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#if TREADLE_WIDTH > 4
#include <immintrin.h>
#endif

namespace treadle { namespace TREADLE_ISA {

#define TREADLE_INLINE static inline __attribute__((always_inline))

constexpr int LANES = 16;
constexpr int WIDTH = TREADLE_WIDTH;
typedef float fx __attribute__((vector_size(WIDTH * 4)));
typedef int32_t ix __attribute__((vector_size(WIDTH * 4)));
typedef uint32_t ux __attribute__((vector_size(WIDTH * 4)));
typedef int8_t bytes_x __attribute__((vector_size(WIDTH), aligned(1), may_alias));

template <class T>
struct Pair {
  T low, high;
};

// What sixteen lanes of a register's type are: V itself, or pairs of it.
template <class V, int N>
struct Sixteen {
  using Half = typename Sixteen<V, N * 2>::type;
  using type = Pair<Half>;
};
template <class V>
struct Sixteen<V, 16> {
  using type = V;
};
using f16x = Sixteen<fx, WIDTH>::type;
using i16x = Sixteen<ix, WIDTH>::type;
using u16x = Sixteen<ux, WIDTH>::type;

#define TREADLE_BOTH(op)                                                             \
  template <class T>                                                                 \
  TREADLE_INLINE auto operator op(const Pair<T>& a, const Pair<T>& b) {              \
    return Pair<decltype(a.low op b.low)>{a.low op b.low, a.high op b.high};         \
  }
TREADLE_BOTH(+) TREADLE_BOTH(-) TREADLE_BOTH(*) TREADLE_BOTH(/) TREADLE_BOTH(<) TREADLE_BOTH(>)
#undef TREADLE_BOTH
template <class T>
TREADLE_INLINE Pair<T> operator-(const Pair<T>& a) { return {-a.low, -a.high}; }
template <class T>
TREADLE_INLINE Pair<T>& operator+=(Pair<T>& a, const Pair<T>& b) {
  a.low += b.low, a.high += b.high;
  return a;
}
template <class T>
TREADLE_INLINE Pair<T>& operator*=(Pair<T>& a, const Pair<T>& b) {
  a.low *= b.low, a.high *= b.high;
  return a;
}

// Each function below is given for a register first, then for pairs.
TREADLE_INLINE fx choose(ix where, fx a, fx b) { return where ? a : b; }
template <class M, class T>
TREADLE_INLINE Pair<T> choose(const Pair<M>& where, const Pair<T>& a, const Pair<T>& b) {
  return {choose(where.low, a.low, b.low), choose(where.high, a.high, b.high)};
}

TREADLE_INLINE void read(const float* p, fx& v) { std::memcpy(&v, p, sizeof v); }
TREADLE_INLINE void read(const uint8_t* p, ux& v) { std::memcpy(&v, p, sizeof v); }
template <class P, class T>
TREADLE_INLINE void read(const P* p, Pair<T>& v) {
  read(p, v.low);
  read(p + sizeof(T) / sizeof(P), v.high);
}

TREADLE_INLINE void store(float* p, fx v) { std::memcpy(p, &v, sizeof v); }
template <class T>
TREADLE_INLINE void store(float* p, const Pair<T>& v) {
  store(p, v.low);
  store(p + sizeof(T) / 4, v.high);
}

TREADLE_INLINE void spread(float x, fx& v) { v = x - fx{}; }
TREADLE_INLINE void spread(uint32_t x, ux& v) { v = x - ux{}; }
template <class S, class T>
TREADLE_INLINE void spread(S x, Pair<T>& v) {
  spread(x, v.low);
  v.high = v.low;
}

// Bytes to float: signed, or the low and the high half of each.
TREADLE_INLINE ix widened(const uint8_t* p) {
#if TREADLE_WIDTH == 8  // the compiler would move byte by byte
  return (ix)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)p));
#else
  return __builtin_convertvector(*(const bytes_x*)p, ix);
#endif
}
TREADLE_INLINE void read_signed(const uint8_t* p, fx& v) {
  v = __builtin_convertvector(widened(p), fx);
}
template <class T>
TREADLE_INLINE void read_signed(const uint8_t* p, Pair<T>& v) {
  read_signed(p, v.low);
  read_signed(p + sizeof(T) / 4, v.high);
}
TREADLE_INLINE void read_halves(const uint8_t* p, fx& low, fx& high) {
  const ix wide = widened(p);
  low = __builtin_convertvector(wide & 15, fx);
  high = __builtin_convertvector((wide >> 4) & 15, fx);
}
template <class T>
TREADLE_INLINE void read_halves(const uint8_t* p, Pair<T>& low, Pair<T>& high) {
  read_halves(p, low.low, high.low);
  read_halves(p + sizeof(T) / 4, low.high, high.high);
}

// Two bf16 side by side, as the float of the lower and of the upper one.
TREADLE_INLINE fx lower(ux v) { return (fx)(v << 16); }
TREADLE_INLINE fx upper(ux v) { return (fx)(v & 0xffff0000u); }
template <class T>
TREADLE_INLINE auto lower(const Pair<T>& v) { return Pair<decltype(lower(v.low))>{lower(v.low), lower(v.high)}; }
template <class T>
TREADLE_INLINE auto upper(const Pair<T>& v) { return Pair<decltype(upper(v.low))>{upper(v.low), upper(v.high)}; }

// 2^n for whole n.
TREADLE_INLINE fx power_of_two(fx n) { return (fx)((__builtin_convertvector(n, ix) + 127) << 23); }
template <class T>
TREADLE_INLINE Pair<T> power_of_two(const Pair<T>& n) { return {power_of_two(n.low), power_of_two(n.high)}; }

TREADLE_INLINE f16x load(const float* p) {
  f16x v;
  read(p, v);
  return v;
}
TREADLE_INLINE fx load_register(const float* p) {
  fx v;
  read(p, v);
  return v;
}
TREADLE_INLINE u16x load_bits(const uint8_t* p) {
  u16x v;
  read(p, v);
  return v;
}
TREADLE_INLINE f16x splat(float x) {
  f16x v;
  spread(x, v);
  return v;
}
TREADLE_INLINE u16x splat(uint32_t x) {
  u16x v;
  spread(x, v);
  return v;
}
TREADLE_INLINE fx larger(const fx& a, const fx& b) { return choose(a > b, a, b); }
template <class T>
TREADLE_INLINE Pair<T> larger(const Pair<T>& a, const Pair<T>& b) { return choose(a > b, a, b); }

TREADLE_INLINE float first_lane(fx v) { return v[0]; }
template <class T>
TREADLE_INLINE float first_lane(const Pair<T>& v) { return first_lane(v.low); }

static inline float sum(const f16x& v) {  // a fixed tree, so that the order never depends on the machine
  float lane[LANES];
  store(lane, v);
  for (int width = LANES / 2; width; width /= 2)
    for (int i = 0; i < width; i++) lane[i] += lane[i + width];
  return lane[0];
}

// e^x by 2^n · p(r), |r| <= ln2/2; relative error below 2e-7. Source: Cephes expf's polynomial.
static inline f16x exponential(f16x x) {
  x = choose(x < splat(-87.f), splat(-87.f), x);
  x = choose(x > splat(88.f), splat(88.f), x);
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
  return p * power_of_two(n);
}

static inline float to_bf16(float x) {  // the nearest bf16, of two equally near the even one, as torch does
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  bits = (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000u;
  std::memcpy(&x, &bits, 4);
  return x;
}

}}  // namespace treadle::TREADLE_ISA
