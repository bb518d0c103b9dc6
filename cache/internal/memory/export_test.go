package memory

// CostOf is the cost that the store accounts for an item.
func CostOf[V any](it *Item[V], key string) int64 { return it.cost(key) }
