// Package memberlist finds the members of a fleet by gossip, with hashicorp/memberlist: instances that know one another, or a
// name under which some can be found, need nothing else to learn of all of them, of those that have died, and of those that leave.
//
//	source, err := memberlist.New(memberlist.Config{Self: pool.Self(), Seeds: []string{"cache.internal."}, Keys: [][]byte{key}})
//	...
//	go pool.Follow(ctx, source)
//	...
//	err = pool.Drain(ctx)  // the others learn that this instance leaves
//	err = source.Close()   // and that it has left
//
// Each instance listens on a port of its own for gossip, by UDP and TCP. What it tells the others of itself is the URL of its
// Pool, its weight, and whether it is leaving.
//
// # Partitions
//
// Instances that do not hear of each other take each other for dead, and hashicorp/memberlist forgets the dead: two halves of a fleet that were cut
// apart for long stay apart. So each instance looks up its seeds again and again, and joins those that it does not
// know to be members. Give all instances the same seeds, and seeds that will not all be on one side: a name that has the addresses of all is best.
//
// An instance that hears of nobody any more, though nobody said that it leaves, takes itself to be cut off: its last list stands, and
// an error is yielded. So its Pool goes on to report invalidations that others were not told of. Larger parts of a fleet that was cut cannot
// know better, and are a fleet each until they are joined.
package memberlist
