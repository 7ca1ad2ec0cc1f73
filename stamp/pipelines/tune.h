#pragma once
// Search for the recipe that loses least at a given width of activations, or needs the fewest bits
// for a given loss.
#include <filesystem>
#include <string>
#include <vector>

#include "stamp/pipelines/evaluate.h"

namespace stamp {

struct TuneOptions {
  std::filesystem::path model;
  std::filesystem::path calibration;  // searched on; empty: MODEL/calibration.txt
  std::filesystem::path text;         // held out, read for the evidence only; empty: none
  std::filesystem::path out;          // the best recipe so far is always here; empty: nowhere
  std::filesystem::path state;        // finished evaluations; empty: nowhere
  Recipe start;                       // what is not searched: weights, widths of K and V, ...
  double average_bits = 4.125;        // data bits per element of linear inputs
  double max_kl = 0;                  // > 0: the fewest bits with at most this KL instead
  std::vector<std::string> features = {"none", "hadamard"};
  std::vector<std::string> transforms = {"identity", "haar", "dct", "wht", "klt"};
  /// Presets or recipe files measured on the held-out text, too; empty: presets of at most as wide
  /// activations and the same weights.
  std::vector<std::string> rivals;
  int64_t context = 1024;
  int64_t search_windows = 8;     // the last ones of the calibration text
  int64_t evidence_windows = 16;  // of the held-out text; 0: all
  bool bos_every_window = true;
  double seconds = 0;  // ends the search after so long; 0: when nothing is left to try
  uint64_t seed = 0;   // order of the moves
};

/// A recipe on the held-out text.
struct TuneEvidence {
  std::string name;
  double activation_bits = 16, kv_bits = 16;
  Scores scores;
};

/// One accepted change.
struct TuneStep {
  std::string change;
  double kl = 0;  // on the search windows scored until then
  int64_t windows = 0;
};

struct Tuning {
  TuneOptions options;
  Recipe best;
  double activation_bits = 0;  // of `best`
  double kl = 0;               // over all search windows
  std::vector<TuneStep> steps;
  int64_t evaluations = 0, reused = 0;  // windows scored now, and taken from the state
  std::vector<TuneEvidence> evidence;   // `best` first, then its rivals
  /// KL of `best` minus that of its best rival, per held-out window: mean and bootstrap 95 %.
  double difference = 0, difference_low = 0, difference_high = 0;
  std::string machine, model_name, commit;
  double seconds = 0;
  bool partial = false;  // interrupted or out of time
};

/// Successive halving over features and transforms, then one change at a time. The same options
/// give the same recipe, whether or not earlier evaluations are found in `state`; when
/// interrupted() or out of time the best so far is returned, marked partial. Throws
/// std::invalid_argument when the state belongs to another search, the texts are too short, or as
/// evaluate().
Tuning tune(const TuneOptions& options);
std::string to_text(const Tuning& tuning);
Json to_json(const Tuning& tuning);

}  // namespace stamp
