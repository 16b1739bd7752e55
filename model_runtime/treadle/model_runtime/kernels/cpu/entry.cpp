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

}  // namespace

extern "C" {

// The kernels of this name, or the best for this processor if it is empty; null if it lacks them.
const void* treadle_kernels(const char* name) { return find(name); }
const char* treadle_name(const void* kernels) { return ((const Kernels*)kernels)->name; }
void treadle_trunk(const void* kernels, const treadle::Model* model, const treadle::Step* step, float* x) {
  ((const Kernels*)kernels)->trunk(*model, *step, x);
}
void treadle_draft(const void* kernels, const treadle::Model* model, const treadle::Step* step,
                   const float* hidden, float* x, int depth) {
  ((const Kernels*)kernels)->draft(*model, *step, hidden, x, depth);
}
void treadle_logits(const void* kernels, const treadle::Model* model, const float* states, int count, float* out) {
  ((const Kernels*)kernels)->logits(*model, states, count, out);
}
void treadle_multiply(const void* kernels, const treadle::Matrix* w, const float* x, int count, float* y, int threads) {
  ((const Kernels*)kernels)->multiply(*w, x, count, y, threads);
}

}  // extern "C"
