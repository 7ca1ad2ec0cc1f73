#include "stamp/pipelines/quantize.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "stamp/core/communicator.h"
#include "stamp/core/error.h"
#include "stamp/core/process.h"
#include "stamp/core/version.h"
#include "stamp/io/mmap.h"
#include "stamp/io/model_files.h"
#include "stamp/io/sha256.h"
#include "stamp/models/calibration_file.h"
#include "stamp/pipelines/calibrate.h"
#include "stamp/pipelines/evaluate.h"
#include "stamp/pipelines/quantize_files.h"
#include "stamp/pipelines/quantize_layers.h"
#include "stamp/pipelines/quantize_parts.h"
#include "stamp/pipelines/quantize_shard.h"

namespace stamp {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int64_t kCalibrationContext = 1024;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

fs::path calibration_text(const QuantizeOptions& options) {
  return options.calibration.empty() ? model_folder(options.model) / "calibration.txt"
                                     : options.calibration;
}

/// Files with weights: of a directory, or the one file that a model is.
std::vector<fs::path> weight_files(const fs::path& model) {
  if (!fs::is_directory(model)) return {model};
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(model))
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  return files;
}

/// What the result depends on. Weights count by size and time of change: hashing them would take as
/// long as quantizing them.
Json identity_of(const QuantizeOptions& options) {
  Json weights = Json::object();
  for (const fs::path& file : weight_files(options.model)) {
    struct stat status;
    if (::stat(file.c_str(), &status) != 0) continue;
    weights[file.filename().string()] = {int64_t{status.st_size}, int64_t{status.st_mtim.tv_sec},
                                         int64_t{status.st_mtim.tv_nsec}};
  }
  Json companions = Json::object();
  if (fs::is_directory(options.model))
    companions["config.json"] = sha256_file(options.model / "config.json");
  for (const Companion& file : companion_files(options.model))
    if (!file.path.empty()) companions[file.name] = sha256_file(file.path);
  Json identity = {{"program", version() + " " + build_commit()},
                   {"model", fs::canonical(options.model).string()},
                   {"weights", weights},
                   {"files of the model", companions},
                   {"recipe", to_json(options.recipe)},
                   {"calibration text", nullptr}};
  if (options.recipe.needs_calibration() || options.recipe.needs_weight_calibration())
    identity["calibration text"] = sha256_file(calibration_text(options));
  return identity;
}

CalibrateOptions calibrate_options(const QuantizeOptions& options, const ModelSource& source) {
  const Tokenizer tokenizer = Tokenizer::load(options.model);
  return {.ids = calibration_ids(tokenizer, options.model, options.calibration, {}),
          .bos_id = tokenizer.bos_id(),
          .context = std::min(kCalibrationContext, source.config().max_positions)};
}

Calibration measure(const QuantizeOptions& options, std::shared_ptr<const ModelSource> source,
                    const WorkDirectory& work) {
  CalibrateOptions text = calibrate_options(options, *source);
  text.cache = work.content().parent_path();
  return calibrate(source, {options.recipe}, text).at(options.recipe.name);
}

/// Statistics as the file holds them, so that a resumed run sees the same ones.
Calibration calibration_of(const QuantizeOptions& options,
                           std::shared_ptr<const ModelSource> source, WorkDirectory& work) {
  if (!options.recipe.needs_calibration()) return {};
  const fs::path file = work.content() / kCalibrationFile;
  if (!work.is_finished(kCalibrationFile)) {
    if (is_first_process()) write_calibration(file, measure(options, source, work));
    work.finish(kCalibrationFile);
    for (const auto& [name, tensor] : source->weights().tensors())
      drop_mapped_pages(tensor.data, tensor.bytes());
  }
  return read_calibration(file);
}

void check_space(const OutputPlan& plan, const WorkDirectory& work) {
  int64_t missing = 0;
  for (const OutputShard& shard : plan.shards)
    if (!work.is_finished(shard.file)) missing += shard.file_bytes();
  std::error_code error;
  const fs::space_info space = fs::space(work.content(), error);
  if (!error && static_cast<uint64_t>(missing) > space.available)
    throw_runtime("{}: needs {:.1f} MB more, the disk has {:.1f} MB left", work.content().string(),
                  static_cast<double>(missing) / 1e6, static_cast<double>(space.available) / 1e6);
}

/// Codes for one shard after another; those of finished ones are read back.
class ShardCodes {
 public:
  ShardCodes(const QuantizeOptions& options, std::shared_ptr<const ModelSource> source,
             const Calibration& calibration, const OutputPlan& plan, const WorkDirectory& work)
      : work_(work) {
    if (!options.recipe.needs_weight_calibration()) return;
    for (const OutputShard& shard : plan.shards)
      if (!work.is_finished(shard.file)) last_ = std::max(last_, shard.layer);
    if (last_ < 0) return;
    const CalibrateOptions text = calibrate_options(options, *source);
    quantizer_.emplace(std::move(source), options.recipe, &calibration, text);
  }

  WeightCodes next(const OutputShard& shard) {
    if (!quantizer_ || shard.layer < 0 || shard.layer > last_) return {};
    if (!work_.is_finished(shard.file)) return quantizer_->next();
    quantizer_->skip(read_codes(shard, work_.content()));
    return {};
  }

 private:
  const WorkDirectory& work_;
  int64_t last_ = -1;  // layer that is not finished
  std::optional<LayerQuantizer> quantizer_;
};

/// Shards are written in turns, one by each process.
void write_shards(const OutputPlan& plan, ShardCodes& codes, WorkDirectory& work) {
  int64_t bytes = 0;
  for (const OutputShard& shard : plan.shards)
    if (!work.is_finished(shard.file)) bytes += shard.source_bytes();
  const Communicator& processes = communicator();
  ByteProgress progress(bytes / processes.size());
  std::vector<std::string> turn;
  const auto finish = [&] {
    communicator().gather("");  // all have written
    for (const std::string& file : turn) work.finish(file);
    turn.clear();
  };
  for (const OutputShard& shard : plan.shards) {
    const WeightCodes own = codes.next(shard);
    if (work.is_finished(shard.file)) continue;
    if (std::ssize(turn) == processes.rank()) write_shard(shard, work.content(), progress, own);
    turn.push_back(shard.file);
    if (std::ssize(turn) == processes.size()) finish();
  }
  finish();
}

void build(const QuantizeOptions& options, std::shared_ptr<const ModelSource> source,
           WorkDirectory& work, QuantizeResult& result) {
  const Calibration calibration = calibration_of(options, source, work);
  const OutputPlan plan = plan_output(*source, options.recipe, &calibration);
  result.sizes = sizes_of(options, *source, plan);
  for (const OutputShard& shard : plan.shards)
    result.resumed_files += work.is_finished(shard.file) ? 1 : 0;
  check_space(plan, work);
  ShardCodes codes(options, source, calibration, plan, work);
  write_shards(plan, codes, work);
  write_small_files(*source, options.recipe, plan, work);
}

}  // namespace

QuantizeResult quantize(const QuantizeOptions& options) {
  const auto start = Clock::now();
  const auto source = open_plain_source(options);
  plan_output(*source, options.recipe, nullptr);  // finds a broken model before anything is written
  const fs::path out = fs::absolute(options.out / "").parent_path().lexically_normal();
  const fs::path partial = out.string() + ".partial";
  const bool in_the_way = fs::exists(out) && !options.force;
  const auto refuse = [&] { throw_argument("{}: exists; --force replaces it", out.string()); };
  if (in_the_way && !fs::exists(partial)) refuse();
  WorkDirectory work(out, identity_of(options), options.command);
  if (in_the_way && !work.is_published()) refuse();
  QuantizeResult result;
  if (!work.is_published()) {
    try {
      build(options, source, work, result);
    } catch (const std::runtime_error& error) {
      throw_runtime("{}; what is finished stays in {}: the same command continues there",
                    error.what(), partial.string());
    }
  }
  work.publish(options.force);
  result.seconds = seconds_since(start);
  result.peak_rss_bytes = peak_rss_bytes();
  return result;
}

}  // namespace stamp
