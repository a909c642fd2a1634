package recorder

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// sampleLine is a line of type sample as a reader sees it.
type sampleLine struct {
	Type          string                 `json:"type"`
	TS            int64                  `json:"ts"`
	Service       string                 `json:"service"`
	Instance      string                 `json:"instance"`
	Version       string                 `json:"version"`
	Go            string                 `json:"go"`
	Proc          int                    `json:"proc"`
	UptimeNS      int64                  `json:"uptime_ns"`
	ReadNS        int64                  `json:"read_ns"`
	Goroutines    int                    `json:"goroutines"`
	GOGC          int64                  `json:"gogc"`
	MemLimit      int64                  `json:"memlimit"`
	RSS           int64                  `json:"rss"`
	Reqs          *uint64                `json:"reqs"`
	MemStats      map[string]json.Number `json:"memstats"`
	Pauses        [][2]int64             `json:"pauses"`
	PausesDropped uint64                 `json:"pauses_dropped"`

	// Of notes and meta lines.
	Event        string `json:"event"`
	LinesWritten uint64 `json:"lines_written"`
	BufferFull   uint64 `json:"buffer_full"`
	WriteFailed  uint64 `json:"write_failed"`
	LastError    string `json:"last_error"`
	File         int    `json:"file"`
	Format       string `json:"format"`
}

func (l *sampleLine) number(t *testing.T, field string) int64 {
	t.Helper()
	value, err := l.MemStats[field].Int64()
	if err != nil {
		t.Fatalf("memstats.%s: expected an integer, found %q", field, l.MemStats[field])
	}
	return value
}

// parse reads lines; broken ones are counted.
func parse(t *testing.T, text []byte) (lines []sampleLine, broken int) {
	t.Helper()
	for _, line := range bytes.Split(text, []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		var parsed sampleLine
		if err := json.Unmarshal(line, &parsed); err != nil {
			broken++
			continue
		}
		lines = append(lines, parsed)
	}
	return lines, broken
}

func only(lines []sampleLine, kind string) (found []sampleLine) {
	for _, line := range lines {
		if line.Type == kind {
			found = append(found, line)
		}
	}
	return found
}

// safeBuffer is a bytes.Buffer for two goroutines.
type safeBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *safeBuffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]byte(nil), b.buffer.Bytes()...)
}

// writerFunc is a writer with a will of its own.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func start(t *testing.T, options Options) *Recorder {
	t.Helper()
	if options.Service == "" {
		options.Service, options.Instance = "checkout-api", "checkout-api-0"
	}
	if options.Interval == 0 {
		options.Interval = 10 * time.Millisecond
	}
	rec, err := Start(options)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// stopWell stops a recorder that must have lost nothing. On a busy machine readings may have been slow.
func stopWell(t *testing.T, rec *Recorder) {
	t.Helper()
	err := rec.Stop()
	if stats := rec.Stats(); err != nil && (stats.Skipped == 0 || stats.Dropped() != stats.Skipped || stats.LastError != nil || stats.PausesDropped > 0) {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("did not happen within 10 s: %s", what)
}

var garbage [][]byte

func allocate(bytes int) {
	garbage = nil
	for ; bytes > 0; bytes -= 1 << 16 {
		garbage = append(garbage, make([]byte, 1<<16))
	}
}

func TestEverySampleIsWholeAndEveryPauseIsThereOnce(t *testing.T) {
	var out safeBuffer
	var requests atomic.Uint64
	requests.Store(7)
	rec := start(t, Options{Service: "a \"b\"\n\u2028", Instance: "i", Version: "v1", Writer: &out, Requests: &requests})
	for i := 0; i < 20; i++ {
		allocate(8 << 20)
		runtime.GC()
		time.Sleep(5 * time.Millisecond)
	}
	stopWell(t, rec)
	lines, broken := parse(t, out.bytes())
	if broken > 0 || lines[0].Type != "meta" || lines[0].Format != "memwatch-samples/1" || lines[len(lines)-1].Event != "stop" {
		t.Fatalf("expected meta, samples, meta; found %d broken lines in\n%s", broken, out.bytes())
	}
	samples := only(lines, "sample")
	if len(samples) < 5 || len(samples)+2 != len(lines) || rec.Stats().Written != uint64(len(samples)) {
		t.Fatalf("%d lines, %d samples, %+v", len(lines), len(samples), rec.Stats())
	}
	var sum, count, last int64
	for i := range samples {
		s := &samples[i]
		if s.Service != "a \"b\"\n\u2028" || s.Instance != "i" || s.Version != "v1" || s.Go != runtime.Version() || s.Proc != 1 || *s.Reqs != 7 {
			t.Fatalf("identity: %+v", s)
		}
		if s.UptimeNS <= 0 || s.ReadNS <= 0 || s.Goroutines < 2 || s.GOGC != 100 || s.MemLimit <= 0 || len(s.MemStats) != 27 {
			t.Fatalf("sample %d: %.1000s", i, fmt.Sprintf("%+v", s))
		}
		if runtime.GOOS == "linux" && s.RSS < 1<<20 {
			t.Fatalf("rss: found %d", s.RSS)
		}
		if i == 0 {
			// What earlier tests did is history: those pauses that the ring still holds are in the first sample, the others are not.
			sum, count = s.number(t, "PauseTotalNs"), s.number(t, "NumGC")
			for _, pause := range s.Pauses {
				sum -= pause[1]
				count--
			}
			if uint64(count) != s.PausesDropped {
				t.Fatalf("first sample: %d cycles without a pause, %d dropped", count, s.PausesDropped)
			}
		}
		for _, pause := range s.Pauses {
			if pause[0] < last || pause[0] > s.TS {
				t.Fatalf("pause at %d: expected after %d and before the reading at %d", pause[0], last, s.TS)
			}
			last = pause[0]
			sum += pause[1]
			count++
		}
		if sum != s.number(t, "PauseTotalNs") || count != s.number(t, "NumGC") {
			t.Fatalf("sample %d: pauses %d ns in %d cycles, memstats says %s in %s", i, sum, count, s.MemStats["PauseTotalNs"], s.MemStats["NumGC"])
		}
		heap := s.number(t, "HeapInuse") + s.number(t, "HeapIdle")
		if heap != s.number(t, "HeapSys") || s.number(t, "HeapObjects") != s.number(t, "Mallocs")-s.number(t, "Frees") {
			t.Fatalf("sample %d breaks an invariant: %v", i, s.MemStats)
		}
	}
	if count-int64(samples[0].PausesDropped) < 20 {
		t.Fatalf("expected at least the 20 forced cycles, found %d", count)
	}
}

func TestPausesOutOfTheRing(t *testing.T) {
	// Cycle n paused n ns and ended at 1000+n.
	stats := func(cycles uint32) *runtime.MemStats {
		m := &runtime.MemStats{NumGC: cycles}
		for back := uint32(0); back < 256; back++ {
			n := cycles - back // wraps like the counter
			m.PauseNs[(n+255)%256], m.PauseEnd[(n+255)%256] = uint64(n), 1000+uint64(n)
		}
		return m
	}
	for _, c := range []struct {
		since, now          uint32
		first, last         uint64
		cycles, overwritten uint64
	}{
		{0, 0, 0, 0, 0, 0},
		{0, 1, 1, 1, 1, 0},
		{3, 7, 4, 7, 4, 0},
		{255, 257, 256, 257, 2, 0},
		{0, 256, 1, 256, 256, 0},
		{0, 257, 2, 257, 257, 1},
		{100, 1000, 745, 1000, 900, 644},
		{512, 768, 513, 768, 256, 0},
		{1<<32 - 3, 1<<32 - 1, 1<<32 - 2, 1<<32 - 1, 2, 0},
	} {
		text, cycles, overwritten := appendPauses([]byte("["), stats(c.now), c.since)
		var pauses [][2]uint64
		if err := json.Unmarshal(append(text, ']'), &pauses); err != nil {
			t.Fatalf("%+v: %v in %s", c, err, text)
		}
		if cycles != c.cycles || overwritten != c.overwritten || uint64(len(pauses))+overwritten != cycles {
			t.Errorf("%+v: found %d cycles, %d overwritten, %d pauses", c, cycles, overwritten, len(pauses))
		}
		for i, pause := range pauses {
			if n := c.first + uint64(i); pause != [2]uint64{1000 + n, n} {
				t.Errorf("%+v: pause %d is %v", c, i, pause)
			}
		}
		if len(pauses) > 0 && pauses[len(pauses)-1][1] != c.last {
			t.Errorf("%+v: ends with %v", c, pauses[len(pauses)-1])
		}
	}
	// The counter has 32 bits.
	if _, cycles, _ := appendPauses(nil, stats(1), 1<<32-2); cycles != 3 {
		t.Errorf("across the wrap: expected 3 cycles, found %d", cycles)
	}
}

func TestMoreThanARingBetweenReadingsIsSaid(t *testing.T) {
	var out safeBuffer
	rec := start(t, Options{Writer: &out, Interval: time.Hour})
	eventually(t, "a first sample", func() bool { return rec.Stats().Written > 0 })
	for i := 0; i < 300; i++ {
		runtime.GC()
	}
	err := rec.Stop()
	lines, _ := parse(t, out.bytes())
	samples := only(lines, "sample")
	last := samples[len(samples)-1]
	if len(last.Pauses) != 256 || last.PausesDropped < 44 || rec.Stats().PausesDropped != last.PausesDropped {
		t.Fatalf("%d pauses, %d dropped, %+v", len(last.Pauses), last.PausesDropped, rec.Stats())
	}
	if err == nil || !strings.Contains(err.Error(), "pauses lost") {
		t.Fatalf("Stop: found %v", err)
	}
}

func TestAWriterThatBlocksHoldsUpNothing(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	rec := start(t, Options{Writer: writerFunc(func(p []byte) (int, error) { <-hang; return len(p), nil }), Buffer: 4, StopTimeout: 50 * time.Millisecond})
	eventually(t, "readings left out", func() bool { return rec.Stats().BufferFull > 3 })
	begin := time.Now()
	err := rec.Stop()
	if took := time.Since(begin); err == nil || took > 2*time.Second {
		t.Fatalf("Stop took %v and said %v", took, err)
	}
	if again := rec.Stop(); again == nil {
		t.Fatal("a second Stop said that all is well")
	}
}

func TestASlowWriterMissesReadingsButNoPause(t *testing.T) {
	var out safeBuffer
	var slow atomic.Bool
	slow.Store(true)
	rec := start(t, Options{Buffer: 2, Writer: writerFunc(func(p []byte) (int, error) {
		if slow.Load() {
			time.Sleep(100 * time.Millisecond)
		}
		return out.Write(p)
	})})
	for i := 0; i < 50; i++ {
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
	slow.Store(false)
	err := rec.Stop()
	stats := rec.Stats()
	if stats.BufferFull == 0 || stats.PausesDropped != 0 || err == nil {
		t.Fatalf("%+v, %v", stats, err)
	}
	checkPauses(t, out.bytes())
	lines, _ := parse(t, out.bytes())
	if note := lines[len(lines)-1]; note.Event != "stop" || note.BufferFull != stats.BufferFull || note.LinesWritten != stats.Written {
		t.Fatalf("found %+v, expected %+v", note, stats)
	}
}

// checkPauses checks that the pauses in samples and those said to be dropped are all that there were.
func checkPauses(t *testing.T, text []byte) {
	t.Helper()
	lines, _ := parse(t, text)
	samples := only(lines, "sample")
	var count uint64
	for _, s := range samples {
		count += uint64(len(s.Pauses)) + s.PausesDropped
	}
	if cycles := samples[len(samples)-1].number(t, "NumGC"); count != uint64(cycles) {
		t.Fatalf("%d pauses recorded or said to be dropped, %d cycles", count, cycles)
	}
}

func TestAWriterThatFailsOrPanicsIsTriedAgain(t *testing.T) {
	for name, fail := range map[string]func(io.Writer, []byte) (int, error){
		"error": func(io.Writer, []byte) (int, error) { return 0, errors.New("no space") },
		"torn": func(w io.Writer, p []byte) (int, error) {
			n, _ := w.Write(p[:len(p)/2])
			return n, errors.New("no space")
		},
		"short":       func(w io.Writer, p []byte) (int, error) { return w.Write(p[:len(p)/3]) },
		"panic":       func(io.Writer, []byte) (int, error) { panic("writer of the host") },
		"panic later": func(w io.Writer, p []byte) (int, error) { _, _ = w.Write(p[:10]); panic("writer of the host") },
	} {
		t.Run(name, func(t *testing.T) {
			var out safeBuffer
			var calls atomic.Uint64
			rec := start(t, Options{Writer: writerFunc(func(p []byte) (int, error) {
				if n := calls.Add(1); n > 6 && n < 12 {
					return fail(&out, p)
				}
				return out.Write(p)
			})})
			for calls.Load() < 30 {
				runtime.GC()
				time.Sleep(time.Millisecond)
			}
			err := rec.Stop()
			stats := rec.Stats()
			if stats.WriteFailed == 0 || stats.LastError == nil || err == nil || (stats.Panics > 0) != strings.HasPrefix(name, "panic") {
				t.Fatalf("%+v, %v", stats, err)
			}
			lines, broken := parse(t, out.bytes())
			// The last one of what the note says may have been a line of the recorder's own.
			if uint64(len(only(lines, "sample"))) != stats.Written || broken > int(stats.WriteFailed) {
				t.Fatalf("%d samples, %d broken, %+v", len(only(lines, "sample")), broken, stats)
			}
			if len(only(lines, "meta")) < 3 {
				t.Fatalf("expected meta lines at the beginning, when writing went on and at the end, found\n%s", out.bytes())
			}
			checkPauses(t, out.bytes())
		})
	}
}

func TestAnIdleTickAllocatesNothing(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	options := Options{Writer: io.Discard}
	if err := options.complete(); err != nil {
		t.Fatal(err)
	}
	r := &Recorder{options: options, samples: newStream(1, nil)}
	r.samples.describe = r.describeSamples
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	defer r.sampler.host.close()
	allocations := testing.AllocsPerRun(100, func() {
		r.tick()
		next := <-r.samples.ready
		_ = r.samples.sink.write(next.text)
		r.samples.free <- next.text
	})
	if allocations > 3 {
		t.Fatalf("%v allocations a tick", allocations)
	}
	t.Logf("%v allocations a tick", allocations)
}

func TestStopEndsAllGoroutinesAndIsHarmlessTwiceAndOnNil(t *testing.T) {
	before := runtime.NumGoroutine()
	for i := 0; i < 5; i++ {
		rec := start(t, Options{Dir: t.TempDir(), Metrics: true})
		time.Sleep(15 * time.Millisecond)
		stopWell(t, rec)
		stopWell(t, rec)
	}
	eventually(t, "all goroutines end", func() bool { return runtime.NumGoroutine() <= before })
	var none *Recorder
	if err := none.Stop(); err != nil || none.Stats().Written != 0 {
		t.Fatal("a nil recorder did something")
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, options := range map[string]Options{
		"expected Dir or Writer, found neither": {},
		"expected Dir or a writer, found both":  {Dir: "x", Writer: io.Discard},
		"needs a MetricsWriter":                 {Writer: io.Discard, Metrics: true},
		"expected 10ms or more, found 1ms":      {Writer: io.Discard, Interval: time.Millisecond},
		"expected no negative numbers":          {Writer: io.Discard, MaxFiles: -1},
		"not a directory":                       {Dir: filepath.Join(file, "below")},
	} {
		rec, err := Start(options)
		if rec != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("expected an error with %q, found %v", want, err)
		}
	}
}

func TestGOGCFromTheEnvironment(t *testing.T) {
	for text, want := range map[string]int64{"": 100, "off": -1, "50": 50, "0": 0, "-1": -1, "-7": -1, "x": 100, "1e3": 100, "+5": 100, "99999999999": 100} {
		if found := gogcFromEnvironment(text); found != want {
			t.Errorf("%q: expected %d, found %d", text, want, found)
		}
	}
}

func TestLimitsAreReadAndNotSet(t *testing.T) {
	var l limits
	l.find()
	previous := debug.SetMemoryLimit(3 << 30)
	defer debug.SetMemoryLimit(previous)
	if gogc, limit := l.read(0); gogc != 100 || limit != 3<<30 {
		t.Fatalf("found %d and %d", gogc, limit)
	}
	if now := debug.SetMemoryLimit(-1); now != 3<<30 {
		t.Fatalf("the limit became %d", now)
	}
	percent := debug.SetGCPercent(-1)
	defer debug.SetGCPercent(percent)
	debug.SetMemoryLimit(previous) // with a limit there is a goal also without GOGC
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if gogc, _ := l.read(m.NextGC); gogc != -1 {
		t.Fatalf("with GOGC off: found %d, next goal %d", gogc, m.NextGC)
	}
}

func TestMetricsAreWhatTheRuntimeSays(t *testing.T) {
	var samples, values safeBuffer
	rec := start(t, Options{Writer: &samples, MetricsWriter: &values})
	runtime.GC()
	eventually(t, "lines of metrics", func() bool { return rec.Stats().MetricsWritten > 1 })
	stopWell(t, rec)
	lines := bytes.Split(bytes.TrimSpace(values.bytes()), []byte("\n"))
	var meta struct {
		Format  string
		Kinds   map[string]string
		Buckets map[string][]string
	}
	if err := json.Unmarshal(lines[0], &meta); err != nil || meta.Format != "memwatch-metrics/1" {
		t.Fatal(err, string(lines[0]))
	}
	for _, line := range lines[1 : len(lines)-1] {
		var parsed struct {
			Type   string
			Proc   int
			Values map[string]json.RawMessage
		}
		if err := json.Unmarshal(line, &parsed); err != nil || parsed.Type != "metrics" || parsed.Proc != 1 || len(parsed.Values) != len(meta.Kinds) {
			t.Fatalf("%v in %s", err, line)
		}
		var pauses [][2]uint64
		if err := json.Unmarshal(parsed.Values["/gc/pauses:seconds"], &pauses); err != nil {
			t.Fatal(err)
		}
		var total, cycles uint64
		for _, p := range pauses {
			if p[1] == 0 || int(p[0]) >= len(meta.Buckets["/gc/pauses:seconds"])-1 {
				t.Fatalf("bucket %v", p)
			}
			total += p[1]
		}
		if err := json.Unmarshal(parsed.Values["/gc/cycles/total:gc-cycles"], &cycles); err != nil || total < 2*cycles-1 || total > 2*cycles+2 {
			t.Fatalf("%d cycles and %d pauses, expected two a cycle: %v", cycles, total, err)
		}
	}
}

func BenchmarkTick(b *testing.B) {
	options := Options{Writer: io.Discard}
	if err := options.complete(); err != nil {
		b.Fatal(err)
	}
	r := &Recorder{options: options, samples: newStream(1, nil)}
	r.samples.describe = r.describeSamples
	if err := r.open(); err != nil {
		b.Fatal(err)
	}
	defer r.sampler.host.close()
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		r.tick()
		r.samples.free <- (<-r.samples.ready).text
	}
}
