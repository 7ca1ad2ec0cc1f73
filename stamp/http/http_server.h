#pragma once
// HTTP/1.1 over plain sockets: what every server needs and no route knows about.
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace stamp {

struct HttpRequest {
  std::string method, path;  // without the query
  std::string host, authorization, content_type;
  std::string body;
};

struct HttpResponse {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers = {};  // besides those of every answer
};

/// The answer to one request: send(), or begin(), any number of write() and end(). Any thread may
/// call, in this order; calls after the client left do nothing.
class HttpReply {
 public:
  virtual ~HttpReply() = default;
  virtual void send(HttpResponse response) = 0;
  /// Status and headers of an answer in pieces; the body of `head` is not used.
  virtual void begin(HttpResponse head) = 0;
  virtual void write(std::string piece) = 0;
  virtual void end() = 0;
  /// `closed` is called once, in the server's thread, when the client leaves before the answer
  /// ends; at once if it has left already. It must be quick.
  virtual void on_close(std::function<void()> closed) = 0;
};

/// Called in one of the server's workers; what it throws becomes a 500.
using HttpHandler = std::function<void(HttpRequest, std::shared_ptr<HttpReply>)>;
/// The body of an answer that the server itself gives: a message and a status of 4xx or 5xx.
using HttpErrorBody = std::function<std::string(int status, const std::string& message)>;

struct HttpOptions {
  std::string host = "127.0.0.1";
  int port = 0;  // 0: one that is free
  int64_t max_body = int64_t{4} << 20, max_header = 16 << 10;
  int64_t max_connections = 512;
  /// A request must have arrived whole, and an answer's pieces must leave, within so many seconds.
  double read_seconds = 30, write_seconds = 30;
  int workers = 2;
};

/// One thread waits for all sockets, so that slow clients cost memory only. Where there are too
/// many connections, the one that has kept its request back for longest is closed.
class HttpServer {
 public:
  /// Listens at once. Throws std::runtime_error when the address is not free or not one.
  HttpServer(const HttpOptions& options, HttpHandler handler, HttpErrorBody error_body);
  /// Closes all connections. No reply may be left with anybody else.
  ~HttpServer();

  int port() const;
  /// Accepts no further connections and closes each after the answer that it is owed.
  void drain();
  /// Waits for calls of the handler; there are none afterwards.
  void stop_handling();
  /// Connections that wait for an answer or get one.
  int64_t busy() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stamp
