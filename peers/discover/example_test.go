package discover_test

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"

	"github.com/seed-0f2aaebe/fleetcache/peers/discover"
)

// A Source of one's own is an iterator of lists.
func ExampleSource() {
	var source discover.Source = registry{"http://10.0.0.1:8080"}
	for members, err := range source.Members(context.Background()) {
		fmt.Println(members[0].URL, err)
		break // who follows a Source goes on until its context ends
	}
	// Output: http://10.0.0.1:8080 <nil>
}

// A registry knows one instance, and never hears of another.
type registry struct{ only string }

func (r registry) Members(ctx context.Context) iter.Seq2[[]discover.Member, error] {
	return func(yield func([]discover.Member, error) bool) {
		if yield([]discover.Member{{URL: r.only}}, nil) {
			<-ctx.Done()
		}
	}
}

func ExampleNewFile() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "members")
	text := "http://10.0.0.1:8080\nhttp://10.0.0.2:8080 weight=2 # has twice the memory\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		fmt.Println(err)
		return
	}

	file, err := discover.NewFile(discover.FileConfig{Path: path})
	if err != nil {
		fmt.Println(err)
		return
	}
	for members, err := range file.Members(context.Background()) {
		fmt.Println(members, err)
		break // peers.Pool.Follow goes on
	}
	// Output: [{http://10.0.0.1:8080 0 false} {http://10.0.0.2:8080 2 false}] <nil>
}

// Whoever writes the file can find out beforehand what is wrong with it.
func ExampleParse() {
	_, err := discover.Parse("http://10.0.0.1:8080\n10.0.0.2:8080\nhttp://10.0.0.3:8080 weight=5000\n")
	fmt.Println(err)
	// Output:
	// line 2: the URL does not parse: first path segment in URL cannot contain colon; use one such as http://10.0.0.1:8080
	// line 3: weight is "5000": use 1 to 1000
}

func ExampleNewDNS() {
	members, err := discover.NewDNS(discover.DNSConfig{
		Name: "192.0.2.1", // or a name with an address for each instance
		Port: 8080,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for list, err := range members.Members(context.Background()) {
		fmt.Println(list, err)
		break // peers.Pool.Follow goes on
	}
	// Output: [{http://192.0.2.1:8080 0 false}] <nil>
}

func ExampleStatic() {
	for members, err := range (discover.Static{{URL: "http://10.0.0.1:8080"}}).Members(context.Background()) {
		fmt.Println(members, err)
		break
	}
	// Output: [{http://10.0.0.1:8080 0 false}] <nil>
}
