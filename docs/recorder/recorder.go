// Package recorder writes what the Go runtime says about memory, five times a second, for memwatch to keep.
//
// Each reading is one line of JSON: all scalars of runtime.MemStats, every garbage collection pause since the reading
// before, goroutines, limits, resident size and CPU time of the process. Five lines add it to a service:
//
//	rec, err := recorder.Start(recorder.Options{Service: "checkout-api", Dir: "/var/lib/checkout-api/memwatch"})
//	if err != nil {
//		log.Printf("no memory recording: %v", err)
//	}
//	defer rec.Stop()
//
// # What it promises its host
//
// Nothing in it waits for the host and the host waits for nothing in it, with one exception that cannot be avoided:
// runtime.ReadMemStats stops the world while it reads. Readings are made by one goroutine and written by another; between
// them is a fixed number of buffers. When the disk or the writer is slow, readings are left out and counted, never queued
// without bound. Panics on both goroutines are caught. A disk that is full or a folder that is gone is tried again. Files
// rotate, so the space they take is bounded. What was left out is said: in the recording (`pauses_dropped` of a sample and
// lines of type "meta"), in Stats and in the error of Stop.
//
// Standard library only, Go 1.19 and newer.
package recorder

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Options say what is recorded, and where to. Either Dir or Writer is needed; everything else has a default.
type Options struct {
	// Service is the name of the program as your dashboards know it. Default: the name of the executable.
	Service string
	// Instance tells the copies of a service apart. Default: the host name.
	Instance string
	// Version of the service. Default: the main module's version in the build information, if it has one.
	Version string

	// Dir is the folder for the files; it is made when missing. Names begin with the service and the instance, so several
	// services may share a folder. One instance must not run twice in one folder at one time.
	Dir string
	// MaxFileBytes is the size at which a file is closed and the next begun. Default: 16 MiB, about an hour.
	MaxFileBytes int64
	// MaxFiles is how many files of each kind stay, the one being written included; the oldest are deleted. Default: 16.
	MaxFiles int
	// Compress packs closed files with gzip, to a fifth to a twentieth. It takes CPU time when a file is closed, so it is off unless asked for.
	Compress bool

	// Writer takes the lines instead of files. It may block: then readings are left out, and Stop gives up after StopTimeout.
	Writer io.Writer

	// Metrics also records all of runtime/metrics each second: to files of their own in Dir, or to MetricsWriter.
	Metrics bool
	// MetricsWriter takes the lines of runtime/metrics when Writer takes the samples.
	MetricsWriter io.Writer

	// Interval between readings. Default: 200 ms; not below 10 ms.
	Interval time.Duration
	// Buffer is how many lines may wait for a slow disk or writer. Default: 64, which is 13 s and at most 0.5 MiB.
	Buffer int
	// StopTimeout is how long Stop waits for the last lines to be written. Default: 2 s.
	StopTimeout time.Duration
	// Requests, when given, is a counter of requests served since the process began; it becomes `reqs`.
	Requests *atomic.Uint64
	// Process is which incarnation of the instance this process is. Default: one more than the newest file in Dir says,
	// and 1 with a Writer.
	Process int
}

// Stats is what a recorder did so far.
type Stats struct {
	// Written counts samples that the disk or the writer took.
	Written uint64
	// BufferFull counts readings that were not made because all buffers waited to be written.
	BufferFull uint64
	// WriteFailed counts samples that were read and could not be written.
	WriteFailed uint64
	// Skipped counts readings left out after one that stopped the world for 20 ms or more: the recorder waits then, to spare its host.
	Skipped uint64
	// PausesDropped counts garbage collection cycles whose pauses are in no written sample.
	PausesDropped uint64
	// Panics counts the panics that were caught.
	Panics uint64
	// MetricsWritten and MetricsDropped count lines of runtime/metrics.
	MetricsWritten, MetricsDropped uint64
	// LastError is the newest error or panic; nil when there was none.
	LastError error
}

// Dropped is the number of samples that are missing from the recording.
func (s Stats) Dropped() uint64 { return s.BufferFull + s.WriteFailed + s.Skipped }

// Recorder is a running recording. All methods may be called from any goroutine, and on nil, where they do nothing.
type Recorder struct {
	options  Options
	claim    *claim
	process  int
	sampler  *sampler
	samples  *stream
	metrics  *metricsReader
	values   *stream
	stop     chan struct{}
	stopOnce sync.Once
	done     chan struct{}
}

// startTimeout is how long Start waits to learn whether the folder can be written.
const startTimeout = time.Second

// processStart is close to the beginning of the process: packages are initialized before main.
var processStart = time.Now()

// Start begins to record and returns at once; at the longest it waits a second for a slow disk.
//
// An error means that nothing is recorded: the options are wrong, the folder cannot be written, or this process records the same
// instance into the same folder already. The Recorder is nil then, and may still be stopped.
func Start(options Options) (*Recorder, error) {
	if err := options.complete(); err != nil {
		return nil, fmt.Errorf("recorder: %w", err)
	}
	r := &Recorder{options: options, stop: make(chan struct{}), done: make(chan struct{})}
	if options.Dir != "" {
		claim, err := claimFiles(filepath.Join(options.Dir, filePrefix(options.Service, options.Instance)))
		if err != nil {
			return nil, fmt.Errorf("recorder: %w", err)
		}
		r.claim = claim
	}
	r.samples = newStream(options.Buffer, r.describeSamples)
	if options.Metrics {
		// A line of runtime/metrics is ten times as long and comes a fifth as often.
		r.values = newStream((options.Buffer+7)/8, r.describeMetrics)
	}
	opened, late := make(chan error), make(chan struct{})
	go r.run(opened, late)
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case err := <-opened:
		if err != nil {
			return nil, fmt.Errorf("recorder: %w", err)
		}
	case <-timeout.C:
		close(late) // The disk hangs. It is tried on in the background; Stats says how it went.
	}
	return r, nil
}

// Stop makes a last reading, writes what waits and closes the files. It waits at most StopTimeout. The error says what is missing
// from the recording; nil means that nothing is. Further calls change nothing and say the same.
func (r *Recorder) Stop() error {
	if r == nil {
		return nil
	}
	r.stopOnce.Do(func() { close(r.stop) })
	timeout := time.NewTimer(r.options.StopTimeout)
	defer timeout.Stop()
	select {
	case <-r.done:
	case <-timeout.C:
		return fmt.Errorf("recorder: gave up after %v with %d lines not written", r.options.StopTimeout, r.samples.waiting())
	}
	s := r.Stats()
	if s.Dropped() == 0 && s.PausesDropped == 0 && s.MetricsDropped == 0 && s.LastError == nil {
		return nil
	}
	text := fmt.Sprintf("recorder: %d samples written, %d left out (buffer full %d, write failed %d, too slow %d), %d pauses lost",
		s.Written, s.Dropped(), s.BufferFull, s.WriteFailed, s.Skipped, s.PausesDropped)
	if s.MetricsDropped > 0 {
		text += fmt.Sprintf(", %d lines of runtime/metrics lost", s.MetricsDropped)
	}
	if s.LastError != nil {
		return fmt.Errorf("%s; last error: %w", text, s.LastError)
	}
	return errors.New(text)
}

// Stats says what was written and what was left out so far.
func (r *Recorder) Stats() Stats {
	if r == nil {
		return Stats{}
	}
	s := Stats{
		Written:       r.samples.written.Load(),
		BufferFull:    r.samples.full.Load(),
		WriteFailed:   r.samples.failed.Load(),
		Skipped:       r.samples.skipped.Load(),
		PausesDropped: r.samples.pausesDropped.Load(),
		Panics:        r.samples.panics.Load(),
		LastError:     r.samples.lastError(),
	}
	if r.values != nil {
		s.MetricsWritten = r.values.written.Load()
		s.MetricsDropped = r.values.full.Load() + r.values.failed.Load()
		s.Panics += r.values.panics.Load()
		if s.LastError == nil {
			s.LastError = r.values.lastError()
		}
	}
	return s
}

// complete fills in the defaults and refuses what cannot work.
func (o *Options) complete() error {
	switch {
	case o.Dir == "" && o.Writer == nil:
		return errors.New("options: expected Dir or Writer, found neither")
	case o.Dir != "" && (o.Writer != nil || o.MetricsWriter != nil):
		return errors.New("options: expected Dir or a writer, found both")
	case o.Writer != nil && o.Metrics && o.MetricsWriter == nil:
		return errors.New("options: Metrics with a Writer needs a MetricsWriter")
	case o.Interval != 0 && o.Interval < 10*time.Millisecond:
		return fmt.Errorf("options: Interval: expected 10ms or more, found %v", o.Interval)
	case o.MaxFileBytes < 0, o.MaxFiles < 0, o.Buffer < 0, o.StopTimeout < 0, o.Process < 0:
		return errors.New("options: expected no negative numbers")
	}
	o.Metrics = o.Metrics || o.MetricsWriter != nil
	if o.Service == "" {
		o.Service = filepath.Base(os.Args[0])
	}
	if o.Instance == "" {
		o.Instance, _ = os.Hostname()
		if o.Instance == "" {
			o.Instance = "unknown"
		}
	}
	if build, ok := debug.ReadBuildInfo(); ok && o.Version == "" && build.Main.Version != "(devel)" {
		o.Version = build.Main.Version
	}
	setDefault(&o.MaxFileBytes, 16<<20)
	setDefault(&o.MaxFiles, 16)
	setDefault(&o.Interval, 200*time.Millisecond)
	setDefault(&o.Buffer, 64)
	setDefault(&o.StopTimeout, 2*time.Second)
	return nil
}

func setDefault[T int | int64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// run opens the recording, then is the sampling goroutine until Stop.
func (r *Recorder) run(opened chan<- error, late <-chan struct{}) {
	defer close(r.done)
	for {
		err := r.samples.guard(r.open)
		select {
		case opened <- err:
			if err != nil {
				r.claim.release(0)
				return
			}
		case <-late:
		}
		if err == nil {
			break
		}
		r.samples.setError(err)
		select {
		case <-r.stop:
			r.claim.release(0)
			return
		case <-time.After(time.Second):
		}
	}
	go r.samples.run()
	if r.values != nil {
		go r.values.run()
	}
	if err := r.samples.guard(r.sample); err != nil {
		r.samples.setError(err)
	}
	r.samples.close()
	<-r.samples.done
	if r.values != nil {
		r.values.close()
		<-r.values.done
	}
	r.sampler.host.close()
	r.claim.release(r.sampler.numGC)
}

// open finds out which incarnation this process is and opens what the lines are written to.
func (r *Recorder) open() error {
	o := &r.options
	if r.claim == nil {
		process := o.Process
		if process == 0 {
			process = 1
		}
		r.identify(process)
		r.samples.sink = &writerSink{w: o.Writer, meta: r.samples.metaLine}
		if r.values != nil {
			r.values.sink = &writerSink{w: o.MetricsWriter, meta: r.values.metaLine}
		}
		return nil
	}
	process := r.claim.process
	if process == 0 {
		process = o.Process
	}
	samples := &files{base: r.claim.base, kind: "samples", maxBytes: o.MaxFileBytes, maxFiles: o.MaxFiles, compress: o.Compress,
		meta: r.samples.metaLine, report: r.samples.setError}
	process, err := samples.begin(process, r.identify)
	if err != nil {
		return err
	}
	r.claim.process = process
	r.samples.sink = samples
	if r.values != nil {
		r.values.sink = &files{base: r.claim.base, kind: "metrics", maxBytes: o.MaxFileBytes, maxFiles: o.MaxFiles, compress: o.Compress,
			meta: r.values.metaLine, report: r.values.setError, process: process}
	}
	return nil
}

// identify makes what depends on the number of the process.
func (r *Recorder) identify(process int) {
	r.process = process
	identity := appendIdentity(nil, &r.options, process)
	if r.sampler != nil {
		r.sampler.host.close()
	}
	r.sampler = newSampler(identity, r.options.Requests)
	r.sampler.numGC = r.claim.resume()
	if r.values != nil {
		if r.metrics == nil {
			r.metrics = newMetricsReader()
		}
		r.metrics.process = process
	}
}

// sample makes readings until Stop, and a last one then.
func (r *Recorder) sample() error {
	r.tick()
	r.tickMetrics()
	ticker := time.NewTicker(r.options.Interval)
	defer ticker.Stop()
	metricsDue := time.Now().Add(time.Second)
	var notBefore time.Time
	for {
		select {
		case <-r.stop:
			r.tick()
			r.tickMetrics()
			return nil
		case now := <-ticker.C:
			if now.Before(notBefore) {
				r.samples.skipped.Add(1)
				continue
			}
			notBefore = now.Add(waitAfter(r.tick()))
			if r.metrics != nil && !now.Before(metricsDue) {
				r.tickMetrics()
				metricsDue = now.Add(time.Second - r.options.Interval/2)
			}
		}
	}
}

// tick makes one reading and hands it over; it returns how long the world stood still for it.
func (r *Recorder) tick() (stopped time.Duration) {
	r.samples.put(func(buffer []byte) line {
		now, took := r.sampler.read()
		stopped = r.sampler.stops.during(took)
		return r.sampler.append(buffer, now, took, r.samples.takeLost())
	}, r.sampler.handedOver)
	return stopped
}

func (r *Recorder) tickMetrics() {
	if r.metrics == nil {
		return
	}
	r.values.put(func(buffer []byte) line { return line{text: r.metrics.append(buffer)} }, nil)
}

// describeSamples is what meta lines of samples say.
func (r *Recorder) describeSamples() map[string]any {
	meta := r.describe("memwatch-samples/1", r.options.Interval)
	env := map[string]string{}
	for _, name := range []string{"GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT"} {
		env[name] = os.Getenv(name)
	}
	meta["env"] = env
	meta["goarch"] = runtime.GOARCH
	meta["goos"] = runtime.GOOS
	meta["gogc_from"], meta["memlimit_from"] = r.sampler.limits.origins()
	meta["gomaxprocs"] = runtime.GOMAXPROCS(0)
	meta["numcpu"] = runtime.NumCPU()
	meta["page_size"] = os.Getpagesize()
	return meta
}

// describeMetrics is what meta lines of runtime/metrics say.
func (r *Recorder) describeMetrics() map[string]any {
	meta := r.describe("memwatch-metrics/1", time.Second)
	meta["kinds"], meta["buckets"] = r.metrics.describe()
	return meta
}

func (r *Recorder) describe(format string, interval time.Duration) map[string]any {
	return map[string]any{
		"format": format, "interval_ms": interval.Milliseconds(), "go": runtime.Version(), "proc": r.process,
		"service": r.options.Service, "instance": r.options.Instance, "version": r.options.Version,
	}
}
