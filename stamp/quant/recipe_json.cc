// Recipes as JSON: one list of keys per struct, visited by a reader and a writer.
#include <set>
#include <utility>

#include "stamp/core/error.h"
#include "stamp/quant/recipe.h"

namespace stamp {
namespace {

constexpr int kSchema = 1;

template <class Visitor>
void visit(QuantizerSpec& spec, Visitor& key) {
  key("symmetric", spec.symmetric);
  key("clip", spec.clip);
  key("block", spec.block);
}

template <class Visitor>
void visit(SequenceSpec& spec, Visitor& key) {
  key("transform", spec.transform);
  key("levels", spec.levels);
  key("skip_tokens", spec.skip_tokens);
  key("block_tokens", spec.block_tokens);
  key("grid_width", spec.grid_width);
  key("klt_tokens", spec.klt_tokens);
}

template <class Visitor>
void visit(PlanSpec& spec, Visitor& key) {
  key("kind", spec.kind);
  key("high_tokens", spec.high_tokens);
  key("high_bits", spec.high_bits);
  key("min_bits", spec.min_bits);
  key("average_bits", spec.average_bits);
}

template <class Visitor>
void visit(TokenSpec& spec, Visitor& key) {
  key("bits", spec.bits);
  key("quantizer", spec.quantizer);
  key("sequence", spec.sequence);
  key("plan", spec.plan);
}

template <class Visitor>
void visit(KvSpec& spec, Visitor& key) {
  visit(static_cast<TokenSpec&>(spec), key);
  key("rotation", spec.rotation);
}

template <class Visitor>
void visit(SmoothingSpec& spec, Visitor& key) {
  key("alpha", spec.alpha);
  key("all_inputs", spec.all_inputs);
}

template <class Visitor>
void visit(LayerSpec& spec, Visitor& key) {
  key("range", spec.range);
  key("activation_bits", spec.activation_bits);
  key("k_bits", spec.k_bits);
  key("v_bits", spec.v_bits);
}

template <class Visitor>
void visit(SiteSpec& spec, Visitor& key) {
  key("site", spec.site);
  key("average_bits", spec.average_bits);
  key("clip", spec.clip);
}

template <class Visitor>
void visit(WeightSpec& spec, Visitor& key) {
  key("bits", spec.bits);
  key("group", spec.group);
  key("symmetric", spec.symmetric);
  key("mse_clip", spec.mse_clip);
  key("clip_norm", spec.clip_norm);
  key("quantizer", spec.quantizer);
  key("act_order", spec.act_order);
  key("damping", spec.damping);
  key("rank", spec.rank);
}

template <class Visitor>
void visit(Recipe& recipe, Visitor& key) {
  key("name", recipe.name);
  key("feature", recipe.feature);
  key("smoothing", recipe.smoothing);
  key("rotation_parts", recipe.rotation_parts);
  key("seed", recipe.seed);
  key("center", recipe.center);
  key("weights", recipe.weights);
  key("lm_head", recipe.lm_head);
  key("embedding_bits", recipe.embedding_bits);
  key("activations", recipe.activations);
  key("k", recipe.k);
  key("v", recipe.v);
  key("attention_bits", recipe.attention_bits);
  key("kv_block", recipe.kv_block);
  key("layers", recipe.layers);
  key("sites", recipe.sites);
  key("exclude", recipe.exclude);
}

class Writer {
 public:
  template <class Field>
  void operator()(const char* key, Field& field) {
    if constexpr (requires(Writer & writer) { visit(field, writer); }) {
      Writer inner;
      visit(field, inner);
      json[key] = std::move(inner.json);
    } else {
      json[key] = field;
    }
  }
  template <class Entry>
  requires requires(Entry& entry, Writer& writer) { visit(entry, writer); }
  void operator()(const char* key, std::vector<Entry>& field) {
    json[key] = Json::array();
    for (Entry& entry : field) {
      Writer inner;
      visit(entry, inner);
      json[key].push_back(std::move(inner.json));
    }
  }
  Json json = Json::object();
};

bool fits_int(const Json& json) {
  if (json.is_number_unsigned()) return std::in_range<int>(json.get<uint64_t>());
  return json.is_number_integer() && std::in_range<int>(json.get<int64_t>());
}

/// Reads the keys of one JSON object; finish() refuses those that nobody asked for.
class Reader {
 public:
  Reader(const Json& json, std::string path) : json_(json), path_(std::move(path)) {
    if (!json.is_object()) fail("", "an object", json);
  }

  template <class Field>
  void operator()(const char* key, Field& field) {
    known_.insert(key);
    const auto found = json_.find(key);
    if (found != json_.end()) read(key, *found, field);
  }

  void finish() const {
    for (const auto& [key, value] : json_.items()) {
      if (!known_.contains(key)) throw_argument("recipe: unknown key '{}'", full(key));
    }
  }

 private:
  std::string full(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }

  [[noreturn]] void fail(const std::string& key, const char* expected, const Json& got) const {
    const std::string where = key.empty() ? path_ : full(key);
    throw_argument("recipe: {}expected {}, got {}", where.empty() ? "" : where + ": ", expected,
                   got.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 80));
  }

  template <class Field>
  void read(const std::string& key, const Json& json, Field& field) const {
    Reader inner(json, full(key));
    visit(field, inner);
    inner.finish();
  }
  void read(const std::string& key, const Json& json, bool& field) const {
    if (!json.is_boolean()) fail(key, "true or false", json);
    field = json.get<bool>();
  }
  void read(const std::string& key, const Json& json, int& field) const {
    if (!fits_int(json)) fail(key, "an integer", json);
    field = json.get<int>();
  }
  void read(const std::string& key, const Json& json, double& field) const {
    if (!json.is_number()) fail(key, "a number", json);
    field = json.get<double>();
  }
  void read(const std::string& key, const Json& json, std::string& field) const {
    if (!json.is_string()) fail(key, "a string", json);
    field = json.get<std::string>();
  }
  template <class Entry>
  void read(const std::string& key, const Json& json, std::vector<Entry>& field) const {
    if (!json.is_array()) fail(key, "an array", json);
    field.clear();
    for (const Json& entry : json) read(key, entry, field.emplace_back());
  }

  const Json& json_;
  std::string path_;
  std::set<std::string> known_;
};

}  // namespace

Json to_json(const Recipe& recipe) {
  Writer writer;
  Recipe copy = recipe;
  visit(copy, writer);
  writer.json["schema"] = kSchema;
  return std::move(writer.json);
}

Recipe recipe_from_json(const Json& json) {
  Recipe recipe;
  int schema = 0;
  Reader reader(json, "");
  reader("schema", schema);
  if (schema != kSchema) throw_argument("recipe: schema: expected {}, got {}", kSchema, schema);
  visit(recipe, reader);
  reader.finish();
  check(recipe);
  return recipe;
}

}  // namespace stamp
