// Random messages, and what a message holds, both by following the descriptions.
#pragma once

#include <bit>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/random.h"
#include "protocol/kafka/description.h"

namespace leat::kafka {

// Fills what a version of a message can say; strings are views into a text that stays.
class RandomFiller {
 public:
  RandomFiller(Random& random, std::int16_t version, bool flexible)
      : random_(random), version_(version), flexible_(flexible) {}

  template <class T>
  void operator()(T& field, Versions in = {}) {
    if (in.cover(version_)) fill(field, version_ >= in.null_since);
  }
  template <Structure M>
  void structure(M& m) {
    M::fields(*this, m);
    if constexpr (HasTags<M>) {
      auto maybe = [&]<class T>(std::uint32_t, T M::*field, Versions in = {}) {
        if (flexible_ && random_.below(2) == 0) (*this)(m.*field, in);
      };
      M::tags(maybe);
    }
  }

 private:
  template <class T>
  requires std::is_integral_v<T> || std::is_enum_v<T>
  void fill(T& value, bool) {
    value = static_cast<T>(std::is_same_v<T, bool> ? random_.below(2) : random_.next());
  }
  void fill(double& value, bool) { value = static_cast<double>(random_.next()); }
  void fill(Uuid& id, bool) { id = random_.topic_id().bytes; }
  void fill(TopicId& id, bool) { id = random_.topic_id(); }
  void fill(std::string_view& text, bool) {
    static const std::string kText(300, 'x');
    text = std::string_view(kText).substr(0, length());
  }
  void fill(Bytes& bytes, bool) {
    std::string_view text;
    fill(text, false);
    bytes = as_bytes(text);
  }
  void fill(Pieces& pieces, bool) {
    pieces.all.resize(random_.below(4));
    for (Bytes& piece : pieces.all) fill(piece, false);
  }
  template <class T>
  void fill(std::vector<T>& all, bool) {
    all.resize(random_.below(4));
    for (T& each : all) fill(each, false);
  }
  template <Structure M>
  void fill(M& m, bool) {
    structure(m);
  }
  template <class T>
  void fill(std::optional<T>& field, bool may_be_null) {
    if (may_be_null && random_.below(3) == 0) return field.reset();
    fill(field.emplace(), false);
  }
  // Also above what one byte of a compact length says.
  std::size_t length() { return random_.below(8) == 0 ? random_.below(300) : random_.below(10); }

  Random& random_;
  const std::int16_t version_;
  const bool flexible_;
};

template <class Message>
Message random_message(Random& random, std::int16_t version) {
  Message message;
  RandomFiller(random, version, api_info(Message::kApi).flexible(version)).structure(message);
  return message;
}

// All that a message holds, whatever its version: two with the same text are equal.
class Dump {
 public:
  template <class T>
  void operator()(const T& field, Versions = {}) {
    add(field);
  }
  template <Structure M>
  void structure(const M& m) {
    text_ += '{';
    M::fields(*this, m);
    if constexpr (HasTags<M>) {
      auto one = [&]<class T>(std::uint32_t, T M::*field, Versions = {}) { add(m.*field); };
      M::tags(one);
    }
    text_ += '}';
  }
  const std::string& text() const { return text_; }

 private:
  template <class T>
  requires std::is_arithmetic_v<T>
  void add(T value) { text_ += std::to_string(value) + ' '; }
  template <class T>
  requires std::is_enum_v<T>
  void add(T value) { add(static_cast<std::underlying_type_t<T>>(value)); }
  void add(const Uuid& id) { text_ += TopicId{id}.to_string() + ' '; }
  void add(const TopicId& id) { add(id.bytes); }
  void add(std::string_view text) { (text_ += '\'').append(text) += '\''; }
  void add(Bytes bytes) { add(as_text(bytes)); }
  void add(const Pieces& pieces) {
    std::string text;
    for (const Bytes piece : pieces.all) text += as_text(piece);
    add(std::string_view(text));
  }
  template <class T>
  void add(const std::vector<T>& all) {
    text_ += '[';
    for (const T& each : all) add(each);
    text_ += ']';
  }
  template <Structure M>
  void add(const M& m) {
    structure(m);
  }
  template <class T>
  void add(const std::optional<T>& field) {
    if (field)
      add(*field);
    else
      text_ += "null ";
  }

  std::string text_;
};

template <class Message>
std::string dump(const Message& message) {
  Dump all;
  all.structure(message);
  return all.text();
}

}  // namespace leat::kafka
