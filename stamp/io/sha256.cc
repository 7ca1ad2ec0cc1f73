#include "stamp/io/sha256.h"

#include <openssl/evp.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <vector>

#include "stamp/core/error.h"
#include "stamp/io/file_descriptor.h"

namespace stamp {
namespace {

class Digest {
 public:
  Digest() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    if (!context_ || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1) fail();
  }
  void add(const void* data, size_t bytes) {
    if (EVP_DigestUpdate(context_.get(), data, bytes) != 1) fail();
  }
  std::string finish() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned int bytes = 0;
    if (EVP_DigestFinal_ex(context_.get(), digest.data(), &bytes) != 1) fail();
    std::string text;
    for (unsigned int i = 0; i < bytes; ++i) text += fmt::format("{:02x}", digest[i]);
    return text;
  }

 private:
  [[noreturn]] static void fail() { throw_runtime("SHA-256: OpenSSL refuses to compute it"); }
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context_;
};

}  // namespace

std::string sha256(std::string_view bytes) {
  Digest digest;
  digest.add(bytes.data(), bytes.size());
  return digest.finish();
}

std::string sha256_file(const std::filesystem::path& path) {
  constexpr size_t kPiece = size_t{1} << 20;
  const OpenedFile file = open_regular(path);
  std::vector<char> buffer(kPiece);
  Digest digest;
  for (;;) {
    const ssize_t count = ::read(file.descriptor.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_runtime("{}: cannot read, {}", path.string(), errno_text());
    if (count == 0) return digest.finish();
    digest.add(buffer.data(), static_cast<size_t>(count));
  }
}

}  // namespace stamp
