#include "client/client.h"

#include "client/broker_url.h"
#include "client/link.h"
#include "client/producer_core.h"
#include "client/request_reply/requester_core.h"

namespace leat {

asio::any_io_executor async::executor_of(Link& link) {
  return link.executor();
}

int& async::Initiating::depth() {
  thread_local int depth = 0;
  return depth;
}

// With an address that is none too, so that there is a thread to say so on.
std::shared_ptr<Link> Client::new_link(const ClientOptions& options) {
  if (auto link = Link::open(options)) return *link;
  return *Link::open({});
}

void Client::start_link(std::shared_ptr<Link> link, ClientOptions options,
                        Completion<Client> done) {
  if (auto address = parse_broker_url(options.broker); !address) return done(fail(address.error()));
  if (!link->tracer())  // none is wanted, or new_link() could not
    if (auto tracer = Tracer::open(options.trace, options.client_name); !tracer || *tracer)
      return done(fail(tracer ? Error(ErrorCode::kIoError, "spans could not be exported at first")
                              : tracer.error()));
  Link& at = *link;
  at.connect([link = std::move(link), done = std::move(done)](Result<> up) mutable {
    if (up)
      done(Client(std::move(link)));
    else
      done(fail(up.error()));
  });
}

TraceStats Client::trace_stats() const {
  return link_->tracer() ? link_->tracer()->stats() : TraceStats();
}

bool Client::flush_traces(std::chrono::milliseconds patience) const {
  return link_->tracer() && link_->tracer()->flush(patience);
}

Producer Client::producer(const ProducerOptions& options) const {
  return Producer({link_, ProducerCore::open(*link_, options)});
}

Consumer Client::consumer(ConsumerOptions options) const {
  return Consumer(open_consumer(link_, std::move(options)));
}

Consumer Client::consumer(Group group, ConsumerOptions options) const {
  options.group = std::move(group);
  return consumer(std::move(options));
}

Requester Client::requester(RequesterOptions options) const {
  return Requester({link_, RequesterCore::open(*link_, std::move(options))});
}

}  // namespace leat
