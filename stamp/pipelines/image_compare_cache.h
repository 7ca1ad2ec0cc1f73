#pragma once
// Finished rows of an image comparison on disk.
#include <optional>

#include "stamp/pipelines/image_compare.h"

namespace stamp {

/// The measured fields of `row` as JSON, pictures apart, and back.
Json measured_json(const ImageCompareRow& row);
/// Throws std::runtime_error when a field is missing or of another type.
void take_measured(const Json& json, ImageCompareRow& row);

class ImageRowCache {
 public:
  /// `identity`: everything that rows depend on besides their recipes. Empty folder: keeps nothing.
  ImageRowCache(std::filesystem::path folder, const Json& identity);
  /// Fills in a row that was kept; false: it was not.
  bool find(ImageCompareRow& row) const;
  void keep(const ImageCompareRow& row) const;

 private:
  std::filesystem::path stem(const ImageCompareRow& row) const;
  std::filesystem::path folder_;
  std::string identity_;
};

}  // namespace stamp
