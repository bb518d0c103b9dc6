package cache

// SetMaxWaiting changes how many loads may wait for their turn. c must not be in use.
func SetMaxWaiting[K ~string, V any](c *Cache[K, V], n int64) { c.maxWaiting = n }
