// Package peerstest has what tests of a fleet need: instances that reach each other by direct calls,
// with every fault that a network has, and the suite that an implementation of cache.Peers must pass.
//
// A [Fleet] is n instances in one process, without sockets. Give each cache its instance:
//
//	fleet := peerstest.NewFleet(3)
//	users, err := cache.New(cache.Config[string, string]{
//		Name:  "users",
//		Load:  load,
//		Peers: fleet.Instance(0),
//	})
//
// Links between instances lose, delay and duplicate messages ([Fleet.SetFaults]); instances stop, hang and
// are cut off ([Fleet.Stop], [Fleet.Hang], [Fleet.Partition]) and disagree on who is
// there ([Fleet.SetView]). [Fleet.Hold] stops a message at an exact point, so that a test orders
// what races in production: it is the tool for everything about invalidation.
//
// [TestPeers] is the suite. Each of its checks names the sentence of package cache that it holds.
//
// # What crosses
//
// What one instance hands to another is copied, as a network would: neither side sees what the other does
// to a slice or a map afterwards. Of the caller's context, only what is left of its deadline crosses, and its end.
// Of an error, only cache.ErrUnknownCache and cache.ErrVersionMismatch remain what they are;
// any other is its text and the instance's name.
//
// A Get of one key, without Reload and Peek, asks the Responder's Hit first. The bytes of the strings that it is given
// change when it has returned, as they do where a transport reads into a buffer.
//
// # Fake time
//
// A Fleet waits on channels, timers and contexts only and holds no lock while it waits, so
// it works inside a testing/synctest bubble, if it is made there. It starts goroutines for each
// call; they end when the call is over and its responder has returned. Close the caches and let go of
// what is held before the bubble ends.
//
// # Caveats
//
// A caller that leaves is known at once at the other end, whatever the faults of the link between them.
// Goroutines of a stopped or hung instance are not stopped: what they send gets nowhere, and their loads
// go on. A link that was found dead is alive again as soon as nothing blocks it; a real
// transport needs a moment to find out.
package peerstest
