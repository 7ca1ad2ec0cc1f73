#include "stamp/pipelines/serving/prefix_store.h"

#include <algorithm>

namespace stamp {

PrefixStore::Tokens PrefixStore::tokens_of(std::span<const int32_t> ids, int64_t page) {
  Tokens tokens;
  std::copy_n(ids.begin() + page * kKvBlockTokens, kKvBlockTokens, tokens.begin());
  return tokens;
}

/// Moves a node and all above it to the front, the root's child first.
void PrefixStore::touch(Node* node) {
  for (; node != &root_; node = node->parent) recent_.splice(recent_.begin(), recent_, node->place);
}

std::vector<std::shared_ptr<const KvPage>> PrefixStore::find(std::span<const int32_t> ids,
                                                             int64_t limit) {
  limit = std::min(limit, static_cast<int64_t>(ids.size()) / kKvBlockTokens);
  std::vector<std::shared_ptr<const KvPage>> pages;
  Node* node = &root_;
  for (int64_t i = 0; i < limit; ++i) {
    const auto child = node->children.find(tokens_of(ids, i));
    if (child == node->children.end()) break;
    node = child->second.get();
    pages.push_back(node->page);
  }
  touch(node);
  return pages;
}

void PrefixStore::insert(std::span<const int32_t> ids, const KvCache& cache, int64_t pages) {
  if (max_bytes_ == 0) return;
  pages = std::min(pages, static_cast<int64_t>(ids.size()) / kKvBlockTokens);
  Node* node = &root_;
  for (int64_t i = 0; i < pages; ++i) {
    const Tokens tokens = tokens_of(ids, i);
    auto child = node->children.find(tokens);
    if (child == node->children.end()) {
      auto fresh = std::make_unique<Node>();
      fresh->parent = node;
      fresh->tokens = tokens;
      fresh->page = cache.page(i);
      fresh->place = recent_.insert(recent_.end(), fresh.get());
      bytes_ += fresh->page->bytes();
      child = node->children.emplace(tokens, std::move(fresh)).first;
    }
    node = child->second.get();
  }
  touch(node);
  while (bytes_ > max_bytes_) evict_oldest();
}

/// The node used longest ago has no children: they would have been used even longer ago.
void PrefixStore::evict_oldest() {
  Node* const node = recent_.back();
  bytes_ -= node->page->bytes();
  recent_.pop_back();
  node->parent->children.erase(Tokens(node->tokens));
}

}  // namespace stamp
