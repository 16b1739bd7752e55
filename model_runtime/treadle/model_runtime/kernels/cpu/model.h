// What Python hands over: packed weights by address, and one step's tokens. Mirrored in abi.py.
#pragma once
#include <cstddef>
#include <cstdint>

namespace treadle {

// The last two lie row after row, as embeddings do that are no head.
enum Type : int32_t { F32 = 0, BF16 = 1, I8 = 2, Q4 = 3, Q8 = 4, ROWS_F32 = 5, ROWS_BF16 = 6 };

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
  Matrix head, embedding;  // the embedding's data is null where Python looks it up
};

struct Step {
  int32_t tokens, requests;
  int32_t block_size, first;    // rows of one block; the first position that is seen
  const int64_t* ids;           // (tokens), or null: their embeddings are in x already
  const int64_t* positions;     // (tokens)
  const int32_t* request;       // (tokens): whose each is
  const int32_t* blocks;        // all requests' blocks of cache rows, one request after the other
  const int64_t* edges;         // (requests + 1): where each one's begin and end
  const float *cos, *sin;       // (turns, rope / 2): of every position there can be
  int64_t turns;
  float* cache;                 // (layers, rows, width)
  int64_t layer_stride;         // values between two layers of the cache
  int32_t width;                // values in one row
  int64_t rows;                 // in a layer of the cache

  const int32_t* blocks_of(int token) const { return blocks + edges[request[token]]; }
  int64_t slot(int token) const {  // the row that it writes
    const int64_t at = positions[token];
    return (int64_t)blocks_of(token)[at / block_size] * block_size + at % block_size;
  }
  int visible(int token) const { return (int)(positions[token] + 1 - first); }
};

struct Asked {  // by one request: drafts behind what its tokens choose; the last three are the answer
  int32_t count;      // drafts wanted; below 0 the module does not read either
  float temperature;  // 0 takes the best token
  uint64_t seed;
  int64_t following;  // the token after its last; below 0 its scores choose
  const float* before;  // (hidden), or null: the state before its first, which is then read as well
  int64_t newest;     // the token that the drafts stand behind
  int32_t held;       // of the step's tokens, those before the newest
  int32_t made;       // how many were drafted
};

struct Ahead {
  Asked* of;                 // (requests)
  int64_t* out;              // (requests, most)
  int32_t most, vocabulary;  // tokens from `vocabulary` on do not exist
  float confidence;          // drafts go on while they are all right with this probability
};

// x (tokens, hidden): the tokens' embeddings, unless the step has ids; then states after the last norm.
using Trunk = void (*)(const Model&, const Step&, float* x);
// MTP module `depth`: x likewise, states before them in `hidden`; result in x.
using Draft = void (*)(const Model&, const Step&, const float* hidden, float* x, int depth);
// The trunk, then the head on the last `scored` tokens of each request, then, unless `ahead` is
// null, MTP module 0 on what holds of a step with ids and on its own drafts one by one.
using Read = void (*)(const Model&, const Step&, float* x, const int32_t* scored, float* scores, const Ahead* ahead);
// rows (count, hidden) to (count, vocabulary).
using Logits = void (*)(const Model&, const float* states, int count, float* out);
// y (count, n) = x (count, k) · Wᵀ, for tests and benchmarks of one matrix.
using Multiply = void (*)(const Matrix&, const float* x, int count, float* y, int threads);

struct Kernels {
  const char* name;
  Trunk trunk;
  Draft draft;
  Read read;
  Logits logits;
  Multiply multiply;
};

extern const Kernels kernels_avx512, kernels_avx2, kernels_plain;

}  // namespace treadle
