package httpcache

// softPurged reports whether o has been marked stale since it was loaded.
func (h *Handler) softPurged(o *object) bool { return false }
