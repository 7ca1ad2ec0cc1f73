#pragma once
// The processes that work on one job together, one of them this one (rank). Every process runs the
// same program and makes the same calls in the same order.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "stamp/core/phase_timer.h"

namespace stamp {

/// All calls but rank() and size() wait for the other processes and come from one thread at a time.
/// A process that dies, or a connection that breaks, ends the job.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Every entry becomes the sum (maximum) over all processes; the same bits everywhere.
  virtual void sum(std::span<float> values) = 0;
  virtual void sum(std::span<double> values) = 0;
  virtual void maximum(std::span<float> values) = 0;
  /// The bytes of process `root` replace those of the others.
  virtual void broadcast(std::span<std::byte> bytes, int root) = 0;
  /// What each process gives, by rank; sizes may differ.
  virtual std::vector<std::string> gather(const std::string& own) = 0;
  /// Messages of two processes arrive in the order in which they were sent. send() returns at once;
  /// its bytes are copied.
  virtual void send(std::span<const std::byte> bytes, int to) = 0;
  virtual std::vector<std::byte> receive(int from) = 0;
  /// Ends all processes.
  virtual void abort(int exit_code) = 0;
  /// From now on the time of these calls, made by the thread that drives a pass, is that pass's
  /// Phase::kExchange; null: nobody's.
  void book_on(PhaseTimes* phases) { phases_ = phases; }

 protected:
  PhaseTimes* phases_ = nullptr;
};

/// How many processes mpirun started as this job (Open MPI's OMPI_COMM_WORLD_SIZE); 1: none.
int launched_processes();
/// Connects this process with them; does nothing when there is only one, or when called again. MPI
/// is a module (stamp_mpi.so, beside the program or in ../lib/stamp) that only such jobs load.
/// Throws std::runtime_error when it is missing.
void join_processes();
/// Those that join_processes() connected, else this process alone.
Communicator& communicator();
/// The bytes that `item` gives for 0 .. count - 1, on all processes: each is made by one of them,
/// on all of its threads. What one process throws ends the job.
std::vector<std::string> share_items(int64_t count,
                                     const std::function<std::string(int64_t)>& item);
/// interrupted() in any of them; all processes call it at the same place and get the same answer.
bool job_interrupted();
/// True in the one process that talks to the user and writes results.
inline bool is_first_process() { return communicator().rank() == 0; }

}  // namespace stamp
