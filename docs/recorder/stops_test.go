package recorder

import (
	"math"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

func TestWaitAfterALongStop(t *testing.T) {
	for stopped, want := range map[time.Duration]time.Duration{
		0:                      0,
		50 * time.Microsecond:  0,
		19 * time.Millisecond:  0,
		50 * time.Millisecond:  500 * time.Millisecond,
		228 * time.Millisecond: time.Second,
		time.Minute:            time.Second,
	} {
		if found := waitAfter(stopped); found != want {
			t.Errorf("after a stop of %v: expected a wait of %v, found %v", stopped, want, found)
		}
	}
}

func TestLongestStopSince(t *testing.T) {
	bounds := []float64{math.Inf(-1), 0, 0.001, 0.01, 0.1, math.Inf(1)}
	for _, c := range []struct {
		before, now []uint64
		want        time.Duration
	}{
		{[]uint64{0, 0, 0, 0, 0}, []uint64{0, 0, 0, 0, 0}, 0},
		{[]uint64{0, 7, 3, 1, 0}, []uint64{0, 8, 3, 1, 0}, 0},
		{[]uint64{0, 7, 3, 1, 0}, []uint64{0, 8, 4, 1, 0}, time.Millisecond},
		{[]uint64{0, 7, 3, 1, 0}, []uint64{0, 7, 3, 1, 1}, 100 * time.Millisecond},
	} {
		if found := longestSince(c.before, c.now, bounds); found != c.want {
			t.Errorf("%v to %v: expected %v, found %v", c.before, c.now, c.want, found)
		}
	}
}

func TestASlowCallIsNotAlwaysALongStop(t *testing.T) {
	var w worldStops
	w.find()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if found := w.during(5 * time.Millisecond); found != 5*time.Millisecond {
		t.Errorf("a fast call is taken as it is: found %v", found)
	}
	// The world did not stand still for a second just now.
	if found := w.during(time.Second); w.known && (found >= time.Second || found == 0) || !w.known && found != time.Second {
		t.Errorf("found %v, counted: %v", found, w.known)
	}
	if found := w.during(slowStop); !w.known && found != 0 {
		t.Errorf("too short to tell from waiting: found %v", found)
	}
	for _, d := range metrics.All() {
		if d.Name == "/sched/pauses/total/other:seconds" && !w.known {
			t.Error("this toolchain counts stops and we do not use it")
		}
	}
}
