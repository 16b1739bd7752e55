// Draws that depend on seed, position and token alone: noise.py in C++, for guesses. A guess that
// differs in its last bit costs a rejected draft, never another answer.
// Source: splitmix64, Steele et al., OOPSLA 2014; see noise.py.
#pragma once
#include <cmath>
#include <cstdint>
#include "lanes.h"

namespace treadle { namespace TREADLE_ISA {

constexpr uint64_t STRIDE = 0x9E3779B97F4A7C15;

static inline uint64_t scattered(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

// The token whose score by temperature, with Gumbel noise added, is the highest.
static inline int64_t drawn(const float* scores, int count, float temperature, uint64_t seed, int64_t position) {
  const uint64_t key = scattered(scattered(seed) + (uint64_t)position * STRIDE);
  float best = -INFINITY;
  int64_t chosen = 0;
  for (int64_t token = 0; token < count; token++) {
    const float score = scores[token] / temperature;
    const uint64_t bits = scattered(key + (uint64_t)(token + 1) * STRIDE) >> 11;
    const float uniform = (float)((bits + 0.5) * 0x1p-53);
    // The noise exceeds t only where uniform < 1 - exp(-exp(-t)) < exp(-t): most logarithms are spared.
    if (best - score > 0 && uniform > std::exp(score - best)) continue;
    const float noisy = score - std::log(-std::log1p(-uniform));
    if (noisy > best) best = noisy, chosen = token;
  }
  return chosen;
}

}}  // namespace treadle::TREADLE_ISA
