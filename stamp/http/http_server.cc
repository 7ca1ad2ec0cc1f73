#include "stamp/http/http_server.h"

#include <atomic>
#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <deque>
#include <list>
#include <mutex>
#include <optional>
#include <thread>

#include "stamp/core/error.h"
#include "stamp/core/memory_reserve.h"

namespace stamp {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using beast::error_code;

constexpr size_t kMostUnsent = size_t{8} << 20;  // bytes; a client that reads no more is dropped
constexpr auto kLinger = std::chrono::seconds(2);
constexpr auto kRetry = std::chrono::milliseconds(10);  // to accept, after an error

std::chrono::nanoseconds duration(double seconds) {
  return std::chrono::nanoseconds(static_cast<int64_t>(seconds * 1e9));
}

template <class View>
std::string text_of(View view) {
  return {view.data(), view.size()};
}

std::string head_text(const HttpResponse& response, const std::string& framing, bool keep_alive) {
  std::string head = fmt::format(
      "HTTP/1.1 {} {}\r\nServer: stamp\r\nContent-Type: {}\r\nX-Content-Type-Options: nosniff\r\n",
      response.status, text_of(http::obsolete_reason(static_cast<http::status>(response.status))),
      response.content_type);
  for (const auto& [name, value] : response.headers) head += name + ": " + value + "\r\n";
  return head + framing + (keep_alive ? "" : "Connection: close\r\n") + "\r\n";
}

std::string chunk_text(const std::string& piece) {
  return fmt::format("{:x}\r\n{}\r\n", piece.size(), piece);
}

/// Threads that call what is posted. An asio::thread_pool (Boost 1.74) would wait for ever for the
/// threads it has when the system refuses it another one.
class Workers {
 public:
  explicit Workers(int threads) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { queue_.run(); });
  }
  asio::io_context& queue() { return queue_; }
  /// Waits for what has been posted; what is posted afterwards is not called.
  void finish() {
    work_.reset();
    threads_.clear();
  }

 private:
  asio::io_context queue_;
  std::vector<std::jthread> threads_;
  // Ends first, also when a thread cannot be made: then those that were made return.
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(queue_);
};

class Session;

/// What sessions share.
struct Shared {
  HttpOptions options;
  HttpHandler handler;
  HttpErrorBody error_body;
  // What waits in io and workers ends before these.
  std::list<std::shared_ptr<Session>> sessions;  // that are open; of the io thread
  std::atomic<int64_t> busy{0};
  std::atomic<bool> draining{false};
  asio::io_context io{1};
  Workers workers;

  explicit Shared(const HttpOptions& o) : options(o), workers(std::max(o.workers, 1)) {}
};

/// One answer. Outlives its session where somebody still holds it.
class Reply : public HttpReply, public std::enable_shared_from_this<Reply> {
 public:
  Reply(Shared& shared, std::weak_ptr<Session> session, bool keep_alive, bool chunked,
        bool head_only)
      : shared_(shared),
        session_(std::move(session)),
        keep_alive_(keep_alive),
        chunked_(chunked),
        head_only_(head_only) {
    ++shared_.busy;
  }
  ~Reply() override { --shared_.busy; }

  void send(HttpResponse response) override {
    const std::string framing = fmt::format("Content-Length: {}\r\n", response.body.size());
    const bool keep = keep_alive_ && !shared_.draining;
    push(head_text(response, framing, keep) + (head_only_ ? "" : response.body), true, keep);
  }
  void begin(HttpResponse head) override {
    keep_alive_ = keep_alive_ && chunked_ && !shared_.draining;
    push(head_text(head, chunked_ ? "Transfer-Encoding: chunked\r\n" : "", keep_alive_), false,
         true);
  }
  void write(std::string piece) override {
    if (!piece.empty()) push(chunked_ ? chunk_text(piece) : std::move(piece), false, true);
  }
  void end() override { push(chunked_ ? "0\r\n\r\n" : "", true, keep_alive_); }
  /// Ends the connection where the answer has no end and nobody is left to give it one.
  void abandon() noexcept {
    try {
      if (!ended_) push("", true, false);
    } catch (const std::exception&) {  // of memory
    }
  }
  void on_close(std::function<void()> closed) override {
    const std::lock_guard lock(guard_);
    if (closed_)
      closed();
    else
      on_close_ = std::move(closed);
  }
  /// Called by the session.
  void close() {
    const std::lock_guard lock(guard_);
    if (std::exchange(closed_, true) || !on_close_) return;
    on_close_();
    on_close_ = nullptr;
  }

 private:
  void push(std::string bytes, bool last, bool keep_alive);

  Shared& shared_;
  std::weak_ptr<Session> session_;
  bool keep_alive_;
  const bool chunked_, head_only_;
  bool ended_ = false;
  std::mutex guard_;
  bool closed_ = false;
  std::function<void()> on_close_;
};

/// One connection; everything runs in the io thread.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, Shared& shared) : stream_(std::move(socket)), shared_(shared) {}

  void start() {
    place_ = shared_.sessions.insert(shared_.sessions.end(), shared_from_this());
    error_code ignored;
    stream_.socket().set_option(tcp::no_delay(true), ignored);
    guard([&] { read(); });
  }

  /// Calls what a piece of input or output leads to: its failure ends this connection only.
  template <class Action>
  void guard(Action&& action) {
    try {
      action();
    } catch (const std::exception&) {  // of memory
      close();
    }
  }
  /// Nothing will go on here: an operation ended with an exception, of memory, in between.
  bool is_stranded() const { return weak_from_this().use_count() == 1 && (!reply_ || writing_); }
  /// No request has arrived whole.
  bool is_reading() const { return !reply_ && !closed_; }
  /// Between two requests.
  bool is_idle() const { return is_reading() && answered_ && buffer_.size() == 0; }

  void close() {
    if (std::exchange(closed_, true)) return;
    const auto self = shared_from_this();
    shared_.sessions.erase(place_);
    if (const auto reply = std::exchange(reply_, nullptr)) reply->close();
    error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_both, ignored);
    stream_.close();
  }

  /// Bytes of `reply`, if that is still the one to give.
  void push(const Reply* reply, std::string bytes, bool last, bool keep_alive) {
    if (closed_ || reply != reply_.get()) return;
    unsent_ += bytes.size();
    if (unsent_ > kMostUnsent) return close();
    outbox_.push_back(std::move(bytes));
    if (last) finished_ = true, keep_alive_ = keep_alive;
    if (!writing_) write_next();
  }

 private:
  void read() {
    // The one that waits for longest is the first in the list.
    shared_.sessions.splice(shared_.sessions.end(), shared_.sessions, place_);
    parser_.emplace();
    parser_->header_limit(static_cast<uint32_t>(shared_.options.max_header));
    parser_->body_limit(static_cast<uint64_t>(shared_.options.max_body));
    stream_.expires_after(duration(shared_.options.read_seconds));
    http::async_read_header(stream_, buffer_, *parser_,
                            [self = shared_from_this()](error_code error, size_t) {
                              self->guard([&] { self->on_header(error); });
                            });
  }

  void on_header(error_code error) {
    if (closed_) return;
    if (error) return fail(error);
    const auto expected = parser_->get()[http::field::expect];
    if (!beast::iequals(expected, "100-continue")) return read_body();
    constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    asio::async_write(stream_, asio::buffer(kContinue.data(), kContinue.size()),
                      [self = shared_from_this()](error_code failed, size_t) {
                        self->guard([&] { failed ? self->close() : self->read_body(); });
                      });
  }

  void read_body() {
    http::async_read(stream_, buffer_, *parser_,
                     [self = shared_from_this()](error_code error, size_t) {
                       self->guard([&] { error ? self->fail(error) : self->handle(); });
                     });
  }

  /// Answers what is no proper request, and what is too large.
  void fail(error_code error) {
    const auto answer = [&](int status, const std::string& message) {
      const auto reply = make_reply(false, false, false);
      reply->send({.status = status, .body = shared_.error_body(status, message)});
    };
    if (error == http::error::body_limit)
      return answer(
          413, fmt::format("the request's body is larger than {} bytes", shared_.options.max_body));
    if (error == http::error::header_limit)
      return answer(431, fmt::format("the request's header is larger than {} bytes",
                                     shared_.options.max_header));
    const bool is_syntax = error.category() == make_error_code(http::error::bad_value).category();
    if (is_syntax && error != http::error::end_of_stream && error != http::error::partial_message)
      return answer(400, "this is not an HTTP request: " + error.message());
    close();
  }

  std::shared_ptr<Reply> make_reply(bool keep_alive, bool chunked, bool head_only) {
    answered_ = true;
    finished_ = false;
    reply_ = std::make_shared<Reply>(shared_, weak_from_this(), keep_alive, chunked, head_only);
    return reply_;
  }

  void handle() {
    if (closed_) return;
    stream_.expires_never();
    auto message = parser_->release();
    const auto field = [&](http::field name) { return text_of(message[name]); };
    HttpRequest request{.method = text_of(message.method_string()),
                        .path = text_of(message.target()),
                        .host = field(http::field::host),
                        .authorization = field(http::field::authorization),
                        .content_type = field(http::field::content_type),
                        .body = std::move(message.body())};
    request.path.resize(std::min(request.path.find_first_of("?#"), request.path.size()));
    const bool chunked = message.version() >= 11;
    auto reply = make_reply(message.keep_alive(), chunked, message.method() == http::verb::head);
    watch(reply);
    // What others hold of the answer.
    const std::shared_ptr<HttpReply> handle(reply.get(), [reply](HttpReply*) mutable {
      reply->abandon();
      reply = nullptr;
    });
    asio::post(shared_.workers.queue(),
               [&shared = shared_, request = std::move(request), handle]() mutable {
                 try {
                   try {
                     shared.handler(std::move(request), handle);
                   } catch (const std::exception& error) {
                     handle->send({.status = 500, .body = shared.error_body(500, error.what())});
                   }
                 } catch (const std::exception&) {  // no memory even for the error
                 }
                 renew_memory_reserve();
               });
  }

  /// Notices a client that leaves while it waits, unless it has sent a buffer of requests before.
  void watch(const std::shared_ptr<Reply>& reply) {
    stream_.socket().async_wait(
        tcp::socket::wait_read,
        [self = shared_from_this(), watched = std::weak_ptr(reply)](error_code error) {
          const auto owed = watched.lock();
          if (!error && !self->closed_ && owed && self->reply_ == owed)
            self->guard([&] { self->keep_arrived(owed); });
        });
  }

  /// What has come before its turn waits in the buffer: the end of the stream is behind it.
  void keep_arrived(const std::shared_ptr<Reply>& reply) {
    error_code failed;
    const size_t arrived = stream_.socket().available(failed);
    if (arrived == 0 || failed) return close();  // readable without bytes: the end
    const size_t room = buffer_.max_size() - buffer_.size();
    if (room == 0) return;  // it must take its answer first
    buffer_.commit(stream_.socket().read_some(buffer_.prepare(std::min(arrived, room)), failed));
    failed ? close() : watch(reply);
  }

  void write_next() {
    if (outbox_.empty()) {
      if (finished_) finish();
      return;
    }
    writing_ = true;
    stream_.expires_after(duration(shared_.options.write_seconds));
    asio::async_write(stream_, asio::buffer(outbox_.front()),
                      [self = shared_from_this()](error_code error, size_t) {
                        self->writing_ = false;
                        if (self->closed_) return;
                        if (error) return self->close();
                        self->unsent_ -= self->outbox_.front().size();
                        self->outbox_.pop_front();
                        self->stream_.expires_never();
                        self->guard([&] { self->write_next(); });
                      });
  }

  void finish() {
    reply_ = nullptr;
    finished_ = false;
    if (keep_alive_ && !shared_.draining) return read();
    // Unread bytes would make the system reset the connection before the answer is read.
    error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    stream_.expires_after(kLinger);
    discard();
  }

  void discard() {
    stream_.async_read_some(asio::buffer(discarded_),
                            [self = shared_from_this()](error_code error, size_t) {
                              self->guard([&] { error ? self->close() : self->discard(); });
                            });
  }

  beast::tcp_stream stream_;
  Shared& shared_;
  std::list<std::shared_ptr<Session>>::iterator place_;
  bool closed_ = false, answered_ = false;
  beast::flat_buffer buffer_{size_t{1} << 16};
  std::optional<http::request_parser<http::string_body>> parser_;
  std::shared_ptr<Reply> reply_;
  std::deque<std::string> outbox_;
  size_t unsent_ = 0;
  bool writing_ = false, finished_ = false, keep_alive_ = false;
  std::array<char, 4096> discarded_;
};

void Reply::push(std::string bytes, bool last, bool keep_alive) {
  asio::post(shared_.io, [self = shared_from_this(), bytes = std::move(bytes), last,
                          keep_alive]() mutable {
    if (const auto session = self->session_.lock())
      session->guard([&] { session->push(self.get(), std::move(bytes), last, keep_alive); });
  });
  ended_ = last;
}

}  // namespace

struct HttpServer::Impl : Shared {
  using Shared::Shared;

  tcp::acceptor acceptor{io};
  asio::steady_timer retry{io};
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work{
      asio::make_work_guard(io)};
  std::thread thread;
  std::weak_ptr<void> accepting;  // of the operation that accepts or is about to
  int port = 0;

  void listen() {
    error_code error;
    const asio::ip::address address = asio::ip::make_address(options.host, error);
    if (error) throw_runtime("serve: expected an IP address to listen at, got '{}'", options.host);
    const tcp::endpoint endpoint(address, static_cast<uint16_t>(options.port));
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error)
      throw_runtime("serve: cannot listen at {} port {}: {}", options.host, options.port,
                    error.message());
    port = acceptor.local_endpoint().port();
  }

  void run() {
    while (true) {
      try {
        if (accepting.expired()) accept();
        io.run();
        return;
      } catch (const std::exception&) {  // of memory
        std::this_thread::sleep_for(kRetry);
        close_stranded();
      }
      renew_memory_reserve();
    }
  }

  void accept() {
    const auto token = std::make_shared<char>();
    accepting = token;
    acceptor.async_accept([this, token](error_code error, tcp::socket socket) {
      if (!acceptor.is_open()) return;
      if (error) {  // no file descriptors, say: fewer than max_connections may be too many
        close_slowest();
        retry.expires_after(kRetry);
        retry.async_wait([this, token](error_code) { accept(); });
        return;
      }
      if (is_full()) close_slowest();
      if (!is_full()) std::make_shared<Session>(std::move(socket), *this)->start();
      accept();
    });
  }

  bool is_full() const { return static_cast<int64_t>(sessions.size()) >= options.max_connections; }

  void close_slowest() {
    for (const auto& session : sessions)
      if (session->is_reading()) return session->close();
  }

  void close_stranded() {
    for (auto next = sessions.begin(); next != sessions.end();)
      if (const auto& session = *next++; session->is_stranded()) session->close();
  }

  void for_each_session(bool (Session::*choose)() const) {
    std::vector<std::shared_ptr<Session>> chosen;
    for (const auto& session : sessions)
      if (!choose || ((*session).*choose)()) chosen.push_back(session);
    for (const auto& session : chosen) session->close();
  }
};

HttpServer::HttpServer(const HttpOptions& options, HttpHandler handler, HttpErrorBody error_body)
    : impl_(std::make_unique<Impl>(options)) {
  impl_->handler = std::move(handler);
  impl_->error_body = std::move(error_body);
  impl_->listen();
  impl_->accept();
  impl_->thread = std::thread([impl = impl_.get()] { impl->run(); });
}

void HttpServer::stop_handling() { impl_->workers.finish(); }

HttpServer::~HttpServer() {
  stop_handling();
  asio::post(impl_->io, [impl = impl_.get()] {
    error_code ignored;
    impl->acceptor.close(ignored);
    impl->retry.cancel();
    impl->for_each_session(nullptr);
    impl->work.reset();
  });
  impl_->thread.join();
}

int HttpServer::port() const { return impl_->port; }

void HttpServer::drain() {
  impl_->draining = true;
  asio::post(impl_->io, [impl = impl_.get()] {
    error_code ignored;
    impl->acceptor.close(ignored);
    impl->for_each_session(&Session::is_idle);
  });
}

int64_t HttpServer::busy() const { return impl_->busy; }

}  // namespace stamp
