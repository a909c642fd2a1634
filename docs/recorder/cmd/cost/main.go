//go:build unix

// Cost measures what the recorder costs its host. The figures in docs/recording.md are from
//
//	go run ./cmd/cost -for 60s
//
// Each scenario runs in a process of its own: first without the recorder, then with it, for the same time. What is measured:
//
//   - CPU time of the whole process with the recorder minus without it, as a share of one core;
//   - how long the world stood still for a reading: the world stops that are not the collector's, from the histogram
//     /sched/pauses/total/other:seconds (Go 1.22 and newer; its buckets are 14 to 25 % wide, the upper bound is printed);
//   - how long ReadMemStats took altogether (`read_ns`), waiting for a processor included;
//   - bytes written in an hour, as they are and packed.
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"sort"
	"syscall"
	"time"

	"memwatch.dev/recorder"
)

// scenario is a kind of host.
type scenario struct {
	name       string
	goroutines int
	heap       int
	workers    int // goroutines that allocate
	metrics    bool
}

var scenarios = []scenario{
	{name: "idle"},
	{name: "idle, with runtime/metrics", metrics: true},
	{name: "10,000 goroutines, 1 GiB heap, idle", goroutines: 10_000, heap: 1 << 30},
	{name: "10,000 goroutines, 1 GiB heap, busy", goroutines: 10_000, heap: 1 << 30, workers: runtime.NumCPU()},
}

func main() {
	duration := flag.Duration("for", time.Minute, "how long each scenario runs without and with the recorder")
	one := flag.Int("scenario", -1, "run only this one, in this process")
	flag.Parse()
	if *one >= 0 {
		if err := scenarios[*one].run(*duration); err != nil {
			log.Fatal(err)
		}
		return
	}
	fmt.Printf("%s %s/%s, %d CPUs, %v each\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), *duration)
	for i := range scenarios {
		command := exec.Command(os.Args[0], "-scenario", fmt.Sprint(i), "-for", duration.String())
		command.Stdout, command.Stderr = os.Stdout, os.Stderr
		if err := command.Run(); err != nil {
			log.Fatal(err)
		}
	}
}

// What the host keeps.
var (
	heap    [][]byte
	garbage [64][]byte
)

func (s scenario) run(duration time.Duration) error {
	wait := make(chan struct{})
	for i := 0; i < s.goroutines; i++ {
		go func() { <-wait }()
	}
	// Objects of 64 bytes to 16 KiB, as a service has them.
	for total, size := 0, 64; total < s.heap; total += size {
		heap = append(heap, make([]byte, size))
		if size *= 2; size > 16<<10 {
			size = 64
		}
	}
	for i := 0; i < s.workers; i++ {
		worker := i
		go func() {
			for n := worker; ; n += s.workers {
				garbage[n%len(garbage)] = make([]byte, 4<<10)
			}
		}()
	}
	runtime.GC()
	time.Sleep(time.Second)

	dir, err := os.MkdirTemp("", "memwatch-cost")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	without := cpuTime()
	time.Sleep(duration)
	without = cpuTime() - without

	with := cpuTime()
	stops := worldStops()
	rec, err := recorder.Start(recorder.Options{Service: "cost", Dir: dir, MaxFileBytes: 1 << 30, Metrics: s.metrics})
	if err != nil {
		return err
	}
	time.Sleep(duration)
	stopError := rec.Stop()
	stops = stops.since(worldStops())
	with = cpuTime() - with

	fmt.Printf("%s\n", s.name)
	if s.workers == 0 {
		share := func(d time.Duration) float64 { return 100 * d.Seconds() / duration.Seconds() }
		fmt.Printf("  CPU, %% of one core          without %.3f  with %.3f  recorder %.3f\n", share(without), share(with), share(with-without))
	}
	if p50, p99, max, ok := stops.quantiles(); ok {
		fmt.Printf("  world stopped               p50 %v  p99 %v  max %v  (%d stops)\n", p50, p99, max, stops.total())
	}
	reads, size, packed, err := inspect(dir)
	if err != nil {
		return err
	}
	fmt.Printf("  ReadMemStats                p50 %v  p99 %v  max %v  (%d readings)\n", quantile(reads, 0.5), quantile(reads, 0.99), quantile(reads, 1), len(reads))
	hour := float64(time.Hour) / float64(duration) / 1e6
	fmt.Printf("  written in an hour          %.1f MB, with gzip %.1f MB\n", float64(size)*hour, float64(packed)*hour)
	if stopError != nil {
		fmt.Printf("  %v\n", stopError)
	}
	return nil
}

// inspect reads the recording back.
func inspect(dir string) (reads []time.Duration, size, packed int, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.ndjson"))
	if err != nil {
		return nil, 0, 0, err
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, 0, 0, err
		}
		var buffer bytes.Buffer
		packer := gzip.NewWriter(&buffer)
		if _, err := packer.Write(text); err != nil {
			return nil, 0, 0, err
		}
		if err := packer.Close(); err != nil {
			return nil, 0, 0, err
		}
		size += len(text)
		packed += buffer.Len()
		lines := bufio.NewScanner(bytes.NewReader(text))
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var line struct {
				Type   string `json:"type"`
				ReadNS int64  `json:"read_ns"`
			}
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
				return nil, 0, 0, err
			}
			if line.Type == "sample" {
				reads = append(reads, time.Duration(line.ReadNS))
			}
		}
		if err := lines.Err(); err != nil {
			return nil, 0, 0, err
		}
	}
	sort.Slice(reads, func(i, j int) bool { return reads[i] < reads[j] })
	return reads, size, packed, nil
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(math.Ceil(q*float64(len(sorted)-1)))].Round(time.Microsecond)
}

// histogram counts world stops by length.
type histogram struct {
	counts []uint64
	bounds []float64
}

// worldStops is empty where the toolchain does not count them.
func worldStops() histogram {
	sample := []metrics.Sample{{Name: "/sched/pauses/total/other:seconds"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindFloat64Histogram {
		return histogram{}
	}
	h := sample[0].Value.Float64Histogram()
	return histogram{counts: h.Counts, bounds: h.Buckets}
}

// since is what `later` counts more than h.
func (h histogram) since(later histogram) histogram {
	for i := range later.counts {
		later.counts[i] -= h.counts[i]
	}
	return later
}

func (h histogram) total() (total uint64) {
	for _, count := range h.counts {
		total += count
	}
	return total
}

// quantiles are the upper bounds of the buckets that they fall into.
func (h histogram) quantiles() (p50, p99, max time.Duration, ok bool) {
	total := float64(h.total())
	if total == 0 {
		return 0, 0, 0, false
	}
	at := func(q float64) time.Duration {
		var below float64
		for i, count := range h.counts {
			below += float64(count)
			if count > 0 && below >= q*total {
				return time.Duration(h.bounds[i+1] * 1e9).Round(100 * time.Nanosecond)
			}
		}
		return 0
	}
	return at(0.5), at(0.99), at(1), true
}

// cpuTime is the CPU time of this process so far.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
