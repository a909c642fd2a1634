package recorder

import (
	"runtime/metrics"
	"time"
)

// The recorder must not add to an incident. ReadMemStats stops the world, and with a loop that cannot be preempted that takes as long
// as the loop does: we recorded 228 ms. So a stop as long as slowStop is followed by a wait of ten times its length, up to
// longestWait. The wait is bounded so that a stall does not look like a frozen process. Readings that fall into it are counted
// as skipped.
//
// How long a call of ReadMemStats took says little about the stop: on a busy machine it waits for a processor most of that time
// (31 ms, recorded beside stops of 0.5 ms). Go 1.22 and newer count the stops. Before, only what is unlikely to be mere waiting counts.
const (
	slowStop    = 20 * time.Millisecond
	slowCall    = 100 * time.Millisecond
	longestWait = time.Second
)

// waitAfter is how long no reading is made after the world stood still that long.
func waitAfter(stopped time.Duration) time.Duration {
	switch {
	case stopped < slowStop:
		return 0
	case stopped > longestWait/10:
		return longestWait
	}
	return stopped * 10
}

// worldStops finds out how long a reading stopped the world.
type worldStops struct {
	sample []metrics.Sample
	known  bool     // this toolchain counts stops
	counts []uint64 // as of the last look
}

func (w *worldStops) find() {
	w.sample = []metrics.Sample{{Name: "/sched/pauses/total/other:seconds"}}
	metrics.Read(w.sample)
	if w.known = w.sample[0].Value.Kind() == metrics.KindFloat64Histogram; w.known {
		w.counts = append(w.counts, w.sample[0].Value.Float64Histogram().Counts...)
	}
}

// during is the length of the stop within a call of ReadMemStats. It looks only when the call was slow; what it finds then is the
// longest stop since it last looked, ours or not.
func (w *worldStops) during(call time.Duration) time.Duration {
	if call < slowStop {
		return call
	}
	if !w.known {
		if call < slowCall {
			return 0
		}
		return call
	}
	metrics.Read(w.sample)
	histogram := w.sample[0].Value.Float64Histogram()
	longest := longestSince(w.counts, histogram.Counts, histogram.Buckets)
	copy(w.counts, histogram.Counts)
	if longest > call {
		return call
	}
	return longest
}

// longestSince is the lower bound of the highest bucket that has grown; 0 when none has.
func longestSince(before, now []uint64, bounds []float64) time.Duration {
	for i := len(now) - 1; i > 0; i-- {
		if now[i] > before[i] {
			return time.Duration(bounds[i] * 1e9)
		}
	}
	return 0
}
