package memberlist

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// logWindow and logLines bound what is logged of what hashicorp/memberlist says: strangers that send nonsense make it say
	// something for each packet.
	logWindow = 10 * time.Second
	logLines  = 20
)

// A logWriter takes the lines of hashicorp/memberlist's log.Logger to a slog.Logger, with their levels.
type logWriter struct {
	to *slog.Logger

	mu      sync.Mutex
	began   time.Time // of the window
	lines   int       // of the window
	omitted int       // since the last line that was logged
}

// levels are the marks that lines begin with. Its errors are those of single messages, which it sends again.
var levels = []struct {
	mark  string
	level slog.Level
}{
	{"[DEBUG]", slog.LevelDebug},
	{"[INFO]", slog.LevelDebug}, // of nodes, by names that tell nobody anything; a Pool logs its view
	{"[WARN]", slog.LevelWarn},
	{"[ERR]", slog.LevelWarn},
	{"[ERROR]", slog.LevelWarn},
	{"Err:", slog.LevelWarn},
}

// Write logs a line.
func (w *logWriter) Write(line []byte) (int, error) {
	text, level := bytes.TrimSpace(line), slog.LevelWarn
	for _, l := range levels {
		if rest, ok := bytes.CutPrefix(text, []byte(l.mark)); ok {
			text, level = rest, l.level
			break
		}
	}
	if !w.to.Enabled(context.Background(), level) {
		return len(line), nil
	}
	omitted, ok := 0, true
	if level >= slog.LevelWarn {
		omitted, ok = w.take()
	}
	if !ok {
		return len(line), nil
	}
	text = bytes.TrimPrefix(bytes.TrimSpace(text), []byte("memberlist: "))
	var more []any
	if omitted > 0 {
		more = []any{"omitted", omitted}
	}
	w.to.Log(context.Background(), level, "memberlist: "+string(text[:min(len(text), 1000)]), more...)
	return len(line), nil
}

// take reports whether a line may be logged now, and how many before it were not.
func (w *logWriter) take() (omitted int, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := time.Now(); now.Sub(w.began) >= logWindow {
		w.began, w.lines = now, 0
	}
	if w.lines == logLines {
		w.omitted++
		return 0, false
	}
	w.lines++
	omitted, w.omitted = w.omitted, 0
	return omitted, true
}
