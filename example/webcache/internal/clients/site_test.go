package clients

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"
)

// A site is what testdata/site has, with a film that is long, events, and a WebSocket that echoes.
type site struct {
	origin  *origin
	reports chan string // what the page says
	next    chan struct{}
}

func newSite(t *testing.T) *site {
	s := &site{reports: make(chan string, 2), next: make(chan struct{})}
	mux := http.NewServeMux()
	files := http.FileServerFS(os.DirFS("testdata/site"))
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		w.Header().Set("ETag", `"v1"`)
		files.ServeHTTP(w, r)
	})
	film := wave(120 * time.Second)
	mux.HandleFunc("GET /film.wav", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		w.Header().Set("ETag", `"v1"`)
		http.ServeContent(w, r, "film.wav", time.Time{}, bytes.NewReader(film))
	})
	mux.HandleFunc("POST /report", func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s.reports <- string(b)
	})
	mux.HandleFunc("GET /events", s.events)
	mux.HandleFunc("POST /next", func(http.ResponseWriter, *http.Request) { s.next <- struct{}{} })
	mux.HandleFunc("GET /socket", echo)
	s.origin = startOrigin(t, mux.ServeHTTP)
	return s
}

// events sends an event, and another one after the client has said that he has it.
func (s *site) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	fmt.Fprint(w, "data: begin\n\n")
	_ = http.NewResponseController(w).Flush()
	select {
	case <-s.next:
	case <-r.Context().Done():
		return
	}
	fmt.Fprint(w, "data: end\n\n")
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done() // the client leaves
}

// wave is silence, as a WAV file of 16 bits in stereo.
func wave(d time.Duration) []byte {
	const rate, frame = 44100, 4
	size := uint32(d.Seconds()) * rate * frame
	var b bytes.Buffer
	b.WriteString("RIFF")
	write := func(values ...any) {
		for _, v := range values {
			_ = binary.Write(&b, binary.LittleEndian, v) // a Buffer takes everything
		}
	}
	write(36+size, []byte("WAVEfmt "), uint32(16), uint16(1), uint16(2), uint32(rate), uint32(rate*frame), uint16(frame), uint16(16), []byte("data"), size)
	return append(b.Bytes(), make([]byte, size)...)
}

// echo is a WebSocket (RFC 6455) that sends back what it gets, in short frames.
func echo(w http.ResponseWriter, r *http.Request) {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	for {
		kind, text, err := readFrame(buf.Reader)
		if err != nil {
			return
		}
		if _, err := conn.Write(append([]byte{kind, byte(len(text))}, text...)); err != nil || kind&0xf == 8 { // it closes
			return
		}
	}
}

// readFrame reads a client's frame of less than 126 bytes.
func readFrame(r *bufio.Reader) (kind byte, text []byte, err error) {
	var head [6]byte // kind, length, mask
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := head[1] & 0x7f
	if n >= 126 {
		return 0, nil, fmt.Errorf("the frame is too long")
	}
	text = make([]byte, n)
	_, err = io.ReadFull(r, text)
	for i := range text {
		text[i] ^= head[2+i%4]
	}
	return head[0], text, err
}
