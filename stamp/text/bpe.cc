#include "stamp/text/bpe.h"

#include <limits>
#include <queue>

#include "stamp/core/error.h"
#include "stamp/text/byte_alphabet.h"

namespace stamp {
namespace {

uint64_t pair_key(int32_t left, int32_t right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

/// Element of a doubly linked list; -1 is no neighbour. A symbol merged into its left one has id
/// -1.
struct Symbol {
  int32_t id, previous, next;
};

/// A merge that was possible when it was queued; it is stale if a symbol has changed since.
struct Candidate {
  int32_t rank, position, left, right, merged;
  bool operator<(const Candidate& other) const {  // top of the queue: lowest rank, then leftmost
    return std::pair(rank, position) > std::pair(other.rank, other.position);
  }
};

}  // namespace

Bpe::Bpe(Vocabulary vocabulary, const std::vector<std::pair<std::string, std::string>>& merges,
         bool ignore_merges)
    : vocabulary_(std::move(vocabulary)), ignore_merges_(ignore_merges) {
  for (size_t byte = 0; byte < byte_ids_.size(); ++byte)
    byte_ids_[byte] = id_of(spell_bytes(std::string(1, static_cast<char>(byte))), "byte");
  merges_.reserve(merges.size());
  int32_t rank = 0;
  for (const auto& [left, right] : merges) {
    const int32_t left_id = id_of(left, "left part of a merge");
    const int32_t right_id = id_of(right, "right part of a merge");
    merges_[pair_key(left_id, right_id)] = {rank++, id_of(left + right, "merge")};
  }
}

int32_t Bpe::id_of(const std::string& token, const char* role) const {
  const auto found = vocabulary_.find(token);
  if (found == vocabulary_.end())
    throw_runtime("tokenizer: the {} '{}' is not in the vocabulary", role, token);
  return found->second;
}

const Bpe::Merge* Bpe::find_merge(int32_t left, int32_t right) const {
  const auto found = merges_.find(pair_key(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

void Bpe::encode(std::string_view piece, std::vector<int32_t>& ids) const {
  if (ignore_merges_) {
    const auto whole = vocabulary_.find(spell_bytes(piece));
    if (whole != vocabulary_.end()) {
      ids.push_back(whole->second);
      return;
    }
  }
  merge_symbols(piece, ids);
}

void Bpe::merge_symbols(std::string_view piece, std::vector<int32_t>& ids) const {
  if (piece.size() > size_t{std::numeric_limits<int32_t>::max()})
    throw_argument("tokenizer: a piece of {} bytes is too long", piece.size());
  const auto count = static_cast<int32_t>(piece.size());
  std::vector<Symbol> symbols;
  symbols.reserve(piece.size());
  for (int32_t i = 0; i < count; ++i)
    symbols.push_back({byte_ids_[static_cast<uint8_t>(piece[static_cast<size_t>(i)])], i - 1,
                       i + 1 < count ? i + 1 : -1});
  const auto at = [&](int32_t i) -> Symbol& { return symbols[static_cast<size_t>(i)]; };

  std::priority_queue<Candidate> queue;
  const auto consider = [&](int32_t position) {
    if (position < 0 || at(position).next < 0) return;
    const int32_t left = at(position).id, right = at(at(position).next).id;
    if (const Merge* merge = find_merge(left, right))
      queue.push({merge->rank, position, left, right, merge->id});
  };
  for (int32_t i = 0; i < count; ++i) consider(i);

  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& left = at(best.position);
    if (left.id != best.left || left.next < 0 || at(left.next).id != best.right) continue;
    Symbol& right = at(left.next);
    left.id = best.merged;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) at(left.next).previous = best.position;
    consider(left.previous);
    consider(best.position);
  }
  for (int32_t i = 0; i >= 0 && i < count; i = at(i).next) ids.push_back(at(i).id);
}

}  // namespace stamp
