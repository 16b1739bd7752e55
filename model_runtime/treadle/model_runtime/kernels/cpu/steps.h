// What a step asks for: the trunk, a draft, the head.
#pragma once
#include "forward.h"
#include "mixture.h"
#include "noise.h"

namespace treadle { namespace TREADLE_ISA {

// One row of a matrix, (k): packed as matmul.h says, or as it lies.
static inline void embed(const Matrix& w, int64_t row, float* out) {
  const int64_t tile = row / LANES * w.k, lane = row % LANES;
  const auto widened = [](uint16_t half) {
    const uint32_t bits = (uint32_t)half << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
  };
  const float* wide = (const float*)w.data;
  const uint16_t* halves = (const uint16_t*)w.data;
  for (int k = 0; k < w.k; k++) switch (w.type) {
      case F32: out[k] = wide[(tile + k) * LANES + lane]; break;
      case BF16: out[k] = widened(halves[((tile + k / 2 * 2) * LANES) + lane * 2 + k % 2]); break;
      case I8: out[k] = ((const int8_t*)w.data)[(tile + k) * LANES + lane] * w.scales[row]; break;
      case ROWS_F32: out[k] = wide[row * w.k + k]; break;
      default: out[k] = widened(halves[row * w.k + k]);
    }
}

static void embed(const Model& m, const Step& step, float* x) {
  if (!step.ids) return;
  for (int t = 0; t < step.tokens; t++) embed(m.embedding, step.ids[t], x + (size_t)t * m.hidden);
}

static void trunk(const Model& m, const Step& step, float* x) {
  static thread_local Forward::Scratch s;
  Forward::shape(s, m, step.tokens);
  embed(m, step, x);
  Forward::Scratch* shared = &s;
  Team::shared(m.threads).run([&m, &step, x, shared](Member& me) {
    Forward forward(m, step, me, *shared);
    for (int i = 0; i < m.layers; i++) forward.block(i, *shared, x);
    for (int t = me.begin(step.tokens); t < me.end(step.tokens); t++)
      rms_norm(x + (size_t)t * m.hidden, m.norm, m.hidden, m.eps, x + (size_t)t * m.hidden);
  });
}

static void draft(const Model& m, const Step& step, const float* hidden, float* x, int depth) {
  static thread_local Forward::Scratch s;
  Forward::shape(s, m, step.tokens);
  embed(m, step, x);
  Forward::Scratch* shared = &s;
  const Mtp& mtp = m.mtp[depth];
  Team::shared(m.threads).run([&, shared](Member& me) {
    Forward forward(m, step, me, *shared);
    forward.norm_rows(hidden, mtp.hidden_norm, shared->pair, m.hidden);
    forward.norm_rows(x, mtp.embedding_norm, shared->pair);
    for (int t = me.begin(step.tokens); t < me.end(step.tokens); t++)
      std::fill_n(x + (size_t)t * m.hidden, m.hidden, 0.f);
    me.wait();
    forward.add_projection(mtp.projection, shared->pair, x, step.tokens);
    forward.block(m.layers + depth, *shared, x);
    for (int t = me.begin(step.tokens); t < me.end(step.tokens); t++)
      rms_norm(x + (size_t)t * m.hidden, mtp.norm, m.hidden, m.eps, x + (size_t)t * m.hidden);
  });
}

static void multiply_all(const Matrix& w, const float* x, int count, float* y, int threads) {
  Buffer input;
  input.shape(count, w.k, w.type == BF16);
  std::copy_n(x, (size_t)count * w.k, input.values.data());
  for (int t = 0; t < count; t++) input.narrow(t, 0, w.k);
  Team::shared(threads).run([&](Member& me) {
    multiply(w, input.rows(), count, me.begin(tiles(w)), me.end(tiles(w)), y, w.n);
  });
}

static void logits(const Model& m, const float* states, int count, float* out) {
  multiply_all(m.head, states, count, out, m.threads);
}

// The guess at `position`, with the noise that verifying it will have.
static inline int64_t guess(const float* scores, const Chain& chain, int request, int64_t position) {
  const float temperature = chain.temperatures[request];
  if (temperature == 0) return std::max_element(scores, scores + chain.vocabulary) - scores;
  return drawn(scores, chain.vocabulary, temperature, chain.seeds[request], position);
}

// The share of a token among all, by its score.
static inline float share(const float* scores, int count, int64_t token, float temperature) {
  const float scale = temperature == 0 ? 1.f : 1.f / temperature, top = scores[token] * scale;
  f16x sums = {};
  int i = 0;
  for (; i + LANES <= count; i += LANES) sums += exponential(load(scores + i) * splat(scale) - splat(top));
  float total = sum(sums);
  for (; i < count; i++) total += std::exp(scores[i] * scale - top);
  return 1.f / total;
}

static void drafts(const Model& m, const Step& step, const float* hidden, const Chain& chain) {
  static thread_local std::vector<float> x, states, next, scores, right;
  static thread_local std::vector<int64_t> ids, positions;
  static thread_local std::vector<int32_t> owners;
  x.resize((size_t)step.tokens * m.hidden);
  draft(m, step, hidden, x.data(), 0);
  states.clear(), owners.clear(), positions.clear();
  right.assign(step.requests, 1.f);  // the probability that all drafts of a request hold
  for (int r = 0; r < step.requests; r++) {
    chain.made[r] = 0;
    if (!chain.counts[r]) continue;
    const float* row = x.data() + (size_t)chain.last[r] * m.hidden;
    states.insert(states.end(), row, row + m.hidden);
    owners.push_back(r);
    positions.push_back(step.positions[chain.last[r]]);
  }
  for (int depth = 0; !owners.empty(); depth++) {
    scores.resize(owners.size() * (size_t)m.head.n);
    logits(m, states.data(), (int)owners.size(), scores.data());
    ids.clear();
    size_t left = 0;
    for (size_t i = 0; i < owners.size(); i++) {
      const int r = owners[i];
      const float* row = scores.data() + i * m.head.n;
      const int64_t id = guess(row, chain, r, positions[i] + 1);
      right[r] *= share(row, chain.vocabulary, id, chain.temperatures[r]);
      if (right[r] < chain.confidence) continue;
      chain.out[(size_t)r * chain.most + depth] = id;
      chain.made[r] = depth + 1;
      if (depth + 1 == chain.counts[r]) continue;
      ids.push_back(id);
      owners[left] = r;
      positions[left] = positions[i] + 1;
      std::copy_n(states.data() + i * m.hidden, m.hidden, states.data() + left++ * m.hidden);
    }
    owners.resize(left), positions.resize(left), states.resize(left * m.hidden);
    if (!left) return;
    Step ahead = step;
    ahead.tokens = (int)left;
    ahead.ids = ids.data(), ahead.positions = positions.data(), ahead.request = owners.data();
    next.resize(states.size());
    draft(m, ahead, states.data(), next.data(), 0);
    states.swap(next);
  }
}

}}  // namespace treadle::TREADLE_ISA
