package kubernetes_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"

	"k8s.io/client-go/rest"

	"github.com/seed-0f2aaebe/fleetcache/peers"
	"github.com/seed-0f2aaebe/fleetcache/peers/kubernetes"
)

// A Pool that follows a Service. In a pod, leave out Namespace and REST.
func ExampleNew() {
	api := anAPIServer() // with the Service users, whose pods are 10.0.0.1, which is ready, 10.0.0.2, which terminates, and 10.0.0.3, which starts
	defer api.Close()
	podIP := "10.0.0.1" // os.Getenv("POD_IP")

	pool, err := peers.New(peers.Config{
		Self:   "http://" + net.JoinHostPort(podIP, "8080"), // as the Source will have it
		Secret: []byte("the same on every instance"),
	})
	check(err)
	defer pool.Close()
	source, err := kubernetes.New(kubernetes.Config{
		Service:   "users",
		Namespace: "default",
		Port:      "8080",
		REST:      &rest.Config{Host: api.URL},
	})
	check(err)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for members, err := range source.Members(ctx) { // in a goroutine, in a program
		if err != nil {
			log.Print(err)
			continue
		}
		var list []peers.Member
		for _, m := range members {
			fmt.Printf("%s leaving: %v\n", m.URL, m.Leaving)
			if !m.Leaving {
				list = append(list, peers.Member{URL: m.URL, Weight: m.Weight})
			}
		}
		check(pool.Set(list...))
		break // not in a program
	}
	// Output:
	// http://10.0.0.1:8080 leaving: false
	// http://10.0.0.2:8080 leaving: true
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func anAPIServer() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.FormValue("watch") != "" {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		io.WriteString(w, `{
			"kind": "EndpointSliceList", "apiVersion": "discovery.k8s.io/v1", "metadata": {"resourceVersion": "1"},
			"items": [{
				"metadata": {"name": "users-x7f2k", "namespace": "default"},
				"addressType": "IPv4",
				"endpoints": [
					{"addresses": ["10.0.0.1"], "conditions": {"ready": true, "serving": true, "terminating": false}},
					{"addresses": ["10.0.0.2"], "conditions": {"ready": false, "serving": true, "terminating": true}},
					{"addresses": ["10.0.0.3"], "conditions": {"ready": false, "serving": false, "terminating": false}}
				]
			}]
		}`)
	}))
}
