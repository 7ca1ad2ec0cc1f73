#include "stamp/pipelines/verify_clip.h"

#include "stamp/core/error.h"
#include "stamp/models/clip/clip.h"
#include "stamp/pipelines/clip_score.h"
#include "stamp/pipelines/verify_recorder.h"

namespace stamp {
namespace {

constexpr double kTolerance = 2e-5;

ConstFloatView one_row(const std::vector<float>& values) {
  const auto size = static_cast<int64_t>(values.size());
  return {values.data(), 1, size, size};
}

void run_towers(const std::filesystem::path& checkpoint, const Safetensors& oracle,
                Recorder& recorder) {
  const ClipFiles files(checkpoint);
  ForwardContext context{.observer = &recorder};
  const TensorView &ids = oracle.at("input_ids"), &pixels = oracle.at("pixel_values");
  if (ids.shape.size() != 2) throw_runtime("input_ids: expected a shape [texts, tokens]");
  const std::vector<float> all = read_values(ids);
  const ClipTextTower text(files);
  for (int64_t i = 0; i < ids.shape[0]; ++i) {
    const auto begin = all.begin() + i * ids.shape[1];
    const std::vector<int32_t> own(begin, begin + ids.shape[1]);
    recorder.add("text_embeds", one_row(text.embed(own, context)));
  }
  const ClipVisionTower vision(files);
  for (int64_t i = 0; i < pixels.shape.at(0); ++i)
    recorder.add("image_embeds", one_row(vision.embed(read_map(pixels, i), context)));
}

std::vector<Picture> read_pictures(const Safetensors& oracle) {
  std::vector<Picture> pictures;
  for (int i = 0; oracle.contains(fmt::format("picture_{}", i)); ++i) {
    const TensorView& tensor = oracle.at(fmt::format("picture_{}", i));
    if (tensor.dtype != DType::kU8 || tensor.shape.size() != 3 || tensor.shape[2] != 3)
      throw_runtime("picture_{}: expected bytes [height, width, 3]", i);
    const auto* bytes = tensor.as<uint8_t>();
    pictures.push_back({tensor.shape[1], tensor.shape[0], {bytes, bytes + tensor.size()}});
  }
  return pictures;
}

void check_pictures(const std::filesystem::path& directory, const Safetensors& oracle,
                    Recorder& recorder) {
  const std::vector<Picture> pictures = read_pictures(oracle);
  const ClipImageProcessor processor = read_clip_image_processor(directory / "ckpt");
  for (size_t i = 0; i < pictures.size(); ++i)
    recorder.add(fmt::format("prepared_{}", i), processor.prepare(pictures[i]).pixels.view());
  const Json run = read_json(directory / "run.json");
  const ClipScorer scorer(directory / "ckpt", run.at("prompts").get<std::vector<std::string>>());
  for (const ClipScore& own : scorer.score(pictures)) {
    recorder.add("clip_score", one_row({static_cast<float>(own.score)}));
    recorder.add("clip_iqa", one_row({static_cast<float>(own.iqa)}));
  }
}

}  // namespace

void verify_clip(const std::filesystem::path& directory, VerifyCase& result) {
  result.tolerance = kTolerance;
  const Safetensors oracle = Safetensors::open(directory / "oracle.safetensors");
  Recorder recorder;
  run_towers(directory / "ckpt", oracle, recorder);
  check_pictures(directory, oracle, recorder);
  check_recorded(recorder, oracle, result);
  verify_tokenizer(directory, result);
}

}  // namespace stamp
