// y = x · Wᵀ over packed weights. One layout and one order of summation whatever the batch:
// every output is a single chain over k, ascending, so it does not depend on who else is served.
//
// Packed layouts, N padded to 16 with zeros (see packing.py):
//   F32  [N/16][K][16]            BF16 [N/16][K/2][16][2], K even
//   I8   [N/16][K][16] int8, with one f32 scale per output row
//   Q4   [N/16][K/32]{d[16] f32, m[16] f32, nibbles [16 k][16 n]: low = k, high = k + 16}
//   Q8   [N/16][K/32]{d[16] f32, int8 [32 k][16 n]}
#pragma once
#include <algorithm>
#include <vector>
#include "lanes.h"
#include "model.h"

namespace treadle { namespace TREADLE_ISA {

struct Rows {  // inputs, row-major; `rounded` to bf16, where a matrix is BF16
  const float* f32;
  const float* rounded;
  size_t ld;
};

// Sums that fit in the registers, beside a tile's weights and an input: M rows, NT tiles.
constexpr int SUMS = WIDTH == 16 ? 24 : 12;
// Widened weights and the mask take registers of their own; a sum in memory would cost half the speed.
constexpr int SUMS_BF16 = WIDTH == 16 ? 20 : 10;
constexpr bool fits(int rows, int tiles, int sums = SUMS) { return rows * tiles * (LANES / WIDTH) <= sums; }
static inline int sums_of(const Matrix& w) { return w.type == BF16 ? SUMS_BF16 : SUMS; }
// Rows in registers at most.
static inline int at_once(const Matrix& w) { return std::min(sums_of(w) / (LANES / WIDTH), 6); }

// Loaded rather than set: the compiler would clear that much memory with a slow loop in microcode.
alignas(64) constexpr float ZEROS[SUMS * LANES] = {};

constexpr size_t Q4_BLOCK_BYTES = 2 * 16 * 4 + 16 * 16;
constexpr size_t Q8_BLOCK_BYTES = 16 * 4 + 32 * 16;

static inline size_t tile_bytes(const Matrix& w) {
  switch (w.type) {
    case F32: return (size_t)w.k * LANES * 4;
    case BF16: return (size_t)w.k * LANES * 2;
    case I8: return (size_t)w.k * LANES;
    case Q4: return (size_t)(w.k / 32) * Q4_BLOCK_BYTES;
    default: return (size_t)(w.k / 32) * Q8_BLOCK_BYTES;
  }
}

// The inner products of M rows with NT tiles of 16 outputs, over k in [from, to).
template <int M, int NT>
static inline void dot_f32(const float* x, size_t ldx, const uint8_t* w, size_t stride, int from,
                           int to, f16x (&acc)[M][NT]) {
  for (int k = from; k < to; k++) {
    f16x wk[NT];
    for (int t = 0; t < NT; t++) wk[t] = load((const float*)(w + t * stride) + (size_t)k * LANES);
    for (int m = 0; m < M; m++) {
      const f16x xk = splat(x[m * ldx + k]);
      for (int t = 0; t < NT; t++) acc[m][t] += xk * wk[t];
    }
  }
}

template <int M, int NT>
TREADLE_INLINE void dot_bf16(const float* x, size_t ldx, const uint8_t* w, size_t stride,
                             int from, int to, f16x (&acc)[M][NT]) {
  for (int k = from; k < to; k += 2) {
    u16x pairs[NT];
    for (int t = 0; t < NT; t++) pairs[t] = load_bits(w + t * stride + (size_t)k * LANES * 2);
    for (int i = 0; i < 2; i++) {
      f16x wk[NT];
      for (int t = 0; t < NT; t++) wk[t] = i ? upper(pairs[t]) : lower(pairs[t]);
      for (int m = 0; m < M; m++) {
        const f16x xk = splat(x[m * ldx + k + i]);
        for (int t = 0; t < NT; t++) acc[m][t] += xk * wk[t];
      }
    }
  }
}

template <int M, int NT>
TREADLE_INLINE void dot_i8(const float* x, size_t ldx, const uint8_t* w, size_t stride, int from,
                           int to, f16x (&acc)[M][NT]) {
  for (int k = from; k < to; k++) {
    f16x wk[NT];
    for (int t = 0; t < NT; t++) read_signed(w + t * stride + (size_t)k * LANES, wk[t]);
    for (int m = 0; m < M; m++) {
      const f16x xk = splat(x[m * ldx + k]);
      for (int t = 0; t < NT; t++) acc[m][t] += xk * wk[t];
    }
  }
}

template <int M, int NT>
TREADLE_INLINE void dot_q4(const float* x, size_t ldx, const uint8_t* w, size_t stride, int from,
                           int to, f16x (&acc)[M][NT]) {
  for (int block = from / 32; block < to / 32; block++) {
    f16x inner[M][NT], total[M];
    for (int m = 0; m < M; m++) {
      total[m] = load(ZEROS);
      for (int t = 0; t < NT; t++) inner[m][t] = load(ZEROS);
    }
    for (int i = 0; i < 16; i++) {
      f16x low[NT], high[NT];
      for (int t = 0; t < NT; t++)
        read_halves(w + t * stride + block * Q4_BLOCK_BYTES + 128 + i * 16, low[t], high[t]);
      for (int m = 0; m < M; m++) {
        const f16x x0 = splat(x[m * ldx + block * 32 + i]);
        const f16x x1 = splat(x[m * ldx + block * 32 + 16 + i]);
        total[m] += x0 + x1;
        for (int t = 0; t < NT; t++) inner[m][t] += x0 * low[t];
        for (int t = 0; t < NT; t++) inner[m][t] += x1 * high[t];
      }
    }
    for (int t = 0; t < NT; t++) {
      const float* scales = (const float*)(w + t * stride + block * Q4_BLOCK_BYTES);
      const f16x d = load(scales), low = load(scales + LANES);
      for (int m = 0; m < M; m++) acc[m][t] += d * inner[m][t] + low * total[m];
    }
  }
}

template <int M, int NT>
TREADLE_INLINE void dot_q8(const float* x, size_t ldx, const uint8_t* w, size_t stride, int from,
                           int to, f16x (&acc)[M][NT]) {
  for (int block = from / 32; block < to / 32; block++) {
    f16x inner[M][NT];
    for (int m = 0; m < M; m++)
      for (int t = 0; t < NT; t++) inner[m][t] = load(ZEROS);
    const uint8_t* at = w + block * Q8_BLOCK_BYTES;
    dot_i8<M, NT>(x + block * 32, ldx, at + 16 * 4, stride, 0, 32, inner);
    for (int t = 0; t < NT; t++) {
      const f16x d = load((const float*)(at + t * stride));
      for (int m = 0; m < M; m++) acc[m][t] += d * inner[m][t];
    }
  }
}

// Tiles of 16 outputs from `first` on, for rows from `row` on, over k in [from, to). Between the parts
// of a long k the sums wait in `partial`; storing and loading them changes no bit.
struct Part {
  int row, first, from, to;
  float* partial;  // (rows, NT, 16), or null where k is done in one go
};

template <int M, int NT>
static void tile(const Matrix& w, const Rows& x, const Part& part, float* y, size_t ldy, bool add) {
  const size_t stride = tile_bytes(w);
  const uint8_t* weights = (const uint8_t*)w.data + part.first * stride;
  const int row = part.row, from = part.from, to = part.to;
  float* kept = part.partial ? part.partial + (size_t)row * NT * LANES : nullptr;
  const float* before = from ? kept : ZEROS;
  f16x acc[M][NT];
  for (int m = 0; m < M; m++)
    for (int t = 0; t < NT; t++) acc[m][t] = load(before + (m * NT + t) * LANES);
  switch (w.type) {
    case F32: dot_f32<M, NT>(x.f32 + row * x.ld, x.ld, weights, stride, from, to, acc); break;
    case BF16:
      if constexpr (fits(M, NT, SUMS_BF16))
        dot_bf16<M, NT>(x.rounded + row * x.ld, x.ld, weights, stride, from, to, acc);
      break;
    case I8: dot_i8<M, NT>(x.f32 + row * x.ld, x.ld, weights, stride, from, to, acc); break;
    case Q4: dot_q4<M, NT>(x.f32 + row * x.ld, x.ld, weights, stride, from, to, acc); break;
    case Q8: dot_q8<M, NT>(x.f32 + row * x.ld, x.ld, weights, stride, from, to, acc); break;
  }
  if (to < w.k) {
    for (int m = 0; m < M; m++)
      for (int t = 0; t < NT; t++) store(kept + (m * NT + t) * LANES, acc[m][t]);
    return;
  }
  for (int t = 0; t < NT; t++) {
    const int column = (part.first + t) * LANES;
    const f16x scale = w.scales ? load(w.scales + column) : splat(1.f);
    const f16x bias = w.bias ? load(w.bias + column) : splat(0.f);
    for (int m = 0; m < M; m++) {
      const f16x value = acc[m][t] * scale + bias;
      float* out = y + (row + m) * ldy + column;
      if (column + LANES <= w.n) store(out, add ? load(out) + value : value);
      else {
        float lane[LANES];
        store(lane, value);
        for (int i = 0; i < w.n - column; i++) out[i] = add ? out[i] + lane[i] : lane[i];
      }
    }
  }
}

constexpr int K_BLOCK = 1024;   // four tiles of it in float32 are 256 KiB, which L2 holds

template <int NT>
static void rows(const Matrix& w, const Rows& x, int count, Part part, float* y, size_t ldy, bool add) {
  const auto some = [&]<int M>() {
    if constexpr (fits(M, NT)) tile<M, NT>(w, x, part, y, ldy, add);
    else __builtin_unreachable();
  };
  // Passes of nearly one size: a last one of a single row would read all weights for it alone.
  int passes = (count - part.row + at_once(w) - 1) / at_once(w);
  for (; passes; passes--) {
    const int taken = (count - part.row + passes - 1) / passes;
    switch (taken) {
      case 1: some.template operator()<1>(); break;
      case 2: some.template operator()<2>(); break;
      case 3: some.template operator()<3>(); break;
      case 4: some.template operator()<4>(); break;
      case 5: some.template operator()<5>(); break;
      default: some.template operator()<6>();
    }
    part.row += taken;
  }
}

// A long k in parts, so that the weights of each stay in L2 for all rows.
template <int NT>
static void columns(const Matrix& w, const Rows& x, int begin, int count, int first, float* y, size_t ldy, bool add) {
  if (count - begin <= at_once(w) || w.k <= K_BLOCK)
    return rows<NT>(w, x, count, {begin, first, 0, w.k, nullptr}, y, ldy, add);
  static thread_local std::vector<float> sums;
  if (sums.size() < (size_t)count * NT * LANES) sums.resize((size_t)count * NT * LANES);
  for (int from = 0; from < w.k; from += K_BLOCK)
    rows<NT>(w, x, count, {begin, first, from, std::min(from + K_BLOCK, w.k), sums.data()}, y, ldy, add);
}

static inline int tiles(const Matrix& w) { return (w.n + LANES - 1) / LANES; }

// Rows whose inputs stay in L2 while all tiles pass by.
static inline int rows_in_cache(const Matrix& w) {
  return std::clamp(192 * 1024 / (w.k * 4), 48, 192) / at_once(w) * at_once(w);
}

// y (count, n) from x (count, k), for output tiles [begin, end).
static inline void multiply(const Matrix& w, const Rows& x, int count, int begin, int end, float* y,
                            size_t ldy, bool add = false) {
  const int block = rows_in_cache(w), sums = sums_of(w);
  for (int row = 0; row < count; row += block) {
    const int last = std::min(row + block, count), most = std::min(last - row, at_once(w));
    int t = begin;
    if (fits(most, 4, sums)) for (; t + 4 <= end; t += 4) columns<4>(w, x, row, last, t, y, ldy, add);
    if (fits(most, 2, sums)) for (; t + 2 <= end; t += 2) columns<2>(w, x, row, last, t, y, ldy, add);
    for (; t < end; t++) columns<1>(w, x, row, last, t, y, ldy, add);
  }
}

}}  // namespace treadle::TREADLE_ISA
