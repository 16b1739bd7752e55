// The C functions that Python calls, and the choice of kernels by what the processor has.
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
bool fits(const treadle::Step& step) {
  const auto inside = [&](int64_t row) { return row >= 0 && row < step.rows; };
  for (int t = 0; t < step.tokens; t++) {
    if (!inside(step.slots[t]) || step.visible[t] < 1) return false;
    for (int i = 0; i < step.visible[t]; i++)
      if (!inside(step.tables[t][i])) return false;
  }
  return true;
}

}  // namespace

extern "C" {

// The kernels of this name, or the best for this processor if it is empty; null if it lacks them.
const void* treadle_kernels(const char* name) { return find(name); }
const char* treadle_name(const void* kernels) { return ((const Kernels*)kernels)->name; }
// Both say whether the step fitted; if not, nothing was done.
bool treadle_trunk(const void* kernels, const treadle::Model* model, const treadle::Step* step, float* x) {
  if (!fits(*step)) return false;
  ((const Kernels*)kernels)->trunk(*model, *step, x);
  return true;
}
bool treadle_draft(const void* kernels, const treadle::Model* model, const treadle::Step* step,
                   const float* hidden, float* x, int depth) {
  if (!fits(*step) || depth < 0 || depth >= model->modules) return false;
  ((const Kernels*)kernels)->draft(*model, *step, hidden, x, depth);
  return true;
}
void treadle_logits(const void* kernels, const treadle::Model* model, const float* states, int count, float* out) {
  ((const Kernels*)kernels)->logits(*model, states, count, out);
}
void treadle_multiply(const void* kernels, const treadle::Matrix* w, const float* x, int count, float* y, int threads) {
  ((const Kernels*)kernels)->multiply(*w, x, count, y, threads);
}

}  // extern "C"
