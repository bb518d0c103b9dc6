package cache

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"reflect"
	"time"
)

// A Codec translates values to bytes and back, for other instances. Its methods may be called
// concurrently. Strings and byte slices need none.
type Codec[V any] interface {
	// Append appends the encoding of v to dst, and returns the result, as append does.
	Append(dst []byte, v V) ([]byte, error)
	// Decode returns the value that src encodes. The bytes of src are good until Decode returns: a Codec copies
	// what it keeps of them.
	Decode(src []byte) (V, error)
}

// A TTLDecoder is a Codec of values that tell their age. If a Codec is one, DecodeTTL is called in place of Decode, with
// what is left of the value's TTL: Forever if it does not expire, zero or less if it is not to be kept. An encoding is
// kept beside its value, so it cannot say itself how old that has become.
type TTLDecoder[V any] interface {
	DecodeTTL(src []byte, ttl time.Duration) (V, error)
}

// JSON is a Codec that uses encoding/json. What that drops, such as unexported fields, is missing at all
// instances but the owner.
type JSON[V any] struct{}

// Append implements Codec.
func (JSON[V]) Append(dst []byte, v V) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return dst, err
	}
	return append(dst, b...), nil
}

// Decode implements Codec.
func (JSON[V]) Decode(src []byte) (v V, err error) {
	err = json.Unmarshal(src, &v)
	return v, err
}

// Gob is a Codec that uses encoding/gob. Each value carries the description of its type. It has
// no form for a nil pointer, which is an error.
type Gob[V any] struct{}

// Append implements Codec.
func (Gob[V]) Append(dst []byte, v V) ([]byte, error) {
	if p := reflect.ValueOf(&v).Elem(); p.Kind() == reflect.Pointer && p.IsNil() {
		return dst, errNil(v)
	}
	buf := bytes.NewBuffer(dst)
	// A pointer, so that a V that is an interface is encoded as one.
	if err := gob.NewEncoder(buf).Encode(&v); err != nil {
		return dst, err
	}
	return buf.Bytes(), nil
}

// Decode implements Codec.
func (Gob[V]) Decode(src []byte) (v V, err error) {
	err = gob.NewDecoder(bytes.NewReader(src)).Decode(&v)
	return v, err
}

// Proto makes a Codec for *T of two functions of the shape that protocol buffers have. M is the interface
// that they take, and *T must implement it. A nil *T is an error. With google.golang.org/protobuf:
//
//	Codec: cache.Proto[pb.User](proto.MarshalOptions{}.MarshalAppend, proto.Unmarshal),
func Proto[T, M any](marshalAppend func(dst []byte, m M) ([]byte, error), unmarshal func(src []byte, m M) error) Codec[*T] {
	return protoCodec[T, M]{marshalAppend, unmarshal}
}

type protoCodec[T, M any] struct {
	marshalAppend func([]byte, M) ([]byte, error)
	unmarshal     func([]byte, M) error
}

func (c protoCodec[T, M]) Append(dst []byte, v *T) ([]byte, error) {
	m, ok := any(v).(M)
	if !ok {
		return dst, fmt.Errorf("cache: Proto: %T does not implement %v", v, reflect.TypeFor[M]())
	}
	if v == nil {
		return dst, errNil(v)
	}
	return c.marshalAppend(dst, m)
}

func (c protoCodec[T, M]) Decode(src []byte) (*T, error) {
	v := new(T)
	m, ok := any(v).(M)
	if !ok {
		return nil, fmt.Errorf("cache: Proto: %T does not implement %v", v, reflect.TypeFor[M]())
	}
	if err := c.unmarshal(src, m); err != nil {
		return nil, err
	}
	return v, nil
}

// errNil is the error of an encoding that has no form for a nil pointer: the other instance would get an empty value.
func errNil(v any) error {
	return fmt.Errorf("cache: a nil %T has no encoding: return ErrNotFound where there is no value", v)
}

type stringCodec struct{}

func (stringCodec) Append(dst []byte, v string) ([]byte, error) { return append(dst, v...), nil }
func (stringCodec) Decode(src []byte) (string, error)           { return string(src), nil }

// A sliceCodec keeps what it decodes; see decode.
type sliceCodec struct{}

func (sliceCodec) Append(dst []byte, v []byte) ([]byte, error) { return append(dst, v...), nil }
func (sliceCodec) Decode(src []byte) ([]byte, error)           { return src, nil }

// bytesCodec returns the codec of a V that is string or []byte, else nil.
func bytesCodec[V any]() Codec[V] {
	switch any(*new(V)).(type) {
	case string:
		return any(stringCodec{}).(Codec[V])
	case []byte:
		return any(sliceCodec{}).(Codec[V])
	}
	return nil
}

// bytesSizeOf returns the SizeOf of a V that is string or []byte, else nil.
func bytesSizeOf[V any]() func(V) int64 {
	switch any(*new(V)).(type) {
	case string:
		return any(func(v string) int64 { return int64(len(v)) }).(func(V) int64)
	case []byte:
		return any(func(v []byte) int64 { return int64(cap(v)) }).(func(V) int64)
	}
	return nil
}
