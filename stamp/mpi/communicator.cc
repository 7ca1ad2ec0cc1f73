// Communicator over MPI: a module that join_processes() loads.
#include "stamp/core/communicator.h"

#include <mpi.h>

#include <climits>
#include <list>

#include "stamp/core/error.h"

namespace stamp {
namespace {

constexpr int kTag = 0;
/// Counts of MPI are ints.
constexpr size_t kPart = size_t{1} << 28;

class MpiCommunicator : public Communicator {
 public:
  MpiCommunicator() {
    int provided = 0;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
  }
  ~MpiCommunicator() override {
    for (Message& message : sent_) MPI_Wait(&message.request, MPI_STATUS_IGNORE);
    MPI_Finalize();
  }
  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void sum(std::span<float> values) override { reduce(values, MPI_FLOAT, MPI_SUM); }
  void sum(std::span<double> values) override { reduce(values, MPI_DOUBLE, MPI_SUM); }
  void maximum(std::span<float> values) override { reduce(values, MPI_FLOAT, MPI_MAX); }

  void broadcast(std::span<std::byte> bytes, int root) override {
    const PhaseScope scope(phases_, Phase::kExchange);
    for (size_t first = 0; first < bytes.size(); first += kPart)
      MPI_Bcast(bytes.data() + first, part(bytes.size() - first), MPI_BYTE, root, MPI_COMM_WORLD);
  }

  std::vector<std::string> gather(const std::string& own) override {
    const PhaseScope scope(phases_, Phase::kExchange);
    std::vector<uint64_t> sizes(static_cast<size_t>(size_));
    const uint64_t size = own.size();
    MPI_Allgather(&size, 1, MPI_UINT64_T, sizes.data(), 1, MPI_UINT64_T, MPI_COMM_WORLD);
    std::vector<std::string> all;
    for (int i = 0; i < size_; ++i) {
      std::string& text = all.emplace_back(i == rank_ ? own : std::string());
      text.resize(sizes[static_cast<size_t>(i)]);
      broadcast(std::as_writable_bytes(std::span(text)), i);
    }
    return all;
  }

  void send(std::span<const std::byte> bytes, int to) override {
    const PhaseScope scope(phases_, Phase::kExchange);
    sent_.remove_if([](Message& message) {
      int done = 0;
      MPI_Test(&message.request, &done, MPI_STATUS_IGNORE);
      return done != 0;
    });
    if (bytes.size() > INT_MAX) throw_runtime("send: a message of {} bytes", bytes.size());
    Message& message = sent_.emplace_back();
    message.bytes.assign(bytes.begin(), bytes.end());
    MPI_Isend(message.bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, to, kTag,
              MPI_COMM_WORLD, &message.request);
  }

  std::vector<std::byte> receive(int from) override {
    const PhaseScope scope(phases_, Phase::kExchange);
    MPI_Status status;
    int count = 0;
    MPI_Probe(from, kTag, MPI_COMM_WORLD, &status);
    MPI_Get_count(&status, MPI_BYTE, &count);
    std::vector<std::byte> bytes(static_cast<size_t>(count));
    MPI_Recv(bytes.data(), count, MPI_BYTE, from, kTag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    return bytes;
  }

  void abort(int exit_code) override { MPI_Abort(MPI_COMM_WORLD, exit_code); }

 private:
  struct Message {
    std::vector<std::byte> bytes;
    MPI_Request request = MPI_REQUEST_NULL;
  };

  static int part(size_t left) { return static_cast<int>(std::min(left, kPart)); }

  template <class T>
  void reduce(std::span<T> values, MPI_Datatype type, MPI_Op operation) {
    const PhaseScope scope(phases_, Phase::kExchange);
    for (size_t first = 0; first < values.size(); first += kPart)
      MPI_Allreduce(MPI_IN_PLACE, values.data() + first, part(values.size() - first), type,
                    operation, MPI_COMM_WORLD);
  }

  int rank_ = 0, size_ = 1;
  std::list<Message> sent_;
};

}  // namespace
}  // namespace stamp

extern "C" __attribute__((visibility("default"))) stamp::Communicator* stamp_open_mpi() {
  return new stamp::MpiCommunicator();
}
