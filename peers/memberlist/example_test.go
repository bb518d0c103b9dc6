package memberlist_test

import (
	"context"
	"fmt"

	"github.com/seed-0f2aaebe/fleetcache/peers/memberlist"
)

// Two instances on this machine: the second one finds the first by its seed, the first one hears of it.
func ExampleNew() {
	key := []byte("32 random bytes: a secret store's") // 16, 24 or 32
	first, err := memberlist.New(memberlist.Config{
		Self: "http://10.0.0.1:8080", // the Pool's Self
		Bind: "127.0.0.1:0",          // in general one port for all, and an address that others reach
		Keys: [][]byte{key[:32]},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer first.Close()
	second, err := memberlist.New(memberlist.Config{
		Self: "http://10.0.0.2:8080", Weight: 2,
		Bind:  "127.0.0.1:0",
		Seeds: []string{first.Addr()}, // in general a name that has the addresses of all
		Keys:  [][]byte{key[:32]},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer second.Close()

	for members, err := range first.Members(context.Background()) { // peers.Pool.Follow does that
		if len(members) == 2 {
			fmt.Println(members, err)
			break
		}
	}
	// Output: [{http://10.0.0.1:8080/_fleetcache/ 1 false} {http://10.0.0.2:8080/_fleetcache/ 2 false}] <nil>
}

// Another key takes the place of the fleet's, one step at a time on every instance.
func ExampleSource_SetKeys() {
	old, next := []byte("0123456789abcdef"), []byte("fedcba9876543210")
	source, err := memberlist.New(memberlist.Config{Self: "http://10.0.0.1:8080", Bind: "127.0.0.1:0", Keys: [][]byte{old}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer source.Close()
	fmt.Println(source.SetKeys(old, next)) // and when all instances have done that:
	fmt.Println(source.SetKeys(next, old)) // and then:
	fmt.Println(source.SetKeys(next))
	// Output:
	// <nil>
	// <nil>
	// <nil>
}
