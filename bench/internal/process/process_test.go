package process

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	role, ok := Role()
	if !ok {
		goleak.VerifyTestMain(m)
		return
	}
	if role == "refuses to start" {
		os.Exit(3)
	}
	err := Serve(os.Stdin, os.Stdout, Methods{
		"double": Method(func(_ context.Context, n int) (int, error) { return 2 * n, nil }),
		"fail":   Method(func(_ context.Context, why string) (any, error) { return nil, errors.New(why) }),
		"pid":    Method(func(context.Context, any) (int, error) { return os.Getpid(), nil }),
		"wait": Method(func(ctx context.Context, _ any) (any, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}),
		"hang": Method(func(context.Context, any) (any, error) { time.Sleep(time.Hour); return nil, nil }),
	})
	if err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

func start(t *testing.T, ctx context.Context, role string) (_ *Child, pid int) {
	t.Helper()
	c, err := Start(ctx, role)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Call(ctx, "pid", nil, &pid); err != nil {
		t.Fatal(err)
	}
	return c, pid
}

func mustBeGone(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is still there (%v)", pid, err)
	}
}

func TestCalls(t *testing.T) {
	ctx := context.Background()
	c, pid := start(t, ctx, "calculator")
	for n := range 3 {
		var got int
		if err := c.Call(ctx, "double", n, &got); err != nil || got != 2*n {
			t.Errorf("double(%d) = %d, %v", n, got, err)
		}
	}
	if err := c.Call(ctx, "fail", "for a reason", nil); err == nil || !strings.Contains(err.Error(), "calculator: fail: for a reason") {
		t.Errorf("fail = %v", err)
	}
	if err := c.Call(ctx, "treble", 1, nil); err == nil || !strings.Contains(err.Error(), `no method "treble"`) {
		t.Errorf("treble = %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	mustBeGone(t, pid)
	if err := c.Call(ctx, "double", 1, nil); err == nil {
		t.Error("a closed child answers")
	}
}

func TestContextEndsCallAndChild(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	c, pid := start(t, context.Background(), "waiter")
	begun := time.Now()
	if err := c.Call(ctx, "wait", nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("wait = %v", err)
	}
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	c.Close()
	mustBeGone(t, pid)
}

func TestCloseKillsAChildThatHangs(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	c, pid := start(t, ctx, "hangs")
	if err := c.call("double", 1, nil); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := c.Call(ctx, "hang", nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("hang = %v", err)
	}
	if err := c.Close(); err == nil {
		t.Error("a child that was killed ended well")
	}
	mustBeGone(t, pid)
}

func TestKill(t *testing.T) {
	c, pid := start(t, context.Background(), "victim")
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	mustBeGone(t, pid)
	if err := c.Call(context.Background(), "double", 1, nil); err == nil {
		t.Error("a killed child answers")
	}
}

func TestChildThatEndsAtOnce(t *testing.T) {
	c, err := Start(context.Background(), "refuses to start")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Call(context.Background(), "pid", nil, nil); err == nil {
		t.Error("a process that has ended answers")
	}
	if err := c.Close(); err == nil {
		t.Error("exit status 3 is no error")
	}
}

func TestProgramThatDoesNotListen(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVariable+"=refuses to start")
	if p, err := StartProgram(context.Background(), cmd, "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "ended at once") {
		t.Errorf("%+v, %v, want that it ended at once", p, err)
	}
}
