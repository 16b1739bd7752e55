// A few threads that stay awake between the phases of a step. torch's OpenMP pool is not used: a
// second copy of the runtime would fight with it, and its barriers cost more than our phases.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace treadle {

class Team;

// What a phase sees of its team: its rank, and a barrier all must reach.
class Member {
 public:
  Member(Team& team, int rank, int size) : rank(rank), size(size), team_(team) {}
  void wait();
  // The part of [0, total) that is this rank's.
  int begin(int total) const { return (int)((int64_t)total * rank / size); }
  int end(int total) const { return (int)((int64_t)total * (rank + 1) / size); }
  const int rank, size;

 private:
  Team& team_;
};

class Team {
 public:
  explicit Team(int size);
  ~Team();
  // Run a job on every member and return when all are done. One caller at a time.
  void run(const std::function<void(Member&)>& job);
  static Team& shared(int size);

 private:
  friend class Member;
  void work(int rank);
  const int size_;
  const std::function<void(Member&)>* job_ = nullptr;
  std::atomic<uint32_t> round_{0}, finished_{0}, arrived_{0}, phase_{0};
  std::atomic<bool> stopping_{false};
  std::mutex one_caller_;
  std::vector<std::thread> threads_;
};

}  // namespace treadle
