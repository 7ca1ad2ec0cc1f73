#include "stamp/text/bpe.h"

#include <limits>
#include <queue>

#include "stamp/core/error.h"
#include "stamp/text/byte_alphabet.h"
#include "stamp/text/unicode.h"

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

std::string byte_token(uint8_t byte) { return fmt::format("<0x{:02X}>", byte); }

Bpe::Bpe(Vocabulary vocabulary, const Merges& merges, const BpeOptions& options)
    : vocabulary_(std::move(vocabulary)), options_(options) {
  if (options_.characters && !options_.byte_fallback && options_.unknown < 0)
    throw_runtime("tokenizer: there is no token for unknown characters");
  for (size_t i = 0; i < byte_ids_.size(); ++i) {
    const auto byte = static_cast<uint8_t>(i);
    if (!options_.characters) {
      const std::string spelled = spell_bytes(std::string(1, static_cast<char>(byte)));
      byte_ids_[i] = id_of(spelled, "byte");
      last_byte_ids_[i] = id_of(spelled + options_.word_suffix, "byte");
    } else if (options_.byte_fallback) {
      byte_ids_[i] = id_of(byte_token(byte), "byte");
    }
  }
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
  if (options_.ignore_merges) {
    const auto whole =
        vocabulary_.find(options_.characters ? std::string(piece) : spell_bytes(piece));
    if (whole != vocabulary_.end()) {
      ids.push_back(whole->second);
      return;
    }
  }
  merge_symbols(first_symbols(piece), ids);
}

void Bpe::add_character(std::string_view character, std::vector<int32_t>& symbols) const {
  const auto found = vocabulary_.find(std::string(character));
  if (found != vocabulary_.end()) return symbols.push_back(found->second);
  if (options_.byte_fallback) {
    for (const char byte : character) symbols.push_back(byte_ids_[static_cast<uint8_t>(byte)]);
    return;
  }
  if (symbols.empty() || symbols.back() != options_.unknown) symbols.push_back(options_.unknown);
}

std::vector<int32_t> Bpe::first_symbols(std::string_view piece) const {
  std::vector<int32_t> symbols;
  symbols.reserve(piece.size());
  for (size_t at = 0; at < piece.size();) {
    const size_t bytes = options_.characters ? decode_utf8(piece, at).bytes : 1;
    if (options_.characters)
      add_character(piece.substr(at, bytes), symbols);
    else
      symbols.push_back(
          (at + 1 < piece.size() ? byte_ids_ : last_byte_ids_)[static_cast<uint8_t>(piece[at])]);
    at += bytes;
  }
  return symbols;
}

void Bpe::merge_symbols(std::span<const int32_t> first, std::vector<int32_t>& ids) const {
  if (first.size() > size_t{std::numeric_limits<int32_t>::max()})
    throw_argument("tokenizer: a piece of {} symbols is too long", first.size());
  const auto count = static_cast<int32_t>(first.size());
  std::vector<Symbol> symbols;
  symbols.reserve(first.size());
  for (int32_t i = 0; i < count; ++i)
    symbols.push_back({first[static_cast<size_t>(i)], i - 1, i + 1 < count ? i + 1 : -1});
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
