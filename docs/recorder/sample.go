package recorder

import (
	"encoding/json"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// noGoal is above every real heap goal. Without a goal NextGC is somewhere near 2^63, a different number in each Go version.
const noGoal = 1 << 62

// sampler reads the process and writes the readings as lines. Only the sampling goroutine uses it.
type sampler struct {
	identity []byte
	requests *atomic.Uint64
	limits   limits
	stops    worldStops
	host     host
	mem      runtime.MemStats
	numGC    uint32 // the newest cycle whose pause is in a line that was handed over
	began    bool   // a line was handed over: what the ring lost before is history, not our loss
}

func newSampler(identity []byte, requests *atomic.Uint64) *sampler {
	s := &sampler{identity: identity, requests: requests}
	s.limits.find()
	s.stops.find()
	s.host.open()
	return s
}

// read takes one reading. The instant is that of its end: with a loop that cannot be preempted most of `took` is waiting for the
// world to stop, and every pause of the reading ends before it.
func (s *sampler) read() (now time.Time, took time.Duration) {
	before := time.Now()
	runtime.ReadMemStats(&s.mem)
	now = time.Now()
	return now, now.Sub(before)
}

// handedOver notes that the last reading's pauses need not be in the next line.
func (s *sampler) handedOver() { s.numGC, s.began = s.mem.NumGC, true }

// append writes the last reading. `lost` are cycles whose pauses were read before and could not be written.
func (s *sampler) append(b []byte, now time.Time, took time.Duration, lost uint64) line {
	m := &s.mem
	b = append(b, `{"type":"sample","ts":`...)
	b = strconv.AppendInt(b, now.UnixNano(), 10)
	b = append(append(b, ','), s.identity...)
	b = appendInt(b, "uptime_ns", int64(now.Sub(processStart)))
	b = appendInt(b, "read_ns", int64(took))
	b = appendInt(b, "goroutines", int64(runtime.NumGoroutine()))
	gogc, limit := s.limits.read(m.NextGC)
	b = appendInt(b, "gogc", gogc)
	b = appendInt(b, "memlimit", limit)
	if rss, ok := s.host.rss(); ok {
		b = appendInt(b, "rss", rss)
	}
	if user, system, ok := cpuMicros(); ok {
		b = appendInt(b, "cpu_user_us", user)
		b = appendInt(b, "cpu_sys_us", system)
	}
	if s.requests != nil {
		b = appendUint(b, "reqs", s.requests.Load())
	}
	b = append(b, `,"memstats":{"Alloc":`...)
	b = strconv.AppendUint(b, m.Alloc, 10)
	b = appendUint(b, "TotalAlloc", m.TotalAlloc)
	b = appendUint(b, "Sys", m.Sys)
	b = appendUint(b, "Lookups", m.Lookups)
	b = appendUint(b, "Mallocs", m.Mallocs)
	b = appendUint(b, "Frees", m.Frees)
	b = appendUint(b, "HeapAlloc", m.HeapAlloc)
	b = appendUint(b, "HeapSys", m.HeapSys)
	b = appendUint(b, "HeapIdle", m.HeapIdle)
	b = appendUint(b, "HeapInuse", m.HeapInuse)
	b = appendUint(b, "HeapReleased", m.HeapReleased)
	b = appendUint(b, "HeapObjects", m.HeapObjects)
	b = appendUint(b, "StackInuse", m.StackInuse)
	b = appendUint(b, "StackSys", m.StackSys)
	b = appendUint(b, "MSpanInuse", m.MSpanInuse)
	b = appendUint(b, "MSpanSys", m.MSpanSys)
	b = appendUint(b, "MCacheInuse", m.MCacheInuse)
	b = appendUint(b, "MCacheSys", m.MCacheSys)
	b = appendUint(b, "BuckHashSys", m.BuckHashSys)
	b = appendUint(b, "GCSys", m.GCSys)
	b = appendUint(b, "OtherSys", m.OtherSys)
	b = appendUint(b, "NextGC", m.NextGC)
	b = appendUint(b, "LastGC", m.LastGC)
	b = appendUint(b, "PauseTotalNs", m.PauseTotalNs)
	b = appendUint(b, "NumGC", uint64(m.NumGC))
	b = appendUint(b, "NumForcedGC", uint64(m.NumForcedGC))
	if fraction := m.GCCPUFraction; !math.IsNaN(fraction) && !math.IsInf(fraction, 0) {
		b = append(b, `,"GCCPUFraction":`...)
		b = strconv.AppendFloat(b, fraction, 'g', -1, 64)
	}
	b = append(b, `},"pauses":[`...)
	b, cycles, overwritten := appendPauses(b, m, s.numGC)
	b = append(b, `],"pauses_dropped":`...)
	b = strconv.AppendUint(b, overwritten+lost, 10)
	b = append(b, "}\n"...)
	if !s.began {
		overwritten = 0
	}
	return line{text: b, cycles: cycles, overwritten: overwritten, admitted: lost}
}

// appendPauses writes `[end,pause]` of the cycles after cycle `since`, oldest first. The runtime keeps the last 256: cycle n is at
// (n+255)%256. What was overwritten before it was read is counted.
func appendPauses(b []byte, m *runtime.MemStats, since uint32) (_ []byte, cycles, overwritten uint64) {
	const ring = uint32(len(m.PauseNs))
	fresh := m.NumGC - since // right also when the counter has wrapped
	cycles = uint64(fresh)
	if fresh > ring {
		overwritten = uint64(fresh - ring)
		fresh = ring
	}
	for i := fresh; i > 0; i-- {
		at := (m.NumGC - i + ring) % ring // cycle n = NumGC-i+1
		if i != fresh {
			b = append(b, ',')
		}
		b = append(b, '[')
		b = strconv.AppendUint(b, m.PauseEnd[at], 10)
		b = append(b, ',')
		b = strconv.AppendUint(b, m.PauseNs[at], 10)
		b = append(b, ']')
	}
	return b, cycles, overwritten
}

// appendIdentity writes what every line says about whose it is.
func appendIdentity(b []byte, o *Options, process int) []byte {
	b = appendString(append(b, `"service":`...), o.Service)
	b = appendString(append(b, `,"instance":`...), o.Instance)
	b = appendString(append(b, `,"version":`...), o.Version)
	b = appendString(append(b, `,"go":`...), runtime.Version())
	return appendInt(b, "proc", int64(process))
}

func appendInt(b []byte, key string, value int64) []byte {
	return strconv.AppendInt(appendKey(b, key), value, 10)
}

func appendUint(b []byte, key string, value uint64) []byte {
	return strconv.AppendUint(appendKey(b, key), value, 10)
}

// appendKey writes `,"key":`. Keys are ours and need no escapes.
func appendKey(b []byte, key string) []byte {
	b = append(b, ',', '"')
	b = append(b, key...)
	return append(b, '"', ':')
}

func appendString(b []byte, value string) []byte {
	text, _ := json.Marshal(value) // a string always can
	return append(b, text...)
}

// limits reads GOGC and GOMEMLIMIT without changing anything: from runtime/metrics since Go 1.21. Before, the memory limit comes from
// debug.SetMemoryLimit(-1), which is documented to only read, and GOGC from the environment, because debug.SetGCPercent has no
// such call; a value set by the program itself is not seen there.
type limits struct {
	samples     []metrics.Sample
	gogc, limit int // places in samples; -1: this toolchain has no such metric
	environment int64
}

func (l *limits) find() {
	l.gogc, l.limit = -1, -1
	for _, d := range metrics.All() {
		if d.Kind != metrics.KindUint64 {
			continue
		}
		switch d.Name {
		case "/gc/gogc:percent":
			l.gogc = len(l.samples)
		case "/gc/gomemlimit:bytes":
			l.limit = len(l.samples)
		default:
			continue
		}
		l.samples = append(l.samples, metrics.Sample{Name: d.Name})
	}
	l.environment = gogcFromEnvironment(os.Getenv("GOGC"))
}

// origins says where the two values come from.
func (l *limits) origins() (gogc, limit string) {
	gogc, limit = "environment", "debug.SetMemoryLimit(-1)"
	if l.gogc >= 0 {
		gogc = "runtime/metrics"
	}
	if l.limit >= 0 {
		limit = "runtime/metrics"
	}
	return gogc, limit
}

// read returns GOGC in percent, -1 when off, and the memory limit, math.MaxInt64 when there is none.
func (l *limits) read(nextGC uint64) (gogc, limit int64) {
	if len(l.samples) > 0 {
		metrics.Read(l.samples)
	}
	if l.gogc >= 0 {
		gogc = clamp(l.samples[l.gogc].Value.Uint64())
		if gogc > math.MaxInt32 {
			gogc = -1 // the runtime says 2^64-1 for off
		}
	} else if gogc = l.environment; nextGC > noGoal {
		gogc = -1 // switched off by the program
	}
	if l.limit >= 0 {
		limit = clamp(l.samples[l.limit].Value.Uint64())
	} else {
		limit = debug.SetMemoryLimit(-1)
	}
	return gogc, limit
}

func clamp(value uint64) int64 {
	if value > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(value)
}

// gogcFromEnvironment reads GOGC as the runtime does: what it does not understand is 100.
func gogcFromEnvironment(text string) int64 {
	if text == "off" {
		return -1
	}
	percent, err := strconv.ParseInt(text, 10, 32)
	switch {
	case err != nil || strings.HasPrefix(text, "+"):
		return 100
	case percent < 0:
		return -1
	}
	return percent
}
