package recorder

import (
	"math"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// metricsReader reads everything in runtime/metrics but the counters of GODEBUG settings, and writes it as lines.
type metricsReader struct {
	process      int
	descriptions []metrics.Description
	samples      []metrics.Sample
}

func newMetricsReader() *metricsReader {
	r := &metricsReader{}
	for _, d := range metrics.All() {
		switch d.Kind {
		case metrics.KindUint64, metrics.KindFloat64, metrics.KindFloat64Histogram:
			if !strings.HasPrefix(d.Name, "/godebug/") {
				r.descriptions = append(r.descriptions, d)
				r.samples = append(r.samples, metrics.Sample{Name: d.Name})
			}
		}
	}
	return r
}

// describe is the kind of each metric and the boundaries of the histograms. Boundaries are strings because some are infinite.
func (r *metricsReader) describe() (kinds map[string]string, buckets map[string][]string) {
	kinds, buckets = map[string]string{}, map[string][]string{}
	samples := make([]metrics.Sample, len(r.samples)) // not r.samples: those are the sampling goroutine's
	for i := range samples {
		samples[i].Name = r.samples[i].Name
	}
	metrics.Read(samples)
	for i, d := range r.descriptions {
		kind := map[metrics.ValueKind]string{metrics.KindUint64: "uint64", metrics.KindFloat64: "float64", metrics.KindFloat64Histogram: "hist"}[d.Kind]
		if d.Cumulative {
			kind += ",cumulative"
		}
		kinds[d.Name] = kind
		if d.Kind == metrics.KindFloat64Histogram {
			for _, bound := range samples[i].Value.Float64Histogram().Buckets {
				buckets[d.Name] = append(buckets[d.Name], strconv.FormatFloat(bound, 'g', -1, 64))
			}
		}
	}
	return kinds, buckets
}

// append reads all metrics and writes them. A histogram is `[[bucket,count],…]` without its empty buckets.
func (r *metricsReader) append(b []byte) []byte {
	metrics.Read(r.samples)
	b = append(b, `{"type":"metrics","ts":`...)
	b = strconv.AppendInt(b, time.Now().UnixNano(), 10)
	b = appendInt(b, "proc", int64(r.process))
	b = append(b, `,"values":{`...)
	first := true
	for i := range r.samples {
		sample := &r.samples[i]
		float := 0.0
		if sample.Value.Kind() == metrics.KindFloat64 {
			float = sample.Value.Float64()
			if math.IsNaN(float) || math.IsInf(float, 0) {
				continue // JSON has no such number
			}
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(append(append(b, '"'), sample.Name...), '"', ':')
		switch sample.Value.Kind() {
		case metrics.KindUint64:
			b = strconv.AppendUint(b, sample.Value.Uint64(), 10)
		case metrics.KindFloat64:
			b = strconv.AppendFloat(b, float, 'g', -1, 64)
		case metrics.KindFloat64Histogram:
			b = appendHistogram(b, sample.Value.Float64Histogram().Counts)
		default:
			b = append(b, "null"...)
		}
	}
	return append(b, "}}\n"...)
}

func appendHistogram(b []byte, counts []uint64) []byte {
	b = append(b, '[')
	first := true
	for bucket, count := range counts {
		if count == 0 {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = strconv.AppendInt(append(b, '['), int64(bucket), 10)
		b = strconv.AppendUint(append(b, ','), count, 10)
		b = append(b, ']')
	}
	return append(b, ']')
}
