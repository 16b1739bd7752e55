// The kernels for AVX2 with FMA: headers of the standard library come first, so that none of
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
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define TREADLE_ISA avx2
#define TREADLE_WIDTH 8
#include "steps.h"

namespace treadle {
const Kernels kernels_avx2 = {"avx2", avx2::trunk, avx2::draft, avx2::read,
    avx2::logits, avx2::multiply_all};
}
#if defined(__clang__)
#pragma clang attribute pop
#endif
