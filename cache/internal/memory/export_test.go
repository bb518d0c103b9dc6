package memory

// CostOf is the cost that the store accounts for an item.
func CostOf[V any](it *Item[V], key string) int64 { return it.cost(key) }

// CostOfCopy is what it accounts for a copy.
func CostOfCopy[V any](it *Item[V], key string) int64 { return it.cost(key) + copyCost }

// Earliest is the Instant before which it is not refreshed, if it is stored at now.
func (it *Item[V]) Earliest(now Instant) Instant { return it.earliest(now) }

// IsDue reports whether who asks for it at now is told to refresh it.
func IsDue[V any](it *Item[V], now Instant) bool { return (&entry[V]{item: it}).isDueLocked(now) }
