// The mixture of experts of one layer: who answers which token, and their answers.
#pragma once
#include "forward.h"

namespace treadle { namespace TREADLE_ISA {

// Choose by biased scores among the best groups, weigh by the unbiased ones; experts in order.
// Source: DeepSeek-V3, arXiv:2412.19437, eq. 12 to 16.
inline void Forward::choose(const Layer& layer, int token) {
  const Model& m = model_;
  float* score = routing_.router.data() + (size_t)token * pad(m.experts);
  std::vector<float> biased(m.experts), group(m.groups);
  for (int e = 0; e < m.experts; e++) {
    score[e] = 1.f / (1.f + std::exp(-score[e]));
    biased[e] = score[e] + layer.router_bias[e];
  }
  const int size = m.experts / m.groups;
  for (int g = 0; g < m.groups; g++) {
    float best = -INFINITY, second = -INFINITY;
    for (int e = g * size; e < (g + 1) * size; e++) {
      if (biased[e] > best) second = best, best = biased[e];
      else second = std::max(second, biased[e]);
    }
    group[g] = best + second;
  }
  for (int left_out = m.groups - m.top_groups; left_out > 0; left_out--) {
    // The last of equals goes, so that the first is kept, as a stable sort would.
    int worst = -1;
    for (int g = 0; g < m.groups; g++)
      if (group[g] != -INFINITY && (worst < 0 || group[g] <= group[worst])) worst = g;
    group[worst] = -INFINITY;
    std::fill_n(biased.begin() + worst * size, size, -INFINITY);
  }
  int* chosen = routing_.chosen.data() + (size_t)token * m.top_experts;
  for (int k = 0; k < m.top_experts; k++) {
    chosen[k] = (int)(std::max_element(biased.begin(), biased.end()) - biased.begin());
    biased[chosen[k]] = -INFINITY;
  }
  std::sort(chosen, chosen + m.top_experts);
  float total = 1e-20f, *weights = routing_.weights.data() + (size_t)token * m.top_experts;
  for (int k = 0; k < m.top_experts; k++) total += score[chosen[k]];
  for (int k = 0; k < m.top_experts; k++)
    weights[k] = (m.normalise ? score[chosen[k]] / total : score[chosen[k]]) * m.routed_scale;
}

// Every chosen expert on its tokens: `parts` row token · k + place. Tiles are dealt by their cost.
inline void Forward::experts(const Layer& layer, Scratch& s) {
  const Model& m = model_;
  auto& picks = own().picks;
  if (picks.size() < (size_t)m.experts) picks.resize(m.experts);
  for (int e = 0; e < m.experts; e++) picks[e].clear();
  for (int t = 0; t < step_.tokens; t++)
    for (int k = 0; k < m.top_experts; k++) picks[routing_.chosen[(size_t)t * m.top_experts + k]].push_back({t, k});
  Buffer &gathered = own().gathered, &made = own().made;
  for (int stage = 0; stage < 2; stage++) {
    const Matrix* weights = stage ? layer.expert_down : layer.expert_gate_up;
    const int unit = stage ? 1 : 2;  // gate and up are computed together
    const int units = tiles(weights[0]) / unit;
    int64_t total = 0, before = 0;
    for (int e = 0; e < m.experts; e++)
      total += picks[e].empty() ? 0 : (int64_t)(picks[e].size() + 2) * units;
    const int64_t low = total * me_.rank / me_.size, high = total * (me_.rank + 1) / me_.size;
    for (int e = 0; e < m.experts; e++) {
      const int count = (int)picks[e].size();
      if (!count) continue;
      const int64_t cost = count + 2;
      const auto edge = [&](int64_t at) {
        return (int)std::clamp<int64_t>((at - before + cost - 1) / cost, 0, units);
      };
      const int begin = edge(low), end = edge(high);
      before += cost * units;
      if (begin == end) continue;
      const Buffer& source = stage ? s.inner : normed_;
      const int width = weights[e].k;
      gathered.shape(count, width, m.narrow);
      for (int i = 0; i < count; i++) {
        const int row = stage ? picks[e][i].token * m.top_experts + picks[e][i].place : picks[e][i].token;
        const Rows from = source.rows(0, row);
        std::copy_n(from.f32, width, gathered.row(i));
        if (m.narrow) std::copy_n(from.rounded, width, gathered.rounded.data() + i * gathered.ld);
      }
      made.shape(count, pad(weights[e].n), false);
      multiply(weights[e], gathered.rows(), count, begin * unit, end * unit, made.values.data(), made.ld);
      for (int i = 0; i < count; i++) {
        const int row = picks[e][i].token * m.top_experts + picks[e][i].place;
        if (!stage) {
          swiglu(made.row(i), begin, end, s.inner.row(row));
          s.inner.narrow(row, begin * LANES, end * LANES);
        } else {
          const int from = begin * LANES, to = std::min(end * LANES, m.hidden);
          std::copy(made.row(i) + from, made.row(i) + to, s.parts.row(row) + from);
        }
      }
    }
    if (!stage && layer.gate_up.data) gate_shared(layer, s.shared, s);
    me_.wait();
  }
}

inline void Forward::route(const Layer& layer) {
  float* scores = routing_.router.data();
  const int all = tiles(layer.router), width = pad(model_.experts);
  if (routes_alone_) {
    multiply(layer.router, normed_.rows(), step_.tokens, 0, all, scores, width);
    for (int t = 0; t < step_.tokens; t++) choose(layer, t);
    return;
  }
  multiply(layer.router, normed_.rows(), step_.tokens, me_.begin(all), me_.end(all), scores, width);
  me_.wait();
  for (int t = me_.begin(step_.tokens); t < me_.end(step_.tokens); t++) choose(layer, t);
  me_.wait();
}

// x + the routed experts' answers by weight, then the shared expert's, unscaled.
inline void Forward::mixture(const Layer& layer, Scratch& s, float* x) {
  const Model& m = model_;
  route(layer);
  experts(layer, s);
  const int all = tiles(layer.expert_down[0]), begin = me_.begin(all), end = me_.end(all);
  const int from = begin * LANES, to = std::min(end * LANES, m.hidden);
  for (int t = 0; t < step_.tokens; t++)
    for (int i = from; i < to; i++) {
      float total = 0;
      for (int k = 0; k < m.top_experts; k++)
        total += routing_.weights[(size_t)t * m.top_experts + k] * s.parts.row(t * m.top_experts + k)[i];
      x[(size_t)t * m.hidden + i] += total;
    }
  if (layer.gate_up.data)
    multiply(layer.mlp_down, s.shared.rows(), step_.tokens, begin, end, x, m.hidden, true);
  me_.wait();
}

}}  // namespace treadle::TREADLE_ISA
