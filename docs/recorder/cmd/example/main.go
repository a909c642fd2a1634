// Example is a service with a recorder: a few seconds of garbage, then an orderly end.
//
//	go run ./cmd/example -dir /tmp/recording -for 3s
//	memwatch ingest /tmp/recording --data data
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"sync/atomic"
	"time"

	"memwatch.dev/recorder"
)

// answers are kept for a moment, as a cache would.
var answers [256][]byte

func main() {
	dir := flag.String("dir", "recording", "folder for the recording")
	duration := flag.Duration("for", 3*time.Second, "how long to run")
	metrics := flag.Bool("metrics", false, "record runtime/metrics too")
	flag.Parse()

	var requests atomic.Uint64
	rec, err := recorder.Start(recorder.Options{
		Service: "example", Instance: "example-0", Version: "v1.0.0",
		Dir: *dir, Metrics: *metrics, Requests: &requests,
	})
	if err != nil {
		log.Printf("no memory recording: %v", err)
	}

	for end := time.Now().Add(*duration); time.Now().Before(end); {
		n := requests.Add(1)
		answers[n%uint64(len(answers))] = make([]byte, 1<<10+n%(64<<10))
		if n%50 == 0 {
			time.Sleep(time.Millisecond)
		}
	}

	if err := rec.Stop(); err != nil {
		log.Print(err)
	}
	fmt.Fprintf(os.Stdout, "%d requests, %d samples\n", requests.Load(), rec.Stats().Written)
}
