#include "pool.h"

#include <map>
#include <sched.h>

namespace treadle {

namespace {

// About 1 ms; then the thread gives way. Giving way sooner costs a whole turn of the scheduler (7 ms
// seen) as soon as another process wants the processor.
constexpr int SPINS = 100000;
// About 10 ms more, longer than a server of many streams takes between two steps; then one that waits
// for the next step sleeps, and leaves the processor to others.
constexpr int TURNS = 25000;

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

void until_changed(const std::atomic<uint32_t>& word, uint32_t old, bool may_sleep) {
  for (int i = 0; word.load(std::memory_order_acquire) == old; i++) {
    if (i < SPINS) pause();
    else if (i < SPINS + TURNS || !may_sleep) sched_yield();
    else word.wait(old, std::memory_order_acquire);
  }
}

}  // namespace

void Member::wait() {
  if (size == 1) return;
  const uint32_t phase = team_.phase_.load(std::memory_order_acquire);
  if (team_.arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == (uint32_t)size) {
    team_.arrived_.store(0, std::memory_order_relaxed);
    team_.phase_.store(phase + 1, std::memory_order_release);
  } else {
    until_changed(team_.phase_, phase, false);
  }
}

Team::Team(int size) : size_(size) {
  for (int rank = 1; rank < size; rank++) threads_.emplace_back([this, rank] { work(rank); });
}

Team::~Team() {
  stopping_ = true;
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void Team::run(const std::function<void(Member&)>& job) {
  std::lock_guard<std::mutex> guard(one_caller_);
  job_ = &job;
  finished_.store(0, std::memory_order_relaxed);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  Member self(*this, 0, size_);
  job(self);
  for (uint32_t done; (done = finished_.load(std::memory_order_acquire)) + 1 < (uint32_t)size_;)
    until_changed(finished_, done, false);
}

void Team::work(int rank) {
  uint32_t seen = 0;
  while (true) {
    until_changed(round_, seen, true);
    seen = round_.load(std::memory_order_acquire);
    if (stopping_) return;
    Member self(*this, rank, size_);
    (*job_)(self);
    finished_.fetch_add(1, std::memory_order_release);
  }
}

Team& Team::shared(int size) {
  static std::mutex guard;
  static auto* teams = new std::map<int, std::unique_ptr<Team>>;  // never destroyed: threads wait
  std::lock_guard<std::mutex> lock(guard);
  auto& team = (*teams)[size];
  if (!team) team = std::make_unique<Team>(size);
  return *team;
}

}  // namespace treadle
