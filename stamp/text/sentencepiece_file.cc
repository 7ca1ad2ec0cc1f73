#include "stamp/text/sentencepiece_file.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <unordered_set>

#include "stamp/core/error.h"
#include "stamp/io/json.h"
#include "stamp/text/protobuf.h"

namespace stamp {
namespace {

constexpr int64_t kLargestFile = int64_t{1} << 28;
// The library's trainer makes pieces of up to 512 characters. Looking for all ways to cut a piece
// is quadratic in its length.
constexpr size_t kLongestPiece = 512 * 4;
enum PieceType : uint64_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};
enum ModelType : uint64_t { kUnigramModel = 1, kBpeModel = 2 };

struct Piece {
  std::string text;
  float score = 0;
  uint64_t type = kNormal;
};

/// What of a ModelProto matters here, with the defaults of sentencepiece_model.proto.
struct ModelFile {
  std::vector<Piece> pieces;
  uint64_t model_type = kUnigramModel;
  bool byte_fallback = false;
  std::string charsmap;
  bool dummy_prefix = true, collapse_spaces = true, escape_spaces = true;
};

Piece read_piece(std::string_view message, const std::string& where) {
  Piece piece;
  ProtobufReader reader(message, where);
  while (const auto field = reader.next()) {
    if (field->id == 1) piece.text = field->bytes;
    if (field->id == 2) piece.score = std::bit_cast<float>(static_cast<uint32_t>(field->number));
    if (field->id == 3) piece.type = field->number;
  }
  return piece;
}

void read_trainer(std::string_view message, const std::string& where, ModelFile& file) {
  ProtobufReader reader(message, where);
  while (const auto field = reader.next()) {
    if (field->id == 3) file.model_type = field->number;
    if (field->id == 35) file.byte_fallback = field->number != 0;
  }
}

void read_normalizer(std::string_view message, const std::string& where, ModelFile& file) {
  ProtobufReader reader(message, where);
  while (const auto field = reader.next()) {
    if (field->id == 2) file.charsmap = field->bytes;
    if (field->id == 3) file.dummy_prefix = field->number != 0;
    if (field->id == 4) file.collapse_spaces = field->number != 0;
    if (field->id == 5) file.escape_spaces = field->number != 0;
  }
}

/// Checked before it is stored: two bytes of a file may be a piece, which takes far more memory.
void add_piece(std::string_view message, const std::string& where, std::vector<Piece>& pieces) {
  if (static_cast<int64_t>(pieces.size()) == kMaxTokenId)
    throw_runtime("{}: expected at most {} pieces, got more", where, kMaxTokenId);
  pieces.push_back(read_piece(message, where));
  if (pieces.back().text.size() > kLongestPiece)
    throw_runtime("{}: piece {} has {} bytes, expected at most {}", where, pieces.size() - 1,
                  pieces.back().text.size(), kLongestPiece);
}

ModelFile read_model(std::string_view bytes, const std::string& where) {
  ModelFile file;
  ProtobufReader reader(bytes, where);
  while (const auto field = reader.next()) {
    if (field->id == 1) add_piece(field->bytes, where, file.pieces);
    if (field->id == 2) read_trainer(field->bytes, where, file);
    if (field->id == 3) read_normalizer(field->bytes, where, file);
  }
  if (file.pieces.empty()) throw_runtime("{}: expected pieces, got none", where);
  return file;
}

SpaceRule space_rule(const ModelFile& file, const std::string& where) {
  if (!file.escape_spaces) throw_runtime("{}: escape_whitespaces is off, supported is on", where);
  if (file.dummy_prefix != file.collapse_spaces)
    throw_runtime(
        "{}: add_dummy_prefix is {}, remove_extra_whitespaces {}; supported are both or neither",
        where, file.dummy_prefix, file.collapse_spaces);
  return file.dummy_prefix ? SpaceRule::kCollapse : SpaceRule::kReplace;
}

void add_entry(const Piece& piece, int32_t id, const std::string& where, TokenizerSpec& spec) {
  if (!spec.vocabulary.emplace(piece.text, id).second)
    throw_runtime("{}: the piece '{}' stands twice", where, piece.text);
  if (!std::isfinite(piece.score))
    throw_runtime("{}: the piece '{}' has no finite score", where, piece.text);
  if (piece.type == kUnknown) spec.unknown = id;
  if (piece.type == kControl || piece.type == kUserDefined)
    spec.added_tokens.push_back(
        {.id = id, .content = piece.text, .special = piece.type == kControl});
  const bool sought = piece.type == kNormal || piece.type == kUserDefined;
  spec.scores.push_back(sought ? double{piece.score} : std::numeric_limits<double>::quiet_NaN());
}

/// Every way to join two pieces into a third, better scores first.
Merges merges_of(const ModelFile& file, const TokenizerSpec& spec) {
  struct Candidate {
    float score;
    int32_t left, right;
  };
  std::vector<Candidate> candidates;
  for (const Piece& piece : file.pieces) {
    if (piece.type != kNormal) continue;
    for (size_t cut = 1; cut < piece.text.size(); ++cut) {
      const auto left = spec.vocabulary.find(piece.text.substr(0, cut));
      if (left == spec.vocabulary.end()) continue;
      const auto right = spec.vocabulary.find(piece.text.substr(cut));
      if (right == spec.vocabulary.end()) continue;
      candidates.push_back({piece.score, left->second, right->second});
    }
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
  const auto text = [&](int32_t id) { return file.pieces[static_cast<size_t>(id)].text; };
  Merges merges;
  for (const Candidate& candidate : candidates)
    merges.emplace_back(text(candidate.left), text(candidate.right));
  return merges;
}

void add_t5_tokens(const TokenizerConfig& config, const std::string& where, TokenizerSpec& spec) {
  const std::string eos = config.special_token("eos_token");
  const int32_t id = id_of(spec, eos.empty() ? "</s>" : eos);
  if (id < 0) throw_runtime("{}: there is no token '{}' to end a text with", where, eos);
  spec.suffix = {id};
  std::unordered_set<std::string> known;
  for (const AddedToken& token : spec.added_tokens) known.insert(token.content);
  for (const AddedToken& token : config.added_tokens) known.insert(token.content);
  const auto pieces = static_cast<int32_t>(spec.vocabulary.size());
  for (int32_t i = 0; i < config.extra_ids; ++i) {
    const std::string content = fmt::format("<extra_id_{}>", i);
    if (!known.contains(content) && !spec.vocabulary.contains(content))
      spec.added_tokens.push_back(
          {.id = pieces + config.extra_ids - 1 - i, .content = content, .special = true});
  }
}

}  // namespace

TokenizerSpec read_sentencepiece_file(const std::filesystem::path& path,
                                      const TokenizerConfig& config) {
  return read_sentencepiece(read_text(path, kLargestFile), path.string(), config);
}

TokenizerSpec read_sentencepiece(std::string_view bytes, const std::string& where,
                                 const TokenizerConfig& config) {
  const ModelFile file = read_model(bytes, where);
  TokenizerSpec spec;
  if (file.model_type == kUnigramModel && !file.byte_fallback)
    spec.model = TokenModel::kUnigram;
  else if (file.model_type == kBpeModel && file.byte_fallback)
    spec.model = TokenModel::kCharacterBpe;
  else
    throw_runtime(
        "{}: a model of type {} with byte_fallback {}; supported are unigram (1) without and BPE "
        "(2) with it",
        where, file.model_type, file.byte_fallback);
  spec.byte_fallback = file.byte_fallback;
  spec.spaces = space_rule(file, where);
  if (!file.charsmap.empty()) spec.charsmap = Charsmap(file.charsmap, where);
  int32_t id = 0;
  for (const Piece& piece : file.pieces) add_entry(piece, id++, where, spec);
  if (spec.unknown < 0) throw_runtime("{}: there is no piece for unknown characters", where);
  if (spec.model == TokenModel::kCharacterBpe) spec.merges = merges_of(file, spec);
  if (config.tokenizer_class.starts_with("T5")) add_t5_tokens(config, where, spec);
  check_ids(spec, where);
  return spec;
}

}  // namespace stamp
