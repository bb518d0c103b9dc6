// Package hitratio replays traces to this library and others, and says how often each had what it was asked for: between what the exact
// least-recently-used policy has and what Belady's does, which knows the future.
package hitratio

import (
	"fmt"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/rival"
)

// about says how it was measured.
func about(r *results) string {
	sizes := "1, 5, 10 and 25"
	if r.short {
		sizes = "1 and 10"
	}
	return fmt.Sprintf(`Hit ratios of requests, on traces, with caches of %s %% of what all keys take together: of their bytes where a trace has sizes, else of their number.
A miss loads the key. gap-closed is the mean, over all cells (a trace with a size of the cache), of the share of the way from exact LRU to Belady's optimum; where sizes
differ, Belady's is the usual yardstick and no proven bound. worst-vs-lru is in points of hit ratio, in the cell where it is least. Requests come one after another, and each library has taken one
into account when the next one comes; what works in the background is fed by four goroutines that do not wait, too, and the better of both counts, though it may hold more than its bound
for moments then. Only fleetcache counts its own bookkeeping in its bound, %d bytes an entry. Here all have room for the same entries: its entries claim sizes, 4 KiB or more in the mean,
from which that is deducted, and MaxBytes has on top what the store sets aside. It has as many shards as with such a MaxBytes in a program. freecache and bigcache hold entries
of 1 KiB, headers included, in real bytes.`, sizes, rival.Overhead())
}
