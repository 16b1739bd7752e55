// Rows of activations, and what is done to one of them.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>
#include "lanes.h"
#include "matmul.h"

namespace treadle { namespace TREADLE_ISA {

constexpr int pad(int n) { return (n + LANES - 1) / LANES * LANES; }

// Rows of activations, with a copy rounded to bf16 where the weights want one.
struct Buffer {
  std::vector<float> values, rounded;
  size_t ld = 0;

  void shape(int rows, size_t width, bool narrow) {
    ld = width;
    if (values.size() < rows * width + LANES) values.resize(rows * width + LANES);
    if (!narrow) rounded.clear();  // another model may have left some
    else if (rounded.size() < values.size()) rounded.resize(values.size());
  }
  float* row(int m) { return values.data() + m * ld; }
  Rows rows(size_t offset = 0, int m = 0) const {
    const size_t at = m * ld + offset;
    return {values.data() + at, rounded.empty() ? nullptr : rounded.data() + at, ld};
  }
  void move(int from, int to) {
    std::copy_n(row(from), ld, row(to));
    if (!rounded.empty()) std::copy_n(rounded.data() + from * ld, ld, rounded.data() + to * ld);
  }
  void narrow(int m, size_t from, size_t to) {
    if (rounded.empty()) return;
    for (size_t i = m * ld + from; i < m * ld + to; i++) rounded[i] = to_bf16(values[i]);
  }
};

static inline void rms_norm(const float* x, const float* weight, int n, float eps, float* y) {
  f16x squares = {};
  int i = 0;
  for (; i + LANES <= n; i += LANES) squares += load(x + i) * load(x + i);
  float total = sum(squares);
  for (; i < n; i++) total += x[i] * x[i];
  const float scale = 1.f / std::sqrt(total / n + eps);
  for (i = 0; i < n; i++) y[i] = x[i] * scale * weight[i];
}

static inline void rotate(float* x, const float* cos, const float* sin, int width, bool pairs) {
  const int half = width / 2;
  float turned[1024];
  for (int i = 0; i < half; i++) {
    const float a = pairs ? x[2 * i] : x[i], b = pairs ? x[2 * i + 1] : x[i + half];
    turned[pairs ? 2 * i : i] = a * cos[i] - b * sin[i];
    turned[pairs ? 2 * i + 1 : i + half] = b * cos[i] + a * sin[i];
  }
  std::copy(turned, turned + width, x);
}

// gate and up alternate by 16: SiLU(gate) · up of pairs [begin, end) of one row, in order.
static inline void swiglu(const float* gate_up, int begin, int end, float* out) {
  for (int i = begin; i < end; i++) {
    const f16x gate = load(gate_up + i * 2 * LANES), up = load(gate_up + i * 2 * LANES + LANES);
    store(out + i * LANES, gate / (splat(1.f) + exponential(-gate)) * up);
  }
}

}}  // namespace treadle::TREADLE_ISA
