// The kernels for AVX-512 with bf16: headers of the standard library come first, so that none of
// their inline functions is compiled for this target and then used on a lesser machine.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>
#include "model.h"
#include "pool.h"
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma,avx2"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma,avx2")
#endif
#define TREADLE_ISA avx512
#define TREADLE_WIDTH 16
#include "steps.h"

namespace treadle {
const Kernels kernels_avx512 = {"avx512", avx512::trunk, avx512::draft, avx512::read,
    avx512::logits, avx512::multiply_all};
}
#if defined(__clang__)
#pragma clang attribute pop
#endif
