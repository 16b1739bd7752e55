// One step through all layers. Every phase is shared among the team and ends at a barrier; what a
// value depends on is fixed, so the split changes nothing.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>
#include "attention.h"
#include "matmul.h"
#include "pool.h"

namespace treadle { namespace TREADLE_ISA {

constexpr int pad(int n) { return (n + LANES - 1) / LANES * LANES; }

// Rows of activations, with a bf16 copy where the weights want one.
struct Buffer {
  std::vector<float> values;
  std::vector<uint16_t> halves;
  size_t ld = 0;

  void shape(int rows, size_t width, bool narrow) {
    ld = width;
    if (values.size() < rows * width + LANES) values.resize(rows * width + LANES);
    if (!narrow) halves.clear();  // another model may have left some
    else if (halves.size() < values.size()) halves.resize(values.size());
  }
  float* row(int m) { return values.data() + m * ld; }
  Rows rows(size_t offset = 0, int m = 0) const {
    const size_t at = m * ld + offset;
    return {values.data() + at, halves.empty() ? nullptr : halves.data() + at, ld};
  }
  void narrow(int m, size_t from, size_t to) {
    if (halves.empty()) return;
    for (size_t i = m * ld + from; i < m * ld + to; i++) halves[i] = to_bf16(values[i]);
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

struct Pick {  // one token's use of one expert
  int token, place;
};

// A few tokens: every member does small things for itself rather than wait for the others.
constexpr int FEW = 4;
constexpr int SMALL_ROUTER = 65536;  // weights

class Forward {
 public:
  struct Routing {
    std::vector<float> router, weights;
    std::vector<int> chosen;
  };
  struct Scratch {
    Buffer normed, down, query, lifted, heads, gate_up, inner, shared, parts, pair;
    Routing routing;
  };
  struct Own {  // one member's, kept from step to step
    Buffer normed, gathered, made, mixed;
    Routing routing;
    std::vector<std::vector<Pick>> picks;
  };

  Forward(const Model& model, const Step& step, Member& member, Scratch& s)
      : model_(model), step_(step), me_(member), few_(step.tokens <= FEW),
        routes_alone_(few_ && (int64_t)model.experts * model.hidden <= SMALL_ROUTER),
        normed_(few_ ? own().normed : s.normed),
        routing_(routes_alone_ ? own().routing : s.routing) {
    if (few_) normed_.shape(step.tokens, model.hidden, model.narrow);
    if (routes_alone_) shape(routing_, model, step.tokens);
  }
  static void shape(Routing& r, const Model& m, int tokens);
  static void shape(Scratch& s, const Model& m, int tokens);

  // x (tokens, hidden), changed in place by layer `index`.
  void block(int index, Scratch& s, float* x);
  void norm_rows(const float* x, const float* weight, Buffer& out, int offset = 0);
  void norm(const float* x, const float* weight);
  void project(const Matrix& w, const Buffer& x, Buffer& y, int count, bool narrow);
  void add_projection(const Matrix& w, const Buffer& x, float* y, int count);

 private:
  void latent_attention(const Layer& layer, float* cache, Scratch& s);
  void latent_rows(const Layer& layer, float* cache, Scratch& s);
  void grouped_attention(const Layer& layer, float* cache, Scratch& s);
  void feed_forward(const Layer& layer, Scratch& s, float* x);
  void mixture(const Layer& layer, Scratch& s, float* x);
  void route(const Layer& layer);
  void choose(const Layer& layer, int token);
  void gate_shared(const Layer& layer, Buffer& inner, Scratch& s);
  void experts(const Layer& layer, Scratch& s);
  Look look(float* cache, int token) const {
    return {cache, step_.width, step_.tables[token], step_.visible[token], 0, 0, 0, 0,
            model_.attention_scale};
  }

  static Own& own() {
    static thread_local Own own;
    return own;
  }

  const Model& model_;
  const Step& step_;
  Member& me_;
  const bool few_, routes_alone_;
  Buffer& normed_;
  Routing& routing_;
};

inline void Forward::shape(Scratch& s, const Model& m, int tokens) {
  const bool narrow = m.narrow;
  const int routed = m.experts ? m.top_experts : 0;
  int widest = 16, inner = 16, down = 16;
  for (int i = 0; i < m.layers + m.modules; i++) {
    const Layer& layer = m.layer[i];
    widest = std::max(widest, pad(layer.gate_up.data ? layer.gate_up.n : 0));
    inner = std::max(inner, pad(layer.mlp_down.data ? layer.mlp_down.k : 0));
    down = std::max(down, pad(layer.down.n));
    if (layer.router.data) {
      widest = std::max(widest, layer.expert_gate_up[0].n);
      inner = std::max(inner, layer.expert_down[0].k);
    }
  }
  const int per_head = m.kv_heads ? m.rope : m.nope + m.rope;
  s.normed.shape(tokens, m.hidden, narrow);
  s.pair.shape(tokens, 2 * m.hidden, narrow);
  s.down.shape(tokens, down, narrow);
  s.query.shape(tokens, pad(m.heads * per_head), narrow);
  s.lifted.shape(tokens, (size_t)m.heads * (m.kv_rank + m.rope), narrow);
  s.heads.shape(tokens, pad(m.heads * (m.kv_heads ? m.rope : m.value)), narrow);
  s.gate_up.shape(tokens * (routed + 1), widest, false);
  s.inner.shape(tokens * (routed + 1), inner, narrow);
  s.shared.shape(tokens, inner, narrow);
  s.parts.shape(tokens * (routed + 1), pad(m.hidden), false);
  shape(s.routing, m, tokens);
}

inline void Forward::shape(Routing& r, const Model& m, int tokens) {
  const int routed = m.experts ? m.top_experts : 0;
  r.router.resize((size_t)tokens * pad(std::max(m.experts, 1)));
  r.weights.resize((size_t)tokens * std::max(routed, 1));
  r.chosen.resize((size_t)tokens * std::max(routed, 1));
}

inline void Forward::norm(const float* x, const float* weight) {
  if (!few_) return norm_rows(x, weight, normed_);
  for (int t = 0; t < step_.tokens; t++) {
    rms_norm(x + (size_t)t * model_.hidden, weight, model_.hidden, model_.eps, normed_.row(t));
    normed_.narrow(t, 0, model_.hidden);
  }
}

inline void Forward::norm_rows(const float* x, const float* weight, Buffer& out, int offset) {
  for (int t = me_.begin(step_.tokens); t < me_.end(step_.tokens); t++) {
    rms_norm(x + (size_t)t * model_.hidden, weight, model_.hidden, model_.eps, out.row(t) + offset);
    out.narrow(t, offset, offset + model_.hidden);
  }
  me_.wait();
}

inline void Forward::project(const Matrix& w, const Buffer& x, Buffer& y, int count, bool narrow) {
  const int begin = me_.begin(tiles(w)), end = me_.end(tiles(w));
  multiply(w, x.rows(), count, begin, end, y.values.data(), y.ld);
  if (narrow)
    for (int t = 0; t < count; t++) y.narrow(t, begin * LANES, std::min(end * LANES, w.n));
  me_.wait();
}

inline void Forward::add_projection(const Matrix& w, const Buffer& x, float* y, int count) {
  const int begin = me_.begin(tiles(w)), end = me_.end(tiles(w));
  multiply(w, x.rows(), count, begin, end, y, model_.hidden, true);
  me_.wait();
}

inline void Forward::block(int index, Scratch& s, float* x) {
  const Layer& layer = model_.layer[index];
  float* cache = step_.cache + index * step_.layer_stride;
  norm(x, layer.attention_norm);
  project(layer.down, normed_, s.down, step_.tokens, false);
  if (model_.kv_heads) grouped_attention(layer, cache, s);
  else latent_attention(layer, cache, s);
  add_projection(layer.out, s.heads, x, step_.tokens);
  norm(x, layer.mlp_norm);
  if (layer.router.data) mixture(layer, s, x);
  else feed_forward(layer, s, x);
}

// Norm and rotate the latent part, write the cache row; norm the query's low rank.
inline void Forward::latent_rows(const Layer& layer, float* cache, Scratch& s) {
  const Model& m = model_;
  const int latent = m.q_rank ? m.q_rank : m.heads * (m.nope + m.rope);
  for (int t = me_.begin(step_.tokens); t < me_.end(step_.tokens); t++) {
    float* down = s.down.row(t);
    const float *cos = step_.cos + t * m.rope / 2, *sin = step_.sin + t * m.rope / 2;
    float* row = cache + step_.slots[t] * step_.width;
    rms_norm(down + latent, layer.latent_norm, m.kv_rank, m.inner_eps, row);
    std::copy(down + latent + m.kv_rank, down + latent + m.kv_rank + m.rope, row + m.kv_rank);
    rotate(row + m.kv_rank, cos, sin, m.rope, m.interleaved);
    if (m.q_rank) rms_norm(down, layer.query_norm, m.q_rank, m.inner_eps, down);
    s.down.narrow(t, 0, latent);
  }
  me_.wait();
}

inline void Forward::latent_attention(const Layer& layer, float* cache, Scratch& s) {
  const Model& m = model_;
  const int per_head = m.nope + m.rope, key = m.kv_rank + m.rope;
  latent_rows(layer, cache, s);
  if (m.q_rank) project(layer.query_up, s.down, s.query, step_.tokens, true);
  Buffer& query = m.q_rank ? s.query : s.down;
  const int first = me_.begin(m.heads), last = me_.end(m.heads);
  for (int h = first; h < last; h++) {
    multiply(layer.key_up[h], query.rows(h * per_head), step_.tokens, 0, tiles(layer.key_up[h]),
             s.lifted.values.data() + (size_t)h * key, s.lifted.ld);
    for (int t = 0; t < step_.tokens; t++) {
      const float* q = query.row(t) + h * per_head + m.nope;
      float* lifted = s.lifted.row(t) + (size_t)h * key + m.kv_rank;
      std::copy(q, q + m.rope, lifted);
      rotate(lifted, step_.cos + t * m.rope / 2, step_.sin + t * m.rope / 2, m.rope, m.interleaved);
    }
  }
  own().mixed.shape(last - first, m.kv_rank, false);
  std::vector<float>& mixed = own().mixed.values;
  for (int t = 0; t < step_.tokens; t++) {
    Look seen = look(cache, t);
    seen.key_width = key;
    seen.value_width = m.kv_rank;
    attend_heads(last - first, s.lifted.row(t) + (size_t)first * key, key, seen, mixed.data(), m.kv_rank);
    for (int h = first; h < last; h++)  // the latent mix replaces the query it came from
      std::copy_n(mixed.data() + (size_t)(h - first) * m.kv_rank, m.kv_rank, s.lifted.row(t) + (size_t)h * key);
    s.lifted.narrow(t, (size_t)first * key, (size_t)last * key);
  }
  for (int h = first; h < last; h++) {
    multiply(layer.value_up[h], s.lifted.rows((size_t)h * key), step_.tokens, 0,
             tiles(layer.value_up[h]), s.heads.values.data() + h * m.value, s.heads.ld);
    for (int t = 0; t < step_.tokens; t++) s.heads.narrow(t, h * m.value, (h + 1) * m.value);
  }
  me_.wait();
}

inline void Forward::grouped_attention(const Layer& layer, float* cache, Scratch& s) {
  const Model& m = model_;
  const int width = m.rope, keys = m.kv_heads * width, queries = m.heads * width;
  for (int t = me_.begin(step_.tokens); t < me_.end(step_.tokens); t++) {
    float* row = s.down.row(t);
    for (int h = 0; h < m.heads + m.kv_heads; h++)
      rotate(row + h * width, step_.cos + t * width / 2, step_.sin + t * width / 2, width, false);
    std::copy(row + queries, row + queries + 2 * keys, cache + step_.slots[t] * step_.width);
  }
  me_.wait();
  const int shared = m.heads / m.kv_heads;
  const int pieces = m.kv_heads * step_.tokens;  // one key head of one token
  for (int i = me_.begin(pieces); i < me_.end(pieces); i++) {
    const int t = i / m.kv_heads, h = i % m.kv_heads;
    Look seen = look(cache, t);
    seen.key_offset = h * width;
    seen.value_offset = keys + h * width;
    seen.key_width = seen.value_width = width;
    attend_heads(shared, s.down.row(t) + h * shared * width, width, seen,
                 s.heads.row(t) + h * shared * width, width);
    s.heads.narrow(t, h * shared * width, (h + 1) * shared * width);
  }
  me_.wait();
}

// SiLU(gate) · up of the dense layer or the shared expert.
inline void Forward::gate_shared(const Layer& layer, Buffer& inner, Scratch& s) {
  const int pairs = tiles(layer.gate_up) / 2;
  const int begin = me_.begin(pairs), end = me_.end(pairs);
  // Rows of its own: those before belong to the routed experts.
  float* made = s.gate_up.row(model_.experts ? step_.tokens * model_.top_experts : 0);
  multiply(layer.gate_up, normed_.rows(), step_.tokens, 2 * begin, 2 * end, made, s.gate_up.ld);
  for (int t = 0; t < step_.tokens; t++) {
    swiglu(made + t * s.gate_up.ld, begin, end, inner.row(t));
    inner.narrow(t, begin * LANES, end * LANES);
  }
}

inline void Forward::feed_forward(const Layer& layer, Scratch& s, float* x) {
  gate_shared(layer, s.shared, s);
  me_.wait();
  add_projection(layer.mlp_down, s.shared, x, step_.tokens);
}

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
        if (m.narrow) std::copy_n(from.bf16, width, gathered.halves.data() + i * gathered.ld);
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

static void trunk(const Model& m, const Step& step, float* x) {
  static thread_local Forward::Scratch s;
  Forward::shape(s, m, step.tokens);
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
  Forward::Scratch* shared = &s;
  const Mtp& mtp = m.mtp[depth];
  Team::shared(m.threads).run([&, shared](Member& me) {
    Forward forward(m, step, me, *shared);
    forward.norm_rows(x, mtp.embedding_norm, shared->pair);
    forward.norm_rows(hidden, mtp.hidden_norm, shared->pair, m.hidden);
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

}}  // namespace treadle::TREADLE_ISA
