// Attention of a few heads that share their rows, over a paged cache: 16 rows at a time, with a
// running maximum. The order of every sum is fixed by the row's position, so a token's result does
// not depend on the chunk or the batch it came in.
// Source: online softmax, Milakov and Gimelshein, arXiv:1805.02867.
#pragma once
#include <algorithm>
#include "lanes.h"

namespace treadle { namespace TREADLE_ISA {

struct Rows16 {  // up to 16 cache rows
  const float* row[LANES];
  int count;
};

// Lane i of the result is the sum of v[i]; a tree of 15 additions. Destroys v.
static inline f16x sums(f16x* v) {
#define TREADLE_HALF(...) __builtin_shufflevector(v[i], v[i + width], __VA_ARGS__)
  int width = 8;
  for (int i = 0; i < 8; i++)
    v[i] = TREADLE_HALF(0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
           TREADLE_HALF(8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  width = 4;
  for (int i = 0; i < 4; i++)
    v[i] = TREADLE_HALF(0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27) +
           TREADLE_HALF(4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31);
  width = 2;
  for (int i = 0; i < 2; i++)
    v[i] = TREADLE_HALF(0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
           TREADLE_HALF(2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
  width = 1;
  const int i = 0;
  return TREADLE_HALF(0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30) +
         TREADLE_HALF(1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31);
#undef TREADLE_HALF
}

// The largest lane, in every lane.
static inline f16x highest(f16x v) {
#define TREADLE_HIGHER(...) { const f16x other = __builtin_shufflevector(v, v, __VA_ARGS__); v = v > other ? v : other; }
  TREADLE_HIGHER(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)
  TREADLE_HIGHER(4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11)
  TREADLE_HIGHER(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13)
  TREADLE_HIGHER(1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)
#undef TREADLE_HIGHER
  return v;
}

// Scores of H heads against up to 16 rows: one f16x per head.
template <int H>
static inline void score(const float* const* q, const Rows16& rows, int key_offset, int width,
                         f16x* scores) {
  f16x partial[H][LANES] = {};
  int j = 0;
  for (; j + 2 <= rows.count; j += 2) {
    const float *a = rows.row[j] + key_offset, *b = rows.row[j + 1] + key_offset;
    f16x first[H] = {}, second[H] = {};
    for (int d = 0; d < width; d += LANES) {
      const f16x ka = load(a + d), kb = load(b + d);
      for (int h = 0; h < H; h++) {
        const f16x qd = load(q[h] + d);
        first[h] += qd * ka;
        second[h] += qd * kb;
      }
    }
    for (int h = 0; h < H; h++) partial[h][j] = first[h], partial[h][j + 1] = second[h];
  }
  if (j < rows.count) {
    for (int d = 0; d < width; d += LANES)
      for (int h = 0; h < H; h++)
        partial[h][j] += load(q[h] + d) * load(rows.row[j] + key_offset + d);
  }
  for (int h = 0; h < H; h++) scores[h] = sums(partial[h]);
}

template <int H>
static inline void mix(const float (*weights)[LANES], const Rows16& rows, int value_offset,
                       int width, float* const* out) {
  for (int d = 0; d < width; d += 2 * LANES) {
    const int vectors = d + LANES < width ? 2 : 1;
    f16x sum[H][2];
    for (int h = 0; h < H; h++)
      for (int v = 0; v < vectors; v++) sum[h][v] = load(out[h] + d + v * LANES);
    for (int j = 0; j < rows.count; j++) {
      const float* value = rows.row[j] + value_offset + d;
      for (int v = 0; v < vectors; v++) {
        const f16x part = load(value + v * LANES);
        for (int h = 0; h < H; h++) sum[h][v] += splat(weights[h][j]) * part;
      }
    }
    for (int h = 0; h < H; h++)
      for (int v = 0; v < vectors; v++) store(out[h] + d + v * LANES, sum[h][v]);
  }
}

struct Look {  // what one token sees in one layer
  const float* cache;
  int width;  // of a row
  const int64_t* table;
  int visible, key_offset, key_width, value_offset, value_width;
  float scale;
};

constexpr float LOWEST = -3.4e38f;  // finite, so that no difference is a NaN

// H heads of one token: q[h] (key_width) to out[h] (value_width).
template <int H>
static void attend(const float* const* q, const Look& look, float* const* out) {
  f16x maximum[H], total[H];
  for (int h = 0; h < H; h++) {
    maximum[h] = splat(LOWEST);
    total[h] = f16x{};
    std::fill(out[h], out[h] + look.value_width, 0.f);
  }
  for (int first = 0; first < look.visible; first += LANES) {
    Rows16 rows;
    rows.count = std::min(LANES, look.visible - first);
    for (int j = 0; j < rows.count; j++)
      rows.row[j] = look.cache + look.table[first + j] * (int64_t)look.width;
    const i16x there = i16x{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} < rows.count;
    f16x scores[H];
    score<H>(q, rows, look.key_offset, look.key_width, scores);
    float weights[H][LANES];
    for (int h = 0; h < H; h++) {
      const f16x scaled = there ? scores[h] * splat(look.scale) : splat(LOWEST);
      f16x top = highest(scaled);
      top = top > maximum[h] ? top : maximum[h];
      const f16x share = there ? exponential(scaled - top) : f16x{};
      store(weights[h], share);
      if (top[0] != maximum[h][0]) {
        const f16x shrink = exponential(maximum[h] - top);
        total[h] *= shrink;
        for (int d = 0; d < look.value_width; d += LANES)
          store(out[h] + d, load(out[h] + d) * shrink);
        maximum[h] = top;
      }
      total[h] += share;
    }
    mix<H>(weights, rows, look.value_offset, look.value_width, out);
  }
  for (int h = 0; h < H; h++) {
    const f16x share = splat(1.f / sum(total[h]));
    for (int d = 0; d < look.value_width; d += LANES) store(out[h] + d, load(out[h] + d) * share);
  }
}

// Any number of heads, by fours. `q_stride` and `out_stride` are between heads.
static inline void attend_heads(int heads, const float* q, size_t q_stride, const Look& look,
                                float* out, size_t out_stride) {
  for (int h = 0; h < heads;) {
    const float* queries[4];
    float* results[4];
    const int count = std::min(heads - h, 4);
    for (int i = 0; i < count; i++) {
      queries[i] = q + (h + i) * q_stride;
      results[i] = out + (h + i) * out_stride;
    }
    if (count == 4) attend<4>(queries, look, results);
    else if (count == 3) attend<3>(queries, look, results);
    else if (count == 2) attend<2>(queries, look, results);
    else attend<1>(queries, look, results);
    h += count;
  }
}

}}  // namespace treadle::TREADLE_ISA
