#include "stamp/text/unigram.h"

#include <algorithm>

#include "stamp/text/unicode.h"

namespace stamp {
namespace {

constexpr double kUnknownPenalty = 10.0;

/// The best way to a place in the text.
struct Node {
  double score = 0;
  int64_t begin = -1;  // of its last piece; -1: not reached
  int32_t id = 0;
};

void improve(Node& node, double score, size_t begin, int32_t id) {
  if (node.begin >= 0 && score <= node.score) return;
  node = {score, static_cast<int64_t>(begin), id};
}

/// Calls body(piece) for every one of the sorted pieces that `text` begins with, shortest first.
template <class Body>
void for_each_prefix(const std::vector<Unigram::Piece>& pieces, std::string_view text,
                     Body&& body) {
  auto first = pieces.begin(), last = pieces.end();
  for (size_t depth = 0; depth < text.size() && first != last; ++depth) {
    const auto wanted = static_cast<uint8_t>(text[depth]);
    const auto byte = [&](const Unigram::Piece& piece) {
      return static_cast<uint8_t>(piece.text[depth]);
    };
    // A piece that ends here sorts first and cannot agree in a further byte.
    if (first->text.size() == depth) ++first;
    first = std::partition_point(first, last, [&](auto& piece) { return byte(piece) < wanted; });
    last = std::partition_point(first, last, [&](auto& piece) { return byte(piece) == wanted; });
    if (first != last && first->text.size() == depth + 1) body(*first);
  }
}

}  // namespace

Unigram::Unigram(std::vector<Piece> pieces, int32_t unknown)
    : pieces_(std::move(pieces)), unknown_(unknown) {
  std::erase_if(pieces_, [](const Piece& piece) { return piece.text.empty(); });
  std::sort(pieces_.begin(), pieces_.end(),
            [](const Piece& a, const Piece& b) { return a.text < b.text; });
  double lowest = 0;
  for (const Piece& piece : pieces_) lowest = std::min(lowest, piece.score);
  unknown_score_ = lowest - kUnknownPenalty;
}

void Unigram::encode(std::string_view text, std::vector<int32_t>& ids) const {
  std::vector<Node> nodes(text.size() + 1);
  nodes[0].begin = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t bytes = decode_utf8(text, at).bytes;
    bool covered = false;
    for_each_prefix(pieces_, text.substr(at), [&](const Piece& piece) {
      improve(nodes[at + piece.text.size()], nodes[at].score + piece.score, at, piece.id);
      covered |= piece.text.size() == bytes;
    });
    if (!covered) improve(nodes[at + bytes], nodes[at].score + unknown_score_, at, unknown_);
    at += bytes;
  }
  const size_t first = ids.size();
  for (size_t end = text.size(); end > 0; end = static_cast<size_t>(nodes[end].begin)) {
    const int32_t id = nodes[end].id;
    if (id != unknown_ || ids.size() == first || ids.back() != unknown_) ids.push_back(id);
  }
  std::reverse(ids.begin() + static_cast<std::ptrdiff_t>(first), ids.end());
}

}  // namespace stamp
