package recorder

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// noteEvery is how often lines left out are said in the recording itself, at most.
const noteEvery = time.Minute

// sink is where lines go. Only the writing goroutine calls it.
type sink interface {
	write(line []byte) error
	close() error
}

// line is one line, and what happens to pauses with it.
type line struct {
	text []byte
	// cycles are those since the line before: when the line is lost, so are their pauses.
	cycles uint64
	// overwritten of them were lost in the runtime's ring before they were read.
	overwritten uint64
	// admitted are pauses of earlier lines that this line says are lost.
	admitted uint64
}

// stream hands lines from the sampling goroutine to a writing goroutine of its own, without ever waiting for it.
//
// There are as many buffers as may wait. Each is either in `free`, with one of the two goroutines, or in `ready`; both channels have
// room for all of them, so that no send blocks.
type stream struct {
	free     chan []byte
	ready    chan line
	done     chan struct{}
	sink     sink
	describe func() map[string]any // what its meta lines say

	written, full, failed, skipped, panics atomic.Uint64
	// pausesDropped counts the cycles whose pauses are lost for good; lost are those that no written sample has admitted yet.
	pausesDropped, lost atomic.Uint64

	mu  sync.Mutex
	err error

	noted   uint64 // lines dropped as of the last note
	notedAt time.Time
}

func newStream(buffers int, describe func() map[string]any) *stream {
	s := &stream{describe: describe, free: make(chan []byte, buffers), ready: make(chan line, buffers), done: make(chan struct{})}
	for i := 0; i < buffers; i++ {
		s.free <- nil // grows to its size when first used
	}
	return s
}

// put fills a free buffer and hands it over; without a free one it counts and returns. `handedOver` is called when the line is on its way.
func (s *stream) put(fill func([]byte) line, handedOver func()) {
	var buffer []byte
	select {
	case buffer = <-s.free:
	default:
		s.full.Add(1)
		return
	}
	var filled line
	err := s.guard(func() error {
		filled = fill(buffer[:0])
		return nil
	})
	if err != nil {
		s.setError(err)
		s.failed.Add(1)
		s.free <- buffer
		return
	}
	s.ready <- filled
	if handedOver != nil {
		handedOver()
	}
}

// close says that no more lines come. The writing goroutine ends when those that wait are written.
func (s *stream) close() { close(s.ready) }

// run is the writing goroutine.
func (s *stream) run() {
	defer close(s.done)
	for next := range s.ready {
		err := s.guard(func() error { return s.sink.write(next.text) })
		if err != nil {
			s.setError(err)
			s.failed.Add(1)
			s.pausesDropped.Add(next.cycles)
			s.lost.Add(next.cycles + next.admitted)
		} else {
			s.pausesDropped.Add(next.overwritten)
			s.written.Add(1)
		}
		s.free <- next.text
		if err == nil && s.dropped() > s.noted && time.Since(s.notedAt) >= noteEvery {
			s.note("dropped")
		}
	}
	s.note("stop")
	if err := s.guard(s.sink.close); err != nil {
		s.setError(err)
	}
}

// note says in the recording how many lines are missing from it.
func (s *stream) note(event string) {
	dropped := s.dropped()
	err := s.guard(func() error { return s.sink.write(s.metaLine(event, 0)) })
	if err != nil {
		s.setError(err)
		return
	}
	s.noted, s.notedAt = dropped, time.Now()
}

// metaLine is a line of type meta: what holds for the lines after it, and what happened so far. Each file begins with one (`event` is
// "begin"); there is another when lines were left out ("dropped") and at the end ("stop").
//
// Its `ts` is the start of the process, the same in all its files, so that it anchors times relative to that start (gctrace);
// `meta_ts` is when the line was made.
func (s *stream) metaLine(event string, file int) []byte {
	meta := s.describe()
	meta["type"], meta["event"] = "meta", event
	meta["ts"], meta["meta_ts"] = processStart.UnixNano(), time.Now().UnixNano()
	if file > 0 {
		meta["file"] = file
	}
	meta["lines_written"] = s.written.Load()
	meta["buffer_full"] = s.full.Load()
	meta["write_failed"] = s.failed.Load()
	meta["readings_skipped"] = s.skipped.Load()
	meta["pauses_lost"] = s.pausesDropped.Load()
	meta["panics"] = s.panics.Load()
	if err := s.lastError(); err != nil {
		meta["last_error"] = fmt.Sprint(err) // Sprint survives an Error method that panics
	}
	text, err := json.Marshal(meta)
	if err != nil {
		panic(err) // only strings and integers are in it
	}
	return append(text, '\n')
}

func (s *stream) dropped() uint64 { return s.full.Load() + s.failed.Load() + s.skipped.Load() }

// waiting is how many lines are not written yet.
func (s *stream) waiting() int { return cap(s.free) - len(s.free) }

// takeLost is how many pauses the next sample has to admit.
func (s *stream) takeLost() uint64 { return s.lost.Swap(0) }

// guard turns a panic into an error.
func (s *stream) guard(run func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			s.panics.Add(1)
			err = fmt.Errorf("panic: %v", cause)
		}
	}()
	return run()
}

func (s *stream) setError(err error) {
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
}

func (s *stream) lastError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// writerSink writes to an io.Writer of the host.
type writerSink struct {
	w     io.Writer
	meta  func(event string, file int) []byte
	begun bool
	torn  bool // the last write may have left a line without its end
}

func (s *writerSink) write(text []byte) error {
	if !s.begun {
		if err := s.put(s.meta("begin", 1)); err != nil {
			return err
		}
		s.begun = true
	}
	return s.put(text)
}

func (s *writerSink) put(text []byte) error {
	if s.torn {
		if _, err := s.w.Write([]byte{'\n'}); err != nil {
			return err
		}
	}
	s.torn = true // also when Write panics
	n, err := s.w.Write(text)
	if err == nil && n != len(text) {
		err = io.ErrShortWrite
	}
	s.torn = err != nil && n != 0
	return err
}

// close leaves the writer open: it is the host's.
func (s *writerSink) close() error { return nil }
