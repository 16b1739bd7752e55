// Attention of a few heads that share their rows, over a paged cache: 16 rows at a time, with a
// running maximum. The order of every sum is fixed by the row's position, so a token's result does
// not depend on the chunk or the batch it came in.
// Source: online softmax, Milakov and Gimelshein, arXiv:1805.02867.
#pragma once
#include <algorithm>
#include <utility>
#include "lanes.h"

namespace treadle { namespace TREADLE_ISA {

struct Rows16 {  // up to 16 cache rows
  const float* row[LANES];
  int count;
};

// Where lane i of `halves` comes from: of 2 · STEP lanes the first STEP are a's, the others b's.
template <int STEP>
constexpr int source(int i, int upper) {
  const int block = i / (2 * STEP) * (2 * STEP), place = i % (2 * STEP);
  return block + upper * STEP + (place < STEP ? place : WIDTH + place - STEP);
}
// Neighbours of STEP lanes added: those of a and those of b in turn.
template <int STEP, int... I>
TREADLE_INLINE fx halves(fx a, fx b, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, source<STEP>(I, 0)...) +
         __builtin_shufflevector(a, b, source<STEP>(I, 1)...);
}
template <int STEP>
TREADLE_INLINE fx tree(fx* v) {
  if constexpr (STEP == 0) return v[0];
  else {
    for (int i = 0; i < STEP; i++)
      v[i] = halves<STEP>(v[i], v[i + STEP], std::make_integer_sequence<int, WIDTH>{});
    return tree<STEP / 2>(v);
  }
}
TREADLE_INLINE void gather(fx* v, fx& sums) { sums = tree<WIDTH / 2>(v); }
template <class T>
TREADLE_INLINE void gather(fx* v, Pair<T>& sums) {
  gather(v, sums.low);
  gather(v + sizeof(T) / 4, sums.high);
}
// Lane i of the result is the sum of v[i]'s lanes, by a fixed tree. Destroys v.
static inline f16x sums(fx* v) {
  f16x result;
  gather(v, result);
  return result;
}

// The largest lane, in every lane.
template <int STEP, int... I>
TREADLE_INLINE fx highest(fx v, std::integer_sequence<int, I...> all) {
  if constexpr (STEP == 0) return v;
  else return highest<STEP / 2>(larger(v, __builtin_shufflevector(v, v, (I ^ STEP)...)), all);
}
TREADLE_INLINE fx highest(fx v) { return highest<WIDTH / 2>(v, std::make_integer_sequence<int, WIDTH>{}); }
template <class T>
TREADLE_INLINE Pair<T> highest(const Pair<T>& v) {
  const T both = highest(larger(v.low, v.high));
  return {both, both};
}

// Rows j to j + ROWS - 1 against H heads: the products in the lanes of one register.
template <int H, int ROWS>
TREADLE_INLINE void products(const float* const* q, const Rows16& rows, int j, int key_offset,
                             int width, fx (*partial)[LANES]) {
  fx sum[H][ROWS] = {};
  for (int d = 0; d < width; d += WIDTH) {
    fx key[ROWS];
    for (int r = 0; r < ROWS; r++) key[r] = load_register(rows.row[j + r] + key_offset + d);
    for (int h = 0; h < H; h++) {
      const fx part = load_register(q[h] + d);
      for (int r = 0; r < ROWS; r++) sum[h][r] += part * key[r];
    }
  }
  for (int h = 0; h < H; h++)
    for (int r = 0; r < ROWS; r++) partial[h][j + r] = sum[h][r];
}

// Scores of H heads against up to 16 rows: one f16x per head.
template <int H>
static inline void score(const float* const* q, const Rows16& rows, int key_offset, int width,
                         f16x* scores) {
  constexpr int ROWS = H > 2 ? 2 : 4;  // eight sums hide what one addition waits for
  fx partial[H][LANES];
  int j = 0;
  for (; j + ROWS <= rows.count; j += ROWS) products<H, ROWS>(q, rows, j, key_offset, width, partial);
  for (; j < rows.count; j++) products<H, 1>(q, rows, j, key_offset, width, partial);
  for (int h = 0; h < H; h++) {
    std::fill(partial[h] + j, partial[h] + LANES, fx{});
    scores[h] = sums(partial[h]);
  }
}

// 16 · V values of H heads from `d` on: what was there, plus the rows by their weights.
template <int H, int V>
TREADLE_INLINE void mix_part(const float (*weights)[LANES], const Rows16& rows, int value_offset,
                             int d, float* const* out) {
  f16x sum[H][V];
  for (int h = 0; h < H; h++)
    for (int v = 0; v < V; v++) sum[h][v] = load(out[h] + d + v * LANES);
  for (int j = 0; j < rows.count; j++) {
    const float* value = rows.row[j] + value_offset + d;
    for (int v = 0; v < V; v++) {
      const f16x part = load(value + v * LANES);
      for (int h = 0; h < H; h++) sum[h][v] += splat(weights[h][j]) * part;
    }
  }
  for (int h = 0; h < H; h++)
    for (int v = 0; v < V; v++) store(out[h] + d + v * LANES, sum[h][v]);
}

template <int H>
static inline void mix(const float (*weights)[LANES], const Rows16& rows, int value_offset,
                       int width, float* const* out) {
  constexpr int V = WIDTH == 16 ? 8 / H : H == 3 ? 1 : 4 / H;  // eight registers of sums
  int d = 0;
  for (; d + V * LANES <= width; d += V * LANES)
    mix_part<H, V>(weights, rows, value_offset, d, out);
  for (; d < width; d += LANES) mix_part<H, 1>(weights, rows, value_offset, d, out);
}

struct Look {  // what one token sees in one layer
  const float* cache;
  int width;  // of a row
  const int32_t* blocks;
  int block_size, first, visible, key_offset, key_width, value_offset, value_width;
  float scale;

  // Up to 16 rows from the `from`-th visible on.
  Rows16 rows(int from) const {
    Rows16 found;
    found.count = std::min(LANES, visible - from);
    int block = (first + from) / block_size, place = (first + from) % block_size;
    for (int j = 0; j < found.count; j++) {
      found.row[j] = cache + ((int64_t)blocks[block] * block_size + place) * width;
      if (++place == block_size) place = 0, block++;
    }
    return found;
  }
};

constexpr float NUMBERS[LANES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
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
    const Rows16 rows = look.rows(first);
    const auto there = load(NUMBERS) < splat((float)rows.count);
    f16x scores[H];
    score<H>(q, rows, look.key_offset, look.key_width, scores);
    float weights[H][LANES];
    for (int h = 0; h < H; h++) {
      const f16x scaled = choose(there, scores[h] * splat(look.scale), splat(LOWEST));
      const f16x top = larger(highest(scaled), maximum[h]);
      const f16x share = choose(there, exponential(scaled - top), f16x{});
      store(weights[h], share);
      if (first_lane(top) != first_lane(maximum[h])) {
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
