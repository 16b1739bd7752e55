// What Python hands over: packed weights by address, and one step's tokens. Mirrored in abi.py.
#pragma once
#include <cstddef>
#include <cstdint>

namespace treadle {

enum Type : int32_t { F32 = 0, BF16 = 1, I8 = 2, Q4 = 3, Q8 = 4 };

struct Matrix {  // (n, k), packed as matmul.h says; data is null where a model has none
  const void* data;
  const float* scales;  // (n padded), I8 only
  const float* bias;    // (n padded) or null
  int32_t n, k, type, padding;
};

struct Layer {
  const float* attention_norm;  // (hidden)
  const float* mlp_norm;        // (hidden)
  const float* query_norm;      // (q_rank), MLA with a low rank
  const float* latent_norm;     // (kv_rank), MLA
  Matrix down;       // MLA: [query down, or whole query ; kv down]; dense family: [q ; k ; v]
  Matrix query_up;   // MLA with a low rank
  const Matrix* key_up;    // MLA: per head (kv_rank, nope)
  const Matrix* value_up;  // MLA: per head (value, kv_rank)
  Matrix out;
  Matrix gate_up, mlp_down;  // dense layer or shared expert; gate and up alternate by 16 rows
  Matrix router;             // F32; data null in dense layers
  const float* router_bias;  // (experts)
  const Matrix* expert_gate_up;
  const Matrix* expert_down;
};

struct Mtp {
  const float *embedding_norm, *hidden_norm, *norm;
  Matrix projection;  // (hidden, 2 · hidden)
};

struct Model {
  int32_t hidden, layers, heads, kv_heads;    // kv_heads 0: MLA
  int32_t nope, rope, value, kv_rank, q_rank;  // dense family: rope is the head's width
  int32_t experts, groups, top_groups, top_experts, normalise;
  int32_t interleaved, narrow, modules, threads;  // narrow: inputs are rounded to bf16
  float eps, inner_eps, attention_scale, routed_scale;
  const Layer* layer;  // the trunk's, then one per MTP module
  const Mtp* mtp;
  const float* norm;
  Matrix head;
};

struct Step {
  int32_t tokens;
  const int64_t* slots;          // (tokens): the cache row each writes
  const int64_t* const* tables;  // per token: the cache rows of what it sees
  const int32_t* visible;        // per token: how many
  const float *cos, *sin;        // (tokens, rope / 2)
  float* cache;                  // (layers, slots, width)
  int64_t layer_stride;          // values between two layers of the cache
  int32_t width;                 // values in one row
  int64_t rows;                  // in a layer of the cache
};

// x (tokens, hidden) in, states after the last norm out.
using Trunk = void (*)(const Model&, const Step&, float* x);
// MTP module `depth`: embeddings in x, states before them in `hidden`; result in x.
using Draft = void (*)(const Model&, const Step&, const float* hidden, float* x, int depth);
// rows (count, hidden) to (count, vocabulary).
using Logits = void (*)(const Model&, const float* states, int count, float* out);
// y (count, n) = x (count, k) · Wᵀ, for tests and benchmarks of one matrix.
using Multiply = void (*)(const Matrix&, const float* x, int count, float* y, int threads);

struct Kernels {
  const char* name;
  Trunk trunk;
  Draft draft;
  Logits logits;
  Multiply multiply;
};

extern const Kernels kernels_avx512, kernels_avx2, kernels_plain;

}  // namespace treadle
