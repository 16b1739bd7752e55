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

struct Line {  // tokens of several requests, each with the state before it
  std::vector<int64_t> ids, positions;
  std::vector<int32_t> owners;
  std::vector<float> states;

  void clear() { ids.clear(), positions.clear(), owners.clear(), states.clear(); }
  void add(int64_t id, int64_t position, int owner, const float* state, int width) {
    ids.push_back(id), positions.push_back(position), owners.push_back(owner);
    states.insert(states.end(), state, state + width);
  }
  Step of(Step step) const {  // module 0 sees from position 1 on
    step.tokens = (int)ids.size(), step.first = 1;
    step.ids = ids.data(), step.positions = positions.data(), step.request = owners.data();
    return step;
  }
};

// Move these rows to the front, ascending: x and what the layer has read of them.
static inline void keep(const std::vector<int>& rows, int hidden, Forward::Scratch& s, float* x) {
  for (size_t i = 0; i < rows.size(); i++) {
    if (rows[i] == (int)i) continue;
    std::copy_n(x + (size_t)rows[i] * hidden, hidden, x + i * hidden);
    s.down.move(rows[i], (int)i);
  }
}

// One MTP module. With `ends` only those rows come out, side by side: of the others it needs no
// more than what they leave in the cache.
static void module(const Model& m, const Step& step, const float* hidden, float* x, int depth,
                   const std::vector<int>* ends) {
  static thread_local Forward::Scratch s;
  Forward::shape(s, m, step.tokens);
  embed(m, step, x);
  Forward::Scratch* shared = &s;
  const Mtp& mtp = m.mtp[depth];
  static thread_local Line last;
  last.clear();
  if (ends) for (int t : *ends) last.add(step.ids[t], step.positions[t], step.request[t], nullptr, 0);
  const Step rest = ends ? last.of(step) : step;
  Team::shared(m.threads).run([&, shared](Member& me) {
    Forward forward(m, step, me, *shared);
    forward.norm_rows(hidden, mtp.hidden_norm, shared->pair, m.hidden);
    forward.norm_rows(x, mtp.embedding_norm, shared->pair);
    for (int t = me.begin(step.tokens); t < me.end(step.tokens); t++)
      std::fill_n(x + (size_t)t * m.hidden, m.hidden, 0.f);
    me.wait();
    forward.add_projection(mtp.projection, shared->pair, x, step.tokens);
    forward.enter(m.layers + depth, *shared, x);
    if (ends && me.rank == 0) keep(*ends, m.hidden, *shared, x);
    if (ends) me.wait();
    if (!rest.tokens) return;
    Forward(m, rest, me, *shared).leave(m.layers + depth, *shared, x);
    for (int t = me.begin(rest.tokens); t < me.end(rest.tokens); t++)
      rms_norm(x + (size_t)t * m.hidden, mtp.norm, m.hidden, m.eps, x + (size_t)t * m.hidden);
  });
}

static void draft(const Model& m, const Step& step, const float* hidden, float* x, int depth) {
  module(m, step, hidden, x, depth, nullptr);
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
static inline int64_t guess(const float* scores, int vocabulary, const Asked& asked, int64_t position) {
  if (asked.temperature == 0) return std::max_element(scores, scores + vocabulary) - scores;
  return drawn(scores, vocabulary, asked.temperature, asked.seed, position);
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

// What the module is to read: of every request the tokens that hold, each one further on, and the
// newest, which was known or which the scores choose.
static void follow(const Model& m, const Step& step, const float* x, const int32_t* scored,
                   const float* scores, const Ahead& ahead, Line& line) {
  line.clear();
  for (int r = 0, row = 0; r < step.requests; r++) {
    const int begin = row;
    while (row < step.tokens && step.request[row] == r) row++;
    const float* chosen = scores;
    scores += (size_t)scored[r] * m.head.n;
    Asked& asked = ahead.of[r];
    asked.held = asked.made = 0;
    if (asked.count < 0) continue;
    int end = row;
    asked.newest = asked.following;
    if (asked.following < 0)
      for (end -= scored[r];;) {
        asked.newest = guess(chosen, ahead.vocabulary, asked, step.positions[end++] + 1);
        if (end == row || step.ids[end] != asked.newest) break;
        chosen += m.head.n;
      }
    asked.held = end - begin;
    if (asked.before) line.add(step.ids[begin], step.positions[begin], r, asked.before, m.hidden);
    for (int t = begin; t < end; t++)
      line.add(t + 1 < end ? step.ids[t + 1] : asked.newest, step.positions[t] + 1, r,
               x + (size_t)t * m.hidden, m.hidden);
  }
}

// Draft behind each request's last token of the line.
static void look_ahead(const Model& m, const Step& step, const Ahead& ahead, Line& line) {
  static thread_local std::vector<float> x, scores, right;
  static thread_local std::vector<int> ends;
  static thread_local Line next;
  right.assign(step.requests, 1.f);  // the probability that all drafts of a request hold
  for (int depth = 0; !line.ids.empty(); depth++, std::swap(line, next)) {
    ends.clear(), next.clear();
    for (int t = 0, count = (int)line.ids.size(); t < count; t++) {
      const bool last = t + 1 == count || line.owners[t + 1] != line.owners[t];
      if (last && ahead.of[line.owners[t]].count > depth) ends.push_back(t);
    }
    x.resize(line.states.size());
    module(m, line.of(step), line.states.data(), x.data(), 0, &ends);
    scores.resize(ends.size() * (size_t)m.head.n);
    if (!ends.empty()) logits(m, x.data(), (int)ends.size(), scores.data());
    for (size_t i = 0; i < ends.size(); i++) {
      const int r = line.owners[ends[i]];
      const int64_t position = line.positions[ends[i]] + 1;
      const float* row = scores.data() + i * m.head.n;
      Asked& asked = ahead.of[r];
      const int64_t id = guess(row, ahead.vocabulary, asked, position);
      right[r] *= share(row, ahead.vocabulary, id, asked.temperature);
      if (right[r] < ahead.confidence) continue;
      ahead.out[(size_t)r * ahead.most + depth] = id;
      asked.made = depth + 1;
      if (depth + 1 < asked.count) next.add(id, position, r, x.data() + i * m.hidden, m.hidden);
    }
  }
}

static void read(const Model& m, const Step& step, float* x, const int32_t* scored, float* scores, const Ahead* ahead) {
  static thread_local std::vector<float> wanted;
  static thread_local Line line;
  trunk(m, step, x);
  wanted.clear();
  for (int r = 0, row = 0; r < step.requests; r++) {
    while (row < step.tokens && step.request[row] == r) row++;
    wanted.insert(wanted.end(), x + (size_t)(row - scored[r]) * m.hidden, x + (size_t)row * m.hidden);
  }
  if (!wanted.empty()) logits(m, wanted.data(), (int)(wanted.size() / m.hidden), scores);
  if (!ahead) return;
  follow(m, step, x, scored, scores, *ahead, line);
  look_ahead(m, step, *ahead, line);
}

}}  // namespace treadle::TREADLE_ISA
