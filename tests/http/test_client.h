#pragma once
// A client on a plain socket, so that tests see the bytes and can misbehave.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "stamp/io/json.h"

namespace stamp {

struct TestResponse {
  int status = 0;                              // 0: the connection ended without one
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;

  Json json() const { return parse_json(body, "response"); }
  Json error() const { return json().at("error"); }
  /// The data of server-sent events.
  std::vector<std::string> events() const {
    std::vector<std::string> events;
    for (size_t begin = 0, end; (end = body.find("\n\n", begin)) != std::string::npos;
         begin = end + 2)
      events.push_back(body.substr(begin + 6, end - begin - 6));
    return events;
  }
};

class TestClient {
 public:
  explicit TestClient(int port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval limit{.tv_sec = 60, .tv_usec = 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      ::close(socket_);
      throw std::runtime_error("cannot connect");
    }
  }
  ~TestClient() { ::close(socket_); }
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  /// False when the server closed the connection.
  bool send(const std::string& bytes) const {
    return ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }
  /// Waits for the end of the stream; false when none comes.
  bool ended() {
    while (receive()) continue;
    return ended_;
  }
  /// Waits until `text` has come.
  bool wait_for(const std::string& text) {
    while (bytes_.find(text) == std::string::npos)
      if (!receive()) return false;
    return true;
  }
  TestResponse read() {
    TestResponse response;
    while (bytes_.find("\r\n\r\n") == std::string::npos)
      if (!receive()) return response;
    const size_t end = bytes_.find("\r\n\r\n");
    read_head(bytes_.substr(0, end + 2), response);
    bytes_.erase(0, end + 4);
    if (response.headers.contains("content-length"))
      response.body = take(std::stoul(response.headers["content-length"]));
    else if (response.headers["transfer-encoding"] == "chunked")
      read_chunks(response);
    return response;
  }

 private:
  static void read_head(const std::string& head, TestResponse& response) {
    response.status = std::stoi(head.substr(head.find(' ')));
    for (size_t begin = head.find("\r\n") + 2, end;
         (end = head.find("\r\n", begin)) != std::string::npos; begin = end + 2) {
      const size_t colon = head.find(": ", begin);
      std::string name = head.substr(begin, colon - begin);
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      response.headers[name] = head.substr(colon + 2, end - colon - 2);
    }
  }
  void read_chunks(TestResponse& response) {
    while (wait_for("\r\n")) {
      const size_t size = std::stoul(bytes_, nullptr, 16);
      bytes_.erase(0, bytes_.find("\r\n") + 2);
      response.body += take(size);
      take(2);
      if (size == 0) return;
    }
  }
  std::string take(size_t count) {
    while (bytes_.size() < count && receive()) continue;
    const std::string taken = bytes_.substr(0, count);
    bytes_.erase(0, count);
    return taken;
  }
  bool receive() {
    char buffer[4096];
    const ssize_t count = ::recv(socket_, buffer, sizeof buffer, 0);
    ended_ = count == 0 || (count < 0 && errno == ECONNRESET);
    if (count <= 0) return false;
    bytes_.append(buffer, static_cast<size_t>(count));
    return true;
  }

  int socket_;
  bool ended_ = false;
  std::string bytes_;
};

/// The text of a request; `headers`: whole lines.
inline std::string request_text(const std::string& method, const std::string& path,
                                const std::string& body = "", const std::string& headers = "") {
  std::string text = method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n" + headers;
  if (!body.empty())
    text +=
        "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  return text + "\r\n" + body;
}

}  // namespace stamp
