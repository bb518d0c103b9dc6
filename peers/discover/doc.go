// Package discover finds out who is in the fleet. A Source yields lists of members, and peers.Pool.Follow makes each of
// them the Pool's:
//
//	members, err := discover.NewDNS(discover.DNSConfig{Name: "cache.internal.", Port: 8080})
//	...
//	go pool.Follow(ctx, members)
//
// The Sources here need nothing but the standard library: a list that stands (Static), a file that is watched (File), and
// names that are looked up (DNS). Gossip is a module of its own, peers/memberlist.
//
// # What every Source here keeps to
//
// A list is yielded when it is known and when it has changed, whatever the order in which it came. A failure to find out
// leaves the last list standing: it is yielded as an error, once until it is a failure of another kind or over, and when it is over the list is
// yielded again. No Source here yields an empty list, but a Static that is one.
//
// # Who am I
//
// An instance recognises itself in a list by its URL: peers.Config.Self must be what the Source says of it, up to the
// spelling that Pool.Self shows. Where it is not, the Pool adds itself to the list under the name that it has, and is in the
// fleet twice: the others call it by the name that they found, and it refuses with peers.ErrMisdirected.
package discover
