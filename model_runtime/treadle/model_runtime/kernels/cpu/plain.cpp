// The kernels for any machine: headers of the standard library come first, so that none of
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
#define TREADLE_ISA plain
#define TREADLE_WIDTH 4
#include "steps.h"

namespace treadle {
const Kernels kernels_plain = {"plain", plain::trunk, plain::draft, plain::read,
    plain::logits, plain::multiply_all};
}
