package httpcache

import "sync"

// flows are the flows of an instance, by ID.
type flows struct {
	limit int64 // of bytes

	// mu guards what follows. It is a leaf.
	mu    sync.Mutex
	byID  map[string]*flow
	ended []*flow // that are stored, and kept for a while for those who have just been told of them; the oldest first
	bytes int64   // that ended have in memory
}

func (fs *flows) add(f *flow) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.byID == nil {
		fs.byID = make(map[string]*flow)
	}
	fs.byID[f.id] = f
}

func (fs *flows) get(id string) *flow {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.byID[id]
}

func (fs *flows) remove(id string) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	delete(fs.byID, id)
}

// linger keeps a flow that has ended for those who have been told of it and have not read it yet, as long as there is room.
func (fs *flows) linger(f *flow) {
	n := f.inMemory()
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.kept = n
	fs.ended = append(fs.ended, f)
	fs.bytes += n
	for fs.bytes > fs.limit || len(fs.ended) > maxLingering {
		first := fs.ended[0]
		fs.ended[0] = nil
		fs.ended = fs.ended[1:]
		fs.bytes -= first.kept
		delete(fs.byID, first.id)
	}
}

const maxLingering = 64
