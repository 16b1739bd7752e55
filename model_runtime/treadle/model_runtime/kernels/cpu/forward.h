// One step through all layers. Every phase is shared among the team and ends at a barrier; what a
// value depends on is fixed, so the split changes nothing.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>
#include "attention.h"
#include "rows.h"
#include "pool.h"

namespace treadle { namespace TREADLE_ISA {

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

  // x (tokens, hidden), changed in place by layer `index`: first what each token leaves in the
  // cache, then what it takes from it.
  void block(int index, Scratch& s, float* x) {
    enter(index, s, x);
    leave(index, s, x);
  }
  void enter(int index, Scratch& s, const float* x);
  void leave(int index, Scratch& s, float* x);
  void norm_rows(const float* x, const float* weight, Buffer& out, int offset = 0);
  void norm(const float* x, const float* weight);
  void project(const Matrix& w, const Buffer& x, Buffer& y, int count, bool narrow);
  void add_projection(const Matrix& w, const Buffer& x, float* y, int count);

 private:
  void latent_rows(const Layer& layer, float* cache, Scratch& s);
  void latent_attention(const Layer& layer, float* cache, Scratch& s);
  void grouped_rows(float* cache, Scratch& s);
  void grouped_attention(float* cache, Scratch& s);
  void feed_forward(const Layer& layer, Scratch& s, float* x);
  void mixture(const Layer& layer, Scratch& s, float* x);
  void route(const Layer& layer);
  void choose(const Layer& layer, int token);
  void gate_shared(const Layer& layer, Buffer& inner, Scratch& s);
  void experts(const Layer& layer, Scratch& s);
  Look look(float* cache, int token) const {
    return {cache, step_.width, step_.blocks_of(token), step_.block_size, step_.first,
            step_.visible(token), 0, 0, 0, 0, model_.attention_scale};
  }

  // Rotate the part that knows its token's position, (rope).
  void turn(float* x, int token, bool pairs) const {
    const int64_t at = step_.positions[token] * (model_.rope / 2);
    rotate(x, step_.cos + at, step_.sin + at, model_.rope, pairs);
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

inline void Forward::enter(int index, Scratch& s, const float* x) {
  const Layer& layer = model_.layer[index];
  float* cache = step_.cache + index * step_.layer_stride;
  norm(x, layer.attention_norm);
  project(layer.down, normed_, s.down, step_.tokens, false);
  if (model_.kv_heads) grouped_rows(cache, s);
  else latent_rows(layer, cache, s);
}

inline void Forward::leave(int index, Scratch& s, float* x) {
  const Layer& layer = model_.layer[index];
  float* cache = step_.cache + index * step_.layer_stride;
  if (model_.kv_heads) grouped_attention(cache, s);
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
    float* row = cache + step_.slot(t) * step_.width;
    rms_norm(down + latent, layer.latent_norm, m.kv_rank, m.inner_eps, row);
    std::copy(down + latent + m.kv_rank, down + latent + m.kv_rank + m.rope, row + m.kv_rank);
    turn(row + m.kv_rank, t, m.interleaved);
    if (m.q_rank) rms_norm(down, layer.query_norm, m.q_rank, m.inner_eps, down);
    s.down.narrow(t, 0, latent);
  }
  me_.wait();
}

inline void Forward::latent_attention(const Layer& layer, float* cache, Scratch& s) {
  const Model& m = model_;
  const int per_head = m.nope + m.rope, key = m.kv_rank + m.rope;
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
      turn(lifted, t, m.interleaved);
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

// Rotate queries and keys, write keys and values.
inline void Forward::grouped_rows(float* cache, Scratch& s) {
  const Model& m = model_;
  const int width = m.rope, keys = m.kv_heads * width, queries = m.heads * width;
  for (int t = me_.begin(step_.tokens); t < me_.end(step_.tokens); t++) {
    float* row = s.down.row(t);
    for (int h = 0; h < m.heads + m.kv_heads; h++)
      turn(row + h * width, t, false);
    std::copy(row + queries, row + queries + 2 * keys, cache + step_.slot(t) * step_.width);
  }
  me_.wait();
}

inline void Forward::grouped_attention(float* cache, Scratch& s) {
  const Model& m = model_;
  const int width = m.rope, keys = m.kv_heads * width;
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

}}  // namespace treadle::TREADLE_ISA
