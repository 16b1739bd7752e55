// The C functions that Python calls, and the choice of kernels by what the processor has.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include "model.h"

using treadle::Kernels;

namespace {

bool has(const char* name) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!std::strcmp(name, "avx512"))
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bf16");
  if (!std::strcmp(name, "avx2")) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return !std::strcmp(name, "plain");
}

const Kernels* find(const char* name) {
  for (const Kernels* kernels : {
#if defined(__x86_64__)
           &treadle::kernels_avx512, &treadle::kernels_avx2,
#endif
           &treadle::kernels_plain})
    if (has(kernels->name) && (!name[0] || !std::strcmp(name, kernels->name))) return kernels;
  return nullptr;
}

// Whether every row that the step names lies in the cache. A wrong one would be read or, worse,
// written in somebody else's memory.
bool fits(const treadle::Model& model, const treadle::Step& step) {
  for (int t = 0; t < step.tokens; t++) {
    const int64_t at = step.positions[t], owner = step.request[t];
    if (owner < 0 || owner >= step.requests || at < step.first || at >= step.turns) return false;
    if (step.ids && (step.ids[t] < 0 || step.ids[t] >= model.embedding.n)) return false;
    if (at / step.block_size >= step.edges[owner + 1] - step.edges[owner]) return false;
  }
  for (int64_t i = step.edges[0]; i < step.edges[step.requests]; i++)
    if (step.blocks[i] < 0 || (int64_t)(step.blocks[i] + 1) * step.block_size > step.rows) return false;
  return true;
}

// Whether every request has the tokens that are scored, all in a row.
bool fits(const treadle::Step& step, const int32_t* scored) {
  for (int r = 0, row = 0; r < step.requests; r++) {
    const int begin = row;
    while (row < step.tokens && step.request[row] == r) row++;
    if (scored[r] < 0 || scored[r] > row - begin || row == begin) return false;
    if (r + 1 == step.requests && row != step.tokens) return false;
  }
  return true;
}

// Whether what is drafted stays within its blocks and the positions that there are.
bool fits(const treadle::Model& model, const treadle::Step& step, const int32_t* scored, const treadle::Ahead& ahead) {
  if (!step.ids || !model.modules) return false;
  for (int t = 0; t < step.tokens; t++) {
    const int r = step.request[t];
    const treadle::Asked& asked = ahead.of[r];
    if (asked.count < 0) continue;
    const int64_t end = step.positions[t] + std::max(asked.count, 1) + 1;
    if (end > step.turns || end > (step.edges[r + 1] - step.edges[r]) * step.block_size) return false;
    if (asked.count > ahead.most || asked.following >= model.embedding.n) return false;
    if (asked.following < 0 && !scored[r]) return false;
    if (asked.before && step.positions[t] == 0) return false;
  }
  return true;
}

}  // namespace

extern "C" {

// The kernels of this name, or the best for this processor if it is empty; null if it lacks them.
const void* treadle_kernels(const char* name) { return find(name); }
const char* treadle_name(const void* kernels) { return ((const Kernels*)kernels)->name; }
// These say whether the step fitted; if not, nothing was done.
bool treadle_trunk(const void* kernels, const treadle::Model* model, const treadle::Step* step, float* x) {
  if (!fits(*model, *step)) return false;
  ((const Kernels*)kernels)->trunk(*model, *step, x);
  return true;
}
bool treadle_draft(const void* kernels, const treadle::Model* model, const treadle::Step* step,
                   const float* hidden, float* x, int depth) {
  if (!fits(*model, *step) || depth < 0 || depth >= model->modules) return false;
  ((const Kernels*)kernels)->draft(*model, *step, hidden, x, depth);
  return true;
}
bool treadle_read(const void* kernels, const treadle::Model* model, const treadle::Step* step, float* x,
                  const int32_t* scored, float* scores, const treadle::Ahead* ahead) {
  if (!fits(*model, *step) || !fits(*step, scored)) return false;
  if (ahead && !fits(*model, *step, scored, *ahead)) return false;
  ((const Kernels*)kernels)->read(*model, *step, x, scored, scores, ahead);
  return true;
}
void treadle_logits(const void* kernels, const treadle::Model* model, const float* states, int count, float* out) {
  ((const Kernels*)kernels)->logits(*model, states, count, out);
}
void treadle_multiply(const void* kernels, const treadle::Matrix* w, const float* x, int count, float* y, int threads) {
  ((const Kernels*)kernels)->multiply(*w, x, count, y, threads);
}

}  // extern "C"
