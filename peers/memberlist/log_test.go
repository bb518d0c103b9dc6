package memberlist

import (
	"bytes"
	"fmt"
	"log"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLogWriter(t *testing.T) {
	var b bytes.Buffer
	handler := slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	l := log.New(&logWriter{to: slog.New(handler)}, "", 0)
	for line, want := range map[string]string{
		"[DEBUG] memberlist: a %d":         `level=DEBUG msg="memberlist: a 1"`,
		"[INFO] memberlist: a %d":          `level=DEBUG msg="memberlist: a 1"`,
		"[WARN] memberlist: a %d":          `level=WARN msg="memberlist: a 1"`,
		"[ERR] Failed to %d":               `level=WARN msg="memberlist: Failed to 1"`,
		"[ERROR] memberlist: a %d":         `level=WARN msg="memberlist: a 1"`,
		"Err: Could not %d":                `level=WARN msg="memberlist: Could not 1"`,
		"%d":                               `level=WARN msg="memberlist: 1"`,
		strings.Repeat("x", 2000) + "%d\n": `level=WARN msg="memberlist: ` + strings.Repeat("x", 1000) + `"`,
	} {
		b.Reset()
		l.Printf(line, 1)
		if got := strings.TrimSpace(b.String()); got != want {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
	}
}

// What strangers make it say is bounded; what was omitted is counted.
func TestLogWriterIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		l := log.New(&logWriter{to: slog.New(slog.NewTextHandler(&b, nil))}, "", 0)
		for range 2 {
			for i := range 1000 {
				l.Printf("[ERR] memberlist: %d", i)
				l.Printf("[DEBUG] memberlist: %d", i)
			}
			time.Sleep(logWindow)
		}
		if n := strings.Count(b.String(), "\n"); n != 2*logLines {
			t.Errorf("%d lines", n)
		}
		if want := fmt.Sprintf("msg=\"memberlist: 0\" omitted=%d\n", 1000-logLines); strings.Count(b.String(), want) != 1 || strings.Count(b.String(), "omitted") != 1 {
			t.Errorf("logged %s", b.String())
		}
	})
}
