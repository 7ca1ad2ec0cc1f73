// Started by mpirun: a model that the processes share beside one that each has for itself, on the
// same tokens.
//   mpirun -n N check_split MODEL RECIPE tensor|pipeline [TOKENS [NEW]]
// MODEL: a directory, or the name of a shape, which gets random weights. Prints how far the logits
// of TOKENS random tokens and of NEW tokens generated after them (the likeliest ones) are apart,
// and how far each quantized model is from the plain one. Exits with 1 when logits of a plain model
// differ by more than 1 % of the largest.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "stamp/core/communicator.h"
#include "stamp/core/rng.h"
#include "stamp/io/temporary_directory.h"
#include "stamp/models/model.h"
#include "stamp/pipelines/synthetic_model.h"
#include "stamp/quant/metrics.h"

namespace {

using namespace stamp;
namespace fs = std::filesystem;

/// A directory that all processes see; the first one writes and removes it.
class SharedModel {
 public:
  explicit SharedModel(const std::string& name) : path_(name) {
    if (fs::exists(name)) return;
    if (is_first_process()) {
      written_.emplace();
      write_synthetic_model(shape_config(name), {}, written_->path());
    }
    path_ = communicator().gather(written_ ? written_->path().string() : "").front();
  }
  ~SharedModel() { communicator().gather(""); }
  const fs::path& path() const { return path_; }

 private:
  std::optional<TemporaryDirectory> written_;
  fs::path path_;
};

struct Run {
  Matrix logits;  // of every token
  std::vector<int32_t> generated;
};

/// In every process that has the output.
Run run(const Model& model, std::vector<int32_t> ids, int64_t generated) {
  ForwardContext context;
  const auto prompt = static_cast<int64_t>(ids.size());
  KvCache cache = model.make_cache(prompt + generated);
  Run result{.logits = Matrix(prompt + generated, model.config().vocab_size)};
  std::vector<int32_t> next = ids;
  for (int64_t done = 0; done < prompt + generated; done += std::ssize(next)) {
    if (done > 0) {
      int32_t id = 0;
      if (model.has_output()) {
        const auto last = result.logits.view().row_span(done - 1);
        id = static_cast<int32_t>(std::max_element(last.begin(), last.end()) - last.begin());
      }
      if (model.split() != ModelSplit::kNone)
        communicator().broadcast(std::as_writable_bytes(std::span(&id, 1)), model.output_process());
      next = {id};
      result.generated.push_back(id);
    }
    const Matrix hidden = model.forward(next, cache, context);
    if (model.has_output())
      model.logits(hidden.view(), result.logits.view().rows_from(done, std::ssize(next)), context);
  }
  return result;
}

double mean_kl(const Matrix& reference, const Matrix& logits, int64_t rows) {
  double sum = 0;
  for (int64_t i = 0; i < rows; ++i)
    sum += score_token(reference.view().row_span(i), logits.view().row_span(i), 0).kl;
  return sum / static_cast<double>(rows);
}

int check(const std::string& name, Recipe recipe, ModelSplit split, int64_t tokens,
          int64_t generated) {
  const SharedModel shared(name);
  const auto source = ModelSource::open(shared.path());
  Rng rng(1);
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < tokens; ++i)
    ids.push_back(
        static_cast<int32_t>(rng.below(static_cast<uint64_t>(source->config().vocab_size))));
  if (split == ModelSplit::kTensor) recipe.rotation_parts = communicator().size();
  Run several, alone, plain;
  {
    const auto model = make_model(source, {.recipe = recipe, .split = split});
    several = run(*model, ids, generated);
  }
  const int writer = split == ModelSplit::kPipeline ? communicator().size() - 1 : 0;
  if (communicator().rank() != writer) return 0;
  alone = run(*make_model(source, {.recipe = recipe}), ids, generated);
  double largest = 0, difference = 0;
  for (int64_t i = 0; i < tokens * alone.logits.cols(); ++i) {
    largest = std::max(largest, std::abs(double{alone.logits.data()[i]}));
    difference =
        std::max(difference, std::abs(double{alone.logits.data()[i]} - several.logits.data()[i]));
  }
  int64_t same = 0;
  while (same < generated &&
         several.generated[static_cast<size_t>(same)] == alone.generated[static_cast<size_t>(same)])
    ++same;
  fmt::print(
      "{}, {} processes, {}: logits of {} tokens differ by at most {:.2g} of the largest; {} "
      "of {} generated tokens are the same\n",
      name, communicator().size(), recipe.name, tokens, difference / largest, same, generated);
  if (recipe.is_plain()) return difference > 1e-2 * largest ? 1 : 0;
  plain = run(*make_model(source), ids, 0);
  const double split_kl = mean_kl(plain.logits, several.logits, tokens);
  const double own_kl = mean_kl(plain.logits, alone.logits, tokens);
  fmt::print("KL to the plain model: {:.6g} split, {:.6g} in one process ({:+.2f} %)\n", split_kl,
             own_kl, 100 * (split_kl / own_kl - 1));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    fmt::print(stderr, "usage: check_split MODEL RECIPE tensor|pipeline [TOKENS [NEW]]\n");
    return 2;
  }
  try {
    join_processes();
    const auto split =
        std::string(argv[3]) == "tensor" ? ModelSplit::kTensor : ModelSplit::kPipeline;
    return check(argv[1], load_recipe(argv[2]), split, argc > 4 ? std::stoll(argv[4]) : 64,
                 argc > 5 ? std::stoll(argv[5]) : 8);
  } catch (const std::exception& error) {
    fmt::print(stderr, "check_split: {}\n", error.what());
    communicator().abort(1);
    return 1;
  }
}
