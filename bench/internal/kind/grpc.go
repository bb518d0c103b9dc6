package kind

import (
	"context"
	"fmt"
	"net"
	"runtime"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/payload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
)

// grpc-go: a unary call. Tuned: one ClientConn, a codec that takes bytes as they are instead of protobuf, static windows
// that hold many values of 64 KiB (they turn the estimation of bandwidth off, and its pings), larger
// buffers for reads and writes, server goroutines that are used again.
var grpcUnary = Kind{
	Name:  "grpc",
	About: "grpc-go: a unary call of bytes without protobuf; one ClientConn, large static windows and buffers, stream workers",
	Serve: serveGRPC,
	Dial: func(_ context.Context, addr string, _ Setup) (Client, error) {
		conn, err := grpc.NewClient("passthrough:///"+addr,
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{}), grpc.MaxCallRecvMsgSize(payload.MaxSize), grpc.StaticMethod()),
			grpc.WithStaticStreamWindowSize(4<<20),
			grpc.WithStaticConnWindowSize(64<<20),
			grpc.WithReadBufferSize(128<<10),
			grpc.WithWriteBufferSize(128<<10),
		)
		if err != nil {
			return nil, err
		}
		return grpcClient{conn}, nil
	},
}

const grpcMethod = "/bench.Values/Get"

// grpcDesc is what protoc would generate for a service with one method.
var grpcDesc = grpc.ServiceDesc{
	ServiceName: "bench.Values",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Get",
		Handler: func(srv any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var key []byte
			if err := decode(&key); err != nil {
				return nil, err
			}
			value, err := srv.(*payload.Held).Get(key)
			return &value, err
		},
	}},
}

func serveGRPC(context.Context, Setup) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := grpc.NewServer(
		grpc.ForceServerCodecV2(rawCodec{}),
		grpc.NumStreamWorkers(uint32(runtime.GOMAXPROCS(0))),
		grpc.StaticStreamWindowSize(4<<20),
		grpc.StaticConnWindowSize(64<<20),
		grpc.ReadBufferSize(128<<10),
		grpc.WriteBufferSize(128<<10),
		grpc.MaxConcurrentStreams(1<<12),
	)
	server.RegisterService(&grpcDesc, new(payload.Held))
	go func() { _ = server.Serve(l) }() // until it is stopped
	return &Server{Addr: l.Addr().String(), Close: func() error { server.Stop(); return nil }}, nil
}

// rawCodec takes messages, which are *[]byte, as they are.
type rawCodec struct{}

func (rawCodec) Name() string { return "raw" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("raw: %T is not *[]byte", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(*b)}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("raw: %T is not *[]byte", v)
	}
	*b = data.Materialize()
	return nil
}

type grpcClient struct{ conn *grpc.ClientConn }

func (c grpcClient) Callers(n int) ([]Caller, error) { return repeat(n, c), nil }

func (c grpcClient) Get(ctx context.Context, key string) ([]byte, error) {
	req := []byte(key)
	var value []byte
	err := c.conn.Invoke(ctx, grpcMethod, &req, &value)
	return value, err
}

func (c grpcClient) Close() error { return c.conn.Close() }
