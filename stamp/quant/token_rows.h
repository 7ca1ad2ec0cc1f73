#pragma once
// Whose tokens the rows of a matrix are: of one sequence, or of several that share a product.
#include <cstdint>
#include <span>

#include "stamp/core/error.h"

namespace stamp {

/// `count` neighbouring rows: the tokens of one sequence from absolute token `position` on.
struct SequenceRows {
  int64_t position = 0, count = 0;
};

/// All rows belong to one sequence, or those of several lie one after the other. L never mixes rows
/// of two sequences.
class TokenRows {
 public:
  /// One sequence; row 0 is its token `position`.
  TokenRows(int64_t position) : single_{position, 0} {}
  /// Several, which must outlive this.
  TokenRows(std::span<const SequenceRows> parts) : parts_(parts), several_(true) {}

  /// body(first row, SequenceRows) for every sequence. Throws std::invalid_argument when they do
  /// not make up `rows` rows.
  template <class Body>
  void for_each(int64_t rows, Body&& body) const {
    if (!several_) return body(int64_t{0}, SequenceRows{single_.position, rows});
    int64_t first = 0;
    for (const SequenceRows& part : parts_) {
      if (part.count < 0 || part.count > rows - first)
        throw_argument("token rows: the sequences have more than the matrix's {} rows", rows);
      body(first, part);
      first += part.count;
    }
    if (first != rows)
      throw_argument("token rows: the sequences have {} of the matrix's {} rows", first, rows);
  }
  bool several() const { return several_; }

 private:
  SequenceRows single_;
  std::span<const SequenceRows> parts_;
  bool several_ = false;
};

}  // namespace stamp
