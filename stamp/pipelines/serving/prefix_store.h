#pragma once
// K/V pages of texts computed before, found by their tokens.
#include <array>
#include <list>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "stamp/nn/kv_cache.h"

namespace stamp {

/// A tree whose nodes are pages: the way from the root to a node spells the tokens up to its end.
/// For one model under one recipe, and for one thread.
class PrefixStore {
 public:
  /// Keeps pages of at most `max_bytes` (see KvPage::bytes()), those used last.
  explicit PrefixStore(int64_t max_bytes) : max_bytes_(max_bytes) {}
  PrefixStore(const PrefixStore&) = delete;
  PrefixStore& operator=(const PrefixStore&) = delete;

  /// The pages of the longest stored prefix of `ids`, at most `limit` of them.
  std::vector<std::shared_ptr<const KvPage>> find(std::span<const int32_t> ids, int64_t limit);
  /// Keeps the first `pages` pages of a cache that holds the tokens `ids` (or more).
  void insert(std::span<const int32_t> ids, const KvCache& cache, int64_t pages);

  int64_t bytes() const { return bytes_; }
  int64_t pages() const { return static_cast<int64_t>(recent_.size()); }

 private:
  using Tokens = std::array<int32_t, kKvBlockTokens>;
  struct Node {
    Node* parent = nullptr;
    Tokens tokens{};
    std::shared_ptr<const KvPage> page;
    std::map<Tokens, std::unique_ptr<Node>> children;
    std::list<Node*>::iterator place;  // in recent_
  };
  static Tokens tokens_of(std::span<const int32_t> ids, int64_t page);
  void touch(Node* node);
  void evict_oldest();

  int64_t max_bytes_, bytes_ = 0;
  Node root_;
  std::list<Node*> recent_;  // the last used first; a node stands before its children
};

}  // namespace stamp
