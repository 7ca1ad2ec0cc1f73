#pragma once
// Threads that stand for processes: what is done together can be tested in one program.
#include <barrier>
#include <exception>
#include <functional>
#include <thread>

#include "stamp/core/communicator.h"

namespace stamp {

class ThreadProcesses {
 public:
  /// Calls body(communicator) as `size` processes at a time; rethrows what the first of them threw.
  /// All must make the same calls, so bodies throw either alike or not at all.
  template <class Body>
  static void run(int size, Body&& body) {
    ThreadProcesses all(size);
    std::vector<std::exception_ptr> errors(static_cast<size_t>(size));
    std::vector<std::thread> threads;
    for (int rank = 0; rank < size; ++rank)
      threads.emplace_back([&, rank] {
        Process own(all, rank);
        try {
          body(static_cast<Communicator&>(own));
        } catch (...) {
          errors[static_cast<size_t>(rank)] = std::current_exception();
          all.barrier_.arrive_and_drop();
        }
      });
    for (std::thread& thread : threads) thread.join();
    for (const std::exception_ptr& error : errors)
      if (error) std::rethrow_exception(error);
  }

 private:
  explicit ThreadProcesses(int size) : values_(static_cast<size_t>(size)), barrier_(size) {}

  class Process : public Communicator {
   public:
    Process(ThreadProcesses& all, int rank) : all_(all), rank_(rank) {}
    int rank() const override { return rank_; }
    int size() const override { return static_cast<int>(all_.values_.size()); }
    void sum(std::span<float> values) override { reduce(values, std::plus<>()); }
    void sum(std::span<double> values) override { reduce(values, std::plus<>()); }
    void maximum(std::span<float> values) override {
      reduce(values, [](float a, float b) { return std::max(a, b); });
    }
    void broadcast(std::span<std::byte>, int) override {}
    std::vector<std::string> gather(const std::string& own) override { return {own}; }
    void send(std::span<const std::byte>, int) override {}
    std::vector<std::byte> receive(int) override { return {}; }
    void abort(int) override {}

   private:
    template <class T, class Operation>
    void reduce(std::span<T> values, Operation&& operation) {
      all_.values_[static_cast<size_t>(rank_)] = values.data();
      all_.barrier_.arrive_and_wait();
      const auto values_of = [&](size_t rank) { return static_cast<const T*>(all_.values_[rank]); };
      std::vector<T> result(values_of(0), values_of(0) + values.size());
      for (size_t i = 1; i < all_.values_.size(); ++i)
        for (size_t j = 0; j < result.size(); ++j)
          result[j] = operation(result[j], values_of(i)[j]);
      all_.barrier_.arrive_and_wait();
      std::copy(result.begin(), result.end(), values.begin());
    }

    ThreadProcesses& all_;
    int rank_;
  };

  std::vector<const void*> values_;  // of each process, while they are reduced
  std::barrier<> barrier_;
};

}  // namespace stamp
