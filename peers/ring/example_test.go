package ring_test

import (
	"fmt"

	"github.com/seed-0f2aaebe/fleetcache/peers/ring"
)

func ExampleNew() {
	table, err := ring.New(
		ring.Member{ID: "http://c:8080"},
		ring.Member{ID: "http://a:8080"},
		ring.Member{ID: "http://b:8080", Weight: 2}, // has twice the memory
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("epoch %x\n", table.Epoch())
	slots := make([]int, table.Len())
	for slot := range ring.Slots {
		slots[table.OwnerOfSlot(slot)]++
	}
	for i, m := range table.Members() {
		fmt.Printf("%s owns %.1f %% of the slots\n", m.ID, 100*float64(slots[i])/ring.Slots)
	}
	fmt.Println("user:1000 is with", table.Member(table.Owner("user:1000")).ID)
	// Output:
	// epoch 1b6687b2911bb3ff
	// http://a:8080 owns 24.7 % of the slots
	// http://b:8080 owns 50.0 % of the slots
	// http://c:8080 owns 25.3 % of the slots
	// user:1000 is with http://b:8080
}

func ExampleTable_Owners() {
	table, err := ring.New(
		ring.Member{ID: "http://a:8080"},
		ring.Member{ID: "http://b:8080"},
		ring.Member{ID: "http://c:8080"},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	down := map[string]bool{"http://b:8080": true}
	for i := range table.Owners("user:1000") {
		id := table.Member(i).ID
		if down[id] {
			fmt.Println(id, "is down")
			continue
		}
		fmt.Println(id, "answers")
		break
	}
	// Output:
	// http://b:8080 is down
	// http://a:8080 answers
}
